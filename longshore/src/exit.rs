//! How a command ends that cannot go on: one line that says what to do, and a code of its own.
use std::process::ExitCode;

/// Why it ends.
#[derive(Debug, PartialEq)]
pub struct Exit {
    code: u8,
    line: String,
}

impl Exit {
    /// Anything without a code of its own: 1.
    pub fn failed(line: impl Into<String>) -> Self {
        Self { code: 1, line: line.into() }
    }

    /// The configuration cannot be used: 2, as for wrong arguments.
    pub fn configuration(line: impl Into<String>) -> Self {
        Self { code: 2, line: line.into() }
    }

    /// The data folder cannot be used: 3.
    pub fn data(line: impl Into<String>) -> Self {
        Self { code: 3, line: line.into() }
    }

    /// Another process holds the data folder: 4.
    pub fn held(line: impl Into<String>) -> Self {
        Self { code: 4, line: line.into() }
    }

    /// A port cannot be bound: 5.
    pub fn port(line: impl Into<String>) -> Self {
        Self { code: 5, line: line.into() }
    }

    /// No server answers: 6.
    pub fn unreachable(line: impl Into<String>) -> Self {
        Self { code: 6, line: line.into() }
    }

    /// Tells it on stderr.
    pub fn report(self) -> ExitCode {
        eprintln!("longshore: {}", self.line);
        ExitCode::from(self.code)
    }
}
