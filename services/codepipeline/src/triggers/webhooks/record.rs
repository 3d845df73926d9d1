//! A webhook, as it is stored.
use std::collections::BTreeMap;

use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Key, Record, Sealed};

use crate::records::arn;

/// A webhook.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Webhook {
    /// Its name.
    pub name: String,
    /// The unguessable part of its URL: another webhook of the same name, after a deletion, has another.
    pub token: String,
    /// The pipeline that it starts.
    pub pipeline: String,
    /// The source action whose configuration its filters may refer to.
    pub action: String,
    /// All of them must match.
    pub filters: Vec<Filter>,
    /// How a delivery proves that it is authentic.
    pub authentication: Authentication,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// When a delivery last passed.
    pub triggered: Option<Timestamp>,
    /// Why the last delivery that passed started nothing: code and message.
    pub trouble: Option<(String, String)>,
}

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// What it looks at.
    pub path: String,
    /// What that must be; anything where it is absent.
    pub equals: Option<String>,
}

/// The ways to prove authenticity.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Authentication {
    /// An HMAC of the body under this secret, in GitHub's headers.
    GithubHmac(Sealed),
    /// The sender's address is in this range, CIDR.
    Ip(String),
    /// The URL alone.
    Unauthenticated,
}

/// The index of webhooks by their tokens.
pub const BY_TOKEN: &str = "token";

impl Record for Webhook {
    const TABLE: &'static str = "codepipeline.webhook";
    const INDEXES: &'static [&'static str] = &[BY_TOKEN];

    fn indexes(&self) -> Vec<(&'static str, String)> {
        vec![(BY_TOKEN, self.token.clone())]
    }
}

impl Webhook {
    /// The key of the webhook of this name.
    pub fn key(account: &str, region: &str, name: &str) -> Key {
        Key::new(account, region).text(name)
    }

    /// The ARN of the webhook of this name.
    pub fn arn(account: &str, region: &str, name: &str) -> String {
        arn(region, account, &format!("webhook:{name}"))
    }

    /// What its secret is sealed for.
    pub fn sealing(key: &Key) -> String {
        format!("codepipeline.webhook/{}", key.to_hex())
    }
}
