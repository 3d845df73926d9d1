//! `kill -9` at random moments, again and again, while pipelines of all modes run: nothing is lost, nothing is done
//! twice, and the event logs add up to what is stored.
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use e2e::client::root;
use e2e::{Server, moment};
use serde_json::Value;

/// How often the server is killed; `KILLS` says otherwise.
const KILLS: u32 = 30;
/// A server lives so many milliseconds at most before it is killed.
const LIFE: u64 = 1200;

#[test]
fn thirty_kills_lose_nothing_and_do_nothing_twice() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let kills = number("KILLS").map_or(KILLS, |kills: u64| u32::try_from(kills).unwrap_or(KILLS));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let seed = number("KILL_SEED").unwrap_or(u64::try_from(now).unwrap_or(1));
    eprintln!("KILL_SEED={seed} KILLS={kills}");

    let mut server = Server::start();
    let (mut user, mut said) = user(&server);
    let mut random = seed | 1;
    for kill in 1..=kills {
        // xorshift64: any bits will do.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        moment(Duration::from_millis(random % LIFE));
        server.kill();
        fits(&server, &format!("after kill {kill}"));
        server.up();
        assert!(user.try_wait().unwrap_or_default().is_none(), "the user gave up:\n{}", server.log());
    }
    // The end of its input is the end of its starts.
    drop(user.stdin.take());
    let mut report = String::new();
    said.read_to_string(&mut report).unwrap_or_else(|e| panic!("the report: {e}"));
    assert!(user.wait().is_ok_and(|status| status.success()), "the user failed");
    server.stop();
    fits(&server, "at the end");
    let report: Value = serde_json::from_str(&report).unwrap_or_else(|e| panic!("{e}: {report}"));
    accounted(&report);
}

fn user(server: &Server) -> (Child, BufReader<ChildStdout>) {
    let program = include_str!("kill_loop.py");
    let (model, folder) = (root().join("models/longshore.json"), server.dir().join("botocore"));
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut command = server.client().command("python3", &["-c", program, &text(&model), &text(&folder)]);
    let mut user = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("python3: {e}"));
    let mut said = BufReader::new(user.stdout.take().unwrap_or_else(|| panic!("no stdout")));
    let mut line = String::new();
    assert!(said.read_line(&mut line).is_ok() && line == "ready\n", "the user said {line:?}");
    (user, said)
}

/// The folder of a server that does not run.
fn fits(server: &Server, when: &str) {
    let output = server.longshore(&["check", "--data", &server.data().to_string_lossy()]);
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{when}: {said}{error}");
}

fn accounted(report: &Value) {
    let mut written: BTreeMap<String, u64> = report["versions"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, count)| (key.clone(), count.as_u64().unwrap_or_default()))
        .collect();
    let (mut succeeded, mut waiting) = (0, 0);
    for (name, pipeline) in report["pipelines"].as_object().into_iter().flatten() {
        let executions = pipeline["executions"].as_object().unwrap_or_else(|| panic!("{name}: {pipeline}"));
        let begun: Vec<&str> =
            pipeline["begun"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        // Those that were started, each once, and the one that creating the pipeline starts: no more.
        assert_eq!(executions.len(), begun.len() + 1, "{name}: {pipeline}");
        begun.iter().for_each(|id| assert!(executions.contains_key(*id), "{name} lost {id}"));
        let mut ran: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for run in pipeline["runs"].as_array().into_iter().flatten() {
            let text = |key: &str| run[key].as_str().unwrap_or_default();
            let (execution, action) = (text("pipelineExecutionId"), text("actionName"));
            *ran.entry((execution, action)).or_default() += 1;
            if action.starts_with("Ship") {
                assert_eq!(text("status"), "Succeeded", "{run}");
                let key = format!("{name}/{execution}/{action}");
                assert_eq!(written.remove(&key), Some(1), "objects written by {key}");
            }
        }
        ran.iter().for_each(|(what, times)| assert_eq!(*times, 1, "{name}: {what:?} ran twice"));
        for (id, status) in executions {
            let verdict = pipeline["verdicts"][id].as_str();
            match status.as_str().unwrap_or_default() {
                "Succeeded" => {
                    assert_eq!(verdict, Some("Approved"), "{name}: {id} went on though nobody let it");
                    succeeded += 1;
                    let all = ["Source", "Ok", "ShipA", "ShipB"];
                    all.iter().for_each(|action| assert!(ran.contains_key(&(id, action)), "{id}: {action}"));
                }
                "Failed" => {
                    assert_eq!(verdict, Some("Rejected"), "{name}: {id} failed though nobody rejected it")
                }
                "Superseded" => {}
                "InProgress" => {
                    let reasons = pipeline["waits"][id].as_array().map_or(0, Vec::len);
                    assert!(reasons > 0, "{name}: {id} waits for nothing");
                    waiting += 1;
                }
                other => panic!("{name}: {id} is {other}"),
            }
        }
    }
    assert!(written.is_empty(), "objects of no run: {written:?}");
    assert!(succeeded > 20, "only {succeeded} executions succeeded: too few to show anything");
    eprintln!("{succeeded} succeeded, {waiting} wait for a reason that is told");
}
