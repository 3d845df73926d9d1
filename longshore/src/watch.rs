//! `longshore watch`: an execution, followed in the terminal through the public API.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::Watch;
use crate::client::Client;
use crate::env;
use crate::exit::Exit;

/// A public API has no wake for clients: this often it is asked.
const ASK: Duration = Duration::from_millis(500);
/// Log lines shown per look; the rest comes with the next.
const LINES: u32 = 1000;

/// Follows the latest execution to its end.
pub async fn run(options: &Watch) -> Result<ExitCode, Exit> {
    let client = Client::new(env::Client::load(&options.data))?;
    let mut view =
        View { client, pipeline: options.pipeline.clone(), shown: HashMap::new(), logs: BTreeMap::new() };
    let id = view.latest().await?;
    println!("{} {id}", options.pipeline);
    let mut waiting = Vec::new();
    loop {
        let execution = view
            .call(
                "GetPipelineExecution",
                json!({"pipelineName": options.pipeline, "pipelineExecutionId": id}),
            )
            .await?;
        view.actions(&id).await?;
        let status = text(&execution["pipelineExecution"]["status"]).to_owned();
        let summary = text(&execution["pipelineExecution"]["statusSummary"]);
        if !matches!(status.as_str(), "InProgress" | "Stopping") {
            println!("{status} {summary}");
            return Ok(if options.exit_status && status != "Succeeded" {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            });
        }
        let waits = view.waits(&id).await?;
        waits.iter().filter(|wait| !waiting.contains(*wait)).for_each(|wait| println!("  {wait}"));
        waiting = waits;
        tokio::time::sleep(ASK).await;
    }
}

struct View {
    client: Client,
    pipeline: String,
    /// Status last shown, by action execution.
    shown: HashMap<String, String>,
    /// Where the log of each build has been read to, by build id.
    logs: BTreeMap<String, Option<String>>,
}

impl View {
    async fn call(&self, operation: &str, input: Value) -> Result<Value, Exit> {
        self.client.call(&api::codepipeline::SERVICE, operation, input).await
    }

    async fn latest(&self) -> Result<String, Exit> {
        let list = self
            .call("ListPipelineExecutions", json!({"pipelineName": self.pipeline, "maxResults": 1}))
            .await?;
        let id = list["pipelineExecutionSummaries"][0]["pipelineExecutionId"].as_str();
        id.map(str::to_owned).ok_or_else(|| Exit::failed(format!("{} has no execution yet", self.pipeline)))
    }

    /// Why it waits, in sentences: a lock, a transition, an approval, the action that runs.
    async fn waits(&self, id: &str) -> Result<Vec<String>, Exit> {
        let input = json!({"name": self.pipeline, "pipelineExecutionId": id});
        let answer = self.client.call(&api::longshore::SERVICE, "GetPipelineWaits", input).await?;
        let waits = answer["waits"].as_array().into_iter().flatten();
        let sentence = |wait: &Value| match wait["thenEnds"].as_str() {
            Some(ending) => format!("{ending}; {}", text(&wait["message"])),
            None => text(&wait["message"]).to_owned(),
        };
        Ok(waits.map(sentence).collect())
    }

    /// Shows what has changed since the last look, oldest first, and the new log lines of builds.
    async fn actions(&mut self, id: &str) -> Result<(), Exit> {
        let list = self
            .call(
                "ListActionExecutions",
                json!({"pipelineName": self.pipeline, "filter": {"pipelineExecutionId": id}}),
            )
            .await?;
        let actions = list["actionExecutionDetails"].as_array().cloned().unwrap_or_default();
        for action in actions.iter().rev() {
            let build = text(&action["output"]["executionResult"]["externalExecutionId"]);
            if text(&action["input"]["actionTypeId"]["provider"]) == "CodeBuild" && !build.is_empty() {
                self.log(build).await?;
            }
            let (key, status) =
                (text(&action["actionExecutionId"]).to_owned(), text(&action["status"]).to_owned());
            if self.shown.get(&key) != Some(&status) {
                show(action, &status);
                self.shown.insert(key, status);
            }
        }
        Ok(())
    }

    async fn log(&mut self, build: &str) -> Result<(), Exit> {
        let (Some((project, stream)), token) =
            (build.split_once(':'), self.logs.get(build).cloned().flatten())
        else {
            return Ok(());
        };
        let mut input = json!({"logGroupName": format!("/aws/codebuild/{project}"), "logStreamName": stream, "startFromHead": true, "limit": LINES});
        if let Some(token) = &token {
            input["nextToken"] = token.as_str().into();
        }
        // The group or stream may not exist yet, or the project logs elsewhere: there is nothing to show then.
        let Ok(page) = self.client.call(&api::logs::SERVICE, "GetLogEvents", input).await else {
            return Ok(());
        };
        for event in page["events"].as_array().into_iter().flatten() {
            println!("    {}", text(&event["message"]).trim_end());
        }
        self.logs.insert(build.to_owned(), page["nextForwardToken"].as_str().map(str::to_owned));
        Ok(())
    }
}

fn show(action: &Value, status: &str) {
    let seconds = |name: &str| action[name].as_f64().unwrap_or_default();
    let took = seconds("lastUpdateTime") - seconds("startTime");
    let result = &action["output"]["executionResult"];
    let summary = [&result["errorDetails"]["message"], &result["externalExecutionSummary"]]
        .into_iter()
        .find_map(Value::as_str)
        .unwrap_or_default();
    let name = format!("{}/{}", text(&action["stageName"]), text(&action["actionName"]));
    println!("{name:<32} {status:<12} {took:>7.1} s  {}", summary.lines().next().unwrap_or_default());
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
