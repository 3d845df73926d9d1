//! An engine that fails at what it is asked, or never ends.
use serde_json::json;

use super::rig::{Rig, task};
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
