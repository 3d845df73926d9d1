//! The process dies after each commit in turn; another goes on. The end is the same, and nothing was done twice.
use serde_json::{Value, json};
use testkit::World;

use super::*;

/// What is left of a run to compare: every action, in order, with what it made.
async fn outcome(bench: &Bench) -> Value {
    let list = bench.ok("ListActionExecutions", json!({"pipelineName": "p"})).await;
    let runs = list["actionExecutionDetails"].as_array().unwrap();
    let line = |run: &Value| {
        json!([
            run["actionName"],
            run["status"],
            run["output"]["outputVariables"],
            run["output"]["executionResult"]["externalExecutionId"],
            run["output"]["outputArtifacts"].as_array().unwrap().len(),
        ])
    };
    runs.iter().map(line).collect()
}

async fn create(bench: &Bench) -> Result<(), Fault> {
    let mut pipeline = pipeline(&[vec![source()], vec![build()], vec![deploy()]]);
    let kind = json!({"category": "Rule", "owner": "AWS", "provider": "Commands", "version": "1"});
    let rule = json!({
        "name": "r", "ruleTypeId": kind, "commands": ["make check"],
        "inputArtifacts": [{"name": "SourceOutput"}],
    });
    pipeline["stages"][1]["beforeEntry"] = json!({"conditions": [{"result": "FAIL", "rules": [rule]}]});
    match bench.call("CreatePipeline", json!({"pipeline": pipeline})).await {
        // As after a client's retry.
        Err(fault) if fault.is("PipelineNameInUse") => Ok(()),
        other => other.map(drop),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_after_any_commit_changes_nothing() {
    let fakes = || {
        let fakes = Fakes::new();
        fakes.memory().builds_end = Some("SUCCEEDED");
        fakes
    };
    let whole = Bench::on(World::new().await, fakes());
    create(&whole).await.unwrap();
    whole.newest("Succeeded").await;
    let (expected, did) = (outcome(&whole).await, whole.fakes.memory().done.clone());
    assert_eq!(did, ["archive c0ffee1", "commands 1", "build 1", "register web:2", "roll web:2"]);

    let mut crashes = 0;
    for commits in 1.. {
        let bench = Bench::on(World::stopping_after(commits).await, fakes());
        // Waits for the end of the run or of the store, whichever comes first.
        let every = [Saved::TABLE, store::EVENTS, <crate::engine::Event as Record>::TABLE];
        let wake = bench.world.store.watch(&every);
        let mut created = create(&bench).await.is_ok();
        let finished = async |bench: &Bench| {
            let list = bench.call("ListPipelineExecutions", json!({"pipelineName": "p"})).await;
            list.map(|list| list["pipelineExecutionSummaries"][0]["status"] == "Succeeded")
        };
        let mut survived = false;
        while created {
            match finished(&bench).await {
                Ok(true) => {
                    survived = true;
                    break;
                }
                Ok(false) => tokio::time::timeout(PATIENCE, wake.notified()).await.expect("a commit"),
                Err(_) => created = false,
            }
        }
        let bench = bench.restart().await;
        create(&bench).await.unwrap();
        bench.newest("Succeeded").await;
        assert_eq!(outcome(&bench).await, expected, "after {commits} commits");
        let mut again = bench.fakes.memory().done.clone();
        // Reading a commit's files twice is harmless; everything else happens once.
        again.dedup_by(|a, b| a == b && a.starts_with("archive"));
        assert_eq!(again, did, "after {commits} commits");
        if survived {
            break;
        }
        crashes += 1;
    }
    // The pipeline, and the ends of its source, rule, build and deployment, at least.
    assert!(crashes >= 5, "only {crashes} commits were crashed after");
}
