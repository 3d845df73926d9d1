//! What callers see.
use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn a_release_runs_from_commit_to_service() {
    let b = Bench::new().await;
    let declared = pipeline(&[vec![source()], vec![build()], vec![deploy()]]);
    let created = b.ok("CreatePipeline", json!({"pipeline": declared})).await;
    assert_eq!(created["pipeline"]["version"], 1);
    assert_eq!(created["pipeline"]["stages"][0]["actions"][0]["runOrder"], 1);
    b.action(1, 0, "InProgress").await;
    let waits = b.newest("InProgress").await;
    assert_eq!(waits["statusSummary"], "Running action 'Build' in stage 'B'");
    b.until("GetPipelineState", json!({"name": "p"}), |s| {
        s["stageStates"][1]["actionStates"][0]["latestExecution"]["externalExecutionId"] == "proj:1"
    })
    .await;
    {
        let memory = b.fakes.memory();
        let (asked, build) = memory.builds.last().unwrap();
        assert_eq!(asked.build.environment_variables_override.as_ref().unwrap()[0].value, "c0ffee1");
        assert_eq!(asked.pipeline, "p");
        assert!(build.initiator.as_ref().unwrap().contains(":assumed-role/pipeline/"));
        let input = &asked.inputs[0];
        assert_eq!((input.name.as_str(), input.bucket.as_str()), ("SourceOutput", "artifacts"));
        let key: Vec<&str> = input.key.split('/').collect();
        assert_eq!((key[0], key[1], key[2].len()), ("p", "SourceOutp", 7));
        assert!(memory.objects.contains_key(&format!("artifacts/{}", input.key)));
    }
    b.build_ends("SUCCEEDED").await;
    let done = b.newest("Succeeded").await;
    assert_eq!(done["sourceRevisions"][0]["revisionId"], "c0ffee1");
    assert_eq!(done["trigger"]["triggerType"], "CreatePipeline");
    {
        let memory = b.fakes.memory();
        let registered = memory.definitions.last().unwrap();
        let images: Vec<_> =
            registered.container_definitions.iter().flatten().map(|c| c.image.clone().unwrap()).collect();
        assert_eq!(images, ["registry/app:new", "old"]);
        assert_eq!(registered.cpu.as_deref(), Some("256"));
        assert_eq!(memory.service.task_definition, registered.task_definition_arn);
    }
    let id = done["pipelineExecutionId"].clone();
    let got = b.ok("GetPipelineExecution", json!({"pipelineName": "p", "pipelineExecutionId": id})).await;
    let revision = &got["pipelineExecution"]["artifactRevisions"][0];
    assert_eq!(
        (&revision["name"], &revision["revisionSummary"]),
        (&json!("SourceOutput"), &json!("message of c0ffee1"))
    );
    let runs = b
        .ok("ListActionExecutions", json!({"pipelineName": "p", "filter": {"pipelineExecutionId": id}}))
        .await;
    let runs = runs["actionExecutionDetails"].as_array().unwrap().clone();
    let names: Vec<_> = runs.iter().map(|run| run["actionName"].as_str().unwrap()).collect();
    assert_eq!(names, ["Roll", "Build", "Src"]);
    assert_eq!(runs[1]["output"]["outputVariables"], json!({"TAG": "v1"}));
    let resolved = &runs[1]["input"]["resolvedConfiguration"]["EnvironmentVariables"];
    assert_eq!(*resolved, json!(r#"[{"name":"COMMIT","value":"c0ffee1"}]"#));
    assert_eq!(runs[2]["output"]["outputVariables"]["AuthorDate"], "2026-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_failed_build_tells_its_own_reason_and_is_retried() {
    let b = Bench::new().await;
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![build()]])})).await;
    b.action(1, 0, "InProgress").await;
    b.until("GetPipelineState", json!({"name": "p"}), |s| {
        s["stageStates"][1]["actionStates"][0]["latestExecution"]["externalExecutionId"] == "proj:1"
    })
    .await;
    b.build_ends("FAILED").await;
    let failed = b.newest("Failed").await;
    let run = b.action(1, 0, "Failed").await;
    assert_eq!(run["errorDetails"]["code"], "JobFailed");
    let reason = "Build terminated with state: FAILED. Phase: BUILD, Code: COMMAND_EXECUTION_ERROR, \
                  Message: Error while executing command: false. Reason: exit status 1";
    assert_eq!(run["errorDetails"]["message"], reason);
    assert_eq!(run["externalExecutionId"], "proj:1");
    assert_eq!(failed["statusSummary"], format!("Action 'Build' in stage 'B' failed: {reason}"));

    let retry = json!({
        "pipelineName": "p", "stageName": "B", "retryMode": "FAILED_ACTIONS",
        "pipelineExecutionId": failed["pipelineExecutionId"],
    });
    let retried = b.ok("RetryStageExecution", retry.clone()).await;
    assert_eq!(retried["pipelineExecutionId"], failed["pipelineExecutionId"]);
    assert!(b.refused("RetryStageExecution", retry).await.starts_with("StageNotRetryableException"));
    b.until("GetPipelineState", json!({"name": "p"}), |s| {
        s["stageStates"][1]["actionStates"][0]["latestExecution"]["externalExecutionId"] == "proj:2"
    })
    .await;
    b.build_ends("SUCCEEDED").await;
    b.newest("Succeeded").await;
    let state = b.ok("GetPipelineState", json!({"name": "p"})).await;
    let metadata = json!({"manualStageRetryAttempt": 1, "latestRetryTrigger": "ManualStageRetry"});
    assert_eq!(state["stageStates"][1]["retryStageMetadata"], metadata);
    let latest = json!({"latestInPipelineExecution": {
        "pipelineExecutionId": failed["pipelineExecutionId"], "startTimeRange": "Latest"}});
    let runs = b.ok("ListActionExecutions", json!({"pipelineName": "p", "filter": latest})).await;
    assert_eq!(runs["actionExecutionDetails"].as_array().unwrap().len(), 2);
    let runs = b.ok("ListActionExecutions", json!({"pipelineName": "p"})).await;
    assert_eq!(runs["actionExecutionDetails"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_denied_role_is_a_permission_error() {
    let b = Bench::new().await;
    b.world.authority.deny("codecommit:GetBranch");
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![build()]])})).await;
    let run = b.action(0, 0, "Failed").await;
    assert_eq!(run["errorDetails"]["code"], "PermissionError");
    let message = run["errorDetails"]["message"].as_str().unwrap();
    assert!(message.contains("is not authorized to perform: codecommit:GetBranch"), "{message}");
    // The permission mends it.
    b.world.authority.allow("codecommit:GetBranch");
    let failed = b.newest("Failed").await;
    let retry = json!({
        "pipelineName": "p", "stageName": "A", "retryMode": "ALL_ACTIONS",
        "pipelineExecutionId": failed["pipelineExecutionId"],
    });
    b.ok("RetryStageExecution", retry).await;
    b.action(1, 0, "InProgress").await;
}

