//! The operations, by family.
mod alarm;
mod data;
mod describe;
mod read;
mod tags;

use kernel::{Access, Cx};
use store::{Key, Row};

use crate::CloudWatch;
use crate::error::Error;
use crate::records::{Alarm, alarm_arn};

/// (account, region) of the call: what every key begins with.
fn scope(cx: &Cx) -> Key {
    Key::new(cx.account(), &cx.region)
}

/// A permission on an alarm; `*` for all of them.
fn on_alarm(cx: &Cx, action: &'static str, name: &str) -> Access {
    Access::new(action, alarm_arn(cx.account(), &cx.region, name))
}

/// The same for each of several alarms; for all of them where none is named.
fn on_alarms(cx: &Cx, action: &'static str, names: &[String]) -> Vec<Access> {
    match names {
        [] => vec![on_alarm(cx, action, "*")],
        names => names.iter().map(|name| on_alarm(cx, action, name)).collect(),
    }
}

/// A page size: as asked, of `most` at most.
fn limit(asked: Option<i32>, most: usize) -> usize {
    asked.and_then(|asked| usize::try_from(asked).ok()).unwrap_or(most).clamp(1, most)
}

impl CloudWatch {
    async fn alarm(&self, cx: &Cx, name: &str) -> Result<Row<Alarm>, Error> {
        self.store.get(&scope(cx).text(name)).await?.ok_or_else(|| Error::NoAlarm(name.to_owned()))
    }
}
