//! What the service takes on at most.

/// How long a client's idempotency token is valid, as on AWS.
pub const TOKEN: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);
/// How long builds are kept after their end, as on AWS: a year.
pub const HISTORY: jiff::SignedDuration = jiff::SignedDuration::from_hours(365 * 24);
/// How often older ones are looked for at least.
pub const FORGETTING: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
/// Builds that are looked at, and removed, at once.
pub const PASS: usize = 200;
/// Ids or names in one batch request.
pub const BATCH: usize = 100;
/// Ids or names in one page.
pub const PAGE: usize = 100;
/// Bytes of the journal taken in at once; no record is longer.
pub const JOURNAL_READ: usize = 8 << 20;
/// Log events in one PutLogEvents.
pub const LOG_EVENTS: usize = 5_000;
/// Bytes of one PutLogEvents, its overhead of 26 bytes an event included.
pub const LOG_BYTES: usize = 900 << 10;
/// Bytes of a source archive (AWS: 7 GB from S3).
pub const SOURCE_BYTES: u64 = 8 << 30;
/// Bytes of one packed artifact.
pub const ARTIFACT_BYTES: u64 = 16 << 30;
/// Bytes of a part in which files are read and sent.
pub const CHUNK: usize = 256 << 10;
/// Exported variables kept of a build.
pub const EXPORTED: usize = 256;
/// Letters of a phase context's message.
pub const CONTEXT: usize = 4096;
/// Seconds that the control plane leaves the agent, past the build's deadline, to end by itself.
pub const OVERTIME: i64 = 30;
/// Seconds between asking a build to stop and killing it.
pub const STOP_GRACE: u64 = 10;
