//! An engine that fails at what it is asked, or never ends.
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use testkit::{FakeEngine, World};

use super::rig::{Rig, phases, task};
use crate::records::Stage;

#[tokio::test]
async fn a_stop_that_the_engine_failed_at_is_asked_for_again() {
    let rig = Rig::new().await;
    rig.project(json!({})).await;
    let id = rig.start(json!({})).await;
    rig.reached(&id, Stage::Follow).await;
    rig.engine.fail(&format!("stop {}", task(&id)), 2);
    rig.call("StopBuild", json!({"id": id})).await.unwrap();
    assert_eq!(rig.complete(&id).await.unwrap()["buildStatus"], "STOPPED");
}

#[tokio::test]
async fn a_pull_without_end_ends_with_the_builds_time() {
    let world = World::new().await;
    let clock = world.clock.clone();
    let engine = FakeEngine::new(clock.clone());
    engine.stall_image("stalled");
    let rig = Rig::at(clock.clone(), world, engine.clone(), Arc::default());
    rig.project(json!({"timeoutInMinutes": 5})).await;
    let id = rig.start(json!({"imageOverride": "stalled"})).await;
    let (world, shelf) = rig.end().await;
    // Its time is not over when it is provisioned again, and is soon.
    clock.advance(Duration::from_secs(5 * 60) - Duration::from_millis(10));
    let rig = Rig::at(clock, world, engine, shelf);
    let build = rig.complete(&id).await.unwrap();
    assert_eq!(build["buildStatus"], "TIMED_OUT", "{build:#}");
    assert_eq!(phases(&build)[1..3], ["QUEUED SUCCEEDED", "PROVISIONING TIMED_OUT"]);
}

#[tokio::test]
async fn a_build_whose_rules_cannot_be_applied_holds_no_other_up() {
    let rig = Rig::new().await;
    rig.project(json!({})).await;
    let (first, second) = (rig.start(json!({})).await, rig.start(json!({})).await);
    for id in [&first, &second] {
        rig.reached(id, Stage::Follow).await;
    }
    rig.engine.fail(&format!("rules {}", task(&first)), usize::MAX);
    let rig = rig.restart(None).await;
    let applied = format!("rules {}", task(&second));
    rig.eventually(async || rig.engine.log().contains(&applied)).await;
}
