//! What containers write.
use bytes::Bytes;
use kernel::Timestamp;
use serde::{Deserialize, Serialize};

/// Standard output or error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line that a container wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Where to go on after it.
    pub position: LogPosition,
    /// Where it was written.
    pub stream: LogStream,
    /// The line without its newline.
    pub bytes: Bytes,
}

impl LogLine {
    /// When it was written, by the engine's clock.
    pub fn at(&self) -> Timestamp {
        self.position.at
    }
}

/// A place between two lines: store it with what was done about the lines before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogPosition {
    /// The instant of the last line before it.
    pub at: Timestamp,
    /// How many lines of that very instant lie before it, at least one.
    pub nth: u32,
}

impl LogPosition {
    /// The position after a further line of instant `at`.
    pub fn after(previous: Option<Self>, at: Timestamp) -> Self {
        match previous {
            Some(previous) if previous.at == at => Self { at, nth: previous.nth.saturating_add(1) },
            _ => Self { at, nth: 1 },
        }
    }
}
