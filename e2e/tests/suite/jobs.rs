//! Custom actions whose jobs are done by workers that speak as the public ones do: CodePipeline's Jenkins plugin, and
//! AWS's sample worker.
use serde_json::{Value, json};

use e2e::{Client, Server, eventually};

fn create_type(client: &Client, provider: &str, category: &str, properties: Value) {
    let asked = json!({
        "category": category, "provider": provider, "version": "1",
        "settings": {"executionUrlTemplate": "https://ci.example.com/{ExternalExecutionId}"},
        "configurationProperties": properties,
        "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 5},
        "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 5},
    });
    client.aws_args(&["codepipeline", "create-custom-action-type", "--cli-input-json", &asked.to_string()]);
}

fn create_types(client: &Client) {
    let jenkins = json!([
        {"name": "ProjectName", "required": true, "key": true, "secret": false, "queryable": true},
        {"name": "Token", "required": true, "key": false, "secret": true},
    ]);
    create_type(client, "Jenkins", "Build", jenkins);
    create_type(client, "Load", "Test", json!([]));
    let watch = json!({
        "id": {"category": "Test", "owner": "ThirdParty", "provider": "Watch", "version": "1"},
        "executor": {"type": "JobWorker", "configuration": {"jobWorkerExecutorConfiguration": {}}},
        "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 1},
        "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 0},
        "properties": [{"name": "ClientToken", "optional": false, "key": false, "noEcho": true}],
    });
    client.aws_args(&["codepipeline", "update-action-type", "--action-type", &watch.to_string()]);
}

fn action(owner: &str, category: &str, provider: &str, configuration: Value, artifacts: [&str; 2]) -> Value {
    let list = |name: &str| if name.is_empty() { json!([]) } else { json!([{"name": name}]) };
    json!({
        "name": provider, "configuration": configuration,
        "actionTypeId": {"owner": owner, "category": category, "provider": provider, "version": "1"},
        "inputArtifacts": list(artifacts[0]), "outputArtifacts": list(artifacts[1]),
    })
}

fn create_pipeline(client: &Client, role: &str) {
    let source = json!({"S3Bucket": "inbox", "S3ObjectKey": "app.zip", "PollForSourceChanges": "false"});
    let stages = [
        ("Source", action("AWS", "Source", "S3", source, ["", "App"])),
        (
            "Build",
            action(
                "Custom",
                "Build",
                "Jenkins",
                json!({"ProjectName": "app", "Token": "hush"}),
                ["App", "Built"],
            ),
        ),
        ("Test", action("Custom", "Test", "Load", json!({}), ["Built", ""])),
        ("Watch", action("ThirdParty", "Test", "Watch", json!({"ClientToken": "both-know"}), ["Built", ""])),
    ];
    let stage = |(name, action): &(&str, Value)| json!({"name": name, "actions": [action]});
    let pipeline = json!({
        "name": "custom", "roleArn": role, "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": stages.iter().map(stage).collect::<Vec<_>>(),
    });
    client.aws_args(&["codepipeline", "create-pipeline", "--pipeline", &pipeline.to_string()]);
}

/// Polls with a step of the worker until it has done something.
fn work(client: &Client, step: &str) -> String {
    eventually(step, || Some(client.sh(&format!("python worker.py {step}"))).filter(|said| !said.is_empty()))
}

#[test]
fn job_workers_carry_custom_actions_through() {
    let mut server = Server::start();
    let client = server.client();
    std::fs::write(client.folder().join("worker.py"), include_str!("jobs/worker.py")).unwrap();
    client.sh("printf hello >hello.txt && python -m zipfile -c app.zip hello.txt");
    client.aws("s3 mb s3://artifacts");
    client.aws("s3 mb s3://inbox");
    client.aws("s3api put-bucket-versioning --bucket inbox --versioning-configuration Status=Enabled");
    client.aws("s3 cp app.zip s3://inbox/app.zip");
    create_types(&client);
    let refused = client.aws_error(
        "codepipeline poll-for-jobs --action-type-id category=Build,owner=AWS,provider=CodeBuild,version=1",
    );
    assert!(refused.contains("ActionTypeNotFoundException"), "{refused}");
    create_pipeline(&client, &client.role("pipeline", "codepipeline.amazonaws.com", &["s3:*"]));

    let job = work(&client, "jenkins_poll");
    std::fs::write(client.folder().join("job.json"), job).unwrap();
    // Between acknowledging and the result the server may be gone: the job is the worker's all the same.
    server.kill();
    server.up();
    client.sh("python worker.py jenkins_build");
    let shown = client.aws("codepipeline get-pipeline --name custom").to_string();
    assert!(shown.contains("****") && !shown.contains("hush"), "{shown}");

    assert_eq!(work(&client, "sample_poll"), "half\n");
    let state = client.aws("codepipeline get-pipeline-state --name custom");
    assert_eq!(state["stageStates"][2]["actionStates"][0]["latestExecution"]["percentComplete"], 50);
    server.kill();
    server.up();
    assert_eq!(work(&client, "sample_poll"), "done\n");
    work(&client, "partner_poll");

    let runs = client.aws("codepipeline list-action-executions --pipeline-name custom");
    let line = |run: &Value| {
        let result = &run["output"]["executionResult"];
        let said = result["externalExecutionSummary"].as_str().or(result["errorDetails"]["message"].as_str());
        let name = run["actionName"].as_str().unwrap_or_default();
        let link = result["externalExecutionUrl"].as_str().unwrap_or_default();
        format!("{name} {} {} {link}", run["status"].as_str().unwrap_or_default(), said.unwrap_or_default())
    };
    let lines: Vec<String> = runs["actionExecutionDetails"].as_array().unwrap().iter().map(line).collect();
    let expected = [
        "Watch Failed too slow ",
        "Load Succeeded fast enough https://ci.example.com/load-1",
        "Jenkins Succeeded Finished https://ci.example.com/7",
    ];
    assert_eq!(lines[..3], expected);
}
