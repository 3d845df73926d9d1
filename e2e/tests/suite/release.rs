//! The release of the sample: pushed, rolled, failed, denied, closed off, and killed on the way.
use std::fs;

use e2e::eventually;
use e2e::release::{APP, Release, Visitor};
use serde_json::json;

/// What a visitor saw that was no page.
fn failures(visits: &[String]) -> Vec<&String> {
    visits.iter().filter(|line| !line.starts_with("200 ")).collect()
}

fn succeeds(release: &Release, commit: &str) -> String {
    let execution = release.execution_of(commit);
    let end = release.end_of(&execution);
    assert_eq!(end, "Succeeded", "{}", release.explain(&execution));
    execution
}

/// Retries what failed in the build stage; the execution must end well.
fn retry_succeeds(release: &Release, execution: &str) {
    release.client.aws(&format!("codepipeline retry-stage-execution --pipeline-name {APP} --stage-name Build --pipeline-execution-id {execution} --retry-mode FAILED_ACTIONS"));
    eventually("the retry ends well", || match release.status(execution).as_str() {
        "Succeeded" => Some(()),
        "Failed" => panic!("{}", release.explain(execution)),
        _ => None,
    });
}

fn change_greeting(release: &Release, greeting: &str) {
    let path = release.clone.join("src/main/java/com/example/harbour/GreetingController.java");
    let text = fs::read_to_string(&path).unwrap();
    let changed = text.replace("Hello from the harbour", greeting);
    assert_ne!(text, changed);
    fs::write(path, changed).unwrap();
}

#[test]
fn a_push_becomes_a_served_page_and_the_next_rolls_without_a_failed_request() {
    let release = Release::deploy();
    let first = release.push("First");
    let execution = succeeds(&release, &first);
    release.served(&first);
    let client = &release.client;
    let names = client.aws("codepipeline list-pipelines");
    assert_eq!(names["pipelines"][0]["name"], APP);
    let state = client.aws(&format!("codepipeline get-pipeline-state --name {APP}"));
    let stages = state["stageStates"].as_array().unwrap();
    assert!(
        stages.len() == 3 && stages.iter().all(|s| s["latestExecution"]["status"] == "Succeeded"),
        "{state}"
    );
    assert!(
        stages.iter().all(|s| s["latestExecution"]["pipelineExecutionId"] == execution.as_str()),
        "{state}"
    );

    let visitor = Visitor::start(&release);
    change_greeting(&release, "Good morning from the harbour");
    let second = release.push("Second");
    succeeds(&release, &second);
    release.served(&second);
    let settled = visitor.next(20);
    assert!(settled.iter().all(|line| line.contains(&second[..12])), "{settled:?}");
    let visits = visitor.stop();
    assert_eq!(failures(&visits), Vec::<&String>::new(), "of {} requests", visits.len());
    assert!(visits.iter().any(|line| line.contains(&first[..12])), "it saw the first one too");

    // The two other commands of the pipeline's CLI: a start by hand, and its stop.
    let started = client.aws(&format!("codepipeline start-pipeline-execution --name {APP}"));
    let id = started["pipelineExecutionId"].as_str().unwrap();
    client.aws(&format!("codepipeline stop-pipeline-execution --pipeline-name {APP} --pipeline-execution-id {id} --abandon --reason enough"));
    assert_eq!(release.end_of(id), "Stopped");
}

#[test]
fn killed_during_build_and_rollout_the_same_execution_ends_and_no_request_fails() {
    let mut release = Release::deploy();
    eventually("the first image is served", || Some(()).filter(|()| !release.page().is_empty()));
    let visitor = Visitor::start(&release);
    let commit = release.push("First");
    let execution = release.execution_of(&commit);
    let build = release.action(&execution, "Build", "InProgress");
    eventually("Maven runs", || {
        let asked = json!({"logGroupName": "/aws/codebuild/harbour"});
        let log = release.client.boto3("logs", "filter_log_events", asked).ok()?.to_string();
        log.contains("Running command mvn").then_some(())
    });
    let before = release.server.containers();
    release.server.kill();
    release.server.up();
    let after = release.server.containers();
    assert!(before.iter().all(|id| after.contains(id)), "what ran was adopted, not started anew");

    release.action(&execution, "Deploy", "InProgress");
    let new = eventually("the rollout has started a task", || {
        let tasks = release
            .client
            .aws(&format!("ecs list-tasks --cluster {APP} --started-by {}", deployment(&release)?));
        tasks["taskArns"][0].as_str().map(str::to_owned)
    });
    release.server.kill();
    release.server.up();
    let end = release.end_of(&execution);
    assert_eq!(end, "Succeeded", "{}", release.explain(&execution));
    release.served(&commit);
    let task = release.client.aws(&format!("ecs describe-tasks --cluster {APP} --tasks {new}"));
    assert_eq!(task["tasks"][0]["lastStatus"], "RUNNING", "it was adopted: {task}");
    let after = release.action(&execution, "Build", "Succeeded");
    assert_eq!(after["actionExecutionId"], build["actionExecutionId"]);
    let builds = release.client.aws(&format!("codebuild list-builds-for-project --project-name {APP}"));
    assert_eq!(builds["ids"].as_array().unwrap().len(), 1, "the build ran once: {builds}");

    let visits = visitor.so_far();
    assert_eq!(
        failures(&visits),
        Vec::<&String>::new(),
        "the kills of the control plane, of {} requests",
        visits.len()
    );
    assert!(visits.iter().any(|line| line.contains(&commit[..12])));
    let spared = visits.len();
    release.server.kill_edge();
    eventually("the edge is back", || Some(()).filter(|()| release.page().contains(&commit[..12])));
    let visits = visitor.stop();
    // Whoever asks while no edge lives is refused; before and after that, nobody is.
    let failed = failures(&visits);
    assert!(
        failed.iter().all(|line| line.contains("Refused")
            || line.contains("Reset")
            || line.contains("RemoteDisconnected")
            || line.starts_with("DNS")),
        "{failed:?}"
    );
    assert!(
        visits[spared..].iter().any(|line| line.contains(&commit[..12])),
        "the edge that is back serves the page"
    );
}

