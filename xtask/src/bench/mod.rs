//! `cargo xtask bench`: measures, and prints tables with ratios. Asserts nothing; a number belongs to its machine and hour.
//!
//! What it starts it ends, by process id; load goes to loopback addresses alone, for a bounded time.

mod balancer;
mod build;
mod engine;
mod machine;
mod nginx;
mod process;
mod release;
mod server;
mod start;
mod table;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::codegen::root;
use process::Patient;
use table::Table;

/// What is measured, and with which binary.
#[derive(Args)]
pub struct Bench {
    #[arg(value_enum, default_value = "all")]
    what: What,
    /// The release binary; otherwise the one that scripts/lib/binary.sh builds, built where it is not there.
    #[arg(long, env = "LONGSHORE_BIN")]
    binary: Option<PathBuf>,
    /// Rounds of every comparison, of which the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// Seconds of load in each round of the load balancer.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Pipelines of the store that holds a past.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pipelines: u32,
    /// Executions of that past.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    executions: u32,
}

type Measure = fn(&Path, &Bench) -> Result<Vec<Table>, String>;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Start to `ready`, and idle memory.
    Start,
    /// The load balancer beside nginx.
    Balancer,
    /// StartBuild to the first command, beside `docker run`.
    Build,
    /// Push to served, beside the same steps by hand.
    Release,
    /// Executions of the release engine, and reads of a long past.
    Engine,
    /// All of them.
    All,
}

/// Measures and prints.
pub fn run(bench: &Bench) -> Result<(), String> {
    let binary = binary(bench.binary.as_deref())?;
    let benchmarks: [(What, Measure); 5] = [
        (What::Start, |binary, bench| Ok(vec![start::measure(binary, bench)?])),
        (What::Balancer, |binary, bench| Ok(vec![balancer::measure(binary, bench)?])),
        (What::Build, |binary, bench| Ok(vec![build::measure(binary, bench)?])),
        (What::Release, |binary, bench| Ok(vec![release::measure(binary, bench)?])),
        (What::Engine, engine::measure),
    ];
    let mut failed = Vec::new();
    for (what, measure) in
        benchmarks.iter().filter(|(what, _)| bench.what == *what || bench.what == What::All)
    {
        println!("{}", machine::header());
        match measure(&binary, bench) {
            Ok(tables) => tables.iter().for_each(|table| println!("{table}")),
            // The others can still be measured.
            Err(error) => {
                failed.push(format!(
                    "{}: {error}",
                    what.to_possible_value().map_or_else(String::new, |v| v.get_name().into())
                ));
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

/// The binary that was named, or the one of the scripts.
fn binary(named: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(path) = named {
        return path.canonicalize().map_err(|e| format!("--binary {}: {e}", path.display()));
    }
    let script = ". scripts/lib/say.sh; . scripts/lib/binary.sh; binary_build >&2; printf '%s' \"$BINARY\"";
    let path = Patient::new("bash", 3600).args(["-euc", script]).env("ROOT", root()).dir(root()).text()?;
    Ok(path.into())
}

/// The middle of the measurements.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
