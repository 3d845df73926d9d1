//! `longshore doctor`: what Longshore needs of a machine, what is there, and the one command that mends what is not.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

mod clock;
mod engine;
mod firewall;
mod ports;

use std::path::Path;
use std::process::{Command, ExitCode};

use crate::cli::Up;
use crate::exit::Exit;

/// Least free space for data and images, in bytes.
const FREE: u64 = 5 << 30;

/// One finding.
struct Finding {
    what: &'static str,
    found: Result<String, Wrong>,
    /// Without it nothing works; otherwise something that is named does not.
    needed: bool,
}

/// What is wrong, and how to mend it.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    what: String,
    mend: String,
}

impl Wrong {
    fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: what.into(), mend: mend.into() }
    }
}

/// Checks everything; the exit code tells whether all that is needed is there.
pub async fn run(options: &Up) -> Result<ExitCode, Exit> {
    let (engine, offset) = engine::check().await;
    let needed = |what, found| Finding { what, found, needed: true };
    let wanted = |what, found| Finding { what, found, needed: false };
    let findings = [
        needed("Docker Engine", engine),
        needed(
            "nftables",
            program("nft", "it enforces security groups inside each task's network namespace"),
        ),
        needed("git", program("git", "CodeCommit serves repositories through it")),
        needed("endpoint", ports::endpoint(options)),
        needed("DNS", ports::dns(options)),
        wanted("load balancers", ports::load_balancers(options)),
        wanted("namespaces", namespaces()),
        wanted("host firewall", firewall::check()),
        wanted("disk", disk(&options.data.dir)),
        wanted("clock", clock::check(offset)),
    ];
    let mut broken = false;
    for Finding { what, found, needed } in findings {
        match found {
            Ok(found) => println!("ok       {what:<16} {found}"),
            Err(wrong) => {
                broken |= needed;
                let level = if needed { "missing" } else { "warning" };
                println!("{level:<8} {what:<16} {}\n         {:<16} mend: {}", wrong.what, "", wrong.mend);
            }
        }
    }
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn output(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).output().map_err(|e| format!("{program}: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// A program that Debian has in a package of (nearly) its name.
fn program(name: &str, why: &str) -> Result<String, Wrong> {
    let package = if name == "nft" { "nftables" } else { name };
    output(name, &["--version"])
        .map_err(|error| Wrong::new(error, format!("`sudo apt-get install {package}`: {why}")))
}

fn namespaces() -> Result<String, Wrong> {
    if nix::unistd::geteuid().is_root() {
        return Ok("may enter the tasks' network namespaces".into());
    }
    Err(Wrong::new(
        "may not enter the tasks' network namespaces as this user",
        "nothing to do: a one-shot helper container applies the rules instead, which makes task starts slower; run as root to avoid it",
    ))
}

fn disk(dir: &Path) -> Result<String, Wrong> {
    let at = dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("."));
    let wrong = |what| Wrong::new(what, "free some space, or choose another folder with --data");
    match nix::sys::statvfs::statvfs(at).map(|s| s.blocks_available() * s.fragment_size()) {
        Ok(free) if free >= FREE => Ok(format!("{} GiB free", free >> 30)),
        Ok(free) => Err(wrong(format!(
            "{} MiB free where the data goes; images and artifacts want 5 GiB",
            free >> 20
        ))),
        Err(e) => Err(wrong(format!("{}: {e}", at.display()))),
    }
}
