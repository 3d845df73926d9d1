//! Start to `ready`, and what it holds when nobody asks anything.
use std::path::Path;
use std::time::Duration;

use super::process::pause;
use super::server::Server;
use super::table::Table;
use super::{Bench, median};

/// After a start, until memory is looked at.
const SETTLE: Duration = Duration::from_secs(5);

/// An empty folder, then the same folder with its edge still running.
pub fn measure(binary: &Path, bench: &Bench) -> Result<Table, String> {
    let (mut first, mut again, mut control, mut edge) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        let mut server = Server::new(binary, &format!("start-{round}"))?;
        first.push(server.start()?.as_secs_f64() * 1e3);
        server.stop();
        again.push(server.start()?.as_secs_f64() * 1e3);
        pause(SETTLE);
        let [own, beside] = server.pids()[..] else {
            return Err("a control plane and one edge should run".into());
        };
        control.push(pss(own)?);
        edge.push(pss(beside)?);
    }
    let both = control.iter().zip(&edge).map(|(a, b)| a + b).collect();
    // Beside the aims: a ratio under 1 meets them.
    let mut table = Table::new("Start and idle memory", "aim");
    table.compare("start to ready, empty folder", median(first), 150.0, "ms");
    table.compare("start to ready, again", median(again), 150.0, "ms");
    table.compare("idle PSS, control plane and edge", median(both), 40.0, "MB");
    table.ours("- control plane", median(control), "MB");
    table.ours("- edge", median(edge), "MB");
    table.note(format!("median of {} rounds; memory {} s after the start", bench.rounds, SETTLE.as_secs()));
    Ok(table)
}

/// Proportional set size: what is shared counts once.
pub fn pss(pid: u32) -> Result<f64, String> {
    let file = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&file).map_err(|e| format!("{file}: {e}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.map(|kb| kb * 1024.0 / 1e6).ok_or_else(|| format!("{file} tells no Pss"))
}
