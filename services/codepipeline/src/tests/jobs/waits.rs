//! Whether anybody works on a job, as GetPipelineWaits tells.
use super::*;

#[tokio::test]
async fn what_waits_for_a_worker_says_how_its_job_stands() {
    let b = bench().await;
    let opened = b.service.desk.openings.wake();
    b.ok("CreatePipeline", declared()).await;
    tokio::time::timeout(PATIENCE, opened.notified()).await.expect("a job");
    let check = async |status: &str, says: &str| {
        let waits = b.world.call("longshore.GetPipelineWaits", json!({"name": "p"})).await.unwrap();
        let wait = &waits["waits"][0];
        assert_eq!((&wait["reason"], &wait["jobStatus"]), (&json!("Provider"), &json!(status)));
        assert_eq!(wait["message"], format!("Running action 'Ci' in stage 'B': {says}"));
    };
    check("Created", "no worker has polled for its job yet").await;
    job(&b).await;
    check("Dispatched", "a worker was offered its job and may acknowledge it until 2026-01-01T00:02:00Z")
        .await;
    b.world.clock.advance(Duration::from_secs(120));
    let lost = "a worker was offered its job and did not acknowledge it; the next to poll is offered it";
    check("Dispatched", lost).await;
    let job = taken(&b).await;
    check("InProgress", "a worker has had its job since 2026-01-01T00:02:00Z").await;
    let rest = json!({
        "jobId": job["id"], "continuationToken": "half", "executionDetails": {"summary": "Half done"},
    });
    b.ok("PutJobSuccessResult", rest).await;
    check("Queued", "Half done; its job goes on from 2026-01-01T00:02:30Z").await;
    b.world.clock.advance(Duration::from_secs(30));
    check("Queued", "Half done; its job is to go on, and nobody has taken it up").await;
}
