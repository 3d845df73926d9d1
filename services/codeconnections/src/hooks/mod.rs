//! Webhooks of connections: what a provider delivers, whether it is authentic, and the changes that it tells of.
//!
//! - [`face`]: the URL. [`payload`]: what GitHub, GitLab and Bitbucket send. [`proof`]: how they sign it.
pub mod face;
mod payload;
mod proof;

use serde::{Deserialize, Serialize};

/// A change, as a provider tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What changed.
    pub reference: Reference,
    /// The branch or tag; of a pull request the branch that it asks to be merged into.
    pub name: String,
    /// The commit before; absent where there was none.
    pub before: Option<String>,
    /// The commit now; of a pull request its own head. May be abbreviated, or the id of a tag's object.
    pub after: String,
    /// Of a pull request: what became of it.
    pub pull: Option<Pull>,
}

/// The kinds of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reference {
    /// A branch.
    #[default]
    Branch,
    /// A tag.
    Tag,
    /// A pull request.
    PullRequest,
}

/// What became of a pull request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// OPEN, UPDATED or CLOSED.
    pub event: String,
    /// Its number.
    pub number: String,
    /// Its own branch.
    pub source: String,
    /// The full ref under which the provider keeps its head, where it does.
    pub head: Option<String>,
}

/// The providers that deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// GitHub, also on one's own servers.
    GitHub,
    /// GitLab, also on one's own servers.
    GitLab,
    /// Bitbucket Cloud.
    Bitbucket,
}

impl Provider {
    /// Of a connection's provider type; Azure DevOps signs nothing: its repositories are looked at.
    pub fn of(kind: &str) -> Option<Self> {
        match kind {
            "GitHub" | "GitHubEnterpriseServer" | "GitHubEnterpriseCloudDataResidency" => Some(Self::GitHub),
            "GitLab" | "GitLabSelfManaged" => Some(Self::GitLab),
            "Bitbucket" => Some(Self::Bitbucket),
            _ => None,
        }
    }
}
