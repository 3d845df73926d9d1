//! What workers are doing.
use std::time::Duration;

use kernel::Timestamp;

/// A worker's status.
#[derive(Clone, Debug)]
pub struct Status {
    /// The worker.
    pub name: String,
    /// What it does now.
    pub phase: Phase,
    /// Passes that ended, well or not.
    pub passes: u64,
    /// Failed passes since the last good one.
    pub failures: u32,
    /// Why the last failed pass failed; kept until a good one.
    pub error: Option<String>,
    /// When the last pass began.
    pub began: Option<Timestamp>,
    /// When the last pass ended.
    pub ended: Option<Timestamp>,
}

/// What a worker does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A pass is being made.
    Running,
    /// It waits for a wake, or for this long.
    Waiting(Duration),
    /// It waits after a failure; wakes do not shorten it.
    BackingOff(Duration),
    /// It has ended.
    Stopped,
}

impl Status {
    pub(crate) fn new(name: String) -> Self {
        let phase = Phase::Waiting(Duration::ZERO);
        Self { name, phase, passes: 0, failures: 0, error: None, began: None, ended: None }
    }
}
