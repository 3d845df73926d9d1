//! AWS CodePipeline that you own: the binary. See docs/ARCHITECTURE.md.

mod check;
mod cli;
mod client;
mod connect;
mod doctor;
mod down;
mod env;
mod exit;
mod pause;
mod up;
mod watch;

use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use cli::{Cli, Command};
use exit::Exit;

fn main() -> std::process::ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(exit) => exit.report(),
    }
}

fn run(command: Command) -> Result<std::process::ExitCode, Exit> {
    match command {
        Command::Up(options) => {
            more_descriptors();
            runtime()?.block_on(up::run(*options))
        }
        Command::Check(options) => runtime()?.block_on(check::run(&options)),
        Command::Down(options) => runtime()?.block_on(down::run(&options)),
        Command::Edge(options) => {
            more_descriptors();
            edge(&options)
        }
        Command::Agent(options) => Ok(codebuild::agent::run(&options.args)),
        Command::Env(options) => env::print(&options),
        Command::Doctor(options) => runtime()?.block_on(doctor::run(&options)),
        Command::Connect(options) => runtime()?.block_on(connect::run(&options)),
        Command::Watch(options) => runtime()?.block_on(watch::run(&options)),
        Command::Pause => Ok(pause::run()),
    }
}

/// Descriptors that a server asks for, where it may have as many.
const DESCRIPTORS: u64 = 65_536;

/// A connection takes a descriptor, and a load balancer's takes two: a shell's usual 1,024 would be five hundred clients.
fn more_descriptors() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(DESCRIPTORS)), hard);
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Exit> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Exit::failed(format!("cannot start threads: {e}")))
}

fn edge(options: &cli::Edge) -> Result<std::process::ExitCode, Exit> {
    up::logging();
    edge::run(edge::Options::new(&options.data.dir)).map_err(|error| match error {
        edge::Error::Held(_) => Exit::held(error.to_string()),
        edge::Error::Folder { .. } => Exit::data(error.to_string()),
        edge::Error::Worker(_) => Exit::failed(error.to_string()),
    })?;
    Ok(std::process::ExitCode::SUCCESS)
}
