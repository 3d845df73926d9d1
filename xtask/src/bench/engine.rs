//! The release engine: executions that do nothing, as fast as it goes; reads of a store that holds a long past, beside
//! an empty one; and moto's server, which people use to test against today.
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::process::{Patient, Serving, until};
use super::server::{Server, cache, free_ports};
use super::table::Table;
use super::{Bench, balancer::milliseconds, median, start::pss};
use crate::codegen::root;

/// What asks the servers.
const CLIENT: &str = include_str!("engine/client.py");
/// Executions one after the other.
const ALONE: u32 = 200;
/// Pipelines that release at the same time.
const BUSY: u32 = 100;
/// Different requests that are asked in turns.
const ASKED: u32 = 200;
/// Between two requests that are not asked one right after the other: what an execution does beside what is measured has
/// ended by then.
const PACE: Duration = Duration::from_millis(50);
const STATE: Question = Question { operation: "GetPipelineState", input: "{}", pace: Duration::ZERO };
/// Operations whose latency is measured, beside a store without a past. There a list has one execution: so has this
/// page. An execution that is started goes on beside what is measured.
const OPERATIONS: [Question; 3] = [
    STATE,
    Question { operation: "ListPipelineExecutions", input: r#"{"maxResults": 1}"#, pace: Duration::ZERO },
    Question { operation: "StartPipelineExecution", input: "{}", pace: PACE },
];
/// And without anything beside it to compare with.
const PAGE: Question = Question { operation: "ListPipelineExecutions", input: "{}", pace: Duration::ZERO };

/// What is asked of pipelines: the name is added to the input.
#[derive(Clone, Copy)]
struct Question {
    operation: &'static str,
    input: &'static str,
    pace: Duration,
}

/// In the order in which one depends on the other.
pub fn measure(binary: &Path, bench: &Bench) -> Result<Vec<Table>, String> {
    let engine = built()?;
    Ok(vec![
        alone(&engine)?,
        worked(&engine)?,
        busy(&engine, bench)?,
        history(&engine, binary, bench)?,
        moto(binary, bench)?,
    ])
}

/// The engine's own process, built where it is not there; static, so that it shares what the binary is built of.
fn built() -> Result<PathBuf, String> {
    let script = ". scripts/lib/say.sh; . scripts/lib/binary.sh; engine_build >&2; printf '%s' \"$ENGINE\"";
    let path = Patient::new("bash", 3600).args(["-euc", script]).env("ROOT", root()).dir(root()).text()?;
    Ok(path.into())
}

/// What the engine's process prints.
fn run(engine: &Path, args: &[&str], seconds: u32) -> Result<Value, String> {
    let text = Patient::new(engine, seconds).args(args).env("RUST_LOG", "warn").text()?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}: {text}", args.join(" ")))
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or(f64::NAN)
}

fn alone(engine: &Path) -> Result<Table, String> {
    let mut table = latency(engine, "a source and three actions that do nothing", &[], 5.0)?;
    table.note(format!(
        "{ALONE} executions, one after the other; 5 commits follow one another: one that starts it and one for the \
         end of each action, which starts the next; the aim is 5 fdatasyncs and 5 ms; an fdatasync was measured \
         behind each execution"
    ));
    table.note(
        "the engine in a process of its own with the real authorization, EventBridge and store; no HTTP",
    );
    Ok(table)
}

fn worked(engine: &Path) -> Result<Table, String> {
    let mut table = latency(engine, "a source and three custom actions", &["--worker"], 11.0)?;
    table.note(format!(
        "{ALONE} executions, one after the other; a job worker in the same process is woken by a job, polls, \
         acknowledges and puts the success at once"
    ));
    table.note(
        "11 commits follow one another: one that starts the execution, one for the end of the source, and three for \
         each custom action: its job is offered by a poll, it is acknowledged, its result ends the action; the aim is \
         11 fdatasyncs and 5 ms",
    );
    Ok(table)
}