#[tokio::test]
async fn creating_asks_for_the_roles() {
    let b = Bench::new().await;
    let declared = json!({"pipeline": pipeline(&[vec![source()], vec![build()]])});
    b.world.authority.asked();
    b.world.authority.deny("iam:PassRole");
    let refused = b.refused("CreatePipeline", declared.clone()).await;
    assert!(refused.starts_with("AccessDeniedException") && refused.contains("role/pipeline"), "{refused}");
    b.world.authority.allow("iam:PassRole");
    b.world.authority.deny("sts:AssumeRole");
    let refused = b.refused("CreatePipeline", declared.clone()).await;
    let expected = "InvalidStructureException: CodePipeline is not authorized to perform AssumeRole on role";
    assert!(refused.starts_with(expected), "{refused}");
    assert!(b.refused("GetPipeline", json!({"name": "p"})).await.starts_with("PipelineNotFoundException"));
    b.world.authority.allow("sts:AssumeRole");
    b.ok("CreatePipeline", declared.clone()).await;
    assert!(b.refused("CreatePipeline", declared).await.starts_with("PipelineNameInUseException"));
}

#[tokio::test]
async fn the_same_token_starts_one_execution() {
    let b = Bench::new().await;
    let declared = pipeline(&[vec![source()], vec![approval()]]);
    b.ok("CreatePipeline", json!({"pipeline": declared})).await;
    b.action(1, 0, "InProgress").await;
    let start = json!({"name": "p", "clientRequestToken": "t"});
    let (first, second) = tokio::join!(
        b.ok("StartPipelineExecution", start.clone()),
        b.ok("StartPipelineExecution", start.clone())
    );
    assert_eq!(first, second);
    let other = json!({"name": "p", "clientRequestToken": "t", "sourceRevisions": [
        {"actionName": "Src", "revisionType": "COMMIT_ID", "revisionValue": "beef"}]});
    assert!(b.refused("StartPipelineExecution", other).await.starts_with("ConflictException"));
}

