//! EventBridge's events: how services tell each other, and the user's rules, what happened.
use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Batch;

/// The outbox topic of all events; the events service and whoever else listens consume it.
pub const EVENTS: &str = "events";

/// An event as EventBridge shapes it. Services put it in the batch of the deed it tells of ([`Batch::event`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// The format: `0`.
    pub version: String,
    /// Unique; delivery is once in effect by it.
    pub id: String,
    /// As in `CodeBuild Build State Change`.
    pub detail_type: String,
    /// As in `aws.codebuild`.
    pub source: String,
    /// Whose.
    pub account: String,
    /// When it happened, to the second as AWS writes it.
    pub time: Timestamp,
    /// Where.
    pub region: String,
    /// ARNs that it concerns.
    pub resources: Vec<String>,
    /// The rest, by detail type.
    pub detail: Value,
    /// Longshore's services alone hear of it: AWS would not tell EventBridge, so that no rule sees it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub internal: bool,
}

impl Event {
    /// An event of an AWS service. `id` is a UUID ([`kernel::ids::uuid`]).
    pub fn new(
        source: &str,
        detail_type: &str,
        account: &str,
        region: &str,
        id: String,
        time: Timestamp,
    ) -> Self {
        Self {
            version: "0".into(),
            id,
            detail_type: detail_type.into(),
            source: source.into(),
            account: account.into(),
            time: Timestamp::from_second(time.as_second()).unwrap_or(time),
            region: region.into(),
            resources: Vec::new(),
            detail: Value::Object(serde_json::Map::new()),
            internal: false,
        }
    }

    /// With an ARN that it concerns.
    pub fn resource(mut self, arn: impl Into<String>) -> Self {
        self.resources.push(arn.into());
        self
    }

    /// With its detail.
    pub fn detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }
}

impl Batch {
    /// Publishes an event to everyone who listens, and to EventBridge's rules.
    pub fn event(self, event: Event) -> Self {
        self.publish(EVENTS, event)
    }
}
