//! The operations, a file a family.
mod connections;
mod hosts;
mod tags;

use std::collections::BTreeMap;

use api::codeconnections::Tag;
use kernel::{Access, Arn, Cx};

use crate::error::{Error, Result};
use crate::limits;
use crate::records::arn;

/// What an ARN names, `connection/ID` or `host/NAME/ID`, of this account and Region. Both names that the service has had
/// are one.
pub(crate) fn resource(cx: &Cx, arn: &str) -> Result<String> {
    let missing = || Error::NotFound(arn.into());
    let parsed: Arn = arn.parse().map_err(|_| missing())?;
    let service = ["codeconnections", "codestar-connections"].contains(&&*parsed.service);
    let here = service && parsed.account == cx.account() && parsed.region == cx.region;
    here.then_some(parsed.resource).ok_or_else(missing)
}

/// A permission on a connection or host, as its ARN was given.
fn on(action: &'static str, arn: &str) -> Vec<Access> {
    vec![Access::new(action, arn)]
}

/// A permission on what has no ARN yet, or on all.
fn on_any(cx: &Cx, action: &'static str, kind: &str) -> Vec<Access> {
    vec![Access::new(action, arn(cx.account(), &cx.region, &format!("{kind}/*")))]
}

/// The tags after these are added.
fn tagged(mut tags: BTreeMap<String, String>, more: &[Tag]) -> Result<BTreeMap<String, String>> {
    for tag in more {
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(Error::Invalid(format!(
                "The tag key '{}' begins with aws:, which is reserved",
                tag.key
            )));
        }
        tags.insert(tag.key.clone(), tag.value.clone());
    }
    match tags.len() > limits::TAGS {
        true => Err(Error::Limit("tags on this resource", limits::TAGS)),
        false => Ok(tags),
    }
}

fn shapes(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect()
}

/// How many items a page may have.
fn page(asked: Option<i32>) -> usize {
    asked.and_then(|asked| usize::try_from(asked).ok()).filter(|asked| *asked > 0).unwrap_or(limits::PAGE)
}
