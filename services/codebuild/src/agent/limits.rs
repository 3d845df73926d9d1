//! What the agent takes on at most.

/// Bytes of the plan.
pub const PLAN_BYTES: u64 = 8 << 20;
/// Bytes of one line of output in the journal; a longer one continues as another line.
pub const LINE_BYTES: usize = 64 << 10;
/// Bytes of output kept of one build; what follows is not.
pub const OUTPUT_BYTES: u64 = 512 << 20;
/// How long an unfinished line (a prompt, a progress bar) waits for its end.
pub const PARTIAL_LINE_MS: i64 = 1000;
/// How long commands have between SIGTERM and SIGKILL when a build is stopped or times out.
pub const KILL_GRACE_MS: i64 = 3000;
/// Entries of a source archive.
pub const SOURCE_ENTRIES: usize = 1_000_000;
/// Bytes that a source archive unpacks to.
pub const SOURCE_BYTES: u64 = 32 << 30;
/// Files of one artifact.
pub const ARTIFACT_FILES: usize = 1_000_000;
/// How deep folders are followed when artifacts are collected.
pub const WALK_DEPTH: usize = 128;
/// Bytes of what the shell gives back: exported variables, its environment.
pub const SHELL_ANSWER_BYTES: u64 = 4 << 20;
