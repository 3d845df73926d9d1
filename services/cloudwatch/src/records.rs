//! What is stored.
use std::collections::BTreeMap;

use kernel::{Arn, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Key, Record};

use crate::limits;

/// A metric's name in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// As in `Longshore/Web`.
    pub namespace: String,
    /// As in `Errors`.
    pub metric: String,
    /// Dimensions by name.
    pub dimensions: BTreeMap<String, String>,
}

/// A metric that data was put for; key (account, region, [`Name::id`]).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Metric {
    /// Its name.
    pub name: Name,
    /// The minute of its latest data, in seconds since 1970.
    pub last: i64,
}

impl Record for Metric {
    const TABLE: &'static str = "cloudwatch.metric";
}

/// The data of one metric in one hour; key (account, region, metric id, hours since 1970).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Hour {
    /// By minute of the hour, then by unit.
    pub minutes: BTreeMap<u8, BTreeMap<String, Statistics>>,
}

impl Record for Hour {
    const TABLE: &'static str = "cloudwatch.hour";
}

/// What is known of some values: all of CloudWatch's statistics but percentiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// How many.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

/// An alarm on one metric; key (account, region, name). A timer of kind [`Alarm::TABLE`] and the same key says when it is
/// looked at next.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: Option<String>,
    /// What it watches.
    pub metric: Name,
    /// One of `SampleCount`, `Average`, `Sum`, `Minimum`, `Maximum`.
    pub statistic: String,
    /// Only data of this unit.
    pub unit: Option<String>,
    /// Seconds, a multiple of 60.
    pub period: i64,
    /// Periods that are looked at.
    pub periods: i64,
    /// How many of them must breach.
    pub to_alarm: i64,
    /// What was given for `to_alarm`.
    pub datapoints_to_alarm: Option<i32>,
    /// As in `GreaterThanThreshold`.
    pub comparison: String,
    /// What values are compared with.
    pub threshold: f64,
    /// `missing`, `ignore`, `breaching` or `notBreaching`, as given.
    pub missing: Option<String>,
    /// Whether actions would run. None are served, so that this only reads back.
    pub actions_enabled: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// When its configuration was last put.
    pub updated: Timestamp,
    /// The state it is in.
    pub state: State,
}

impl Record for Alarm {
    const TABLE: &'static str = "cloudwatch.alarm";
    const INDEXES: &'static [&'static str] = &[Self::METRIC];

    fn indexes(&self) -> Vec<(&'static str, String)> {
        vec![(Self::METRIC, self.metric.id())]
    }
}

impl Alarm {
    /// The index by metric id.
    pub const METRIC: &'static str = "metric";

    /// Its ARN.
    pub fn arn(&self, account: &str, region: &str) -> String {
        alarm_arn(account, region, &self.name)
    }
}

/// The ARN of an alarm.
pub fn alarm_arn(account: &str, region: &str, name: &str) -> String {
    Arn::new("cloudwatch", region, account, format!("alarm:{name}")).to_string()
}

/// The state of an alarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// What it is.
    pub value: Value,
    /// Why, for people.
    pub reason: String,
    /// Why, as JSON text.
    pub data: Option<String>,
    /// Since when reason and value are these.
    pub at: Timestamp,
    /// Since when the value is this; absent where it is as long as the reason.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

/// The values of an alarm's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// Within the threshold.
    #[serde(rename = "OK")]
    Ok,
    /// Outside of it.
    #[serde(rename = "ALARM")]
    Alarm,
    /// Unknown.
    #[serde(rename = "INSUFFICIENT_DATA")]
    InsufficientData,
}

impl Value {
    /// As the API names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }

    /// The value of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Ok, Self::Alarm, Self::InsufficientData].into_iter().find(|value| value.name() == name)
    }
}

/// What once happened to an alarm; key (account, region, alarm, milliseconds since 1970, a random part).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History {
    /// The alarm's name.
    pub alarm: String,
    /// When.
    pub at: Timestamp,
    /// `StateUpdate` or `ConfigurationUpdate`.
    pub kind: String,
    /// For people.
    pub summary: String,
    /// As JSON text.
    pub data: String,
}

impl Record for History {
    const TABLE: &'static str = "cloudwatch.history";
}

/// The key of a metric's hour that holds this second.
pub fn hour_key(scope: &Key, metric: &str, second: i64) -> Key {
    scope.clone().text(metric).number(u64::try_from(second.div_euclid(limits::HOUR)).unwrap_or(0))
}