#[tokio::test]
async fn an_approval_waits_for_its_token_over_a_restart() {
    let b = Bench::new().await;
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![approval()], vec![build()]])}))
        .await;
    let waiting = b.action(1, 0, "InProgress").await;
    let waits = b.newest("InProgress").await;
    assert_eq!(waits["statusSummary"], "Waiting for the approval 'Ok' in stage 'B'");
    let b = b.restart().await;
    let result = |token: &Value, status: &str| {
        json!({
            "pipelineName": "p", "stageName": "B", "actionName": "Ok", "token": token,
            "result": {"status": status, "summary": "fine"},
        })
    };
    let wrong = json!("11111111-1111-4111-8111-111111111111");
    let refused = b.refused("PutApprovalResult", result(&wrong, "Approved")).await;
    assert!(refused.starts_with("InvalidApprovalTokenException"), "{refused}");
    b.ok("PutApprovalResult", result(&waiting["token"], "Approved")).await;
    let decided = b.action(1, 0, "Succeeded").await;
    assert_eq!(decided["summary"], "fine");
    assert_eq!(decided["lastUpdatedBy"], "arn:aws:iam::000000000000:root");
    assert_eq!(decided["token"], Value::Null);
    let refused = b.refused("PutApprovalResult", result(&waiting["token"], "Rejected")).await;
    assert!(refused.starts_with("ApprovalAlreadyCompletedException"), "{refused}");
    b.action(2, 0, "InProgress").await;
}

#[tokio::test]
async fn an_undecided_approval_times_out() {
    let b = Bench::new().await;
    let short = with(approval(), json!({"timeoutInMinutes": 5}));
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![short]])})).await;
    b.action(1, 0, "InProgress").await;
    b.world.clock.advance(Duration::from_secs(5 * 60));
    // A clock in a test wakes nobody: a restart looks at the time.
    let b = b.restart().await;
    let failed = b.newest("Failed").await;
    let expected =
        "Action 'Ok' in stage 'B' failed: The approval was not decided within its timeout of 5 minutes";
    assert_eq!(failed["statusSummary"], expected);
}

#[tokio::test]
async fn a_disabled_transition_shows_who_holds_what() {
    let b = Bench::new().await;
    b.fakes.memory().builds_end = Some("SUCCEEDED");
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![build()]])})).await;
    b.newest("Succeeded").await;
    let hold =
        json!({"pipelineName": "p", "stageName": "B", "transitionType": "Inbound", "reason": "hold it"});
    b.ok("DisableStageTransition", hold).await;
    let started = b.ok("StartPipelineExecution", json!({"name": "p"})).await["pipelineExecutionId"].clone();
    let state = b.until("GetPipelineState", json!({"name": "p"}), |s| {
        s["stageStates"][1]["inboundExecution"]["pipelineExecutionId"] == started
    });
    let transition = state.await["stageStates"][1]["inboundTransitionState"].clone();
    assert_eq!((&transition["enabled"], &transition["disabledReason"]), (&json!(false), &json!("hold it")));
    let waits = b.newest("InProgress").await;
    let expected =
        "Waiting to enter stage 'B': the transition was disabled by arn:aws:iam::000000000000:root: hold it";
    assert_eq!(waits["statusSummary"], expected);
    b.ok(
        "EnableStageTransition",
        json!({"pipelineName": "p", "stageName": "B", "transitionType": "Inbound"}),
    )
    .await;
    b.newest("Succeeded").await;
}

#[tokio::test]
async fn stopping_abandons_what_runs() {
    let b = Bench::new().await;
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![build()]])})).await;
    b.action(1, 0, "InProgress").await;
    let running = b.newest("InProgress").await;
    let stop = |abandon: bool| {
        json!({
            "pipelineName": "p", "pipelineExecutionId": running["pipelineExecutionId"],
            "abandon": abandon, "reason": "enough",
        })
    };
    b.ok("StopPipelineExecution", stop(false)).await;
    assert!(
        b.refused("StopPipelineExecution", stop(false)).await.starts_with("DuplicatedStopRequestException")
    );
    let state = b.ok("GetPipelineState", json!({"name": "p"})).await;
    assert_eq!(state["stageStates"][1]["latestExecution"]["status"], "Stopping");
    b.ok("StopPipelineExecution", stop(true)).await;
    let stopped = b.newest("Stopped").await;
    assert_eq!(stopped["stopTrigger"]["reason"], "enough");
    b.action(1, 0, "Abandoned").await;
    assert!(
        b.refused("StopPipelineExecution", stop(true))
            .await
            .starts_with("PipelineExecutionNotStoppableException")
    );
}

