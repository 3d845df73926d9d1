//! EventBridge's rules: what they start, and whom they tell.
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use e2e::{Client, Server, eventually};
use serde_json::{Value, json};

const PIPELINE: &str = "arn:aws:codepipeline:us-east-1:000000000000:told";
const GROUP: &str = "arn:aws:logs:us-east-1:000000000000:log-group:dead";

/// A pipeline `told` from a repository `told`, which only a rule starts.
fn pipeline(client: &Client) {
    let role = client.admin("told", "codepipeline.amazonaws.com");
    client.aws("s3api create-bucket --bucket told-artifacts");
    client.aws("codecommit create-repository --repository-name told");
    let id = |category: &str, provider: &str| json!({"category": category, "owner": "AWS", "provider": provider, "version": "1"});
    let source = json!({"name": "Get", "actionTypeId": id("Source", "CodeCommit"), "outputArtifacts": [{"name": "App"}],
        "configuration": {"RepositoryName": "told", "BranchName": "main", "PollForSourceChanges": "false"}});
    let ask = json!({"name": "Ask", "actionTypeId": id("Approval", "Manual")});
    let pipeline = json!({"name": "told", "roleArn": role, "artifactStore": {"type": "S3", "location": "told-artifacts"},
        "stages": [{"name": "Source", "actions": [source]}, {"name": "Check", "actions": [ask]}]});
    client.aws_args(&["codepipeline", "create-pipeline", "--pipeline", &pipeline.to_string()]);
    // The first run that every new pipeline makes fails for want of a branch.
    eventually("the first execution's end", || {
        (executions(client).first()?["status"] == "Failed").then_some(())
    });
}

fn executions(client: &Client) -> Vec<Value> {
    let listed = client.aws("codepipeline list-pipeline-executions --pipeline-name told");
    listed["pipelineExecutionSummaries"].as_array().cloned().unwrap_or_default()
}

fn push(client: &Client, name: &str) {
    std::fs::write(client.folder().join("file"), name).unwrap();
    let parent =
        client.try_aws(&["codecommit", "get-branch", "--repository-name", "told", "--branch-name", "main"]);
    let parent: Option<Value> = serde_json::from_str(&parent.out).ok();
    let parent = parent.and_then(|told| Some(told["branch"]["commitId"].as_str()?.to_owned()));
    let put = format!(
        "codecommit put-file --repository-name told --branch-name main --file-path {name} --file-content fileb://file"
    );
    let parent = parent.map(|id| format!(" --parent-commit-id {id}")).unwrap_or_default();
    client.aws(&format!("{put}{parent}"));
}

/// The rule of AWS's tutorial for a pipeline whose source is CodeCommit.
#[test]
fn a_rule_on_codecommit_starts_the_pipeline_and_without_one_nothing_does() {
    let server = Server::start();
    let client = server.client();
    pipeline(&client);
    push(&client, "unheard");
    // A rule is put behind the push: what it then hears of is only what comes behind it.
    let pattern = json!({
        "source": ["aws.codecommit"],
        "detail-type": ["CodeCommit Repository State Change"],
        "resources": ["arn:aws:codecommit:us-east-1:000000000000:told"],
        "detail": {"event": ["referenceCreated", "referenceUpdated"], "referenceType": ["branch"], "referenceName": ["main"]},
    });
    let pattern = pattern.to_string();
    let starter = client.admin("starter", "events.amazonaws.com");
    let put = ["events", "put-rule", "--name", "told", "--event-pattern", &pattern, "--role-arn", &starter];
    client.aws_args(&put);
    let targets = json!([{"Id": "codepipeline-told", "Arn": PIPELINE, "RoleArn": starter}]).to_string();
    let told = client.aws_args(&["events", "put-targets", "--rule", "told", "--targets", &targets]);
    assert_eq!(told["FailedEntryCount"], 0);
    push(&client, "heard");
    let started = eventually("the execution that the rule starts", || {
        executions(&client).into_iter().find(|run| run["trigger"]["triggerType"] == "CloudWatchEvent")
    });
    let detail = started["trigger"]["triggerDetail"].as_str().unwrap_or_default();
    assert_eq!(detail, "arn:aws:events:us-east-1:000000000000:rule/told");
    assert_eq!(
        executions(&client).len(),
        2,
        "the first, and the rule's: the push before the rule started nothing"
    );
}

