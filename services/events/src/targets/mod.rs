//! What targets are, and calling them.
mod build;
mod endpoint;
mod log_group;
mod pipeline;

use api::events as shape;
use kernel::{Arn, Cx, Fault};
use serde_json::json;
use store::Key;

use crate::Events;
use crate::error::Error;
use crate::input::{Matched, input, is_shaped};
use crate::records::{Dead, Delivery, rule_arn};

/// Targets that are served.
pub(crate) enum Kind {
    /// A pipeline, by name.
    Pipeline(String),
    /// A project of CodeBuild, by name.
    Project(String),
    /// A log group, by name.
    LogGroup(String),
    /// An API destination, by name.
    Endpoint(String),
}

impl Kind {
    pub(crate) fn of(target: &shape::Target) -> Result<Self, Error> {
        let arn: Arn = target.arn.parse().map_err(|_| {
            Error::invalid(format!(
                "Parameter {} is not valid. Reason: Provided Arn is not in correct format.",
                target.arn
            ))
        })?;
        if arn.service == "codepipeline" {
            return Ok(Self::Pipeline(arn.resource));
        }
        let (kind, name) = arn.resource.split_once(['/', ':']).unwrap_or_default();
        match (arn.service.as_str(), kind) {
            ("codebuild", "project") => Ok(Self::Project(name.to_owned())),
            ("logs", "log-group") => Ok(Self::LogGroup(name.strip_suffix(":*").unwrap_or(name).to_owned())),
            ("events", "api-destination") => {
                Ok(Self::Endpoint(name.split('/').next().unwrap_or_default().to_owned()))
            }
            _ => Err(Error::invalid(format!(
                "Target {} ({}) is not served by Longshore: a target is the ARN of a pipeline, of a CodeBuild project, \
                 of a log group or of an API destination.",
                target.id, target.arn
            ))),
        }
    }

    /// Whether what it calls is called under a role.
    pub(crate) fn needs_role(&self) -> bool {
        !matches!(self, Self::LogGroup(_))
    }
}

/// The group of a dead-letter queue: Longshore has no queues, and takes the ARN of a log group in their place.
pub(crate) fn dead_letters(target: &shape::Target) -> Result<Option<String>, Error> {
    let Some(config) = &target.dead_letter_config else { return Ok(None) };
    let arn = config.arn.clone().unwrap_or_default();
    match Kind::of(&shape::Target { arn, ..target.clone() }) {
        Ok(Kind::LogGroup(group)) => Ok(Some(group)),
        _ => Err(Error::invalid(format!(
            "DeadLetterConfig of target {} must have the ARN of a log group: Longshore serves no queues.",
            target.id
        ))),
    }
}

/// Calls the target of a delivery. `cx` is the service's own; `token` is the same for each try.
pub(crate) async fn call(
    events: &Events,
    cx: &Cx,
    key: &Key,
    delivery: &Delivery,
    token: String,
) -> Result<(), Fault> {
    let target = &delivery.target.0;
    if let Some(dead) = &delivery.dead {
        let group = dead_letters(target).map_err(Fault::from)?.unwrap_or_default();
        return log_group::write(cx, group, format!("dead-{token}"), letter(key, delivery, dead)).await;
    }
    let arn = rule_arn(&key.account(), &key.region(), &delivery.rule);
    let matched = Matched {
        event: &delivery.event,
        rule_arn: &arn,
        rule_name: &delivery.rule,
        ingested: delivery.since,
    };
    let input = input(target, &matched);
    let shaped = input.as_deref().filter(|_| is_shaped(target));
    let role = target.role_arn.as_deref().unwrap_or_default();
    match Kind::of(target).map_err(Fault::from)? {
        Kind::Pipeline(name) => pipeline::start(cx, target, name, token, shaped).await,
        Kind::Project(name) => build::start(cx, role, name, token, shaped).await,
        Kind::LogGroup(group) => match input {
            Some(text) => log_group::write(cx, group, token, log_group::line(text, delivery)).await,
            None => Ok(()),
        },
        Kind::Endpoint(name) => {
            let call = endpoint::Call { delivery, token: &token, input };
            endpoint::call(events, cx, &name, call).await
        }
    }
}

/// What a dead letter says: the event, and what AWS puts beside it as attributes of the queue's message.
fn letter(key: &Key, delivery: &Delivery, dead: &Dead) -> (i64, String) {
    let text = json!({
        "RULE_ARN": rule_arn(&key.account(), &key.region(), &delivery.rule),
        "TARGET_ARN": delivery.target.0.arn,
        "ERROR_CODE": dead.code,
        "ERROR_MESSAGE": dead.message,
        "RETRY_ATTEMPTS": dead.retries,
        "EXHAUSTED_RETRY_CONDITION": dead.exhausted,
        "event": delivery.event,
    });
    (delivery.since.as_millisecond(), text.to_string())
}
