//! Images: where they come from and what they say of themselves.
use std::fmt;

use serde::{Deserialize, Serialize};

/// An image, and how to get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSource {
    /// As the engine takes it: `debian:12`, `127.0.0.1:4566/app@sha256:…`.
    pub reference: String,
    /// When the registry is asked.
    #[serde(default)]
    pub pull: PullPolicy,
    /// For the registry; none: anonymously.
    #[serde(skip)]
    pub auth: Option<Auth>,
}

impl ImageSource {
    /// An image under the default policy, anonymously.
    pub fn new(reference: impl Into<String>) -> Self {
        Self { reference: reference.into(), pull: PullPolicy::default(), auth: None }
    }
}

/// When the registry is asked; the ECS agent's four behaviours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    /// Asked each time; the engine's copy where it cannot be asked.
    #[default]
    Default,
    /// Asked each time; its failure is ours.
    Always,
    /// Asked until one pull succeeded here, then the copy for good.
    Once,
    /// Asked only where there is no copy.
    PreferCached,
    /// Never asked.
    Never,
}

/// Credentials for a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    /// As in `AWS`.
    pub username: String,
    /// Never logged.
    pub password: String,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Auth({}, …)", self.username)
    }
}

/// An image that the engine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The engine's id of it, `sha256:…`.
    pub id: String,
    /// The digest under which the asked-for repository holds it, `sha256:…`; none for an image that was never pushed.
    pub digest: Option<String>,
    /// Bytes.
    pub size: u64,
    /// As in `amd64`.
    pub architecture: String,
    /// What it says of itself.
    pub config: ImageConfig,
}

/// What an image says about its containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// CMD.
    pub command: Vec<String>,
    /// ENV, as `NAME=value`.
    pub env: Vec<String>,
    /// WORKDIR.
    pub workdir: Option<String>,
    /// USER.
    pub user: Option<String>,
    /// LABEL.
    pub labels: std::collections::BTreeMap<String, String>,
}
