//! The past: pages that stay right, what retention removes, whether the log adds up; and why what waits does.
use std::collections::BTreeSet;

use serde_json::{Value, json};
use work::Next;

use super::*;
use crate::{Keep, verify};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn finished(b: &Bench) -> Value {
    let id = b.ok("StartPipelineExecution", json!({"name": "p"})).await["pipelineExecutionId"].clone();
    ended(b, &id, "Succeeded").await;
    id
}

async fn ended(b: &Bench, id: &Value, status: &str) {
    let input = json!({"pipelineName": "p", "pipelineExecutionId": id});
    b.until("GetPipelineExecution", input, |e| e["pipelineExecution"]["status"] == *status).await;
}

fn ids(list: &Value) -> Vec<Value> {
    let summaries = list["pipelineExecutionSummaries"].as_array().unwrap();
    summaries.iter().map(|summary| summary["pipelineExecutionId"].clone()).collect()
}

async fn released() -> (Bench, Value) {
    let b = Bench::new().await;
    b.fakes.memory().builds_end = Some("SUCCEEDED");
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![build()]])})).await;
    let first = b.newest("Succeeded").await["pipelineExecutionId"].clone();
    (b, first)
}

#[tokio::test]
async fn pages_stay_right_while_executions_start() {
    let (b, first) = released().await;
    let (second, third) = (finished(&b).await, finished(&b).await);
    let list = |members: Value| with(json!({"pipelineName": "p", "maxResults": 1}), members);
    let succeeded = json!({"filter": {"succeededInStage": {"stageName": "B"}}});
    for filter in [json!({}), succeeded.clone()] {
        let page = b.ok("ListPipelineExecutions", list(filter.clone())).await;
        let newest = ids(&page)[0].clone();
        let token = json!({"nextToken": page["nextToken"]});
        finished(&b).await;
        let page = b.ok("ListPipelineExecutions", list(with(token.clone(), filter.clone()))).await;
        let next = ids(&page)[0].clone();
        assert_ne!(newest, next);
        let rest = json!({"pipelineName": "p", "nextToken": page["nextToken"]});
        let rest = b.ok("ListPipelineExecutions", with(rest, filter.clone())).await;
        let known: Vec<Value> = ids(&rest);
        assert_eq!(rest["nextToken"], Value::Null);
        let all: Vec<&Value> = [&newest, &next].into_iter().chain(&known).collect();
        assert_eq!(all[all.len() - 3..], [&third, &second, &first]);
        // A token belongs to its list.
        let other = b.refused("ListPipelineExecutions", with(token, json!({"pipelineName": "q"}))).await;
        assert!(other.starts_with("PipelineNotFoundException"), "{other}");
        let bad = json!({"pipelineName": "p", "nextToken": "garbage"});
        assert!(b.refused("ListPipelineExecutions", bad).await.starts_with("InvalidNextToken"));
    }
    // The filter knows the stage, and the current version alone.
    b.fakes.memory().builds_end = Some("FAILED");
    let id = b.ok("StartPipelineExecution", json!({"name": "p"})).await["pipelineExecutionId"].clone();
    ended(&b, &id, "Failed").await;
    let filtered =
        |stage: &str| json!({"pipelineName": "p", "filter": {"succeededInStage": {"stageName": stage}}});
    assert_eq!(ids(&b.ok("ListPipelineExecutions", filtered("A")).await)[0], id);
    assert!(!ids(&b.ok("ListPipelineExecutions", filtered("B")).await).contains(&id));
    b.ok("UpdatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![build()]])})).await;
    assert!(ids(&b.ok("ListPipelineExecutions", filtered("A")).await).is_empty());
}

#[tokio::test]
async fn the_latest_runs_of_an_execution_are_one_per_action() {
    let b = Bench::new().await;
    b.fakes.memory().builds_end = Some("FAILED");
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![build()]])})).await;
    let id = b.newest("Failed").await["pipelineExecutionId"].clone();
    b.fakes.memory().builds_end = Some("SUCCEEDED");
    let retry = json!({"pipelineName": "p", "stageName": "B", "pipelineExecutionId": id, "retryMode": "FAILED_ACTIONS"});
    b.ok("RetryStageExecution", retry).await;
    ended(&b, &id, "Succeeded").await;
    finished(&b).await;
    let names = |list: &Value| {
        let runs = list["actionExecutionDetails"].as_array().unwrap();
        let name = |run: &Value| {
            format!("{} {}", run["actionName"].as_str().unwrap(), run["status"].as_str().unwrap())
        };
        runs.iter().map(name).collect::<Vec<_>>()
    };
    let list = |filter: Value| json!({"pipelineName": "p", "filter": filter});
    let range = |range: &str| json!({"latestInPipelineExecution": {"pipelineExecutionId": id, "startTimeRange": range}});
    let all = b.ok("ListActionExecutions", list(json!({"pipelineExecutionId": id}))).await;
    assert_eq!(names(&all), ["Build Succeeded", "Build Failed", "Src Succeeded"]);
    assert_eq!(names(&b.ok("ListActionExecutions", list(range("All"))).await), names(&all));
    let latest = b.ok("ListActionExecutions", list(range("Latest"))).await;
    assert_eq!(names(&latest), ["Build Succeeded", "Src Succeeded"]);
}