/// An HTTP server that answers with a status, and keeps what it was sent.
struct Endpoint {
    url: String,
    status: Arc<Mutex<u16>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    fn new(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/told", listener.local_addr().unwrap());
        let (status, heard) = (Arc::new(Mutex::new(status)), Arc::<Mutex<Vec<String>>>::default());
        let (says, hears) = (status.clone(), heard.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, mut sent, mut part) = (stream.unwrap(), Vec::new(), [0; 4096]);
                while !whole(&sent) {
                    match stream.read(&mut part) {
                        Ok(count) if count > 0 => sent.extend_from_slice(&part[..count]),
                        _ => break,
                    }
                }
                hears.lock().unwrap().push(String::from_utf8_lossy(&sent).into_owned());
                let status = *says.lock().unwrap();
                let _ = write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
            }
        });
        Self { url, status, heard }
    }

    fn say(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    /// What came with this state in its detail.
    fn told(&self, state: &str) -> Vec<String> {
        let state = format!(r#""state":"{state}""#);
        self.heard.lock().unwrap().iter().filter(|sent| sent.contains(&state)).cloned().collect()
    }
}

/// Whether head and body of a request have come.
fn whole(sent: &[u8]) -> bool {
    let text = String::from_utf8_lossy(sent).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn delivery(sent: &str) -> &str {
    sent.lines().find_map(|line| line.strip_prefix("x-longshore-delivery-id: ")).unwrap_or_default()
}

/// A rule `states` for one state of the pipeline, with the endpoint as its target.
fn tell(client: &Client, endpoint: &Endpoint, state: &str, more: &Value) {
    let pattern = json!({"detail-type": ["CodePipeline Pipeline Execution State Change"], "detail": {"state": [state]}});
    let pattern = pattern.to_string();
    client.aws_args(&["events", "put-rule", "--name", state, "--event-pattern", &pattern]);
    let auth = json!({"ApiKeyAuthParameters": {"ApiKeyName": "x-api-key", "ApiKeyValue": "open sesame"}})
        .to_string();
    let made = client.aws_args(&[
        "events",
        "create-connection",
        "--name",
        state,
        "--authorization-type",
        "API_KEY",
        "--auth-parameters",
        &auth,
    ]);
    let connection = made["ConnectionArn"].as_str().unwrap();
    let shown = client.aws(&format!("events describe-connection --name {state}"));
    assert!(!shown.to_string().contains("sesame"), "{shown}");
    // In one document: version 1 of the CLI would fetch a parameter that is a URL.
    let destination = json!({
        "Name": state, "HttpMethod": "POST", "ConnectionArn": connection, "InvocationEndpoint": endpoint.url,
    });
    let made =
        client.aws_args(&["events", "create-api-destination", "--cli-input-json", &destination.to_string()]);
    let caller = client.admin(&format!("caller-{state}"), "events.amazonaws.com");
    let mut target = json!({"Id": "1", "Arn": made["ApiDestinationArn"], "RoleArn": caller});
    target.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let targets = json!([target]).to_string();
    client.aws_args(&["events", "put-targets", "--rule", state, "--targets", &targets]);
}

#[test]
fn an_endpoint_is_told_of_executions_across_outages_and_kills() {
    let mut server = Server::start();
    let client = server.client();
    client.aws("logs create-log-group --log-group-name dead");
    let endpoint = Endpoint::new(503);
    tell(&client, &endpoint, "STARTED", &json!({}));
    let letters = json!({"DeadLetterConfig": {"Arn": GROUP}, "RetryPolicy": {"MaximumRetryAttempts": 1}});
    tell(&client, &endpoint, "FAILED", &letters);
    pipeline(&client);

    // It is down, and stays so until the event of the failure is given up and lies in the log group.
    let letter = eventually("the dead letter", || {
        let found = client.aws("logs filter-log-events --log-group-name dead");
        let message = found["events"][0]["message"].as_str()?.to_owned();
        serde_json::from_str::<Value>(&message).ok()
    });
    assert_eq!(letter["EXHAUSTED_RETRY_CONDITION"], "MaximumRetryAttempts");
    assert_eq!(letter["event"]["detail"]["state"], "FAILED");
    assert_eq!(endpoint.told("FAILED").len(), 2);

    // That it started is still to be told, after a kill too.
    server.kill();
    let before = endpoint.told("STARTED");
    assert!(
        !before.is_empty() && before.iter().all(|sent| sent.contains("x-api-key: open sesame")),
        "{before:?}"
    );
    endpoint.say(200);
    server.up();
    let told = eventually("the event after the kill", || {
        let told = endpoint.told("STARTED");
        (told.len() > before.len()).then_some(told)
    });
    let first = delivery(&told[0]);
    assert!(!first.is_empty() && told.iter().all(|sent| delivery(sent) == first), "{told:?}");
}

#[test]
fn a_rule_builds_a_project_as_its_role_may() {
    let server = Server::start();
    let client = server.client();
    client.aws("logs create-log-group --log-group-name dead");
    let project = json!({
        "name": "told", "serviceRole": client.admin("build", "codebuild.amazonaws.com"),
        "artifacts": {"type": "NO_ARTIFACTS"},
        "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases: {build: {commands: [\"test $GO = 7\"]}}"},
        "environment": {"type": "LINUX_CONTAINER", "image": "longshore/test-base:1", "computeType": "BUILD_GENERAL1_SMALL"},
    });
    client.aws_args(&["codebuild", "create-project", "--cli-input-json", &project.to_string()]);
    let pattern = json!({"source": ["test.told"]}).to_string();
    client.aws_args(&["events", "put-rule", "--name", "builds", "--event-pattern", &pattern]);
    let input = json!({"environmentVariablesOverride": [{"name": "GO", "value": "7", "type": "PLAINTEXT"}]});
    let target = |name: &str, action: &str| {
        json!({"Id": name, "Arn": "arn:aws:codebuild:us-east-1:000000000000:project/told",
            "RoleArn": client.role(name, "events.amazonaws.com", &[action]),
            "Input": input.to_string(), "DeadLetterConfig": {"Arn": GROUP}})
    };
    let targets = json!([target("may", "codebuild:StartBuild"), target("may-not", "codebuild:ListBuilds")]);
    client.aws_args(&["events", "put-targets", "--rule", "builds", "--targets", &targets.to_string()]);
    let event = json!([{"Source": "test.told", "DetailType": "Told", "Detail": "{}"}]).to_string();
    client.aws_args(&["events", "put-events", "--entries", &event]);

    let letter = eventually("the dead letter", || {
        let found = client.aws("logs filter-log-events --log-group-name dead");
        Some(found["events"][0]["message"].as_str()?.to_owned())
    });
    let denied = "assumed-role/may-not/";
    assert!(letter.contains(denied) && letter.contains("codebuild:StartBuild"), "{letter}");
    let ended = eventually("the build's end", || {
        let ids = client.aws("codebuild list-builds-for-project --project-name told")["ids"].clone();
        let id = ids[0].as_str()?.to_owned();
        let build = client.aws(&format!("codebuild batch-get-builds --ids {id}"))["builds"][0].clone();
        Some(build).filter(|build| build["buildComplete"] == true)
    });
    assert_eq!(ended["buildStatus"], "SUCCEEDED", "{ended}");
    assert!(ended["initiator"].as_str().unwrap().starts_with("may/"), "{ended}");
    let ids = client.aws("codebuild list-builds-for-project --project-name told")["ids"].clone();
    assert_eq!(ids.as_array().unwrap().len(), 1, "the other role's is not there: {ids}");
}
