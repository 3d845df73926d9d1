//! The agent: what runs inside a build's container, as `longshore agent --plan FILE`.
//!
//! It reads a [`plan::Plan`] from the build's volume, runs the phases of the buildspec and appends all that
//! happens to the [`journal`]; it talks to nobody. The control plane only follows that file, so it may be
//! killed at any instant without the build noticing. Synchronous, without a runtime, and static like the
//! rest of the binary: any Linux image can build, whatever its libc.
mod artifacts;
pub mod docker;
mod globs;
mod init;
pub mod journal;
mod limits;
mod output;
mod phases;
pub mod plan;
mod runner;
mod shell;
mod source;
mod user;

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::sys::signal::{SigSet, Signal};

/// Runs `longshore agent`: `args` follow the subcommand. Exit code 0 when the journal tells how the build ended,
/// 70 when the agent could not tell.
#[must_use]
pub fn run(args: &[String]) -> ExitCode {
    match start(args) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "longshore agent: {error}");
            ExitCode::from(70)
        }
    }
}

fn start(args: &[String]) -> io::Result<ExitCode> {
    let mut plan = None;
    let mut is_child = false;
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--plan" => plan = rest.next().map(PathBuf::from),
            init::CHILD => is_child = true,
            other => return Err(io::Error::other(format!("unknown argument {other:?}"))),
        }
    }
    let Some(plan) = plan else { return Err(io::Error::other("--plan FILE is missing")) };
    if std::process::id() == 1 && !is_child {
        return init::run();
    }
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
    signals.thread_block()?;
    build(&plan, |control| {
        let wait = move || {
            if signals.wait().is_ok() {
                let _ = std::fs::OpenOptions::new()
                    .write(true)
                    .open(control)
                    .and_then(|mut f| f.write_all(b"stop\n"));
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(wait).map(drop)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the build of a plan; `stoppable` is told the pipe into which `stop` may be written.
pub(crate) fn build(plan: &Path, stoppable: impl FnOnce(PathBuf) -> io::Result<()>) -> io::Result<()> {
    let plan = phases::read_plan(plan)?;
    let journal = journal::Journal::create(&plan.out)?;
    let mut runner = runner::Runner::new(journal, plan.work.join("tmp"), &plan.secrets, plan.deadline_ms)?;
    stoppable(runner.control_path())?;
    let end = phases::build(&mut runner, &plan)?;
    runner.event(&journal::Event::Ended { status: end.status, retry: end.retry })
}

/// Milliseconds since the epoch.
fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// As AWS's agent writes it: `2026/11/23 21:52:31.123456`.
fn stamp() -> String {
    jiff::Timestamp::now().strftime("%Y/%m/%d %H:%M:%S.%6f").to_string()
}