/// Runs the retention until nothing is left to do; false where the store is closed.
async fn retain(b: &Bench, keep: Keep) -> bool {
    let worker = b.service.retention(b.world.ops(), keep);
    loop {
        match worker.run().await {
            Ok(Next::Again) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
}

/// What is left: executions, the objects that their runs made, and what verify says.
async fn left(b: &Bench) -> Value {
    let list = b.ok("ListPipelineExecutions", json!({"pipelineName": "p"})).await;
    let runs = b.ok("ListActionExecutions", json!({"pipelineName": "p"})).await;
    let objects: BTreeSet<String> = b.fakes.memory().objects.keys().cloned().collect();
    json!([
        ids(&list).len(),
        runs["actionExecutionDetails"].as_array().unwrap().len(),
        objects.len(),
        verify(&b.world.store).await.unwrap()
    ])
}

#[tokio::test]
async fn retention_removes_what_is_old_and_not_needed() {
    let (b, _) = released().await;
    finished(&b).await;
    let last = finished(&b).await;
    assert_eq!(left(&b).await, json!([3, 6, 6, []]));
    let keep = Keep { executions: 30 * DAY, artifacts: 10 * DAY };
    b.world.clock.advance(9 * DAY);
    assert!(retain(&b, keep).await);
    assert_eq!(left(&b).await, json!([3, 6, 6, []]));
    // The last one is shown by the state, and what a rollback would return to.
    b.world.clock.advance(2 * DAY);
    assert!(retain(&b, keep).await);
    assert_eq!(left(&b).await, json!([3, 6, 2, []]));
    b.world.clock.advance(30 * DAY);
    assert!(retain(&b, keep).await);
    assert_eq!(left(&b).await, json!([1, 2, 2, []]));
    let list = b.ok("ListPipelineExecutions", json!({"pipelineName": "p"})).await;
    assert_eq!(ids(&list), [last]);
    let events = b.world.store.list::<crate::records::Base>(store::Key::all(), None, 9).await.unwrap();
    assert_eq!(events.len(), 1, "the events are folded");

    // The pipeline goes on from there, also in another process, and its log still adds up.
    let b = b.restart().await;
    finished(&b).await;
    assert_eq!(left(&b).await, json!([2, 4, 4, []]));
    b.ok("DeletePipeline", json!({"name": "p"})).await;
    let wake = b.world.store.watch(&[crate::records::Base::TABLE, crate::records::Remains::TABLE]);
    while !b.world.store.list::<crate::records::Remains>(store::Key::all(), None, 1).await.unwrap().is_empty()
    {
        tokio::time::timeout(PATIENCE, wake.notified()).await.unwrap();
    }
    assert_eq!(b.world.store.count::<crate::records::Base>(store::Key::all()).await.unwrap(), 0);
    assert_eq!(b.world.store.count::<crate::records::Succeeded>(store::Key::all()).await.unwrap(), 0);
}

#[tokio::test]
async fn retention_keeps_what_a_stage_rolls_itself_back_to() {
    let b = Bench::new().await;
    b.fakes.memory().builds_end = Some("SUCCEEDED");
    let mut declared = pipeline(&[vec![source()], vec![build()]]);
    declared["stages"][1]["onFailure"] = json!({"result": "ROLLBACK"});
    b.ok("CreatePipeline", json!({"pipeline": with(declared, json!({"pipelineType": "V2"}))})).await;
    let oldest = b.newest("Succeeded").await["pipelineExecutionId"].clone();
    let before: BTreeSet<String> = b.fakes.memory().objects.keys().cloned().collect();
    let target = finished(&b).await;
    let made = |b: &Bench| b.fakes.memory().objects.keys().cloned().collect::<BTreeSet<String>>();
    let needed: BTreeSet<String> = made(&b).difference(&before).cloned().collect();

    // The next one fails, and the rollback is then what both the state and the stage's marks show.
    b.fakes.memory().builds_end = None;
    let failed = b.ok("StartPipelineExecution", json!({"name": "p"})).await["pipelineExecutionId"].clone();
    b.until("GetPipelineState", json!({"name": "p"}), |s| {
        s["stageStates"][1]["actionStates"][0]["latestExecution"]["externalExecutionId"] == "proj:3"
    })
    .await;
    b.fakes.memory().builds_end = Some("SUCCEEDED");
    b.build_ends("FAILED").await;
    ended(&b, &failed, "Failed").await;
    let back = b.newest("Succeeded").await;
    assert_eq!(back["executionType"], "ROLLBACK");

    b.world.clock.advance(40 * DAY);
    assert!(retain(&b, Keep { executions: 30 * DAY, artifacts: 10 * DAY }).await);
    let list = ids(&b.ok("ListPipelineExecutions", json!({"pipelineName": "p"})).await);
    assert!(list.contains(&target) && !list.contains(&oldest), "{list:?}");
    assert!(made(&b).is_superset(&needed) && made(&b).is_disjoint(&before));
    assert_eq!(verify(&b.world.store).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn retention_removes_what_was_uploaded_for_runs_that_came_to_nothing() {
    let b = Bench::new().await;
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![build()]])})).await;
    let building = async |number: usize| {
        b.until("GetPipelineState", json!({"name": "p"}), |s| {
            let run = &s["stageStates"][1]["actionStates"][0]["latestExecution"];
            run["externalExecutionId"] == format!("proj:{number}")
        })
        .await;
        // The build has uploaded its artifact before it ends.
        let mut memory = b.fakes.memory();
        let output = &memory.builds.last().unwrap().0.outputs[0];
        let name = format!("{}/{}", output.bucket, output.key);
        memory.objects.insert(name.clone(), fakes::images());
        name
    };
    let failed = building(1).await;
    b.build_ends("FAILED").await;
    let id = b.newest("Failed").await["pipelineExecutionId"].clone();
    let start =
        async || b.ok("StartPipelineExecution", json!({"name": "p"})).await["pipelineExecutionId"].clone();
    let second = start().await;
    let abandoned = building(2).await;
    let stop = json!({"pipelineName": "p", "pipelineExecutionId": second, "abandon": true});
    b.ok("StopPipelineExecution", stop).await;
    ended(&b, &second, "Stopped").await;
    b.fakes.memory().builds_end = Some("SUCCEEDED");
    let last = finished(&b).await;
    b.fakes.memory().objects.insert("artifacts/mine".into(), fakes::images());

    b.world.clock.advance(40 * DAY);
    assert!(retain(&b, Keep { executions: 30 * DAY, artifacts: 10 * DAY }).await);
    let list = ids(&b.ok("ListPipelineExecutions", json!({"pipelineName": "p"})).await);
    assert!(list == [last] && !list.contains(&id));
    let memory = b.fakes.memory();
    assert!(!memory.objects.contains_key(&failed) && !memory.objects.contains_key(&abandoned));
    // The last one's own, and what is nobody's.
    assert_eq!(memory.objects.len(), 3, "{:?}", memory.objects.keys());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_within_retention_leaves_it_to_the_next_pass() {
    let keep = Keep { executions: 30 * DAY, artifacts: 10 * DAY };
    let mut crashes = 0;
    for commits in 1.. {
        let (b, _) = released().await;
        finished(&b).await;
        finished(&b).await;
        b.world.clock.advance(40 * DAY);
        let b = b.restart_with(store::Options { stop_after: Some(commits) }).await;
        let survived = retain(&b, keep).await;
        let b = b.restart().await;
        assert_eq!(verify(&b.world.store).await.unwrap(), [""; 0], "after {commits} commits");
        assert!(retain(&b, keep).await);
        assert_eq!(left(&b).await, json!([1, 2, 2, []]), "after {commits} commits");
        if survived {
            break;
        }
        crashes += 1;
    }
    assert!(crashes >= 4, "only {crashes} commits were crashed after");
}

