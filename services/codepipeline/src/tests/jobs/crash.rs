//! A job worker whose server dies after each commit in turn.
use super::*;

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
    let opened = b.service.desk.openings.wake();
    unless("Validation", b.call("CreateCustomActionType", jenkins()).await)?;
    let declared = json!({"pipeline": pipeline(&[vec![source()], vec![custom()]])});
    unless("PipelineNameInUse", b.call("CreatePipeline", declared).await)?;
    while !step(b, held).await? {
        let moved = async {
            tokio::select! {
                () = wake.notified() => {}
                () = opened.notified() => {}
            }
        };
        tokio::time::timeout(PATIENCE, moved).await.expect("a commit, or a job");
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
    // The type, the pipeline, the end of its source, and three for the job; cursors of consumers may share theirs.
    assert!(crashes >= 6, "only {crashes} commits were crashed after");
}
