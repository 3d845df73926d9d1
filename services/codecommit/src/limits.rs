//! What this crate bounds; where AWS has a number, it is AWS's.
use std::time::Duration;

/// Repositories of an account and region.
pub const REPOSITORIES: u64 = 5000;
/// Names of one BatchGetRepositories.
pub const BATCH_REPOSITORIES: usize = 100;
/// Ids of one BatchGetCommits.
pub const BATCH_COMMITS: usize = 100;
/// Characters of a description.
pub const DESCRIPTION: usize = 1000;
/// Tags of a repository.
pub const TAGS: usize = 50;
/// Bytes of a file that the API reads or writes.
pub const FILE: u64 = 6 << 20;
/// Bytes of all files of a commit that the API writes.
pub const COMMIT: usize = 20 << 20;
/// Files of a commit that the API writes.
pub const COMMIT_FILES: usize = 100;
/// Bytes of a commit or tree object that is looked at.
pub const OBJECT: u64 = 32 << 20;
/// Bytes of a command's output that is held: lists of refs and trees.
pub const OUTPUT: usize = 256 << 20;
/// Bytes of what a command says on its standard error that is kept.
pub const COMPLAINT: usize = 4 << 10;
/// Bytes of a path.
pub const PATH: usize = 4096;
/// Differences, branches or repositories of a page.
pub const PAGE: usize = 1000;
/// Bytes of a push, compressed: `receive.maxInputSize`.
pub const PUSH: u64 = 2 << 30;
/// Git processes that serve clients at once; further requests wait for a place.
pub const SERVING: usize = 64;
/// A clone or push in which no byte moves for so long is ended.
pub const IDLE: Duration = Duration::from_secs(300);
/// A command that answers from the repository alone takes no longer.
pub const COMMAND: Duration = Duration::from_secs(120);
/// A command of a clone for a build takes no longer: it may copy all of a repository.
pub const CLONE: Duration = Duration::from_secs(1800);
/// A lock of a ref that is older belongs to a git that is no more: none holds one for minutes.
pub const LOCKED: Duration = Duration::from_secs(3600);
/// Clones for builds at once; further ones wait for a place.
pub const CLONING: usize = 8;
/// Bytes of the head of a CGI answer.
pub const CGI_HEAD: usize = 16 << 10;
