//! Custom actions, as the workers see them that carry them out.
mod crash;
mod functions;
mod partners;
mod types;
mod waits;

use serde_json::{Value, json};

use super::*;

fn jenkins() -> Value {
    json!({
        "category": "Build", "provider": "Jenkins", "version": "1",
        "settings": {
            "entityUrlTemplate": "https://ci/job/{Config:ProjectName}",
            "executionUrlTemplate": "https://ci/job/{Config:ProjectName}/{ExternalExecutionId}",
        },
        "configurationProperties": [
            {"name": "ProjectName", "required": true, "key": true, "secret": false, "queryable": true},
            {"name": "Token", "required": false, "key": false, "secret": true},
        ],
        "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 5},
        "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 5},
    })
}

fn type_id(owner: &str, category: &str, provider: &str) -> Value {
    json!({"category": category, "owner": owner, "provider": provider, "version": "1"})
}

fn custom() -> Value {
    json!({
        "name": "Ci", "actionTypeId": type_id("Custom", "Build", "Jenkins"), "namespace": "ci",
        "configuration": {"ProjectName": "app", "Token": "hush-it-up"},
        "inputArtifacts": [{"name": "SourceOutput"}], "outputArtifacts": [{"name": "BuildOutput"}],
    })
}

fn declared() -> Value {
    json!({"pipeline": pipeline(&[vec![source()], vec![custom()], vec![approval()]])})
}

async fn bench() -> Bench {
    let b = Bench::new().await;
    b.ok("CreateCustomActionType", jenkins()).await;
    b
}

fn poll(project: &str) -> Value {
    json!({
        "actionTypeId": type_id("Custom", "Build", "Jenkins"),
        "queryParam": {"ProjectName": project}, "maxBatchSize": 1,
    })
}

/// Polls until there is a job.
async fn job(b: &Bench) -> Value {
    let jobs = b.until("PollForJobs", poll("app"), |answer| answer["jobs"][0].is_object()).await;
    jobs["jobs"][0].clone()
}

async fn taken(b: &Bench) -> Value {
    let job = job(b).await;
    let ack = json!({"jobId": job["id"], "nonce": job["nonce"]});
    assert_eq!(b.ok("AcknowledgeJob", ack).await, json!({"status": "InProgress"}));
    job
}

#[tokio::test]
async fn a_worker_builds_what_a_custom_action_asks_for() {
    let b = bench().await;
    let created = b.ok("CreatePipeline", declared()).await;
    assert_eq!(created["pipeline"]["stages"][1]["actions"][0]["configuration"]["Token"], "****");
    let job = job(&b).await;
    let data = &job["data"];
    assert_eq!(
        data["actionConfiguration"]["configuration"],
        json!({"ProjectName": "app", "Token": "hush-it-up"})
    );
    assert_eq!(data["pipelineContext"]["action"]["actionExecutionId"], job["id"]);
    assert_eq!(data["inputArtifacts"][0]["revision"], "c0ffee1");
    assert_eq!(data["outputArtifacts"][0]["location"]["s3Location"]["bucketName"], "artifacts");
    assert_eq!(data["artifactCredentials"]["accessKeyId"], "ASIATEST");
    // Of another project there is none, and nobody else gets this one.
    assert_eq!(b.ok("PollForJobs", poll("other")).await, json!({"jobs": []}));
    assert_eq!(b.ok("PollForJobs", poll("app")).await, json!({"jobs": []}));
    let (id, nonce) = (&job["id"], &job["nonce"]);
    let result = |outputs: Value| {
        json!({
            "jobId": id, "outputVariables": outputs, "executionDetails": {
                "summary": "Finished", "externalExecutionId": "7", "percentComplete": 100,
            },
        })
    };
    let early = b.refused("PutJobSuccessResult", result(json!({}))).await;
    assert!(early.starts_with("InvalidJobStateException"), "{early}");
    let wrong = b.refused("AcknowledgeJob", json!({"jobId": id, "nonce": "3"})).await;
    assert!(wrong.starts_with("InvalidNonceException"), "{wrong}");
    assert_eq!(b.ok("AcknowledgeJob", json!({"jobId": id, "nonce": nonce})).await["status"], "InProgress");
    let details = b.ok("GetJobDetails", json!({"jobId": id})).await;
    assert_eq!(details["jobDetails"]["data"]["outputArtifacts"], data["outputArtifacts"]);
    let large = b.refused("PutJobSuccessResult", result(json!({"V": "x".repeat(122_880)}))).await;
    assert!(large.starts_with("OutputVariablesSizeExceededException"), "{large}");
    b.ok("PutJobSuccessResult", result(json!({"Number": "7"}))).await;
    b.action(2, 0, "InProgress").await;
    let late = b.refused("PutJobSuccessResult", result(json!({}))).await;
    assert!(late.starts_with("InvalidJobStateException"), "{late}");
    let unknown = json!({"jobId": "11111111-1111-4111-8111-111111111111"});
    assert!(b.refused("GetJobDetails", unknown).await.starts_with("JobNotFoundException"));

    let state = b.ok("GetPipelineState", json!({"name": "p"})).await;
    let action = &state["stageStates"][1]["actionStates"][0];
    assert_eq!(action["entityUrl"], "https://ci/job/app");
    let run = &action["latestExecution"];
    assert_eq!(run["externalExecutionUrl"], "https://ci/job/app/7");
    assert_eq!((&run["percentComplete"], &run["summary"]), (&json!(100), &json!("Finished")));
    let runs = b.ok("ListActionExecutions", json!({"pipelineName": "p"})).await;
    let run = &runs["actionExecutionDetails"][1];
    assert_eq!(run["output"]["outputVariables"], json!({"Number": "7"}));
    assert_eq!(run["input"]["configuration"]["Token"], "****");
    assert_eq!(run["input"]["resolvedConfiguration"]["Token"], "****");
    // Nowhere in the data folder does the secret stand.
    b.world.store.close().await;
    for file in std::fs::read_dir(b.world.store.dir()).unwrap().map(Result::unwrap) {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        assert!(!bytes.windows(10).any(|window| window == b"hush-it-up"), "{:?}", file.path());
    }
}

