//! Custom actions, as the workers see them that carry them out.
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

#[tokio::test]
async fn types_are_made_listed_and_deleted() {
    let b = bench().await;
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut asked = jenkins();
        asked["version"] = json!("2");
        edit(&mut asked);
        asked
    };
    for (edit, expected) in [
        (edited(&|t| t["version"] = json!("1")), "exists already"),
        (edited(&|t| t["configurationProperties"][1]["queryable"] = json!(true)), "one may be"),
        (edited(&|t| t["configurationProperties"][0]["required"] = json!(false)), "must be required"),
        (edited(&|t| t["configurationProperties"][0]["name"] = json!("Token")), "declared twice"),
        (edited(&|t| t["inputArtifactDetails"]["maximumCount"] = json!(6)), "inputArtifactDetails"),
        (
            edited(&|t| t["settings"]["entityUrlTemplate"] = json!("https://ci/{Config:Token}")),
            "Config:Token",
        ),
        (edited(&|t| t["category"] = json!("Source")), "takes no input artifacts"),
        (edited(&|t| t["tags"] = json!([{"key": "aws:x", "value": "1"}])), "reserved"),
    ] {
        let refused = b.refused("CreateCustomActionType", edit).await;
        assert!(refused.contains(expected), "{refused}");
    }
    let tagged = edited(&|t| t["tags"] = json!([{"key": "team", "value": "a"}]));
    b.ok("CreateCustomActionType", tagged).await;
    let arn = "arn:aws:codepipeline:us-east-1:000000000000:actiontype:Custom/Build/Jenkins/2";
    b.ok("TagResource", json!({"resourceArn": arn, "tags": [{"key": "b", "value": "2"}]})).await;
    b.ok("UntagResource", json!({"resourceArn": arn, "tagKeys": ["team"]})).await;
    let tags = b.ok("ListTagsForResource", json!({"resourceArn": arn})).await;
    assert_eq!(tags["tags"], json!([{"key": "b", "value": "2"}]));
    let list = async |filter: Value| {
        let types = b.ok("ListActionTypes", filter).await["actionTypes"].as_array().unwrap().clone();
        types.iter().map(|t| format!("{} {}", t["id"]["provider"], t["id"]["version"])).collect::<Vec<_>>()
    };
    let own = json!({"actionOwnerFilter": "Custom"});
    assert_eq!(list(own.clone()).await, [r#""Jenkins" "1""#, r#""Jenkins" "2""#]);
    assert!(list(json!({})).await.len() > 8);
    assert!(list(json!({"regionFilter": "eu-west-1"})).await.is_empty());

    b.ok("CreatePipeline", declared()).await;
    let this = json!({"category": "Build", "provider": "Jenkins", "version": "1"});
    b.ok("DeleteCustomActionType", this.clone()).await;
    b.ok("DeleteCustomActionType", this).await;
    assert_eq!(list(own).await, [r#""Jenkins" "2""#]);
    // What has it goes on, with its secret, and may be updated; nothing new may have it.
    let mut update = b.ok("GetPipeline", json!({"name": "p"})).await;
    update.as_object_mut().unwrap().remove("metadata");
    b.ok("UpdatePipeline", update.clone()).await;
    b.ok("StartPipelineExecution", json!({"name": "p"})).await;
    let job = taken(&b).await;
    assert_eq!(job["data"]["actionConfiguration"]["configuration"]["Token"], "hush-it-up");
    let mut another = declared();
    another["pipeline"]["name"] = json!("q");
    let refused = b.refused("CreatePipeline", another).await;
    assert!(refused.starts_with("InvalidActionDeclarationException"), "{refused}");
    // The version stands for this definition and no other.
    let other = edited(&|t| {
        t["version"] = json!("1");
        t["settings"] = json!({});
    });
    assert!(b.refused("CreateCustomActionType", other).await.contains("another definition"));
    b.ok("CreateCustomActionType", jenkins()).await;
}

#[tokio::test]
async fn bad_polls_and_configurations_are_refused() {
    let b = bench().await;
    let polled = |edit: &dyn Fn(&mut Value)| {
        let mut asked = poll("app");
        edit(&mut asked);
        asked
    };
    for (asked, expected) in [
        (polled(&|p| p["actionTypeId"]["owner"] = json!("AWS")), "ActionTypeNotFoundException"),
        (polled(&|p| p["actionTypeId"]["version"] = json!("9")), "ActionTypeNotFoundException"),
        (polled(&|p| p["queryParam"] = json!({})), "ValidationException: queryParam must have 'ProjectName'"),
        (polled(&|p| p["queryParam"] = json!({"X": "y"})), "ValidationException: queryParam must have"),
        (polled(&|p| p["queryParam"] = json!({"ProjectName": "a b"})), "ValidationException"),
    ] {
        let refused = b.refused("PollForJobs", asked).await;
        assert!(refused.starts_with(expected), "{refused}");
    }
    for (key, value, expected) in [
        ("Other", json!("x"), "is not one of Jenkins"),
        ("ProjectName", json!("not this"), "is queryable"),
        ("Token", json!("#{src.CommitId}"), "take no variables"),
        ("Token", json!("longshore-sealed:{}"), "reserved"),
    ] {
        let mut asked = declared();
        asked["pipeline"]["stages"][1]["actions"][0]["configuration"][key] = value;
        let refused = b.refused("CreatePipeline", asked).await;
        assert!(refused.starts_with("InvalidActionDeclarationException"), "{refused}");
        assert!(refused.contains(expected), "{refused}");
    }
}

#[tokio::test]
async fn a_partner_proves_itself_with_the_clients_token() {
    let b = Bench::new().await;
    let declared_type = json!({"actionType": {
        "id": {"category": "Test", "owner": "ThirdParty", "provider": "Load", "version": "1"},
        "executor": {"type": "JobWorker", "configuration": {
            "jobWorkerExecutorConfiguration": {"pollingAccounts": ["000000000000"]}}},
        "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 1},
        "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 0},
        "properties": [{"name": "ClientToken", "optional": false, "key": false, "noEcho": true}],
    }});
    let mut without = declared_type.clone();
    without["actionType"]["properties"] = json!([]);
    let refused = b.refused("UpdateActionType", without).await;
    assert!(refused.starts_with("RequestFailedException"), "{refused}");
    b.ok("UpdateActionType", declared_type.clone()).await;
    let asked = json!({"category": "Test", "owner": "ThirdParty", "provider": "Load", "version": "1"});
    assert_eq!(b.ok("GetActionType", asked.clone()).await, declared_type);
    let action =
        json!({"name": "Load", "actionTypeId": asked, "configuration": {"ClientToken": "both-know"}});
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![action]])})).await;
    let poll = json!({"actionTypeId": asked});
    let jobs = b.until("PollForThirdPartyJobs", poll.clone(), |jobs| jobs["jobs"][0].is_object()).await;
    assert_eq!(jobs["jobs"][0]["clientId"], "000000000000");
    let id = jobs["jobs"][0]["jobId"].clone();
    assert!(b.refused("PollForJobs", poll).await.starts_with("ActionTypeNotFoundException"));
    assert!(b.refused("GetJobDetails", json!({"jobId": id})).await.starts_with("JobNotFoundException"));
    let wrong = b.refused("GetThirdPartyJobDetails", json!({"jobId": id, "clientToken": "guess"})).await;
    assert!(wrong.starts_with("InvalidClientTokenException"), "{wrong}");
    let details = b.ok("GetThirdPartyJobDetails", json!({"jobId": id, "clientToken": "both-know"})).await;
    let context = &details["jobDetails"]["data"]["pipelineContext"];
    assert_eq!((&context["pipelineName"], &context["pipelineArn"]), (&json!("p"), &Value::Null));
    let ack = json!({"jobId": id, "nonce": details["jobDetails"]["nonce"], "clientToken": "both-know"});
    assert_eq!(b.ok("AcknowledgeThirdPartyJob", ack).await["status"], "InProgress");
    let done =
        json!({"jobId": id, "clientToken": "both-know", "executionDetails": {"summary": "fast enough"}});
    b.ok("PutThirdPartyJobSuccessResult", done.clone()).await;
    b.newest("Succeeded").await;
    let again = b.refused("PutThirdPartyJobSuccessResult", done).await;
    assert!(again.starts_with("InvalidJobStateException"), "{again}");
}

