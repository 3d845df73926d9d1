//! A pipeline as AWS exports it, with an action of every provider that needs no cluster.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use e2e::{Client, Server, eventually};
use serde_json::{Value, json};

const EXPORTED: &str = include_str!("actions/exported.json");
const NEXT: &str = include_str!("actions/next.json");
const BUILDSPEC: &str = "version: 0.2
env: {exported-variables: [SEEN], git-credential-helper: yes}
phases:
  build:
    commands:
      - SEEN=\"$COUNT of $(git rev-list --count HEAD)\"
      - git fetch -q origin && git push -q origin HEAD:refs/tags/built-$COUNT
      - cp $CODEBUILD_SRC_DIR_Page/page/index.html . && echo $SEEN >notes.txt
artifacts:
  secondary-artifacts:
    Site: {files: [index.html]}
    Notes: {files: [notes.txt]}
";

/// Everything that the pipelines name; answers the commit of the repository.
fn prepare(client: &Client) -> String {
    client.role(
        "pipeline",
        "codepipeline.amazonaws.com",
        &[
            "codebuild:StartBuild",
            "codebuild:BatchGetBuilds",
            "codecommit:Get*",
            "codecommit:UploadArchive",
            "codecommit:GitPull",
            "codepipeline:StartPipelineExecution",
            "ecr:*",
            "logs:*",
            "s3:*",
            "sns:Publish",
        ],
    );
    let build = ["codecommit:GitPull", "codecommit:GitPush", "logs:*", "s3:GetObject*", "s3:PutObject"];
    client.role("build", "codebuild.amazonaws.com", &build);
    client.sh("aws s3 mb s3://artifacts && aws s3 mb s3://site");
    client.aws("ecr create-repository --repository-name team/app");
    client.aws("codecommit create-repository --repository-name app");
    let project = json!({
        "name": "project", "serviceRole": "arn:aws:iam::000000000000:role/build",
        "source": {"type": "CODEPIPELINE", "buildspec": BUILDSPEC}, "artifacts": {"type": "CODEPIPELINE"},
        "environment": {"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL"},
    });
    client.aws_args(&["codebuild", "create-project", "--cli-input-json", &project.to_string()]);
    let commit = client.sh(
        "git init -q --initial-branch main app && cd app && git config user.name T && git config user.email t@example.com
         git commit -q --allow-empty -m First && mkdir image && printf 'FROM scratch\\nCOPY Dockerfile /\\n' >image/Dockerfile
         git add . && git commit -q -m Second
         git push -q $(aws codecommit get-repository --repository-name app --query repositoryMetadata.cloneUrlHttp --output text) main
         git rev-parse HEAD",
    );
    commit.trim().to_owned()
}

/// What the endpoint of the topic is sent.
fn notified(endpoint: &TcpListener) -> Value {
    let (stream, _) = endpoint.accept().unwrap();
    let mut reader = BufReader::new(stream);
    let mut size = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(length) = line.strip_prefix("content-length:") {
            size = length.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; size];
    reader.read_exact(&mut body).unwrap();
    reader.into_inner().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    serde_json::from_slice(&body).unwrap()
}

/// Waits for an execution's end, or for an action in it that waits for a person.
fn wait(client: &Client, pipeline: &str, done: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("{pipeline} comes that far"), || {
        let list = client.aws(&format!("codepipeline list-action-executions --pipeline-name {pipeline}"));
        let runs = list["actionExecutionDetails"].as_array()?.clone();
        let failed = runs.iter().find(|run| run["status"] == "Failed");
        assert!(failed.is_none(), "{:#}\n{}", failed.unwrap(), logs(client));
        runs.into_iter().find(|run| done(run))
    })
}

/// Everything that builds have said.
fn logs(client: &Client) -> String {
    client.run("bash", &["-c", "for g in $(aws logs describe-log-groups --query 'logGroups[].logGroupName' --output text); do aws logs filter-log-events --log-group-name $g --query 'events[].message' --output text; done"]).out
}

