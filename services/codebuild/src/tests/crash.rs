//! Stopped after every commit and started again, a build ends as if nothing had been.
use std::sync::Arc;

use kernel::clock::SystemClock;
use serde_json::json;
use testkit::{FakeEngine, World};

use super::rig::{Rig, containers, phases};

/// Everything that a build leaves, once it is complete.
async fn run(stop_after: Option<u64>) -> (bool, Vec<String>, Vec<String>, Vec<String>, usize) {
    let engine = FakeEngine::new(Arc::new(SystemClock));
    containers(&engine);
    // The same everywhere before the first crash.
    let rig = Rig::over(World::new().await, engine, Arc::default());
    rig.project(
        json!({"artifacts": {"type": "S3", "location": "bucket", "packaging": "ZIP", "name": "a.zip"}}),
    )
    .await;
    let mut rig = rig.restart(stop_after).await;
    let spec = "version: 0.2\nphases: {build: {commands: [echo one, 'echo two >f', cat f]}}\nartifacts: {files: [f]}";
    let start = json!({"projectName": "app", "idempotencyToken": "t", "buildspecOverride": spec});
    let mut crashed = false;
    let (build, lines, builds) = loop {
        let done = async {
            let started = rig.call("StartBuild", start.clone()).await?;
            let id = started["build"]["id"].as_str().unwrap().to_owned();
            let build = rig.complete(&id).await?;
            // What reads see belongs to it: the fuse may blow in what is cleaned up behind a complete build.
            let builds = rig.call("ListBuilds", json!({})).await?["ids"].as_array().map_or(0, Vec::len);
            rig.try_log(&id).await.map(|lines| (build, lines, builds))
        };
        match done.await {
            Ok(done) => break done,
            Err(_) => {
                assert!(!crashed, "it crashes once");
                crashed = true;
                rig = rig.restart(None).await;
            }
        }
    };
    let runs = rig.engine.log().into_iter().filter(|line| line.starts_with("run ")).collect();
    assert_eq!(build["buildStatus"], "SUCCEEDED", "{build:#}");
    assert_eq!(rig.shelf.0.lock().unwrap().keys().collect::<Vec<_>>(), ["bucket/a.zip"]);
    (crashed, phases(&build), lines, runs, builds)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_after_any_commit_changes_nothing() {
    let (_, whole, log, ..) = run(None).await;
    assert_eq!(log, ["one", "two"]);
    for commit in 1.. {
        let (crashed, phases, lines, runs, builds) = run(Some(commit)).await;
        assert_eq!((&phases, &lines, runs.len(), builds), (&whole, &log, 1, 1), "after commit {commit}");
        if !crashed {
            assert!(commit > 5, "a build takes more commits than {commit}");
            break;
        }
    }
}