#[tokio::test]
async fn a_custom_source_starts_an_execution_once_for_a_revision() {
    let b = Bench::new().await;
    let source_type = json!({
        "category": "Source", "provider": "Svn", "version": "1",
        "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 0},
        "outputArtifactDetails": {"minimumCount": 1, "maximumCount": 1},
    });
    b.ok("CreateCustomActionType", source_type).await;
    let id = type_id("Custom", "Source", "Svn");
    let svn = json!({"name": "Svn", "actionTypeId": id, "outputArtifacts": [{"name": "SourceOutput"}]});
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![svn], vec![approval_of_nothing()]])})).await;
    let first = b.until("PollForJobs", json!({"actionTypeId": id}), |jobs| jobs["jobs"][0].is_object()).await;
    let ack = json!({"jobId": first["jobs"][0]["id"], "nonce": first["jobs"][0]["nonce"]});
    b.ok("AcknowledgeJob", ack).await;
    let failed = json!({"type": "RevisionUnavailable", "message": "nothing yet"});
    b.ok("PutJobFailureResult", json!({"jobId": first["jobs"][0]["id"], "failureDetails": failed})).await;
    b.newest("Failed").await;
    let told = |revision: &str, action: &str| {
        json!({
            "pipelineName": "p", "stageName": "A", "actionName": action,
            "actionRevision": {"revisionId": revision, "revisionChangeId": revision, "created": 1_767_225_600},
        })
    };
    assert!(b.refused("PutActionRevision", told("r1", "Nope")).await.starts_with("ActionNotFoundException"));
    let started = b.ok("PutActionRevision", told("r1", "Svn")).await;
    assert_eq!(started["newRevision"], true);
    let again = b.ok("PutActionRevision", told("r1", "Svn")).await;
    assert_eq!(again, json!({"newRevision": false, "pipelineExecutionId": started["pipelineExecutionId"]}));
    let jobs = b.until("PollForJobs", json!({"actionTypeId": id}), |jobs| jobs["jobs"][0].is_object()).await;
    let job = &jobs["jobs"][0];
    assert_eq!(job["data"]["outputArtifacts"][0]["revision"], "r1");
    b.ok("AcknowledgeJob", json!({"jobId": job["id"], "nonce": job["nonce"]})).await;
    let done = json!({
        "jobId": job["id"],
        "currentRevision": {"revision": "r1", "changeIdentifier": "r1", "revisionSummary": "a change"},
    });
    b.ok("PutJobSuccessResult", done).await;
    let running = b.newest("InProgress").await;
    assert_eq!(running["trigger"]["triggerType"], "PutActionRevision");
    b.action(1, 0, "InProgress").await;
    let list = b.ok("ListPipelineExecutions", json!({"pipelineName": "p"})).await;
    let revision = &list["pipelineExecutionSummaries"][0]["sourceRevisions"][0];
    assert_eq!((&revision["revisionId"], &revision["revisionSummary"]), (&json!("r1"), &json!("a change")));
}

