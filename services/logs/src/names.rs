//! Names and ARNs of groups and streams.
use kernel::{Access, Arn, Cx};
use store::Key;

use crate::error::Error;

/// (account, region) of the call: what every key begins with.
pub(crate) fn scope(cx: &Cx) -> Key {
    Key::new(cx.account(), &cx.region)
}

/// The group's ARN as `logGroupArn` has it; `arn` ends in `:*` besides.
pub(crate) fn group_arn(cx: &Cx, group: &str) -> String {
    Arn::new("logs", &cx.region, cx.account(), format!("log-group:{group}")).to_string()
}

pub(crate) fn stream_arn(cx: &Cx, group: &str, stream: &str) -> String {
    format!("{}:log-stream:{stream}", group_arn(cx, group))
}

/// A permission on a group. AWS checks all but tagging against the group's ARN with an empty stream behind it, which
/// the `:*` of usual policies matches.
pub(crate) fn on_group(cx: &Cx, action: &'static str, group: &str) -> Vec<Access> {
    vec![Access::new(action, stream_arn(cx, group, ""))]
}

pub(crate) fn on_stream(cx: &Cx, action: &'static str, group: &str, stream: &str) -> Vec<Access> {
    vec![Access::new(action, stream_arn(cx, group, stream))]
}

/// The group that a call names by `logGroupName` or by `logGroupIdentifier` (a name or an ARN).
pub(crate) fn named(cx: &Cx, name: Option<&str>, identifier: Option<&str>) -> Result<String, Error> {
    match (name, identifier) {
        (Some(name), None) => Ok(name.to_owned()),
        (None, Some(identifier)) if identifier.starts_with("arn:") => {
            of_arn(cx, identifier).ok_or(Error::NoGroup)
        }
        (None, Some(identifier)) => Ok(identifier.to_owned()),
        (Some(_), Some(_)) => Err(Error::invalid(
            "LogGroup name and LogGroup identifier are mutually exclusive: give logGroupName or logGroupIdentifier.",
        )),
        (None, None) => Err(Error::invalid("Give the log group by logGroupName or by logGroupIdentifier.")),
    }
}

/// The group's name in an ARN of this account and region, with or without the trailing `:*`.
pub(crate) fn of_arn(cx: &Cx, arn: &str) -> Option<String> {
    let arn: Arn = arn.parse().ok()?;
    let ours = arn.service == "logs" && arn.account == cx.account() && arn.region == cx.region;
    let name = arn.resource.strip_prefix("log-group:").filter(|_| ours)?;
    Some(name.strip_suffix(":*").unwrap_or(name).to_owned())
}
