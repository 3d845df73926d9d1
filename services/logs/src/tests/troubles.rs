//! Work that one stream's trouble does not stop.
use store::Batch;

use super::*;
use crate::records::Line;

#[tokio::test]
async fn a_stream_that_cannot_be_gathered_or_purged_holds_no_other_up() {
    let (world, logs) = fresh().await;
    // No blob can have a name with a space in it.
    let broken = Key::new(testkit::ACCOUNT, testkit::REGION).text("no name");
    let row = Chunk { from: 0, to: 0, count: 1, bytes: 1, place: Place::Row };
    let first = broken.clone().number(0);
    let lines = Lines(vec![Line(0, 0, "x".into())]);
    let batch = Batch::new().put(&broken, &Due).put(&first, &row).put(&first, &lines);
    world.store.commit(batch).await.unwrap();
    for n in 0..limits::HOT_CHUNKS {
        put(&world, "s", &[(n as i64, "x")]).await;
    }
    let run = async |name: &str| {
        let worker = logs.workers().into_iter().find(|worker| worker.name() == name).unwrap();
        worker.run().await
    };
    assert!(run("logs.compact").await.is_err(), "it is told, and tried again");
    assert_eq!(world.blobs.names("logs").await.unwrap().len(), 1);

    let segment = Chunk { place: Place::Segment("no name".into()), ..row };
    world.store.commit(Batch::new().put(&first, &segment).put(&broken, &Trash::Stream)).await.unwrap();
    world.call("logs.DeleteLogStream", json!({"logGroupName": "g", "logStreamName": "s"})).await.unwrap();
    assert!(run("logs.purge").await.is_err());
    assert!(world.blobs.names("logs").await.unwrap().is_empty());
}
