//! `longshore watch`: an execution, followed in the terminal through the public API.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::time::Duration;

use kernel::schema::Service;
use serde_json::{Value, json};

use crate::cli::Watch;
use crate::client::Client;
use crate::env;
use crate::exit::Exit;

/// A public API has no wake for clients: this often it is asked.
const ASK: Duration = Duration::from_millis(500);
/// Log lines on a page.
const LINES: u32 = 1000;

/// Follows the latest execution to its end.
pub async fn run(options: &Watch) -> Result<ExitCode, Exit> {
    let client = Client::new(env::Client::load(&options.data))?;
    let mut view = View::latest(client, &options.pipeline).await?;
    println!("{} {}", options.pipeline, view.execution);
    loop {
        let look = view.look().await?;
        look.lines.iter().for_each(|line| println!("{line}"));
        match look.ended {
            Some(status) => return Ok(code(&status, options.exit_status)),
            None => tokio::time::sleep(ASK).await,
        }
    }
}

fn code(status: &str, told: bool) -> ExitCode {
    if told && status != "Succeeded" { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Whom the view asks: a server.
trait Ask {
    async fn ask(
        &self,
        service: &'static Service,
        region: Option<&str>,
        operation: &str,
        input: Value,
    ) -> Result<Value, Exit>;
}

impl Ask for Client {
    async fn ask(
        &self,
        service: &'static Service,
        region: Option<&str>,
        operation: &str,
        input: Value,
    ) -> Result<Value, Exit> {
        self.call(service, region, operation, input).await
    }
}

/// An execution as far as it has been shown.
struct View<A> {
    server: A,
    pipeline: String,
    execution: String,
    /// Status last shown, by action execution.
    shown: HashMap<String, String>,
    /// Where each log stream has been read to, by its ARN.
    logs: BTreeMap<String, Option<String>>,
    /// Why it waits, as last shown.
    waiting: Vec<String>,
}

/// What is new.
struct Look {
    lines: Vec<String>,
    /// The execution's last status; none while it goes on.
    ended: Option<String>,
}

impl<A: Ask> View<A> {
    /// Of the pipeline's latest execution.
    async fn latest(server: A, pipeline: &str) -> Result<Self, Exit> {
        let mut view = Self {
            server,
            pipeline: pipeline.to_owned(),
            execution: String::new(),
            shown: HashMap::new(),
            logs: BTreeMap::new(),
            waiting: Vec::new(),
        };
        let list =
            view.call("ListPipelineExecutions", json!({"pipelineName": pipeline, "maxResults": 1})).await?;
        view.execution = text(&list["pipelineExecutionSummaries"][0]["pipelineExecutionId"]).to_owned();
        if view.execution.is_empty() {
            return Err(Exit::failed(format!("{pipeline} has no execution yet")));
        }
        Ok(view)
    }

    async fn look(&mut self) -> Result<Look, Exit> {
        let input = json!({"pipelineName": self.pipeline, "pipelineExecutionId": self.execution});
        // Before its actions: what they did last is seen once it has ended.
        let execution = self.call("GetPipelineExecution", input).await?["pipelineExecution"].take();
        let mut lines = Vec::new();
        self.actions(&mut lines).await?;
        let status = text(&execution["status"]);
        if !matches!(status, "InProgress" | "Stopping") {
            lines.push(format!("{status} {}", text(&execution["statusSummary"])));
            return Ok(Look { lines, ended: Some(status.to_owned()) });
        }
        let waits = self.waits().await?;
        let new = waits.iter().filter(|wait| !self.waiting.contains(*wait));
        lines.extend(new.map(|wait| format!("  {wait}")));
        self.waiting = waits;
        Ok(Look { lines, ended: None })
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, Exit> {
        self.server.ask(&api::codepipeline::SERVICE, None, operation, input).await
    }

    /// Why it waits, in sentences: a lock, a transition, an approval, the action that runs.
    async fn waits(&self) -> Result<Vec<String>, Exit> {
        let input = json!({"name": self.pipeline, "pipelineExecutionId": self.execution});
        let answer = self.server.ask(&api::longshore::SERVICE, None, "GetPipelineWaits", input).await?;
        let waits = answer["waits"].as_array().into_iter().flatten();
        let sentence = |wait: &Value| match wait["thenEnds"].as_str() {
            Some(ending) => format!("{ending}; {}", text(&wait["message"])),
            None => text(&wait["message"]).to_owned(),
        };
        Ok(waits.map(sentence).collect())
    }

    /// What has changed since the last look, oldest first, each after the new log lines of its build.
    async fn actions(&mut self, lines: &mut Vec<String>) -> Result<(), Exit> {
        let filter = json!({"pipelineExecutionId": self.execution});
        let input = json!({"pipelineName": self.pipeline, "filter": filter});
        let list = self.call("ListActionExecutions", input).await?;
        for action in list["actionExecutionDetails"].as_array().into_iter().flatten().rev() {
            // Builds of projects and an action's own tell alike where they log.
            let log = text(&action["output"]["executionResult"]["logStreamARN"]);
            self.log(log, lines).await?;
            let (key, status) = (text(&action["actionExecutionId"]), text(&action["status"]));
            if self.shown.get(key).is_none_or(|shown| shown != status) {
                lines.push(shown(action, status));
                self.shown.insert(key.to_owned(), status.to_owned());
            }
        }
        Ok(())
    }

    /// The stream's lines since the last look.
    async fn log(&mut self, arn: &str, lines: &mut Vec<String>) -> Result<(), Exit> {
        let Some((region, group, stream)) = place(arn) else { return Ok(()) };
        let token = self.logs.entry(arn.to_owned()).or_default();
        loop {
            let mut input = json!({"logGroupName": group, "logStreamName": stream, "startFromHead": true, "limit": LINES});
            if let Some(token) = token {
                input["nextToken"] = token.as_str().into();
            }
            // Group or stream may not exist yet, or be gone, or not be for these eyes: there is nothing to show then.
            let page = self.server.ask(&api::logs::SERVICE, Some(region), "GetLogEvents", input).await;
            let Ok(page) = page else { return Ok(()) };
            let events = page["events"].as_array().into_iter().flatten();
            lines.extend(events.map(|event| format!("    {}", text(&event["message"]).trim_end())));
            let next = page["nextForwardToken"].as_str().map(str::to_owned);
            // At the end the token stays what it was.
            if next.is_none() || next == *token {
                return Ok(());
            }
            *token = next;
        }
    }
}

/// Region, group and stream of `arn:aws:logs:REGION:ACCOUNT:log-group:GROUP:log-stream:STREAM`.
fn place(arn: &str) -> Option<(&str, &str, &str)> {
    let (region, rest) = arn.strip_prefix("arn:aws:logs:")?.split_once(':')?;
    let (_, rest) = rest.split_once(":log-group:")?;
    let (group, stream) = rest.split_once(":log-stream:")?;
    Some((region, group, stream))
}

fn shown(action: &Value, status: &str) -> String {
    let seconds = |name: &str| action[name].as_f64().unwrap_or_default();
    let took = seconds("lastUpdateTime") - seconds("startTime");
    let result = &action["output"]["executionResult"];
    let summary = [&result["errorDetails"]["message"], &result["externalExecutionSummary"]]
        .into_iter()
        .find_map(Value::as_str)
        .unwrap_or_default();
    let name = format!("{}/{}", text(&action["stageName"]), text(&action["actionName"]));
    format!("{name:<32} {status:<12} {took:>7.1} s  {}", summary.lines().next().unwrap_or_default())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