#[tokio::test]
async fn a_worker_that_does_not_acknowledge_loses_the_job_to_another() {
    let b = bench().await;
    b.ok("CreatePipeline", declared()).await;
    let first = job(&b).await;
    let b = b.restart().await;
    b.world.clock.advance(Duration::from_secs(119));
    assert_eq!(b.ok("PollForJobs", poll("app")).await, json!({"jobs": []}));
    b.world.clock.advance(Duration::from_secs(1));
    let second = job(&b).await;
    assert_eq!(first["id"], second["id"]);
    let ack = |job: &Value| json!({"jobId": job["id"], "nonce": job["nonce"]});
    assert!(b.refused("AcknowledgeJob", ack(&first)).await.starts_with("InvalidNonceException"));
    b.ok("AcknowledgeJob", ack(&second)).await;
    let b = b.restart().await;
    b.ok("PutJobSuccessResult", json!({"jobId": second["id"]})).await;
    b.action(2, 0, "InProgress").await;
}

#[tokio::test]
async fn a_job_that_goes_on_is_offered_later_with_its_token() {
    let b = bench().await;
    b.ok("CreatePipeline", declared()).await;
    let first = taken(&b).await;
    let put = json!({
        "jobId": first["id"], "continuationToken": "half", "executionDetails": {"percentComplete": 50},
    });
    let mut both = put.clone();
    both["outputVariables"] = json!({"A": "1"});
    assert!(b.refused("PutJobSuccessResult", both).await.starts_with("ValidationException"));
    b.ok("PutJobSuccessResult", put.clone()).await;
    assert!(b.refused("PutJobSuccessResult", put).await.starts_with("InvalidJobStateException"));
    assert_eq!(b.action(1, 0, "InProgress").await["percentComplete"], 50);
    assert_eq!(b.ok("PollForJobs", poll("app")).await, json!({"jobs": []}));
    b.world.clock.advance(Duration::from_secs(30));
    let second = taken(&b).await;
    assert_eq!(second["data"]["continuationToken"], "half");
    let failed = json!({
        "jobId": second["id"],
        "failureDetails": {"type": "RevisionOutOfSync", "message": "too old", "externalExecutionId": "8"},
    });
    b.ok("PutJobFailureResult", failed).await;
    let run = b.action(1, 0, "Failed").await;
    assert_eq!(run["errorDetails"], json!({"code": "RevisionOutOfSync", "message": "too old"}));
    assert_eq!(run["externalExecutionUrl"], "https://ci/job/app/8");
}

#[tokio::test]
async fn the_job_of_an_action_that_ended_takes_no_result() {
    let b = bench().await;
    b.ok("CreatePipeline", declared()).await;
    let abandoned = taken(&b).await;
    let running = b.newest("InProgress").await;
    let stop = json!({
        "pipelineName": "p", "pipelineExecutionId": running["pipelineExecutionId"], "abandon": true,
    });
    b.ok("StopPipelineExecution", stop).await;
    b.newest("Stopped").await;
    let late = b.refused("PutJobSuccessResult", json!({"jobId": abandoned["id"]})).await;
    assert!(late.starts_with("InvalidJobStateException"), "{late}");
    // One that nobody takes fails after AWS's day.
    b.ok("StartPipelineExecution", json!({"name": "p"})).await;
    let offered = job(&b).await;
    b.world.clock.advance(Duration::from_secs(24 * 3600));
    let b = b.restart().await;
    let failed = b.newest("Failed").await["statusSummary"].to_string();
    assert!(failed.contains("timeout of 1440 minutes"), "{failed}");
    let ack = json!({"jobId": offered["id"], "nonce": offered["nonce"]});
    assert_eq!(b.ok("AcknowledgeJob", ack).await["status"], "TimedOut");
    // A role that gives no credentials any more fails its action, not the poll.
    b.ok("StartPipelineExecution", json!({"name": "p"})).await;
    job(&b).await;
    b.world.clock.advance(Duration::from_secs(120));
    b.world.authority.deny("sts:AssumeRole");
    assert_eq!(b.ok("PollForJobs", poll("app")).await, json!({"jobs": []}));
    assert_eq!(b.action(1, 0, "Failed").await["errorDetails"]["code"], "PermissionError");
    // One that cannot be taken fails the action before there is a job.
    b.ok("StartPipelineExecution", json!({"name": "p"})).await;
    b.action(0, 0, "Failed").await;
}
