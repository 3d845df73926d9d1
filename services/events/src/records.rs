//! What is stored.
use std::collections::BTreeMap;

use api::events as shape;
use kernel::{Arn, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Key, Record, Sealed};

use crate::limits;

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
    /// Given up: what is still to be delivered is the letter that says so.
    #[serde(default)]
    pub dead: Option<Dead>,
}

/// Why a delivery was given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dead {
    /// The last error's code.
    pub code: String,
    /// Its message.
    pub message: String,
    /// Tries after the first.
    pub retries: u32,
    /// What ended them, as AWS names it.
    pub exhausted: String,
    /// When.
    pub at: Timestamp,
}

impl Record for Delivery {
    const TABLE: &'static str = "events.delivery";
}

/// How API destinations prove who calls; key (account, region, name).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connection {
    /// Its name.
    pub name: String,
    /// The end of its ARN.
    pub id: String,
    /// Its description.
    pub description: Option<String>,
    /// `BASIC`, `API_KEY` or `OAUTH_CLIENT_CREDENTIALS`.
    pub kind: String,
    /// The JSON form of [`shape::CreateConnectionAuthRequestParameters`], secrets and all; none once it is deauthorized.
    pub auth: Option<Sealed>,
    /// When it was created.
    pub created: Timestamp,
    /// When it was last changed.
    pub modified: Timestamp,
    /// When its secrets were last given, or an authorization endpoint last took them.
    pub authorized: Option<Timestamp>,
    /// What its authorization endpoint says, if it has one.
    #[serde(default)]
    pub standing: Standing,
}

/// How an authorization endpoint takes the secrets of a connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Standing {
    /// It gave a token, or there is none to ask.
    #[default]
    Authorized,
    /// It was not asked yet.
    Authorizing,
    /// It gave none: why.
    Refused(String),
}

impl Record for Connection {
    const TABLE: &'static str = "events.connection";
}

impl Connection {
    /// Its ARN.
    pub fn arn(&self, account: &str, region: &str) -> String {
        Arn::new("events", region, account, format!("connection/{}/{}", self.name, self.id)).to_string()
    }

    /// With new secrets: an authorization endpoint is still to be asked what they are worth.
    pub fn given(self, now: Timestamp) -> Self {
        match self.kind.as_str() {
            "OAUTH_CLIENT_CREDENTIALS" => Self { standing: Standing::Authorizing, ..self },
            _ => Self { standing: Standing::Authorized, authorized: Some(now), ..self },
        }
    }

    /// As the API names its state.
    pub fn state(&self) -> &'static str {
        match (&self.auth, &self.standing) {
            (None, _) | (_, Standing::Refused(_)) => "DEAUTHORIZED",
            (_, Standing::Authorizing) => "AUTHORIZING",
            (_, Standing::Authorized) => "AUTHORIZED",
        }
    }

    /// Why it has this state, where there is something to say.
    pub fn reason(&self) -> Option<String> {
        match &self.standing {
            Standing::Refused(why) => Some(why.chars().take(limits::REASON).collect()),
            _ => None,
        }
    }
}

/// An API destination: an HTTP endpoint that events are sent to; key (account, region, name).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Destination {
    /// Its name.
    pub name: String,
    /// The end of its ARN.
    pub id: String,
    /// Its description.
    pub description: Option<String>,
    /// The name of its connection.
    pub connection: String,
    /// Where it is.
    pub endpoint: String,
    /// As in `POST`.
    pub method: String,
    /// Calls a second at most.
    pub rate: i32,
    /// When it was created.
    pub created: Timestamp,
    /// When it was last changed.
    pub modified: Timestamp,
}

impl Record for Destination {
    const TABLE: &'static str = "events.destination";
}

impl Destination {
    /// Its ARN.
    pub fn arn(&self, account: &str, region: &str) -> String {
        Arn::new("events", region, account, format!("api-destination/{}/{}", self.name, self.id)).to_string()
    }
}

/// The key of a delivery.
pub fn delivery_key(account: &str, region: &str, event: &str, rule: &str, target: &str) -> Key {
    Key::new(account, region).text(event).text(rule).text(target)
}