#[tokio::test]
async fn versions_are_kept_and_a_deletion_removes_all() {
    let b = Bench::new().await;
    b.fakes.memory().builds_end = Some("SUCCEEDED");
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![build()]])})).await;
    b.newest("Succeeded").await;
    let updated =
        b.ok("UpdatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![approval()]])})).await;
    assert_eq!(updated["pipeline"]["version"], 2);
    let old = b.ok("GetPipeline", json!({"name": "p", "version": 1})).await;
    assert_eq!(old["pipeline"]["stages"][1]["actions"][0]["name"], "Build");
    assert_eq!(old["metadata"]["pipelineArn"], "arn:aws:codepipeline:us-east-1:000000000000:p");
    let missing = b.refused("GetPipeline", json!({"name": "p", "version": 3})).await;
    assert!(missing.starts_with("PipelineVersionNotFoundException"), "{missing}");
    b.ok("DeletePipeline", json!({"name": "p"})).await;
    b.ok("DeletePipeline", json!({"name": "p"})).await;
    assert!(
        b.refused("GetPipelineState", json!({"name": "p"})).await.starts_with("PipelineNotFoundException")
    );
    // Another of the same name begins anew.
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![build()]])})).await;
    b.newest("Succeeded").await;
    let list = b.ok("ListPipelineExecutions", json!({"pipelineName": "p"})).await;
    assert_eq!(list["pipelineExecutionSummaries"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_deletion_ends_what_runs_and_leaves_nothing() {
    let b = Bench::new().await;
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![build()]])})).await;
    b.action(1, 0, "InProgress").await;
    let all = store::Key::all;
    let place = b.service.find(&b.world.cx(), "p").await.unwrap().0;
    let swept = b.world.store.watch(&[crate::records::Remains::TABLE]);
    b.ok("DeletePipeline", json!({"name": "p"})).await;
    // What was under way for it can write nothing any more.
    let late = b.service.desk.tell(&place, None, |state| {
        let start = crate::engine::Start { id: "late".into(), ..Default::default() };
        Ok(crate::desk::Ask::of(crate::engine::start(state, start)?, ()))
    });
    assert!(matches!(late.await, Err(crate::Error::PipelineNotFound { .. })));
    let gone = async {
        while b.world.store.count::<crate::records::Remains>(all()).await.unwrap() > 0 {
            swept.notified().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the remains are removed");
    let store = &b.world.store;
    let left = [
        store.count::<ExecutionRow>(all()).await.unwrap(),
        store.count::<ActionRow>(all()).await.unwrap(),
        store.count::<crate::records::Definition>(all()).await.unwrap(),
        store.count::<Saved>(all()).await.unwrap(),
        store.head::<crate::engine::Event>(&place.key()).await.unwrap(),
    ];
    assert_eq!(left, [0; 5]);
}

#[tokio::test]
async fn lists_page_with_tokens_of_their_own() {
    let b = Bench::new().await;
    b.fakes.memory().builds_end = Some("SUCCEEDED");
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![build()]])})).await;
    b.newest("Succeeded").await;
    for _ in 0..2 {
        let id = b.ok("StartPipelineExecution", json!({"name": "p"})).await["pipelineExecutionId"].clone();
        assert_eq!(b.newest("Succeeded").await["pipelineExecutionId"], id);
    }
    let (mut seen, mut token) = (Vec::new(), Value::Null);
    loop {
        let mut input =
            json!({"pipelineName": "p", "maxResults": 2, "filter": {"succeededInStage": {"stageName": "B"}}});
        if !token.is_null() {
            input["nextToken"] = token.clone();
        }
        let page = b.ok("ListPipelineExecutions", input).await;
        seen.extend(
            page["pipelineExecutionSummaries"]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| e["pipelineExecutionId"].clone()),
        );
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
        let other = json!({"pipelineName": "p", "nextToken": token});
        assert!(
            b.refused("ListPipelineExecutions", other.clone()).await.starts_with("InvalidNextTokenException")
        );
        assert!(b.refused("ListActionExecutions", other).await.starts_with("InvalidNextTokenException"));
    }
    let all = b.ok("ListPipelineExecutions", json!({"pipelineName": "p"})).await;
    let all: Vec<Value> = all["pipelineExecutionSummaries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pipelineExecutionId"].clone())
        .collect();
    assert_eq!(seen, all);
    assert_eq!(all.len(), 3);
    let page = b.ok("ListActionExecutions", json!({"pipelineName": "p", "maxResults": 4})).await;
    let next = json!({"pipelineName": "p", "nextToken": page["nextToken"]});
    let rest = b.ok("ListActionExecutions", next).await;
    assert_eq!(rest["actionExecutionDetails"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn events_are_told() {
    let b = Bench::new().await;
    b.fakes.memory().builds_end = Some("FAILED");
    // The consumer keeps what it has not read; a fresh one here reads from the start.
    b.world.store.subscribe(store::EVENTS, "test").await.unwrap();
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![build()]])})).await;
    b.newest("Failed").await;
    let told = b.world.store.messages(store::EVENTS, 0, 100).await.unwrap();
    let line = |m: &store::Message| {
        let d = &m.event.detail;
        let level = m.event.detail_type.split(' ').nth(1).unwrap().to_owned();
        let which = d["action"].as_str().or(d["stage"].as_str()).unwrap_or_default().to_owned();
        format!("{level} {which} {}", d["state"].as_str().unwrap())
    };
    let lines: Vec<String> = told.iter().map(line).collect();
    let expected = [
        "Pipeline  STARTED",
        "Stage A STARTED",
        "Action Src STARTED",
        "Action Src SUCCEEDED",
        "Stage A SUCCEEDED",
        "Stage B STARTED",
        "Action Build STARTED",
        "Action Build FAILED",
        "Stage B FAILED",
        "Pipeline  FAILED",
    ];
    assert_eq!(lines, expected);
    let failed = &told[7].event.detail;
    assert_eq!(failed["type"]["provider"], "CodeBuild");
    assert_eq!(failed["execution-result"]["external-execution-id"], "proj:1");
    assert_eq!(failed["execution-trigger"]["trigger-type"], "CreatePipeline");
}

