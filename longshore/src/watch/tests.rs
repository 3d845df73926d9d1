use std::cell::RefCell;

use super::*;

/// A pipeline whose builds log as they please.
#[derive(Default)]
struct Server {
    status: RefCell<&'static str>,
    /// Newest first, as they are listed.
    actions: RefCell<Value>,
    /// By region, group and stream.
    logs: RefCell<BTreeMap<(String, String, String), Vec<String>>>,
    waits: RefCell<Value>,
}

impl Server {
    fn log(&self, group: &str, stream: &str, lines: impl IntoIterator<Item = String>) {
        let place = ("eu-west-1".to_owned(), group.to_owned(), stream.to_owned());
        self.logs.borrow_mut().entry(place).or_default().extend(lines);
    }

    /// As CloudWatch Logs pages: the token of the end is the one that it was asked with.
    fn page(&self, region: &str, input: &Value) -> Option<Value> {
        let place = [&input["logGroupName"], &input["logStreamName"]].map(|name| text(name).to_owned());
        let [group, stream] = place;
        let logs = self.logs.borrow();
        let lines = logs.get(&(region.to_owned(), group, stream))?;
        let from = input["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
        let limit = usize::try_from(input["limit"].as_u64()?).ok()?;
        let page: Vec<_> =
            lines[from..].iter().take(limit).map(|line| json!({"message": format!("{line}\n")})).collect();
        Some(json!({"nextForwardToken": (from + page.len()).to_string(), "events": page}))
    }
}

impl Ask for &Server {
    async fn ask(
        &self,
        _: &'static Service,
        region: Option<&str>,
        operation: &str,
        input: Value,
    ) -> Result<Value, Exit> {
        Ok(match operation {
            "ListPipelineExecutions" if self.status.borrow().is_empty() => json!({}),
            "ListPipelineExecutions" => {
                json!({"pipelineExecutionSummaries": [{"pipelineExecutionId": "e"}]})
            }
            "GetPipelineExecution" => json!({"pipelineExecution": {"status": *self.status.borrow()}}),
            "ListActionExecutions" => json!({"actionExecutionDetails": *self.actions.borrow()}),
            "GetPipelineWaits" => json!({"waits": *self.waits.borrow()}),
            "GetLogEvents" => {
                let page = region.and_then(|region| self.page(region, &input));
                page.ok_or_else(|| Exit::failed("ResourceNotFoundException"))?
            }
            other => panic!("{other}"),
        })
    }
}

/// A run of an action, with where its build logs.
fn action(name: &str, provider: &str, status: &str, log: &str) -> Value {
    json!({
        "actionExecutionId": name, "stageName": "S", "actionName": name, "status": status,
        "startTime": 1.0, "lastUpdateTime": 3.5,
        "input": {"actionTypeId": {"provider": provider}},
        "output": {"executionResult": {"logStreamARN": format!("arn:aws:logs:eu-west-1:000000000000:{log}")}},
    })
}

#[tokio::test]
async fn the_lines_of_every_build_are_shown_once_wherever_they_are() {
    let server = Server { status: RefCell::new("InProgress"), ..Server::default() };
    let set = |status| {
        *server.actions.borrow_mut() = json!([
            action("Shell", "Commands", status, "log-group:/aws/codepipeline/p:log-stream:c"),
            action("Build", "CodeBuild", status, "log-group:builds:log-stream:team/1"),
        ]);
    };
    set("InProgress");
    let mut view = View::latest(&server, "p").await.unwrap();
    let look = view.look().await.unwrap();
    let line = |name: &str, status: &str| format!("{name:<32} {status:<12}     2.5 s  ");
    assert_eq!(look.lines, [line("S/Build", "InProgress"), line("S/Shell", "InProgress")]);
    server.log("builds", "team/1", ["one".to_owned()]);
    server.log("/aws/codepipeline/p", "c", ["made".to_owned()]);
    assert_eq!(view.look().await.unwrap().lines, ["    one", "    made"]);
    assert!(view.look().await.unwrap().lines.is_empty());

    // The end comes with more lines than a page has.
    let tail = || (0..2 * LINES + 1).map(|n| n.to_string());
    server.log("builds", "team/1", tail());
    set("Succeeded");
    *server.status.borrow_mut() = "Succeeded";
    let look = view.look().await.unwrap();
    let mut expected: Vec<String> = tail().map(|line| format!("    {line}")).collect();
    expected.extend([line("S/Build", "Succeeded"), line("S/Shell", "Succeeded"), "Succeeded ".into()]);
    assert!(look.lines == expected, "{} lines", look.lines.len());
    assert_eq!(look.ended.as_deref(), Some("Succeeded"));
}

#[tokio::test]
async fn why_it_waits_is_said_when_it_changes() {
    let server = Server { status: RefCell::new("InProgress"), ..Server::default() };
    let mut view = View::latest(&server, "p").await.unwrap();
    let (lock, order) =
        (json!({"message": "a lock"}), json!({"message": "a person", "thenEnds": "It stops"}));
    for (waits, lines) in [
        (json!([lock]), &["  a lock"][..]),
        (json!([lock]), &[]),
        (json!([lock, order]), &["  It stops; a person"]),
        (json!([]), &[]),
        (json!([lock]), &["  a lock"]),
    ] {
        *server.waits.borrow_mut() = waits;
        assert_eq!(view.look().await.unwrap().lines, lines);
    }
}

#[tokio::test]
async fn the_status_is_told_to_those_who_ask_for_it() {
    let nothing = View::latest(&Server::default(), "p").await.err();
    assert_eq!(nothing, Some(Exit::failed("p has no execution yet")));
    for (status, ends) in [
        ("InProgress", false),
        ("Stopping", false),
        ("Succeeded", true),
        ("Failed", true),
        ("Stopped", true),
        ("Superseded", true),
    ] {
        let server = Server { status: RefCell::new(status), ..Server::default() };
        let look = View::latest(&server, "p").await.unwrap().look().await.unwrap();
        assert_eq!(look.ended.is_some(), ends, "{status}");
    }
    for (status, told, expected) in [
        ("Succeeded", true, ExitCode::SUCCESS),
        ("Failed", true, ExitCode::FAILURE),
        ("Stopped", true, ExitCode::FAILURE),
        ("Superseded", true, ExitCode::FAILURE),
        ("Failed", false, ExitCode::SUCCESS),
    ] {
        assert_eq!(code(status, told), expected, "{status}");
    }
}
