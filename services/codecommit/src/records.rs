//! Stored rows.
use std::collections::BTreeMap;

use kernel::{Arn, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Key, Record};

/// A repository; its content is Git's, in a folder named by `id`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Repository {
    /// Its name.
    pub name: String,
    /// A UUID; stays when the name changes.
    pub id: String,
    /// What it is for.
    pub description: Option<String>,
    /// The branch that a clone checks out: the first that was pushed, until it is set.
    pub default_branch: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it or its refs last changed.
    pub modified: Timestamp,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Record for Repository {
    const TABLE: &'static str = "codecommit.repository";
}

impl Repository {
    /// Its key.
    pub fn key(account: &str, region: &str, name: &str) -> Key {
        Key::new(account, region).text(name)
    }

    /// `arn:aws:codecommit:REGION:ACCOUNT:NAME`.
    pub fn arn(account: &str, region: &str, name: &str) -> String {
        Arn::new("codecommit", region, account, name).to_string()
    }
}

/// The refs of a repository as they were last told to others. Git's own refs are the truth.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Object ids by full name.
    pub refs: BTreeMap<String, String>,
}

impl Record for Told {
    const TABLE: &'static str = "codecommit.told";
}

impl Told {
    /// Its key: by the repository's id.
    pub fn key(account: &str, region: &str, id: &str) -> Key {
        Key::new(account, region).text(id)
    }
}
