//! Conditions that ask the world: commands in a build, and a CloudWatch alarm.
use e2e::{Client, Server, eventually};
use serde_json::{Value, json};

fn prepare(client: &Client) {
    client.role("p", "codepipeline.amazonaws.com", &["s3:*", "logs:*", "cloudwatch:DescribeAlarms"]);
    client.sh("for b in artifacts source site; do aws s3 mb s3://$b; done
        aws s3api put-bucket-versioning --bucket source --versioning-configuration Status=Enabled
        aws cloudwatch put-metric-alarm --alarm-name errors --namespace App --metric-name Errors --statistic Sum \
            --period 60 --evaluation-periods 1 --threshold 1 --comparison-operator GreaterThanThreshold");
    alarm(client, "OK");
}

fn alarm(client: &Client, state: &str) {
    let set = ["cloudwatch", "set-alarm-state", "--alarm-name", "errors", "--state-reason", "test"];
    client.aws_args(&[&set[..], &["--state-value", state]].concat());
}

/// Puts a new revision of the source, a page with this text.
fn put(client: &Client, text: &str) {
    client.sh(&format!(
        "echo '{text}' >index.html && rm -f app.zip && python3 -m zipfile -c app.zip index.html
         aws s3api put-object --bucket source --key app.zip --body app.zip >/dev/null"
    ));
}

fn pipeline() -> Value {
    let action = |category: &str, provider: &str, configuration: Value| {
        json!({
            "name": provider, "configuration": configuration,
            "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"},
        })
    };
    let mut source = action("Source", "S3", json!({"S3Bucket": "source", "S3ObjectKey": "app.zip"}));
    source["outputArtifacts"] = json!([{"name": "Code"}]);
    let mut deploy = action("Deploy", "S3", json!({"BucketName": "site", "Extract": "true"}));
    deploy["inputArtifacts"] = json!([{"name": "Code"}]);
    let rule = |provider: &str| json!({"name": provider, "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": provider, "version": "1"}});
    let mut commands = rule("Commands");
    commands["commands"] = json!(["ls", "grep -q ready index.html"]);
    commands["inputArtifacts"] = json!([{"name": "Code"}]);
    let mut alarm = rule("CloudWatchAlarm");
    alarm["configuration"] = json!({"AlarmName": "errors"});
    let condition = |rule: &Value| json!({"conditions": [{"result": "FAIL", "rules": [rule]}]});
    json!({
        "name": "p", "pipelineType": "V2", "roleArn": "arn:aws:iam::000000000000:role/p",
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [{"name": "Source", "actions": [source]}, {
            "name": "Deploy", "actions": [deploy], "beforeEntry": condition(&commands), "onSuccess": condition(&alarm),
        }],
    })
}

/// Status and summary of the `number`th execution, once it has ended.
fn end(client: &Client, number: usize) -> (String, String) {
    eventually(&format!("execution {number} ends"), || {
        let listed =
            client.boto3("codepipeline", "list_pipeline_executions", json!({"pipelineName": "p"})).unwrap();
        let all = listed["pipelineExecutionSummaries"].as_array()?.clone();
        let newest = (all.len() == number).then(|| all[0].clone())?;
        let text = |name: &str| newest[name].as_str().unwrap_or_default().to_owned();
        (text("status") != "InProgress").then(|| (text("status"), text("statusSummary")))
    })
}

#[test]
fn commands_let_a_release_in_and_an_alarm_stops_it() {
    let server = Server::start();
    let client = server.client();
    prepare(&client);
    put(&client, "ready");
    client.aws_args(&["codepipeline", "create-pipeline", "--pipeline", &pipeline().to_string()]);
    assert_eq!(end(&client, 1).0, "Succeeded");
    assert_eq!(client.sh("aws s3 cp s3://site/index.html -"), "ready\n");

    put(&client, "not yet");
    let (status, summary) = end(&client, 2);
    assert_eq!(status, "Failed");
    assert!(
        summary.contains("beforeEntry condition of stage 'Deploy'") && summary.contains("grep"),
        "{summary}"
    );
    assert_eq!(client.sh("aws s3 cp s3://site/index.html -"), "ready\n", "it did not come in");

    alarm(&client, "ALARM");
    put(&client, "ready again");
    let (status, summary) = end(&client, 3);
    assert_eq!(status, "Failed");
    assert!(summary.contains("The alarm 'errors' is in state ALARM: test"), "{summary}");
    assert_eq!(
        client.sh("aws s3 cp s3://site/index.html -"),
        "ready again\n",
        "the stage itself had succeeded"
    );
}
