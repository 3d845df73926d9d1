//! What starts pipelines from outside: repositories behind connections, seen by looking or delivered by webhooks, the
//! filters of triggers, and the webhooks of CodePipeline's first version.
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use e2e::{Client, Outcome, Server, eventually};
use serde_json::{Value, json};

/// Signs a body as GitHub does and delivers it: URL SECRET EVENT BODY. Prints status and answer.
const DELIVER: &str = r#"
import hashlib, hmac, sys, urllib.error, urllib.request
url, secret, event, body = sys.argv[1:5]
signature = "sha256=" + hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
headers = {"Content-Type": "application/json", "X-GitHub-Event": event, "X-Hub-Signature-256": signature}
try:
    answer = urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers), timeout=30)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode())
"#;

/// A provider with one repository, `me/app`, that a token opens.
struct Provider {
    server: Child,
    port: u16,
}

impl Provider {
    fn start(client: &Client) -> Self {
        client.sh("git init -q --bare repos/me/app.git && git init -q --initial-branch main app && cd app
            git config user.name T && git config user.email t@example.com && git remote add origin ../repos/me/app.git
            echo one >index.html && git add . && git commit -q -m One && git push -q origin main
            printf secret-token >../token");
        let root = client.folder().join("repos").display().to_string();
        let program = include_str!("triggers/git_server.py");
        let mut command = client.command("python3", &["-c", program, &root, "reader", "secret-token"]);
        let mut server = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { server, port: line.trim().parse().unwrap() }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// Changes a file and pushes; answers the commit before and the one that is.
fn push(client: &Client, file: &str, to: &str) -> (String, String) {
    let both = client.sh(&format!(
        "cd app && git rev-parse HEAD && mkdir -p $(dirname {file}) && date +%N >>{file} && git add . && git commit -q -m 'Changes {file}'
         git push -q origin HEAD:{to} && git rev-parse HEAD"
    ));
    let mut lines = both.lines().map(str::to_owned);
    (lines.next().unwrap(), lines.next().unwrap())
}

/// Completes a connection to the provider; answers its ARN, and its webhook's URL and secret.
fn connect(client: &Client, server: &Server, provider: &Provider) -> (String, String, String) {
    let made = client.aws("codeconnections create-connection --provider-type GitHub --connection-name git");
    let arn = made["ConnectionArn"].as_str().unwrap().to_owned();
    let status = |client: &Client| {
        let found = client.aws(&format!("codeconnections get-connection --connection-arn {arn}"));
        found["Connection"]["ConnectionStatus"].as_str().unwrap().to_owned()
    };
    assert_eq!(status(client), "PENDING");
    let (data, token) = (server.data().display().to_string(), client.folder().join("token"));
    let url = format!("http://127.0.0.1:{}", provider.port);
    let token = token.display().to_string();
    let said = server.longshore(&[
        "connect",
        &arn,
        "--data",
        &data,
        "--url",
        &url,
        "--username",
        "reader",
        "--token-file",
        &token,
    ]);
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success() && !out.contains("secret-token"), "{out}{err}");
    assert_eq!(status(client), "AVAILABLE");
    let shown = |name: &str| {
        let line = out.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {out}")).trim().to_owned()
    };
    (arn.clone(), shown("webhook url"), shown("webhook secret"))
}

fn action(category: &str, provider: &str, configuration: Value) -> Value {
    json!({
        "name": provider, "configuration": configuration,
        "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"},
    })
}

/// From the connection to a bucket, with these triggers.
fn create(client: &Client, connection: &str, detect: &str, triggers: Value) -> Value {
    client.role("p", "codepipeline.amazonaws.com", &["codeconnections:UseConnection", "s3:*"]);
    client.sh("aws s3 mb s3://artifacts && aws s3 mb s3://site");
    let source = json!({
        "ConnectionArn": connection, "FullRepositoryId": "me/app", "BranchName": "main", "DetectChanges": detect,
    });
    let deploy = action("Deploy", "S3", json!({"BucketName": "site", "Extract": "true"}));
    declare(client, source, deploy, triggers)
}

/// A pipeline from a connection to one action.
fn declare(client: &Client, source: Value, mut then: Value, triggers: Value) -> Value {
    let mut source = action("Source", "CodeStarSourceConnection", source);
    source["outputArtifacts"] = json!([{"name": "Code"}]);
    then["inputArtifacts"] = json!([{"name": "Code"}]);
    let pipeline = json!({
        "name": "p", "pipelineType": "V2", "executionMode": "QUEUED", "roleArn": "arn:aws:iam::000000000000:role/p",
        "artifactStore": {"type": "S3", "location": "artifacts"}, "triggers": triggers,
        "stages": [{"name": "Source", "actions": [source]}, {"name": "Then", "actions": [then]}],
    });
    client.aws_args(&["codepipeline", "create-pipeline", "--pipeline", &pipeline.to_string()])
}

/// The executions that there are, newest first: trigger, commit, status.
fn executions(client: &Client) -> Vec<[String; 3]> {
    let listed = client.boto3("codepipeline", "list_pipeline_executions", json!({"pipelineName": "p"}));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |run: &Value| {
        let commit = &run["sourceRevisions"][0]["revisionId"];
        [text(&run["trigger"]["triggerType"]), text(commit), text(&run["status"])]
    };
    let listed = listed.unwrap_or_else(|e| panic!("{e}"));
    listed["pipelineExecutionSummaries"].as_array().unwrap().iter().map(one).collect()
}

fn released(client: &Client, trigger: &str, commit: &str) {
    eventually(&format!("{trigger} releases {commit}"), || {
        let all = executions(client);
        assert!(all.iter().all(|[_, _, status]| status != "Failed"), "{all:?}");
        let wanted = [trigger, commit, "Succeeded"];
        all.iter().any(|run| *run == wanted).then_some(())
    });
}

fn deliver(client: &Client, url: &str, secret: &str, event: &str, body: &Value) -> Outcome {
    client.run("python3", &["-c", DELIVER, url, secret, event, &body.to_string()])
}

fn head(client: &Client) -> String {
    client.sh("git -C app rev-parse HEAD").trim().to_owned()
}

#[test]
fn a_push_elsewhere_is_seen_by_looking() {
    let mut server = Server::with_config("repository-poll-seconds: 1\n");
    let client = server.client();
    let provider = Provider::start(&client);
    let (arn, ..) = connect(&client, &server, &provider);
    create(&client, &arn, "true", json!([]));
    released(&client, "CreatePipeline", &head(&client));
    assert_eq!(client.sh("aws s3 cp s3://site/index.html -"), "one\n");

    let (_, second) = push(&client, "index.html", "main");
    released(&client, "WebhookV2", &second);
    // What changes while nobody looks is a change all the same, once.
    server.kill();
    let (_, third) = push(&client, "index.html", "main");
    server.up();
    released(&client, "WebhookV2", &third);
    let (_, fourth) = push(&client, "index.html", "main");
    released(&client, "WebhookV2", &fourth);
    let seen: Vec<String> = executions(&client).into_iter().map(|[_, commit, _]| commit).collect();
    let first = client.sh("git -C app rev-list --max-parents=0 HEAD").trim().to_owned();
    assert_eq!(seen, [fourth, third, second, first]);

    // The provider takes the token back: the next release says so, by the repository's name.
    drop(provider);
    client.aws("codepipeline start-pipeline-execution --name p");
    let failed = eventually("the source fails", || {
        let asked = json!({"pipelineName": "p"});
        let runs = client.boto3("codepipeline", "list_action_executions", asked).unwrap();
        runs["actionExecutionDetails"].as_array()?.iter().find(|run| run["status"] == "Failed").cloned()
    });
    let message = failed["output"]["executionResult"]["errorDetails"]["message"].to_string();
    assert!(message.contains("git") && !message.contains("secret-token"), "{message}");
}

#[test]
fn deliveries_are_proven_filtered_and_taken_once() {
    let mut server = Server::with_config("repository-poll-seconds: 86400\n");
    let client = server.client();
    let provider = Provider::start(&client);
    let (arn, url, secret) = connect(&client, &server, &provider);
    let filters = json!({"sourceActionName": "CodeStarSourceConnection", "push": [
        {"branches": {"includes": ["main", "feature/**"]}, "filePaths": {"includes": ["src/**"], "excludes": ["**/*.md"]}},
        {"tags": {"includes": ["v*"]}},
    ]});
    let triggers = json!([{"providerType": "CodeStarSourceConnection", "gitConfiguration": filters}]);
    create(&client, &arn, "false", triggers);
    let first = head(&client);
    released(&client, "CreatePipeline", &first);
    let body = |to: &str, (before, after): &(String, String)| json!({"ref": to, "before": before, "after": after, "repository": {"full_name": "me/app"}});
    let taken = |secret: &str, body: &Value| deliver(&client, &url, secret, "push", body).out;
    let branch = "refs/heads/main";

    let docs = push(&client, "docs/guide", branch);
    assert!(taken("forged", &body(branch, &docs)).starts_with("401 "));
    assert_eq!(taken(&secret, &body(branch, &docs)).trim(), "200 taken");
    let notes = push(&client, "src/notes.md", branch);
    assert_eq!(taken(&secret, &body(branch, &notes)).trim(), "200 taken");
    let code = push(&client, "src/code", branch);
    assert_eq!(taken(&secret, &body(branch, &code)).trim(), "200 taken");
    released(&client, "WebhookV2", &code.1);
    assert!(taken(&secret, &body(branch, &code)).contains("taken before"));

    // Tags by their own filter; what was delivered is kept, whatever happens to the server.
    let zero = || "0".repeat(40);
    client.sh("cd app && git tag x1 && git tag v1 && git push -q origin x1 v1");
    let tag = |name: &str, commit: &str| body(&format!("refs/tags/{name}"), &(zero(), commit.to_owned()));
    assert_eq!(taken(&secret, &tag("x1", &code.1)).trim(), "200 taken");
    assert_eq!(taken(&secret, &tag("v1", &code.1)).trim(), "200 taken");
    let feature = push(&client, "src/more", "refs/heads/main");
    assert_eq!(taken(&secret, &body(branch, &feature)).trim(), "200 taken");
    server.kill();
    server.up();
    released(&client, "WebhookV2", &feature.1);
    // In whichever order: the fetch of one may meet a git that the killed server left, and come again.
    let mut expected = [feature.1, code.1.clone(), code.1, first];
    expected.sort();
    let mut seen = eventually("src/code, the tag v1 on it, src/more", || {
        let seen: Vec<String> = executions(&client).into_iter().map(|[_, commit, _]| commit).collect();
        let known = seen.iter().all(|commit| !commit.is_empty());
        (seen.len() >= expected.len() && known).then_some(seen)
    });
    seen.sort();
    assert_eq!(seen, expected);
}

#[test]
fn a_webhook_of_a_pipeline_starts_it_once_for_each_delivery() {
    let mut server = Server::with_config("repository-poll-seconds: 86400\n");
    let client = server.client();
    let provider = Provider::start(&client);
    let (arn, ..) = connect(&client, &server, &provider);
    create(&client, &arn, "false", json!([]));
    released(&client, "CreatePipeline", &head(&client));
    let webhook = json!({
        "name": "hook", "targetPipeline": "p", "targetAction": "CodeStarSourceConnection",
        "filters": [{"jsonPath": "$.ref", "matchEquals": "refs/heads/{BranchName}"}],
        "authentication": "GITHUB_HMAC", "authenticationConfiguration": {"SecretToken": "shared-secret"},
    });
    let put = client.aws_args(&["codepipeline", "put-webhook", "--webhook", &webhook.to_string()]);
    let url = put["webhook"]["url"].as_str().unwrap().to_owned();
    let listed = client.aws("codepipeline list-webhooks").to_string();
    assert!(listed.contains(&url) && !listed.contains("shared-secret"), "{listed}");
    let status = |secret: &str, body: &Value| {
        let said = deliver(&client, &url, secret, "push", body).out;
        said.split(' ').next().unwrap_or_default().to_owned()
    };

    let (_, commit) = push(&client, "index.html", "main");
    let body = json!({"ref": "refs/heads/main", "after": commit});
    assert_eq!(status("forged", &body), "401");
    assert_eq!(status("shared-secret", &json!({"ref": "refs/heads/other", "after": commit})), "200");
    assert_eq!(executions(&client).len(), 1, "neither a forged delivery nor another branch starts it");
    assert_eq!(status("shared-secret", &body), "200");
    released(&client, "Webhook", &commit);
    server.kill();
    server.up();
    assert_eq!(status("shared-secret", &body), "200");
    assert_eq!(executions(&client).len(), 2, "it was taken before the server was killed");
    client.aws("codepipeline delete-webhook --name hook");
    assert_eq!(status("shared-secret", &body), "404");
}

/// What a build with a whole clone knows.
const CLONED: &str = "version: 0.2
phases:
  build:
    commands:
      - echo \"built $(git rev-parse HEAD) after $(git rev-list --count HEAD) commits\"
      - git log --format='logged %s' && cat .git/config
";

#[test]
fn a_build_clones_what_a_connection_reaches_as_its_own_role() {
    let server = Server::with_config("repository-poll-seconds: 86400\n");
    let client = server.client();
    let provider = Provider::start(&client);
    let (_, commit) = push(&client, "src/code", "main");
    let (arn, ..) = connect(&client, &server, &provider);
    let actions =
        ["codeconnections:UseConnection", "codebuild:StartBuild", "codebuild:BatchGetBuilds", "s3:*"];
    client.role("p", "codepipeline.amazonaws.com", &actions);
    let role = client.role("build", "codebuild.amazonaws.com", &["logs:*", "s3:GetObject*"]);
    client.sh("aws s3 mb s3://artifacts");
    let project = json!({
        "name": "project", "serviceRole": role,
        "source": {"type": "CODEPIPELINE", "buildspec": CLONED}, "artifacts": {"type": "CODEPIPELINE"},
        "environment": {"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL"},
    });
    client.aws_args(&["codebuild", "create-project", "--cli-input-json", &project.to_string()]);
    let source = json!({
        "ConnectionArn": arn, "FullRepositoryId": "me/app", "BranchName": "main", "DetectChanges": "false",
        "OutputArtifactFormat": "CODEBUILD_CLONE_REF",
    });
    declare(&client, source, action("Build", "CodeBuild", json!({"ProjectName": "project"})), json!([]));
    let ended = |count: usize| {
        eventually("the execution ends", || {
            let all = executions(&client);
            (all.len() == count && all[0][2] != "InProgress").then(|| all[0][2].clone())
        })
    };

    // The role of the pipeline may use the connection, that of the build may not.
    assert_eq!(ended(1), "Failed");
    let id = client.aws("codebuild list-builds")["ids"][0].as_str().unwrap().to_owned();
    let build = client.aws(&format!("codebuild batch-get-builds --ids {id}"))["builds"][0].clone();
    let phases = build["phases"].as_array().unwrap();
    let phase = phases.iter().find(|phase| phase["phaseType"] == "DOWNLOAD_SOURCE").unwrap();
    let context = &phase["contexts"][0];
    let denied = format!("not authorized to perform: codeconnections:UseConnection on resource: {arn}");
    assert_eq!(context["statusCode"], "ACCESS_DENIED", "{build:#}");
    assert!(context["message"].as_str().unwrap().contains(&denied), "{context}");

    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "codeconnections:UseConnection", "Resource": arn,
        "Condition": {"StringEquals": {"codeconnections:FullRepositoryId": "me/app"}},
    }]});
    let put =
        ["iam", "put-role-policy", "--role-name", "build", "--policy-name", "clone", "--policy-document"];
    client.aws_args(&[&put[..], &[&policy.to_string()]].concat());
    client.aws("codepipeline start-pipeline-execution --name p");
    let log = || {
        let group = ["logs", "filter-log-events", "--log-group-name", "/aws/codebuild/project"];
        client.aws_args(&group).to_string()
    };
    assert_eq!(ended(2), "Succeeded", "{}", log());
    let log = log();
    for said in [&*format!("built {commit} after 2 commits"), "logged Changes src/code", "logged One"] {
        assert!(log.contains(said), "{said}: {log}");
    }
    assert!(log.contains(&format!("url = http://127.0.0.1:{}/me/app.git", provider.port)), "{log}");
    for said in [log, server.log()] {
        assert!(!said.contains("secret-token"), "{said}");
    }
}
