//! Code generation, tidy checks, benchmarks, release automation: `cargo xtask help`.
#![allow(clippy::print_stdout, reason = "a command-line tool prints")]

mod bench;
mod codegen;
mod tidy;

use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask")]
enum Command {
    /// Writes platform/api/src/generated from models/.
    Codegen {
        /// Only asserts that the checked-in output is what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Measures, and prints tables with ratios: docs/benchmarks.md.
    Bench(bench::Bench),
    /// Checks file lengths and banned words.
    Tidy,
    /// Prunes botocore's service models into models/ by models/allow.json.
    Models {
        /// botocore's data folder.
        #[arg(long)]
        botocore: std::path::PathBuf,
    },
}

fn main() -> Result<(), String> {
    match Command::parse() {
        Command::Codegen { check } => codegen::run(check),
        Command::Bench(options) => bench::run(&options),
        Command::Tidy => tidy::run(),
        Command::Models { botocore } => codegen::prune::run(&botocore),
    }
}
