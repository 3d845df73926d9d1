//! AWS CodePipeline that you own: the binary. See docs/ARCHITECTURE.md.

mod cli;
mod client;
mod doctor;
mod env;
mod exit;
mod pause;
mod watch;

use clap::Parser;

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
        Command::Env(options) => env::print(&options),
        Command::Doctor(options) => runtime()?.block_on(doctor::run(&options)),
        Command::Watch(options) => runtime()?.block_on(watch::run(&options)),
        Command::Pause => Ok(pause::run()),
        _ => Err(Exit::failed("this command is not built yet")),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Exit> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Exit::failed(format!("cannot start threads: {e}")))
}
