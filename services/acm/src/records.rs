//! What is stored.
use std::collections::BTreeMap;

use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Record, Sealed};

/// A certificate, perhaps yet to be issued. Its key is (account, region, id).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Certificate {
    /// The first name.
    pub domain: String,
    /// All names, the first too.
    pub names: Vec<String>,
    /// Where it comes from.
    pub origin: Origin,
    /// Where it stands.
    pub status: Status,
    /// ACM's name for the kind of its key, as in `RSA_2048`.
    pub key_algorithm: String,
    /// PEM; none until it is issued.
    pub certificate: Option<String>,
    /// PEM of what leads up to a root; none if the importer gave none.
    pub chain: Option<String>,
    /// The private key's PEM, for context `acm.certificate:ID`.
    pub key: Option<Sealed>,
    /// What proves its names; empty for imported ones.
    pub proofs: Vec<Proof>,
    /// When it was requested or first imported.
    pub created: Timestamp,
    /// When it was issued, or last imported.
    pub issued: Option<Timestamp>,
    /// Tags, by key.
    pub tags: BTreeMap<String, String>,
}

/// Where a certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// Issued by Longshore's authority.
    Issued,
    /// Brought by its owner.
    Imported,
}

/// Where a certificate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Its names are yet to be proven.
    Pending,
    /// It can be used.
    Issued,
    /// Nobody proved its names in time.
    TimedOut,
}

impl Status {
    /// ACM's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING_VALIDATION",
            Self::Issued => "ISSUED",
            Self::TimedOut => "VALIDATION_TIMED_OUT",
        }
    }
}

/// The CNAME record that proves a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The name to be proven.
    pub domain: String,
    /// The record's name, with its final dot.
    pub name: String,
    /// The record's value, with its final dot.
    pub value: String,
    /// Seen.
    pub done: bool,
}

impl Record for Certificate {
    const TABLE: &'static str = "acm.certificate";
    const INDEXES: &'static [&'static str] = &["status"];

    fn indexes(&self) -> Vec<(&'static str, String)> {
        vec![("status", self.status.name().to_owned())]
    }
}