/// One execution at a time, which takes so many commits, one after the other.
fn latency(engine: &Path, what: &str, args: &[&str], commits: f64) -> Result<Table, String> {
    let folder = super::server::Scratch::new("engine-alone")?;
    let data = folder.path().join("data").display().to_string();
    let seen = run(engine, &[&["latency", &data, &ALONE.to_string()], args].concat(), 300)?;
    let disk = number(&seen, "fdatasync_p50");
    let mut table = Table::new(format!("One execution: {what}"), "aim");
    let aim = commits * disk + 5.0;
    table.compare("StartPipelineExecution to Succeeded, p50", number(&seen, "p50"), aim, "ms");
    table.compare("StartPipelineExecution to Succeeded, p99", number(&seen, "p99"), 100.0, "ms");
    table.ours("StartPipelineExecution answered, p50", number(&seen, "accepted_p50"), "ms");
    table.ours("one fdatasync of 16 KB in the same folder, p50", disk, "ms");
    table.ours("- p99", number(&seen, "fdatasync_p99"), "ms");
    table.ours("processor time of an execution", number(&seen, "cpu_ms"), "ms");
    table.compare("transactions of an execution", number(&seen, "commits"), commits, "");
    table.ours("batches of an execution, cursors of consumers among them", number(&seen, "batches"), "");
    Ok(table)
}

fn busy(engine: &Path, bench: &Bench) -> Result<Table, String> {
    let folder = super::server::Scratch::new("engine-busy")?;
    let data = folder.path().join("data").display().to_string();
    let seconds = (bench.seconds * 2).to_string();
    let seen = run(engine, &["throughput", &data, &BUSY.to_string(), &seconds], 300)?;
    let mut table = Table::new(format!("Executions of {BUSY} pipelines at a time"), "aim");
    table.compare("executions per second", number(&seen, "executions_per_second"), 300.0, "/s");
    table.ours("StartPipelineExecution to Succeeded, p50", number(&seen, "p50"), "ms");
    table.ours("- p99", number(&seen, "p99"), "ms");
    table.ours("commits per second", number(&seen, "commits_per_second"), "/s");
    table.ours("batches per commit", number(&seen, "batches_per_commit"), "");
    table.ours("processor time of an execution", number(&seen, "cpu_ms"), "ms");
    table.ours("processors used", number(&seen, "cores"), "");
    table.note(format!(
        "{seconds} s; each pipeline starts its next execution when one has ended; all durable"
    ));
    Ok(table)
}

/// What wrk saw of one operation.
struct Seen {
    requests: f64,
    p50: f64,
    p99: f64,
}

fn history(engine: &Path, binary: &Path, bench: &Bench) -> Result<Table, String> {
    let (pipelines, executions) = (bench.pipelines, bench.executions);
    let mut full = Server::up(binary, "engine-full")?;
    client(&full, &["setup", &pipelines.to_string()], 1800)?;
    full.stop();
    let data = full.data().display().to_string();
    let each = (executions / pipelines).max(1);
    let past = run(engine, &["past", &data, &each.to_string()], 3000)?;
    full.start()?;
    let empty = Server::up(binary, "engine-empty")?;
    let asked = pipelines.min(ASKED);
    client(&empty, &["setup", &asked.to_string()], 300)?;

    let title = format!("{pipelines} pipelines with {} past executions", each * pipelines);
    let mut table = Table::new(title, "without a past");
    let own = full.pids().first().copied().ok_or("no control plane runs")?;
    let fresh = pss(own)?;
    let page = ask(&full, PAGE, asked, 1, bench.seconds)?;
    for question in OPERATIONS {
        let ours = ask(&full, question, asked, 1, bench.seconds)?;
        let theirs = ask(&empty, question, asked, 1, bench.seconds)?;
        let operation = question.operation;
        table.compare(&format!("{operation}, p50"), ours.p50, theirs.p50, "ms");
        table.compare(&format!("{operation}, p99 (aim: 10 ms, ratio 2)"), ours.p99, theirs.p99, "ms");
    }
    table.ours("ListPipelineExecutions, pages of 100, p50", page.p50, "ms");
    table.ours("- p99 (aim: 10 ms)", page.p99, "ms");
    let beside = empty.pids().first().copied().ok_or("no control plane runs")?;
    table.compare("PSS of the control plane (aim: 150 MB)", pss(own)?, pss(beside)?, "MB");
    table.ours("- after its start", fresh, "MB");
    table.ours("state.db", number(&past, "bytes") / 1e6, "MB");
    table.note(format!("over HTTP, signed, one kept connection, {} s each", bench.seconds));
    table.note(format!(
        "StartPipelineExecution {} ms after the last, for {} s: the execution runs its source action meanwhile, and \
         waits for an approval",
        PACE.as_millis(),
        5 * bench.seconds
    ));
    table.note(format!(
        "the store beside it has the {asked} pipelines that are asked for, each with one execution"
    ));
    Ok(table)
}

