//! What lasts, and for how long.
use std::sync::Arc;

use api::codebuild::StartBuild;
use api::internal::StartTargetBuild;
use serde_json::json;
use testkit::{FakeEngine, ManualClock, World};

use super::rig::Rig;
use crate::limits;

async fn manual() -> (Rig, Arc<ManualClock>) {
    let world = World::new().await;
    let clock = world.clock.clone();
    let engine = FakeEngine::new(clock.clone());
    (Rig::at(clock.clone(), world, engine, Arc::default()), clock)
}

#[tokio::test]
async fn a_deliverys_token_outlasts_a_clients() {
    let (rig, clock) = manual().await;
    rig.project(json!({})).await;
    let build = StartBuild { project_name: "app".into(), ..StartBuild::default() };
    let asked = StartTargetBuild { build, token: "t".into() };
    let delivered = async || rig.world.cx().call(asked.clone()).await.unwrap().build.unwrap().id.unwrap();
    let client = async || rig.start(json!({"idempotencyToken": "t"})).await;
    let first = (delivered().await, client().await);
    assert_eq!((delivered().await, client().await), first);
    clock.advance(limits::TOKEN.unsigned_abs());
    let again = (delivered().await, client().await);
    assert_eq!(again.0, first.0);
    assert_ne!(again.1, first.1);
}
