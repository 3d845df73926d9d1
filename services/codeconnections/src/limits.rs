//! AWS's quotas of CodeConnections, and our own bounds.
use std::time::Duration;

/// Connections of a Region.
pub const CONNECTIONS: usize = 250;
/// Hosts of a Region.
pub const HOSTS: usize = 50;
/// Tags of a connection or host.
pub const TAGS: usize = 200;
/// Bytes of a request that connects: a key and known hosts fit many times.
pub const CONNECT_BODY: usize = 64 << 10;
/// Bytes of what a provider sends to a webhook.
pub const HOOK_BODY: usize = 5 << 20;
/// How long a body may take to arrive: whoever is slower would keep a place from others.
pub const BODY: Duration = Duration::from_secs(30);
/// Deliveries that are taken at a time; others wait for a place.
pub const DELIVERIES: usize = 16;
/// Changes of one delivery that are looked at.
pub const CHANGES: usize = 100;
/// Changed files of a change that are told: AWS looks at no more.
pub const FILES: usize = 100;
/// Branches and tags of a repository.
pub const REFS: usize = 50_000;
/// How long a look at a repository's refs may take.
pub const LOOK: Duration = Duration::from_secs(60);
/// How long a fetch may take.
pub const FETCH: Duration = Duration::from_secs(20 * 60);
/// How long a command may take that works on what was fetched.
pub const LOCAL: Duration = Duration::from_secs(5 * 60);
/// How long a command of a clone for a build may take: it may copy all of a repository.
pub const CLONE: Duration = Duration::from_secs(30 * 60);
/// Bytes of one file that git writes: a pack, an archive (AWS: 1 GB from a git provider).
pub const FILE: u64 = 1 << 30;
/// Bytes of what a command may answer.
pub const OUTPUT: usize = 16 << 20;
/// Bytes of what a command may complain.
pub const COMPLAINT: usize = 16 << 10;
/// Repositories that are fetched, cloned or looked at, at a time.
pub const GITS: usize = 12;
/// Of these, repositories that are looked at, and as many whose deliveries are dealt with: others are for pipelines and
/// builds, so that silent servers do not keep these waiting.
pub const BACKGROUND: usize = 4;
/// How often a repository is looked at, if nothing else is configured.
pub const POLL: Duration = Duration::from_secs(60);
/// A repository whose webhook has been heard is looked at this many times less often.
pub const POLL_HOOKED: u32 = 10;
/// Tries to fetch what a delivery told of, and the time between them, which doubles.
pub const TRIES: (u32, Duration) = (6, Duration::from_secs(5));
/// Rows that a worker takes at a time.
pub const PAGE: usize = 100;
