//! What a source leaves instead of a zip, if its configuration says so: a reference that builds clone.
//!
//! A build that takes it clones under its own role, which needs the permission: `codecommit:GitPull`, or `UseConnection`.
use api::internal::{CloneFrom, CloneReference};
use kernel::Stream;

use crate::job::Job;

/// The key of the configuration that says which.
pub const PROPERTY: &str = "OutputArtifactFormat";
const CLONE_REF: &str = "CODEBUILD_CLONE_REF";
/// What it may say; the first is meant where it says nothing.
pub const FORMATS: &[&str] = &["CODE_ZIP", CLONE_REF];

/// Whether a reference is wanted.
pub fn wanted(job: &Job) -> bool {
    job.get(PROPERTY) == Some(CLONE_REF)
}

/// The artifact.
pub fn content(from: CloneFrom, commit_id: &str) -> Stream {
    let reference = CloneReference { from, commit_id: commit_id.into() };
    Stream::from(bytes::Bytes::from(reference.to_json()))
}