fn approval_of_nothing() -> Value {
    action("Approval", "Manual", "Ok", json!({}))
}

/// A function over HTTP: it takes every call, and tells of it (the token of the call, the event).
async fn function() -> (crate::Function, tokio::sync::mpsc::UnboundedReceiver<(String, Value)>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let function = crate::Function::at(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let (tell, calls) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = String::new();
            let mut buffer = [0; 4096];
            let event = loop {
                let read = stream.read(&mut buffer).await.unwrap();
                text += std::str::from_utf8(&buffer[..read]).unwrap();
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
                if let Ok(event) = serde_json::from_str::<Value>(body) {
                    break event;
                }
            };
            let token = text.lines().find_map(|line| line.strip_prefix("x-longshore-job: ")).unwrap();
            tell.send((token.to_owned(), event)).unwrap();
            let answer = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (function, calls)
}

#[tokio::test]
async fn a_function_gets_its_job_and_answers() {
    let (function, mut calls) = function().await;
    let fakes = Fakes::new();
    fakes.memory().functions.insert("smoke".into(), function);
    let b = Bench::on(World::new().await, fakes);
    let invoke = |name: &str| {
        action("Invoke", "Lambda", "Smoke", json!({"FunctionName": name, "UserParameters": "{\"a\":1}"}))
    };
    let declared =
        |name: &str| json!({"pipeline": pipeline(&[vec![source()], vec![invoke(name)], vec![approval()]])});
    b.ok("CreatePipeline", declared("smoke")).await;
    let mut called = async || tokio::time::timeout(PATIENCE, calls.recv()).await.unwrap().unwrap();
    let (token, event) = called().await;
    let job = &event["CodePipeline.job"];
    let id = job["id"].clone();
    assert_eq!(token, format!("{}/0", id.as_str().unwrap()));
    assert_eq!(job["accountId"], ACCOUNT);
    assert_eq!(job["data"]["actionConfiguration"]["configuration"]["UserParameters"], "{\"a\":1}");
    b.ok("PutJobSuccessResult", json!({"jobId": id, "continuationToken": "later"})).await;
    // A clock in a test wakes nobody: a restart looks at the time.
    b.world.clock.advance(Duration::from_secs(30));
    let b = b.restart().await;
    let (token, event) = called().await;
    assert_eq!(token, format!("{}/1", id.as_str().unwrap()));
    assert_eq!(event["CodePipeline.job"]["data"]["continuationToken"], "later");
    let asked = b.world.authority.asked();
    let arn = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:smoke");
    assert!(asked.contains(&("lambda:InvokeFunction".to_owned(), arn)), "{asked:?}");
    b.ok("PutJobSuccessResult", json!({"jobId": id, "outputVariables": {"Seen": "1"}})).await;
    b.action(2, 0, "InProgress").await;

    // One that does not answer fails after its time; one that is not configured says how to.
    b.ok("StartPipelineExecution", json!({"name": "p"})).await;
    called().await;
    b.world.clock.advance(Duration::from_secs(20 * 60));
    let b = b.restart().await;
    let late = b.action(1, 0, "Failed").await["errorDetails"]["message"].to_string();
    assert!(late.contains("did not return a result within 20 minutes"), "{late}");
    b.ok("UpdatePipeline", declared("other")).await;
    b.ok("StartPipelineExecution", json!({"name": "p"})).await;
    let wanted = "lambda.functions.other.url";
    let message = |s: &Value| {
        s["stageStates"][1]["actionStates"][0]["latestExecution"]["errorDetails"]["message"].to_string()
    };
    b.until("GetPipelineState", json!({"name": "p"}), |s| message(s).contains(wanted)).await;
}

/// What a worker does next; whether all is done. An error is the end of the server.
async fn step(b: &Bench, held: &mut Option<Value>) -> Result<bool, Fault> {
    let list = b.call("ListPipelineExecutions", json!({"pipelineName": "p"})).await?;
    if list["pipelineExecutionSummaries"][0]["status"] == "Succeeded" {
        return Ok(true);
    }
    if held.is_none() {
        *held = b.call("PollForJobs", poll("app")).await?["jobs"].get(0).cloned();
    }
    if let Some(job) = held {
        b.call("AcknowledgeJob", json!({"jobId": job["id"], "nonce": job["nonce"]})).await?;
        let result = json!({"jobId": job["id"], "outputVariables": {"Id": job["id"]}});
        unless("InvalidJobState", b.call("PutJobSuccessResult", result).await)?;
        *held = None;
    }
    Ok(false)
}

/// As a client sees a call whose earlier try it has not heard of.
fn unless(code: &str, result: Result<Value, Fault>) -> Result<(), Fault> {
    match result {
        Err(fault) if fault.is(code) => Ok(()),
        other => other.map(drop),
    }
}

async fn release(b: &Bench, held: &mut Option<Value>) -> Result<(), Fault> {
    let wake = b.world.store.watch(&[Saved::TABLE, JobRow::TABLE, store::EVENTS]);
    unless("Validation", b.call("CreateCustomActionType", jenkins()).await)?;
    let declared = json!({"pipeline": pipeline(&[vec![source()], vec![custom()]])});
    unless("PipelineNameInUse", b.call("CreatePipeline", declared).await)?;
    while !step(b, held).await? {
        tokio::time::timeout(PATIENCE, wake.notified()).await.expect("a commit");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_after_any_commit_loses_no_job_and_does_none_twice() {
    let mut crashes = 0;
    for commits in 1.. {
        let b = Bench::on(World::stopping_after(commits).await, Fakes::new());
        let mut held = None;
        let survived = release(&b, &mut held).await.is_ok();
        let b = b.restart().await;
        // A poll whose answer was lost keeps its job from others for a while.
        b.world.clock.advance(Duration::from_secs(120));
        release(&b, &mut held).await.unwrap();
        let runs = b.ok("ListActionExecutions", json!({"pipelineName": "p"})).await;
        let runs = runs["actionExecutionDetails"].as_array().unwrap();
        assert_eq!(runs.len(), 2, "after {commits} commits: {runs:?}");
        assert_eq!(runs[0]["output"]["outputVariables"]["Id"], runs[0]["actionExecutionId"]);
        if survived {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 8, "only {crashes} commits were crashed after");
}
