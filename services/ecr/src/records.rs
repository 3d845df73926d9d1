//! What ECR keeps. Keys: (account, region, repository, …).
use std::collections::BTreeMap;

use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use store::Record;

/// A repository.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Repository {
    /// Its name, with its slashes.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Whether tags may move.
    pub mutability: Mutability,
    /// `scanOnPush`, kept and read back; Longshore scans nothing.
    pub scan_on_push: bool,
    /// `AES256` or `KMS`, as asked; blobs are kept alike.
    pub encryption: String,
    /// The repository policy's JSON.
    pub policy: Option<String>,
    /// The lifecycle policy's JSON.
    pub lifecycle: Option<String>,
    /// When the lifecycle policy was last applied.
    pub evaluated: Option<Timestamp>,
    /// Its tags as a resource.
    pub tags: BTreeMap<String, String>,
}

/// Whether tags may move, and which are excepted: wildcard patterns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mutability {
    /// `IMMUTABLE…` rather than `MUTABLE…`.
    pub immutable: bool,
    /// Patterns of tags for which the opposite holds.
    pub except: Vec<String>,
}

impl Mutability {
    /// AWS's word for it.
    pub fn word(&self) -> &'static str {
        match (self.immutable, self.except.is_empty()) {
            (false, true) => "MUTABLE",
            (true, true) => "IMMUTABLE",
            (false, false) => "MUTABLE_WITH_EXCLUSION",
            (true, false) => "IMMUTABLE_WITH_EXCLUSION",
        }
    }

    /// Whether this tag may not move.
    pub fn holds(&self, tag: &str) -> bool {
        self.immutable != self.except.iter().any(|pattern| wildcard(pattern, tag))
    }
}

/// Whether the text fits a pattern of `*` wildcards.
pub fn wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// An image or index, by its digest; its manifest is a blob of that digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Image {
    /// `sha256:…`.
    pub digest: String,
    /// The manifest's media type.
    pub media_type: String,
    /// The artifact's media type: its configuration's.
    pub artifact_type: Option<String>,
    /// Bytes of its layers and configuration.
    pub size: u64,
    /// When it was pushed.
    pub pushed: Timestamp,
    /// When it was last pulled, to the hour.
    pub pulled: Option<Timestamp>,
    /// Layers and configuration it holds.
    pub blobs: Vec<String>,
    /// Images an index holds.
    pub images: Vec<String>,
}

/// A tag, and the image it names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tag {
    /// `sha256:…`.
    pub digest: String,
}

/// That a repository holds a layer; the bytes are shared among repositories.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Layer {
    /// `sha256:…`.
    pub digest: String,
    /// In bytes.
    pub size: u64,
    /// When it came.
    pub pushed: Timestamp,
}

impl Record for Repository {
    const TABLE: &'static str = "ecr.repository";
}

impl Record for Image {
    const TABLE: &'static str = "ecr.image";
}

impl Record for Tag {
    const TABLE: &'static str = "ecr.tag";
}

impl Record for Layer {
    const TABLE: &'static str = "ecr.layer";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_exceptions() {
        for (pattern, text, fits) in [
            ("v*", "v1", true),
            ("*", "", true),
            ("v1", "v1", true),
            ("v1", "v12", false),
            ("*-rc*", "1-rc2", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
        ] {
            assert_eq!(wildcard(pattern, text), fits, "{pattern} {text}");
        }
        let held = Mutability { immutable: true, except: vec!["latest".into()] };
        assert!(held.holds("v1") && !held.holds("latest"));
        assert_eq!(held.word(), "IMMUTABLE_WITH_EXCLUSION");
    }
}
