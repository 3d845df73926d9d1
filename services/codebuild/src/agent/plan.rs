//! What the control plane asks of the agent: one JSON file, read once.
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The version of [`Plan`]; agent and control plane are one binary, so it only guards against mixing two.
pub const VERSION: u32 = 2;

/// A build as the agent runs it. Paths are the container's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// See [`VERSION`].
    pub version: u32,
    /// Where the journal and the packed artifacts go: a folder that exists and is empty.
    pub out: PathBuf,
    /// Where the build works; made if missing (`/codebuild/output`).
    pub work: PathBuf,
    /// Sources, the primary first; none for `NO_SOURCE`.
    pub sources: Vec<Source>,
    /// Where the buildspec is.
    pub buildspec: BuildspecAt,
    /// Variables that AWS sets, and those that make Longshore's CA trusted.
    pub set: Vec<(String, String)>,
    /// The project's variables with the start's overrides; they win over the buildspec's.
    pub variables: Vec<(String, String)>,
    /// Values that never appear in the output.
    pub secrets: Vec<String>,
    /// When the build times out, milliseconds since the epoch.
    pub deadline_ms: i64,
    /// The script that starts a Docker engine inside, where the image has it: a privileged build's.
    pub dockerd: Option<PathBuf>,
    /// The artifacts to pack.
    pub artifacts: Vec<Wanted>,
}

/// One source.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Source {
    /// Its `sourceIdentifier`; none for the primary one.
    pub identifier: Option<String>,
    /// A zip archive, or a folder.
    pub at: PathBuf,
}

/// Where the buildspec is found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildspecAt {
    /// The text itself.
    Inline(String),
    /// A path relative to the primary source.
    File(String),
}

/// An artifact that somebody waits for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// The key under `secondary-artifacts`; none for the primary one.
    pub identifier: Option<String>,
    /// The file in [`Plan::out`] that it is packed into.
    pub file: String,
}
