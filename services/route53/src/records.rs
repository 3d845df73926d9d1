//! What is stored. The service is global: the region of its keys is empty.
use std::collections::BTreeMap;

use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use store::Record;

/// A hosted zone; key (account, "", id).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Zone {
    /// `Z…`.
    pub id: String,
    /// Lower case, with the trailing dot.
    pub name: String,
    /// Of the request that made it.
    pub caller_reference: String,
    /// For people.
    pub comment: Option<String>,
    /// Its name servers, without trailing dot.
    pub name_servers: Vec<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Record for Zone {
    const TABLE: &'static str = "route53.zone";
}

/// A record set; key (account, "", zone id, name with its labels reversed, type).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSet {
    /// Lower case, with the trailing dot; a wildcard's first label is `*`.
    pub name: String,
    /// `A`, `CNAME`, …
    pub kind: String,
    /// What it holds.
    pub data: Data,
}

/// What a record set holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Data {
    /// Values as in a zone file.
    Values {
        /// Seconds.
        ttl: u32,
        /// One each.
        values: Vec<String>,
    },
    /// What another name has.
    Alias {
        /// The zone of the other name.
        zone: String,
        /// Lower case, with the trailing dot.
        name: String,
        /// Kept for who reads it: health is the load balancer's own affair.
        evaluate_target_health: bool,
    },
}

impl Record for RecordSet {
    const TABLE: &'static str = "route53.record";
}

impl RecordSet {
    /// What orders record sets within a zone.
    pub fn order(&self) -> (String, String) {
        (reversed(&self.name), self.kind.clone())
    }
}

/// A name with its labels reversed: `com.example.www.`
pub fn reversed(name: &str) -> String {
    let mut labels: Vec<&str> = name.trim_end_matches('.').split('.').collect();
    labels.reverse();
    format!("{}.", labels.join("."))
}

/// A change that was made; key (account, "", id).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Change {
    /// `C…`.
    pub id: String,
    /// When.
    pub submitted: Timestamp,
    /// For people.
    pub comment: Option<String>,
    /// The edge serves it, once and for all.
    #[serde(default)]
    pub synced: bool,
}

impl Change {
    /// The index of changes that are not served yet.
    pub const PENDING: &'static str = "pending";
}

impl Record for Change {
    const TABLE: &'static str = "route53.change";
    const INDEXES: &'static [&'static str] = &[Self::PENDING];

    fn indexes(&self) -> Vec<(&'static str, String)> {
        if self.synced { Vec::new() } else { vec![(Self::PENDING, String::new())] }
    }
}

/// That a caller reference is taken; key (account, "", reference).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reference {
    /// The zone that was made with it.
    pub zone: String,
}

impl Record for Reference {
    const TABLE: &'static str = "route53.reference";
}