/// The newest deployment's id, once it is not the first image's.
fn deployment(release: &Release) -> Option<String> {
    let services = release.client.aws(&format!("ecs describe-services --cluster {APP} --services {APP}"));
    let primary = &services["services"][0]["deployments"][0];
    let first = primary["taskDefinition"].as_str()?.ends_with(":1");
    primary["id"].as_str().filter(|_| !first).map(str::to_owned)
}

#[test]
fn a_failing_test_fails_the_release_and_a_retry_after_the_fix_succeeds() {
    let release = Release::deploy();
    eventually("the first image is served", || Some(()).filter(|()| !release.page().is_empty()));
    let before = release.page();
    let buildspec = release.clone.join("buildspec.yml");
    let text = fs::read_to_string(&buildspec).unwrap();
    fs::write(&buildspec, text.replace("mvn -B -ntp", "test \"$READY\" = yes && mvn -B -ntp")).unwrap();
    let commit = release.push("Needs READY");
    let execution = release.execution_of(&commit);
    assert_eq!(release.end_of(&execution), "Failed");
    let action = release.action(&execution, "Build", "Failed");
    let message = action["output"]["executionResult"]["errorDetails"]["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("Error while executing command") && message.contains("READY"),
        "the build's own reason: {action}"
    );
    assert_eq!(release.page(), before, "the running version keeps serving");

    let client = &release.client;
    let project = client.aws(&format!("codebuild batch-get-projects --names {APP}"));
    let mut environment = project["projects"][0]["environment"].clone();
    let variables = environment["environmentVariables"].as_array_mut().unwrap();
    variables.push(json!({"name": "READY", "value": "yes", "type": "PLAINTEXT"}));
    client.aws_args(&[
        "codebuild",
        "update-project",
        "--name",
        APP,
        "--environment",
        &environment.to_string(),
    ]);
    retry_succeeds(&release, &execution);
    release.served(&commit);
}

#[test]
fn a_missing_permission_and_a_closed_group_fail_as_aws_does_and_heal() {
    let release = Release::deploy();
    let client = &release.client;
    let policy =
        client.aws(&format!("iam get-role-policy --role-name {APP}-codebuild --policy-name codebuild"));
    let document = policy["PolicyDocument"].to_string();
    assert!(document.contains("ecr:PutImage"));
    let put = |document: &str| {
        client.aws_args(&[
            "iam",
            "put-role-policy",
            "--role-name",
            &format!("{APP}-codebuild"),
            "--policy-name",
            "codebuild",
            "--policy-document",
            document,
        ])
    };
    put(&document.replace("\"ecr:PutImage\"", "\"ecr:DescribeImages\""));
    let commit = release.push("First");
    let execution = release.execution_of(&commit);
    assert_eq!(release.end_of(&execution), "Failed");
    let log = client.sh("aws logs filter-log-events --log-group-name /aws/codebuild/harbour --query 'events[].message' --output text");
    assert!(log.contains("not authorized to perform: ecr:PutImage"), "{log}");
    put(&document);
    retry_succeeds(&release, &execution);
    release.served(&commit);

    let group = client.sh(&format!("aws ec2 describe-security-groups --filters Name=group-name,Values={APP}-app --query 'SecurityGroups[0].GroupId' --output text"));
    let source = client.sh(&format!("aws ec2 describe-security-groups --filters Name=group-name,Values={APP}-balancer --query 'SecurityGroups[0].GroupId' --output text"));
    let rule =
        format!("--group-id {} --protocol tcp --port 8080 --source-group {}", group.trim(), source.trim());
    client.aws(&format!("ec2 revoke-security-group-ingress {rule}"));
    let targets = client.sh(&format!("aws elbv2 describe-target-groups --names {APP} --query 'TargetGroups[0].TargetGroupArn' --output text"));
    let health = || {
        let asked = json!({"TargetGroupArn": targets.trim()});
        client.boto3("elbv2", "describe_target_health", asked).unwrap_or_else(|e| panic!("{e}"))
    };
    eventually("closed targets are unhealthy with AWS's reason", || {
        let all = health();
        let all = all["TargetHealthDescriptions"].as_array()?.clone();
        let closed = |t: &serde_json::Value| {
            t["TargetHealth"]["State"] == "unhealthy" && t["TargetHealth"]["Reason"] == "Target.Timeout"
        };
        all.iter().any(closed).then_some(())
    });
    client.aws(&format!("ec2 authorize-security-group-ingress {rule}"));
    eventually("opening it heals it", || {
        health()["TargetHealthDescriptions"]
            .as_array()?
            .iter()
            .any(|t| t["TargetHealth"]["State"] == "healthy")
            .then_some(())
    });
    release.served(&commit);
}
