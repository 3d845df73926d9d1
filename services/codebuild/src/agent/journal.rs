//! The journal: everything that happens in a build, in order, in one append-only file.
//!
//! A record is a line `MILLISECONDS KIND PAYLOAD`: kind `o` is a line of output, kind `e` an [`Event`] as
//! JSON. The control plane follows the file from the offset that it last stored, so one number tells what
//! of output and progress it has taken in. The build could write to the file as well (it is root in its
//! container): [`parse`] believes nothing but what it can read, and the reader caps what it reads.
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The journal's name in the plan's `out` folder.
pub const FILE: &str = "journal";

/// What the agent reports besides output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A phase begins (`DOWNLOAD_SOURCE` … `UPLOAD_ARTIFACTS`).
    PhaseStarted {
        /// The API's phase type.
        phase: String,
    },
    /// A phase has ended. `UPLOAD_ARTIFACTS` ends here only when packing fails: the upload is the control plane's.
    PhaseEnded {
        /// The API's phase type.
        phase: String,
        /// How.
        status: Status,
        /// Why.
        contexts: Vec<Context>,
    },
    /// The values of `exported-variables`.
    Exported {
        /// Name and value.
        variables: Vec<(String, String)>,
    },
    /// The artifacts are packed and on disk.
    Packed {
        /// All that were wanted and are there.
        artifacts: Vec<Packed>,
    },
    /// The last record.
    Ended {
        /// How the agent's part of the build ended.
        status: Status,
        /// `on-failure: RETRY` asks for another build, at most so many in a row.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry: Option<u32>,
    },
}

/// How a phase or a build ended, as the API spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum Status {
    Succeeded,
    Failed,
    Fault,
    TimedOut,
    Stopped,
}

impl Status {
    /// The API's word.
    #[must_use]
    pub fn api(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Fault => "FAULT",
            Self::TimedOut => "TIMED_OUT",
            Self::Stopped => "STOPPED",
        }
    }
}

/// Why a phase failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// `YAML_FILE_ERROR`, `COMMAND_EXECUTION_ERROR`, `CLIENT_ERROR` …
    pub code: String,
    /// The sentence.
    pub message: String,
}

impl Context {
    /// A context.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }
}

/// One packed artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// Its identifier; none for the primary one.
    pub identifier: Option<String>,
    /// The zip in the plan's `out` folder.
    pub file: String,
    /// `name` of the buildspec, shell expressions evaluated.
    pub name: Option<String>,
    /// `s3-prefix` of the buildspec.
    pub s3_prefix: Option<String>,
    /// Files in it.
    pub files: u64,
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it was written, milliseconds since the epoch.
    pub at_ms: i64,
    /// What it says.
    pub body: Body,
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A line of output.
    Output(String),
    /// Progress.
    Event(Event),
}

/// Reads one line without its newline; none for what no agent wrote.
#[must_use]
pub fn parse(line: &[u8]) -> Option<Record> {
    let text = String::from_utf8_lossy(line);
    let (at, rest) = text.split_once(' ')?;
    let (kind, payload) = rest.split_once(' ')?;
    let at_ms = at.parse().ok().filter(|at| *at >= 0)?;
    let body = match kind {
        "o" => Body::Output(payload.to_owned()),
        "e" => Body::Event(serde_json::from_str(payload).ok()?),
        _ => return None,
    };
    Some(Record { at_ms, body })
}

/// The agent's end.
pub struct Journal {
    file: File,
    pending: Vec<u8>,
}

impl Journal {
    /// Creates the journal. That it must not exist yet is what keeps a build from running twice.
    pub fn create(out: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).mode(0o644).open(out.join(FILE))?;
        Ok(Self { file, pending: Vec::new() })
    }

    /// A line of output; with the kernel after [`Journal::flush`].
    pub fn output(&mut self, at_ms: i64, line: &str) {
        self.record(at_ms, 'o', line);
    }

    /// An event, on disk when this returns, with all output before it.
    pub fn event(&mut self, at_ms: i64, event: &Event) -> io::Result<()> {
        let json = serde_json::to_string(event).map_err(io::Error::other)?;
        self.record(at_ms, 'e', &json);
        self.flush()?;
        self.file.sync_data()
    }

    /// Hands what is pending to the kernel, in one write.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }

    fn record(&mut self, at_ms: i64, kind: char, payload: &str) {
        let start = self.pending.len();
        self.pending.extend_from_slice(format!("{at_ms} {kind} {payload}").as_bytes());
        for byte in &mut self.pending[start..] {
            if *byte == b'\n' {
                *byte = b' ';
            }
        }
        self.pending.push(b'\n');
    }
}