fn moto(binary: &Path, bench: &Bench) -> Result<Table, String> {
    let program = cache().join("venv-moto/bin/moto_server");
    if !program.exists() {
        return Err(format!("{} is missing: run scripts/setup --for bench", program.display()));
    }
    let server = Server::up(binary, "engine-moto")?;
    client(&server, &["setup", "50"], 300)?;
    let [listen] = free_ports()?;
    let mut command = Command::new(program);
    command.args(["-H", "127.0.0.1", "-p", &listen.port().to_string()]);
    let other = Serving::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?;
    let url = format!("http://{listen}");
    until("moto", 60, || Ok(std::net::TcpStream::connect(listen).ok()))?;
    let environment = server.environment_at(&url);
    python(&environment, &["setup", "50"], 300)?;
    // moto serves no GetPipelineState: its read of a pipeline is the nearest.
    let script = python(&environment, &["sign", "GetPipeline", "50", "{}", "0"], 60)?;
    let file = server.scratch().join("moto.lua");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds.min(3) {
        ours.push(ask(&server, STATE, 50, 16, bench.seconds)?.requests);
        theirs.push(wrk(listen.port(), &file, &script, 16, bench.seconds)?.requests);
    }
    drop(other);
    let mut table = Table::new("GetPipelineState beside moto's server", "moto's GetPipeline");
    table.compare("requests per second", median(ours), median(theirs), "/s");
    table.note(format!("50 pipelines, 16 kept connections, rounds of {} s, alternating; Longshore verifies each signature and policy", bench.seconds));
    Ok(table)
}

fn client(server: &Server, args: &[&str], seconds: u32) -> Result<String, String> {
    python(server.environment(), args, seconds)
}

fn python(environment: &[(String, String)], args: &[&str], seconds: u32) -> Result<String, String> {
    let program = cache().join("venv/bin/python");
    Patient::new(program, seconds).args(["-c", CLIENT]).args(args).envs(environment).text()
}

fn ask(
    server: &Server,
    question: Question,
    pipelines: u32,
    connections: u32,
    seconds: u32,
) -> Result<Seen, String> {
    let Question { operation, input, pace } = question;
    // At a pace it takes longer until there are enough.
    let seconds = if pace.is_zero() { seconds } else { 5 * seconds };
    let (pipelines, pace) = (pipelines.to_string(), pace.as_millis().to_string());
    let script = client(server, &["sign", operation, &pipelines, input, &pace], 60)?;
    wrk(server.listen.port(), &server.scratch().join("requests.lua"), &script, connections, seconds)
}

fn wrk(port: u16, file: &Path, script: &str, connections: u32, seconds: u32) -> Result<Seen, String> {
    std::fs::write(file, script).map_err(|e| format!("{}: {e}", file.display()))?;
    let (connections, duration) = (connections.to_string(), format!("{seconds}s"));
    let (file, url) = (file.display().to_string(), format!("http://127.0.0.1:{port}/"));
    let args = ["-t", "1", "-c", &connections, "-d", &duration, "--latency", "-s", &file, &url];
    let text = Patient::new("wrk", seconds + 30).args(args).text()?;
    if let Some(line) = text.lines().find(|line| line.contains("Non-2xx") || line.contains("Socket errors")) {
        return Err(format!("wrk: {}", line.trim()));
    }
    let field = |name: &str| {
        let line = text.lines().map(str::trim).find_map(|line| line.strip_prefix(name));
        line.map(str::trim).ok_or_else(|| format!("wrk tells no {name}: {text}"))
    };
    let time =
        |name: &str| milliseconds(field(name)?).ok_or_else(|| format!("wrk's {name} is no time: {text}"));
    let (p50, p99) = (time("50%")?, time("99%")?);
    let requests = field("Requests/sec:")?.parse().map_err(|e| format!("wrk: {e}"))?;
    Ok(Seen { requests, p50, p99 })
}
