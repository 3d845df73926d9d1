//! The operations, by family.
mod bus;
mod connection;
mod destination;
mod event;
mod rule;
mod tags;
mod target;

use kernel::{Access, Arn, Cx};
use store::{Key, PageToken, Row};

use crate::error::Error;
use crate::records::{Rule, rule_arn};
use crate::{Events, limits};

/// The only bus.
const DEFAULT: &str = "default";

fn bus_arn(cx: &Cx) -> String {
    Arn::new("events", &cx.region, cx.account(), "event-bus/default").to_string()
}

/// A permission on a rule of the default bus.
fn on_rule(cx: &Cx, action: &'static str, rule: &str) -> Access {
    Access::new(action, rule_arn(cx.account(), &cx.region, rule))
}

/// Refuses any bus but the default one, which may be named or given as its ARN.
fn only_default(cx: &Cx, bus: Option<&str>) -> Result<(), Error> {
    match bus {
        None | Some(DEFAULT) => Ok(()),
        Some(arn) if arn == bus_arn(cx) => Ok(()),
        Some(other) => Err(Error::NoBus(other.to_owned())),
    }
}

fn rule_key(cx: &Cx, name: &str) -> Key {
    Key::new(cx.account(), &cx.region).text(name)
}

impl Events {
    async fn rule(&self, cx: &Cx, name: &str) -> Result<Row<Rule>, Error> {
        self.store.get(&rule_key(cx, name)).await?.ok_or_else(|| Error::NoRule(name.to_owned()))
    }
}

/// The page of `items`, ordered by name, behind the token; and the next token.
fn page<T>(
    list: &str,
    token: Option<&str>,
    limit: Option<i32>,
    items: impl Iterator<Item = (String, T)>,
) -> Result<(Vec<T>, Option<String>), Error> {
    let after: Option<String> = PageToken::position(list, token)?;
    let limit =
        limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(limits::PAGE).clamp(1, limits::PAGE);
    let behind = items.filter(|(name, _)| after.as_ref().is_none_or(|after| name > after));
    let mut found: Vec<(String, T)> = behind.take(limit + 1).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(name, _)| PageToken::encode(list, name.clone()));
    Ok((found.into_iter().map(|(_, item)| item).collect(), next))
}
