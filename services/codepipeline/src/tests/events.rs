//! What EventBridge hears of executions that do not simply go through.
use super::*;

/// What was told since the last look: level, which, state, the attempt after the first, and what the stop was for.
async fn told(b: &Bench, from: &mut u64) -> Vec<String> {
    let all = b.world.store.messages(store::EVENTS, *from, 1000).await.unwrap();
    *from = all.last().map_or(*from, |message| message.seq);
    let line = |event: &Event| {
        let detail = &event.detail;
        let level = event.detail_type.split(' ').nth(1).unwrap().to_owned();
        let which = detail["action"].as_str().or(detail["stage"].as_str()).unwrap_or("-").to_owned();
        let attempt = detail["pipeline-execution-attempt"].as_u64().unwrap();
        let attempt = if attempt > 1 { format!(" #{attempt}") } else { String::new() };
        let comment = detail["stop-execution-comments"].as_str().map(|comment| format!(" ({comment})"));
        let state = detail["state"].as_str().unwrap();
        format!("{level} {which} {state}{attempt}{}", comment.unwrap_or_default())
    };
    let ours = all.iter().map(|message| &*message.event).filter(|event| event.source == "aws.codepipeline");
    ours.map(line).collect()
}

#[tokio::test]
async fn what_stops_resumes_and_gives_way_is_told() {
    let b = Bench::new().await;
    b.world.store.subscribe(store::EVENTS, "test").await.unwrap();
    let mut from = 0;
    let building = async |number: usize| {
        b.until("GetPipelineState", json!({"name": "p"}), |s| {
            let run = &s["stageStates"][1]["actionStates"][0]["latestExecution"];
            run["externalExecutionId"] == format!("proj:{number}")
        })
        .await;
    };
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![build()]])})).await;
    building(1).await;
    told(&b, &mut from).await;

    let first = b.newest("InProgress").await["pipelineExecutionId"].clone();
    let stop = |abandon: bool| json!({"pipelineName": "p", "pipelineExecutionId": first, "abandon": abandon, "reason": "enough"});
    b.ok("StopPipelineExecution", stop(false)).await;
    assert_eq!(told(&b, &mut from).await, ["Pipeline - STOPPING (enough)", "Stage B STOPPING (enough)"]);
    b.ok("StopPipelineExecution", stop(true)).await;
    b.newest("Stopped").await;
    let stopped = [
        "Pipeline - STOPPING (enough)",
        "Stage B STOPPING (enough)",
        "Action Build ABANDONED (enough)",
        "Stage B STOPPED (enough)",
        "Pipeline - STOPPED (enough)",
    ];
    assert_eq!(told(&b, &mut from).await, stopped);

    let retry = json!({
        "pipelineName": "p", "stageName": "B", "pipelineExecutionId": first, "retryMode": "FAILED_ACTIONS",
    });
    b.ok("RetryStageExecution", retry).await;
    building(2).await;
    let resumed = ["Pipeline - RESUMED #2", "Stage B RESUMED #2", "Action Build STARTED #2"];
    assert_eq!(told(&b, &mut from).await, resumed);

    // Two come behind it: the later takes the place of the earlier, and waits until an update takes it away too.
    for _ in 0..2 {
        let id = b.ok("StartPipelineExecution", json!({"name": "p"})).await["pipelineExecutionId"].clone();
        b.until("GetPipelineState", json!({"name": "p"}), |s| {
            s["stageStates"][1]["inboundExecution"]["pipelineExecutionId"] == id
        })
        .await;
    }
    let lines = told(&b, &mut from).await;
    assert_eq!(lines.iter().filter(|line| *line == "Pipeline - SUPERSEDED").count(), 1, "{lines:?}");
    b.ok("UpdatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![build()]])})).await;
    assert_eq!(told(&b, &mut from).await, ["Pipeline - CANCELED"]);
    b.build_ends("SUCCEEDED").await;
    let id = json!({"pipelineName": "p", "pipelineExecutionId": first});
    b.until("GetPipelineExecution", id, |e| e["pipelineExecution"]["status"] == "Cancelled").await;
    let cancelled = ["Action Build SUCCEEDED #2", "Stage B CANCELED #2", "Pipeline - CANCELED #2"];
    assert_eq!(told(&b, &mut from).await, cancelled);
}

#[tokio::test]
async fn a_stage_retries_itself_once() {
    let b = Bench::new().await;
    b.fakes.memory().builds_end = Some("FAILED");
    let mut declared = pipeline(&[vec![source()], vec![build()]]);
    declared["stages"][1]["onFailure"] =
        json!({"result": "RETRY", "retryConfiguration": {"retryMode": "ALL_ACTIONS"}});
    b.ok("CreatePipeline", json!({"pipeline": declared})).await;
    b.newest("Failed").await;
    assert_eq!(b.fakes.memory().builds.len(), 2);
    let state = b.ok("GetPipelineState", json!({"name": "p"})).await["stageStates"][1].clone();
    let metadata = json!({"autoStageRetryAttempt": 1, "latestRetryTrigger": "AutomatedStageRetry"});
    assert_eq!(state["retryStageMetadata"], metadata);
    assert_eq!(state["latestExecution"]["status"], "Failed");
}

#[tokio::test]
async fn an_update_that_is_refused_changes_nothing() {
    let b = Bench::new().await;
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![approval()]])})).await;
    let waiting = b.action(1, 0, "InProgress").await;
    let before = b.ok("GetPipeline", json!({"name": "p"})).await;
    let refused = b.refused("UpdatePipeline", json!({"pipeline": pipeline(&[vec![source()]])})).await;
    assert!(refused.starts_with("InvalidStructureException"), "{refused}");
    b.world.authority.deny("sts:AssumeRole");
    let other = json!({"pipeline": pipeline(&[vec![source()], vec![build()]])});
    let refused = b.refused("UpdatePipeline", other.clone()).await;
    assert!(refused.contains("not authorized to perform AssumeRole"), "{refused}");
    b.world.authority.allow("sts:AssumeRole");
    assert_eq!(b.ok("GetPipeline", json!({"name": "p"})).await, before);
    assert_eq!(b.action(1, 0, "InProgress").await, waiting);
    let decided = json!({
        "pipelineName": "p", "stageName": "B", "actionName": "Ok", "token": waiting["token"],
        "result": {"status": "Approved", "summary": "fine"},
    });
    b.ok("PutApprovalResult", decided).await;
    b.newest("Succeeded").await;
    assert_eq!(b.ok("UpdatePipeline", other).await["pipeline"]["version"], 2);
}
