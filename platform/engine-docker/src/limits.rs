//! What this crate bounds.
use std::time::Duration;

/// Of a single answer. Stopping a container with its grace is the slowest.
pub const ANSWER: Duration = Duration::from_secs(600);
/// Between two words of progress on a pull. The engine tells of what it receives and unpacks while it does so, thus a
/// pull that is silent for so long has stalled, and is not merely slow.
pub const PULL_SILENCE: Duration = Duration::from_secs(300);