#[tokio::test]
async fn verify_finds_what_does_not_fit() {
    let (b, id) = released().await;
    assert_eq!(verify(&b.world.store).await.unwrap(), [""; 0]);
    let row = &b.world.store.list::<ExecutionRow>(store::Key::all(), None, 1).await.unwrap()[0];
    let saved = &b.world.store.list::<Saved>(store::Key::all(), None, 1).await.unwrap()[0];
    let mut other = saved.value.clone();
    other.state.started += 1;
    let batch = Batch::new().put(&saved.key, &other).delete::<ExecutionRow>(&row.key);
    b.world.store.commit(batch).await.unwrap();
    let wrong = verify(&b.world.store).await.unwrap();
    assert!(wrong[0].contains("the log adds up to another state"), "{wrong:?}");
    assert!(wrong[1].contains(id.as_str().unwrap()), "{wrong:?}");
}

async fn waits(b: &Bench, input: Value) -> Vec<Value> {
    let answer = b.world.call("longshore.GetPipelineWaits", input).await.unwrap();
    answer["waits"].as_array().unwrap().clone()
}

/// The members of a wait that a test is about.
fn some(wait: &Value, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| wait[name].clone()).collect()
}

#[tokio::test]
async fn what_waits_says_why() {
    let b = Bench::new().await;
    let later = with(build(), json!({"runOrder": 2}));
    let declared = with(
        pipeline(&[vec![source()], vec![approval(), later]]),
        json!({"executionMode": "QUEUED", "pipelineType": "V2"}),
    );
    b.ok("CreatePipeline", json!({"pipeline": declared})).await;
    let run = b.action(1, 0, "InProgress").await;
    let first = b.newest("InProgress").await["pipelineExecutionId"].clone();
    let all = waits(&b, json!({"name": "p"})).await;
    assert_eq!(all.len(), 2);
    assert_eq!(
        some(&all[0], &["pipelineExecutionId", "reason", "stageName", "actionName", "actionExecutionId"]),
        [first.clone(), json!("Approval"), json!("B"), json!("Ok"), run["actionExecutionId"].clone()]
    );
    assert_eq!(all[0]["until"].as_f64().unwrap() - all[0]["since"].as_f64().unwrap(), 7.0 * 24.0 * 3600.0);
    assert_eq!(
        some(&all[1], &["reason", "actionName", "afterRunOrder"]),
        [json!("RunOrder"), json!("Build"), json!(1)]
    );

    // Two behind it, in line.
    let start =
        async || b.ok("StartPipelineExecution", json!({"name": "p"})).await["pipelineExecutionId"].clone();
    for position in [1, 2] {
        let id = start().await;
        let waiting = async || waits(&b, json!({"name": "p", "pipelineExecutionId": id})).await;
        b.until("GetPipelineState", json!({"name": "p"}), |s| {
            s["stageStates"][1]["inboundExecutions"].as_array().unwrap().len() == position
        })
        .await;
        let expected = [json!("StageLocked"), json!("B"), first.clone(), json!(position)];
        let names = ["reason", "stageName", "heldByPipelineExecutionId", "queuePosition"];
        assert_eq!(some(&waiting().await[0], &names), expected);
    }
    let hold =
        json!({"pipelineName": "p", "stageName": "B", "transitionType": "Inbound", "reason": "hold it"});
    b.ok("DisableStageTransition", hold).await;
    let all = waits(&b, json!({"name": "p"})).await;
    let expected =
        [json!("TransitionDisabled"), json!("hold it"), json!("arn:aws:iam::000000000000:root"), json!(2)];
    assert_eq!(some(&all[3], &["reason", "disabledReason", "disabledBy", "queuePosition"]), expected);

    // What a provider works on, and what is said of one that is to stop.
    let approve = json!({
        "pipelineName": "p", "stageName": "B", "actionName": "Ok", "token": run["token"],
        "result": {"status": "Approved", "summary": "fine"},
    });
    b.ok("PutApprovalResult", approve).await;
    b.until("GetPipelineState", json!({"name": "p"}), |s| {
        s["stageStates"][1]["actionStates"][1]["latestExecution"]["externalExecutionId"] == "proj:1"
    })
    .await;
    b.ok("StopPipelineExecution", json!({"pipelineName": "p", "pipelineExecutionId": first})).await;
    let all = waits(&b, json!({"name": "p", "pipelineExecutionId": first})).await;
    let expected = [json!("Provider"), json!("Build"), json!("proj:1"), json!("Stopping")];
    assert_eq!(some(&all[0], &["reason", "actionName", "externalExecutionId", "status"]), expected);
    assert!(all[0]["thenEnds"].as_str().unwrap().starts_with("Stopping"), "{all:?}");

    let missing = json!({"name": "p", "pipelineExecutionId": "11111111-1111-4111-8111-111111111111"});
    let missing = testkit::fault(b.world.call("longshore.GetPipelineWaits", missing).await);
    assert!(missing.starts_with("PipelineExecutionNotFoundException"), "{missing}");
    b.world.authority.deny("codepipeline:GetPipelineState");
    let denied = testkit::fault(b.world.call("longshore.GetPipelineWaits", json!({"name": "p"})).await);
    assert!(denied.starts_with("AccessDenied"), "{denied}");
}

#[tokio::test]
async fn a_parallel_execution_says_what_has_no_room() {
    let b = Bench::new().await;
    let approvals = (0..7).map(|n| with(approval(), json!({"name": format!("Ok{n}")}))).collect();
    let declared = pipeline(&[vec![source()], approvals]);
    let declared = with(declared, json!({"executionMode": "PARALLEL", "pipelineType": "V2"}));
    b.ok("CreatePipeline", json!({"pipeline": declared})).await;
    let running = |list: &Value| {
        let runs = list["actionExecutionDetails"].as_array().unwrap();
        runs.iter().filter(|run| run["status"] == "InProgress" && run["stageName"] == "B").count()
    };
    b.until("ListActionExecutions", json!({"pipelineName": "p"}), |list| running(list) == 5).await;
    let all = waits(&b, json!({"name": "p"})).await;
    let reasons: Vec<&Value> = all.iter().map(|wait| &wait["reason"]).collect();
    assert_eq!(reasons, ["Approval", "Approval", "Approval", "Approval", "Approval", "Capacity", "Capacity"]);
    assert_eq!(some(&all[6], &["actionName", "concurrentActions"]), [json!("Ok6"), json!(5)]);
}
