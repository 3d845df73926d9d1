//! On what was measured, and how busy it was: a number without that says little.
use std::fs::read_to_string;
use std::thread::available_parallelism;

use super::process::Patient;

/// One line: time, processor, kernel, memory, load.
pub fn header() -> String {
    let line = |program: &str, args: &[&str]| Patient::new(program, 10).args(args).text().unwrap_or_default();
    let field = |file: &str, name: &str| {
        let text = read_to_string(file).unwrap_or_default();
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.map(|value| value.trim_start_matches([' ', '\t', ':']).to_owned()).unwrap_or_else(|| "?".into())
    };
    let load = read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{}; {} x {}, {} of memory, Linux {}; load average before: {}\n",
        line("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        available_parallelism().map_or(0, usize::from),
        field("/proc/cpuinfo", "model name"),
        field("/proc/meminfo", "MemTotal"),
        line("uname", &["-r"]),
        load.split_whitespace().take(3).collect::<Vec<_>>().join(" "),
    )
}
