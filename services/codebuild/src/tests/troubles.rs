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
