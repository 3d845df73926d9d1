//! What a registry takes (Amazon ECR service quotas where it has one).
use std::time::Duration;

/// Bytes of a layer.
pub const LAYER: u64 = 52_000 << 20;
/// Bytes of a manifest.
pub const MANIFEST: usize = 4 << 20;
/// How long one may take to arrive.
pub const MANIFEST_TIME: Duration = Duration::from_secs(60);
/// Layers of a manifest, and images of an index.
pub const REFERENCES: usize = 4096;
/// Least bytes of a part by the API, other than the last; also the part size that InitiateLayerUpload proposes.
pub const PART: i64 = 5 << 20;
/// Uploads under way at once.
pub const UPLOADS: usize = 256;
/// An upload that nothing was added to for so long is dropped.
pub const UPLOAD_AGE: i64 = 24 * 3600;
/// A layer that no image holds is kept for so long, in seconds: its push may still be under way.
pub const LAYER_AGE: i64 = 24 * 3600;
/// Layers of a deleted repository that are removed in one commit.
pub const DROPPED: usize = 1000;
/// Repositories of a registry.
pub const REPOSITORIES: u64 = 100_000;
/// Tags of a repository resource.
pub const TAGS: usize = 50;
/// A token's life in seconds.
pub const TOKEN_AGE: i64 = 12 * 3600;
/// Bytes of a repository or lifecycle policy.
pub const POLICY: usize = 30_720;
/// How often unreferenced layers and expired images are looked for.
pub const SWEEP: Duration = Duration::from_secs(3600);
/// Items of a page where the caller names no number.
pub const PAGE: usize = 100;
