//! Jobs of partners' actions, and of sources of custom types.
use super::*;

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
        "settings": {"revisionUrlTemplate": "https://svn/{Config:Path}"},
        "configurationProperties": [{"name": "Path", "required": true, "key": true, "secret": false}],
        "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 0},
        "outputArtifactDetails": {"minimumCount": 1, "maximumCount": 1},
    });
    b.ok("CreateCustomActionType", source_type).await;
    let id = type_id("Custom", "Source", "Svn");
    let svn = json!({
        "name": "Svn", "actionTypeId": id, "outputArtifacts": [{"name": "SourceOutput"}],
        "configuration": {"Path": "trunk"},
    });
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
        "currentRevision": {"revision": "r1", "changeIdentifier": "change 1", "revisionSummary": "a change"},
    });
    b.ok("PutJobSuccessResult", done).await;
    let running = b.newest("InProgress").await;
    assert_eq!(running["trigger"]["triggerType"], "PutActionRevision");
    b.action(1, 0, "InProgress").await;
    let list = b.ok("ListPipelineExecutions", json!({"pipelineName": "p"})).await;
    let revision = &list["pipelineExecutionSummaries"][0]["sourceRevisions"][0];
    assert_eq!((&revision["revisionId"], &revision["revisionSummary"]), (&json!("r1"), &json!("a change")));
    // What the worker calls the change, and where its type says that it can be looked at.
    let state =
        b.ok("GetPipelineState", json!({"name": "p"})).await["stageStates"][0]["actionStates"][0].clone();
    let current = &state["currentRevision"];
    assert_eq!((&current["revisionId"], &current["revisionChangeId"]), (&json!("r1"), &json!("change 1")));
    assert_eq!(state["revisionUrl"], "https://svn/trunk");
    let id = json!({"pipelineName": "p", "pipelineExecutionId": running["pipelineExecutionId"]});
    let made = b.ok("GetPipelineExecution", id).await["pipelineExecution"]["artifactRevisions"][0].clone();
    let made = (&made["revisionId"], &made["revisionChangeIdentifier"], &made["revisionUrl"]);
    assert_eq!(made, (&json!("r1"), &json!("change 1"), &json!("https://svn/trunk")));
}

fn approval_of_nothing() -> Value {
    action("Approval", "Manual", "Ok", json!({}))
}
