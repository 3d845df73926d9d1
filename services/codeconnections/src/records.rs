//! What is stored, and under which keys. Every key begins with (account, region).
use std::collections::BTreeMap;

use kernel::{Arn, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Key, Record, Sealed};

use crate::hooks::Told;
use crate::remote::Remote;

/// A connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connection {
    /// A UUID: the end of its ARN.
    pub id: String,
    /// Its name.
    pub name: String,
    /// As in `GitHub`.
    pub provider: String,
    /// The ARN of its host, for a provider that one runs oneself.
    pub host: Option<String>,
    /// The unguessable part of its webhook's URL.
    pub hook: String,
    /// The webhook's secret.
    pub hook_secret: Sealed,
    /// Where its repositories are: until it is said, the connection is PENDING.
    pub remote: Option<Remote>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// The index of connections by their webhooks.
pub const BY_HOOK: &str = "hook";

impl Record for Connection {
    const TABLE: &'static str = "codeconnections.connection";
    const INDEXES: &'static [&'static str] = &[BY_HOOK];

    fn indexes(&self) -> Vec<(&'static str, String)> {
        vec![(BY_HOOK, self.hook.clone())]
    }
}

impl Connection {
    /// Its key.
    pub fn key(account: &str, region: &str, id: &str) -> Key {
        Key::new(account, region).text(id)
    }

    /// What its secrets are sealed for.
    pub fn sealing(key: &Key) -> String {
        format!("codeconnections.connection/{}", key.to_hex())
    }
}

/// The ARN of a connection or host, `connection/ID` or `host/NAME/ID`.
pub fn arn(account: &str, region: &str, resource: &str) -> String {
    Arn::new("codeconnections", region, account, resource).to_string()
}

/// A provider's installation that one runs oneself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Host {
    /// The end of its ARN.
    pub id: String,
    /// Its name.
    pub name: String,
    /// As in `GitLabSelfManaged`.
    pub provider: String,
    /// Its URL.
    pub endpoint: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl Record for Host {
    const TABLE: &'static str = "codeconnections.host";
}

impl Host {
    /// Its key.
    pub fn key(account: &str, region: &str, name: &str, id: &str) -> Key {
        Key::new(account, region).text(name).text(id)
    }

    /// Its ARN's resource.
    pub fn resource(&self) -> String {
        format!("host/{}/{}", self.name, self.id)
    }
}

/// A repository whose changes somebody follows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Followed {
    /// As the provider names it.
    pub repository: String,
    /// Branches and tags as they were last told of: object ids by full name. Absent before the first look.
    pub refs: Option<BTreeMap<String, String>>,
    /// Its provider has delivered to the connection's webhook.
    pub hooked: bool,
    /// When it was last looked at.
    pub looked: Option<Timestamp>,
}

impl Record for Followed {
    const TABLE: &'static str = "codeconnections.followed";
}

impl Followed {
    /// Its key. Providers tell names apart without their case.
    pub fn key(account: &str, region: &str, connection: &str, repository: &str) -> Key {
        Key::new(account, region).text(connection).text(repository.to_lowercase())
    }
}

/// A change that a provider has delivered and nobody has been told of yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delivered {
    /// The repository.
    pub repository: String,
    /// The change.
    pub told: Told,
    /// Tries to fetch it that failed.
    pub tries: u32,
    /// The next try is due.
    pub due: Timestamp,
}

impl Record for Delivered {
    const TABLE: &'static str = "codeconnections.delivered";
}

impl Delivered {
    /// Its key: by the delivery and its place in it.
    pub fn key(account: &str, region: &str, connection: &str, delivery: &str, index: usize) -> Key {
        Key::new(account, region).text(connection).text(delivery).number(index as u64)
    }
}
