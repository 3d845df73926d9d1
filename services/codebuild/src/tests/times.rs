//! What lasts, and for how long.
use std::sync::Arc;
use std::time::Duration;

use api::codebuild::StartBuild;
use api::internal::{StartActionBuild, StartTargetBuild};
use serde_json::json;
use store::Key;
use testkit::{FakeEngine, ManualClock, World};

use super::rig::{Rig, task};
use crate::limits;
use crate::records::{BuildId, BuildRow, Stage};

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

/// Its container dies, and everything behind it is cleared away.
async fn die(rig: &Rig, id: &str) {
    rig.reached(id, Stage::Follow).await;
    rig.engine.exit(&task(id).parse().unwrap(), "build", 137);
    rig.reached(id, Stage::Done).await;
}

#[tokio::test]
async fn builds_are_forgotten_a_year_after_their_end() {
    let (rig, clock) = manual().await;
    rig.project(json!({})).await;
    let unended = rig.start(json!({})).await;
    rig.reached(&unended, Stage::Follow).await;
    let old = rig.start(json!({})).await;
    die(&rig, &old).await;
    let role = "arn:aws:iam::000000000000:role/pipeline";
    let cx = rig.world.cx().as_role("codepipeline.amazonaws.com", role, "run").await.unwrap();
    let action = StartActionBuild {
        token: "run".into(),
        pipeline: "p".into(),
        commands: vec!["true".into()],
        compute_type: "BUILD_GENERAL1_SMALL".into(),
        minutes: 55,
        ..StartActionBuild::default()
    };
    let action = cx.call(action).await.unwrap().build.unwrap().id.unwrap();
    die(&rig, &action).await;
    clock.advance(Duration::from_secs(1));
    let young = rig.start(json!({})).await;
    die(&rig, &young).await;

    let engine = rig.engine.clone();
    let (world, shelf) = rig.end().await;
    clock.advance(limits::HISTORY.unsigned_abs() - Duration::from_secs(1));
    let rig = Rig::at(clock, world, engine, shelf);
    let left = async || {
        let rows = rig.world.store.list_by_seq::<BuildRow>(Key::all(), 0, limits::PAGE).await.unwrap();
        rows.iter().map(|row| BuildId::of(&row.key).to_string()).collect::<Vec<_>>()
    };
    rig.eventually(async || left().await.len() < 4).await;
    assert_eq!(left().await, [unended, young]);
}