#[tokio::test]
async fn tags_and_types_are_listed() {
    let b = Bench::new().await;
    let declared = pipeline(&[vec![source()], vec![approval()]]);
    b.ok("CreatePipeline", json!({"pipeline": declared, "tags": [{"key": "a", "value": "1"}]})).await;
    let arn = "arn:aws:codepipeline:us-east-1:000000000000:p";
    b.ok("TagResource", json!({"resourceArn": arn, "tags": [{"key": "b", "value": "2"}]})).await;
    b.ok("UntagResource", json!({"resourceArn": arn, "tagKeys": ["a"]})).await;
    let tags = b.ok("ListTagsForResource", json!({"resourceArn": arn})).await;
    assert_eq!(tags["tags"], json!([{"key": "b", "value": "2"}]));
    let reserved = json!({"resourceArn": arn, "tags": [{"key": "aws:x", "value": "2"}]});
    assert!(b.refused("TagResource", reserved).await.starts_with("InvalidTagsException"));
    let other = json!({"resourceArn": format!("{arn}/stage")});
    assert!(b.refused("ListTagsForResource", other).await.starts_with("InvalidArnException"));
    let missing = json!({"resourceArn": format!("{arn}2")});
    assert!(b.refused("ListTagsForResource", missing).await.starts_with("ResourceNotFoundException"));
    let types = b.ok("ListActionTypes", json!({"actionOwnerFilter": "AWS"})).await;
    let types = types["actionTypes"].as_array().unwrap();
    let ecs = types.iter().find(|t| t["id"]["provider"] == "ECS").unwrap();
    assert_eq!(ecs["inputArtifactDetails"], json!({"minimumCount": 1, "maximumCount": 1}));
    let listed = b.ok("ListPipelines", json!({})).await;
    assert_eq!(listed["pipelines"][0]["name"], "p");
}

#[tokio::test]
async fn a_build_goes_on_while_the_process_is_gone() {
    let b = Bench::new().await;
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![build()], vec![approval()]])}))
        .await;
    b.until("GetPipelineState", json!({"name": "p"}), |s| {
        s["stageStates"][1]["actionStates"][0]["latestExecution"]["externalExecutionId"] == "proj:1"
    })
    .await;
    let b = b.restart().await;
    b.build_ends("SUCCEEDED").await;
    b.action(2, 0, "InProgress").await;
    assert_eq!(b.fakes.memory().builds.len(), 1);
    // Until it runs again, an action is shown as it last was.
    b.ok("StartPipelineExecution", json!({"name": "p"})).await;
    b.until("GetPipelineState", json!({"name": "p"}), |s| {
        s["stageStates"][1]["actionStates"][0]["latestExecution"]["externalExecutionId"] == "proj:2"
    })
    .await;
    let waiting = b.action(2, 0, "InProgress").await;
    assert_ne!(waiting["token"], Value::Null);
}
