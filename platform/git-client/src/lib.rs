//! The `git` program, for the services that stand on it.
//!
//! [`command`] starts it apart from the machine: nothing of the machine's or the user's configuration reaches it, no hook
//! runs, nobody is asked. [`run`] brings a command to its end within [`Bounds`]; whatever ends early, ends with all that
//! it has started. [`Clone`] makes the clones that builds get.
mod clone;
#[cfg(test)]
mod tests;

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

pub use clone::Clone;

/// Configuration of every command.
const CONFIG: [(&str, &str); 3] =
    [("core.hooksPath", "/dev/null"), ("gc.autoDetach", "false"), ("safe.directory", "*")];

/// Why git did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be started.
    #[error("git cannot be started: {0}; install it (apt-get install git)")]
    Start(String),
    /// It ended with an error.
    #[error("git {command} failed ({status}): {complaint}")]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        status: String,
        /// What it said, on one line.
        complaint: String,
    },
    /// It took too long.
    #[error("git {0} took too long")]
    Slow(String),
    /// More than may be held in memory.
    #[error("git {0} answers more than can be held")]
    TooMuch(String),
}

/// Result of git.
pub type Result<T> = std::result::Result<T, Error>;

/// What a command may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long.
    pub within: Duration,
    /// Bytes of its answer: more is an error.
    pub output: usize,
    /// Bytes of what it says on its standard error that are kept.
    pub complaint: usize,
}

/// A git with this configuration besides that of every command. No file that it writes may grow past `largest` bytes: git
/// itself has no limit for what it fetches. Of this process's environment it has the PATH alone.
pub fn command<'a>(config: impl IntoIterator<Item = (&'a str, &'a str)>, largest: Option<u64>) -> Command {
    let mut command = match largest {
        None => Command::new("git"),
        Some(bytes) => {
            let mut command = Command::new("/bin/sh");
            // Counted in blocks of 512 bytes.
            command.args(["-c", &format!("ulimit -f {}; exec git \"$@\"", bytes / 512), "git"]);
            command
        }
    };
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", "/nonexistent");
    command
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        .env("TZ", "UTC");
    let mut count = 0;
    for (name, value) in CONFIG.into_iter().chain(config) {
        command.env(format!("GIT_CONFIG_KEY_{count}"), name).env(format!("GIT_CONFIG_VALUE_{count}"), value);
        count += 1;
    }
    command.env("GIT_CONFIG_COUNT", count.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The command's name, for messages.
fn name_of(command: &Command) -> String {
    let command = command.as_std();
    // After `-c SCRIPT git`.
    let first = if command.get_program() == "git" { 0 } else { 3 };
    command.get_args().nth(first).unwrap_or_default().to_string_lossy().into_owned()
}

/// A git that runs, at the head of a group of processes: what it has started, as transports are, ends with it.
pub struct Running(Child);

impl Running {
    /// Starts it.
    pub fn start(command: &mut Command) -> Result<Self> {
        let started = command.process_group(0).spawn();
        started.map(Self).map_err(|error| Error::Start(error.to_string()))
    }

    /// The process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has a number until it was waited for: the group's is no other's.
        if let Some(group) = self.0.id().and_then(|id| i32::try_from(id).ok()) {
            // Gone already is as well.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

/// Runs a command to its end, with this input; answers what it wrote.
pub async fn run(command: &mut Command, bounds: Bounds, input: Vec<u8>) -> Result<Vec<u8>> {
    let name = name_of(command);
    let lost = |error: std::io::Error| Error::Start(error.to_string());
    if !input.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut git = Running::start(command)?;
    let done = timeout(bounds.within, converse(git.child(), bounds, input)).await;
    let (status, out, complaint) = done.map_err(|_| Error::Slow(name.clone()))?.map_err(lost)?;
    match (status.success(), out) {
        (true, Some(out)) => Ok(out),
        (true, None) => Err(Error::TooMuch(name)),
        (false, _) => Err(Error::Failed { command: name, status: status.to_string(), complaint }),
    }
}

async fn converse(
    child: &mut Child,
    bounds: Bounds,
    input: Vec<u8>,
) -> std::io::Result<(ExitStatus, Option<Vec<u8>>, String)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A command that has seen enough closes its end: its status tells.
            let _ = stdin.write_all(&input).await;
        }
    };
    let (out, complaint) = (bounded(stdout, bounds.output), bounded(stderr, bounds.complaint));
    let ((), out, complaint) = tokio::join!(write, out, complaint);
    let ((out, whole), (complaint, _)) = (out?, complaint?);
    let status = child.wait().await?;
    let complaint = String::from_utf8_lossy(&complaint);
    let lines: Vec<&str> = complaint.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Ok((status, whole.then_some(out), lines.join("; ")))
}

/// What comes, up to the limit, and whether that was all. It is read to its end, so that whoever writes gets to its own.
pub async fn bounded(from: Option<impl AsyncRead + Unpin>, limit: usize) -> std::io::Result<(Vec<u8>, bool)> {
    let Some(mut from) = from else { return Ok((Vec::new(), true)) };
    let mut all = Vec::new();
    (&mut from).take(limit as u64).read_to_end(&mut all).await?;
    let rest = tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok((all, rest == 0))
}