#[test]
fn an_exported_pipeline_runs_with_all_its_providers() {
    let endpoint = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/approvals", endpoint.local_addr().unwrap());
    let config = format!("sns-topics: {{'arn:aws:sns:us-east-1:000000000000:approvals': '{url}'}}\n");
    let server = Server::with_config(&config);
    let client = server.client();
    let commit = prepare(&client);
    client.aws_args(&["codepipeline", "create-pipeline", "--cli-input-json", NEXT]);
    let created = client.aws_args(&["codepipeline", "create-pipeline", "--cli-input-json", EXPORTED]);
    assert_eq!(
        (&created["pipeline"]["version"], &created["pipeline"]["executionMode"]),
        (&json!(1), &json!("QUEUED"))
    );

    let of =
        |name: &'static str| move |run: &Value| run["actionName"] == name && run["status"] == "Succeeded";
    let prepared = wait(&client, "exported", of("Prepare"));
    assert_eq!(prepared["output"]["outputVariables"]["COUNT"], "2");
    let published = wait(&client, "exported", of("Publish"));
    let built = wait(&client, "exported", of("Build"));
    assert_eq!(built["output"]["outputVariables"]["SEEN"], "2 of 2");
    let images = client.aws("ecr describe-images --repository-name team/app");
    let image = &images["imageDetails"][0];
    assert_eq!(image["imageDigest"], published["output"]["outputVariables"]["ECRImageDigestId"]);
    let mut tags: Vec<&str> =
        image["imageTags"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["latest", "v2"]);
    // The build pushed with its role's credentials: the clone is whole.
    let remote = "aws codecommit get-repository --repository-name app --query repositoryMetadata.cloneUrlHttp --output text";
    let refs = client.sh(&format!("git ls-remote --tags $({remote})"));
    assert!(refs.contains(&format!("{commit}\trefs/tags/built-2")), "{refs}");
    // The action's own builds are CodePipeline's.
    let builds = client.aws("codebuild list-builds");
    assert_eq!(builds["ids"].as_array().unwrap().len(), 1, "{builds}");
    let said = client.sh("aws logs filter-log-events --log-group-name /aws/codepipeline/exported --query 'events[].message' --output text");
    assert!(said.contains("Running command export COUNT="), "{said}");

    let told = notified(&endpoint);
    assert_eq!(told["Type"], "Notification");
    let message: Value = serde_json::from_str(told["Message"].as_str().unwrap()).unwrap();
    assert_eq!(message["approval"]["customData"], "Commits: 2 of 2");
    let token = message["approval"]["token"].as_str().unwrap();
    let result = "--result status=Approved,summary=fine";
    client.aws(&format!("codepipeline put-approval-result --pipeline-name exported --stage-name Approve --action-name Approve --token {token} {result}"));

    let invoked = wait(&client, "exported", of("Next"));
    assert_eq!(client.sh("aws s3 cp s3://site/v2/index.html -"), "Hello from main\n");
    let site = client.aws("s3api head-object --bucket site --key v2/index.html");
    assert_eq!((&site["CacheControl"], &site["ContentType"]), (&json!("max-age=60"), &json!("text/html")));
    let looking = wait(&client, "next", |run| run["actionName"] == "Look");
    assert_eq!(looking["pipelineExecutionId"], invoked["output"]["executionResult"]["externalExecutionId"]);
    assert_eq!(looking["input"]["resolvedConfiguration"]["CustomData"], image["imageDigest"]);
    let executions = client.aws("codepipeline list-pipeline-executions --pipeline-name next");
    let executions = executions["pipelineExecutionSummaries"].as_array().unwrap();
    assert_eq!(executions.len(), 1, "{executions:?}");
    assert_eq!(executions[0]["sourceRevisions"][0]["revisionId"], commit.as_str());
}
