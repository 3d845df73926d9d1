//! What is stored.
use std::collections::BTreeMap;

use api::events as shape;
use kernel::{Arn, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Key, Record};

/// A rule of the default bus, with its targets; key (account, region, name).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// The event pattern as it was given.
    pub pattern: String,
    /// Whether it routes anything.
    pub enabled: bool,
    /// Its description.
    pub description: Option<String>,
    /// The role given with the rule itself.
    pub role_arn: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Where its events go, by id.
    pub targets: BTreeMap<String, Target>,
}

/// A target as it was given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Target(#[serde(with = "kernel::json::stored")] pub shape::Target);

impl Record for Rule {
    const TABLE: &'static str = "events.rule";
}

impl Rule {
    /// Its ARN.
    pub fn arn(&self, account: &str, region: &str) -> String {
        rule_arn(account, region, &self.name)
    }
}

/// The ARN of a rule of the default bus.
pub fn rule_arn(account: &str, region: &str, name: &str) -> String {
    Arn::new("events", region, account, format!("rule/{name}")).to_string()
}

/// An event on its way to a target; key (account, region, event id, rule, target id). A timer of kind
/// [`Delivery::TABLE`] and the same key says when it is tried next.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// The event.
    pub event: Value,
    /// The rule that matched.
    pub rule: String,
    /// Where it goes: as the target was when the rule matched.
    pub target: Target,
    /// When the rule matched.
    pub since: Timestamp,
    /// Tries that failed.
    pub failures: u32,
    /// Why the last one failed.
    pub error: Option<String>,
}

impl Record for Delivery {
    const TABLE: &'static str = "events.delivery";
}

/// The key of a delivery.
pub fn delivery_key(account: &str, region: &str, event: &str, rule: &str, target: &str) -> Key {
    Key::new(account, region).text(event).text(rule).text(target)
}
