//! Segments that a kill left without a chunk.
use blobs::Name;

use super::*;

#[tokio::test]
async fn segments_that_no_chunk_names_are_swept() {
    let (world, logs) = fresh().await;
    put(&world, "s", &[(0, "old")]).await;
    gather(&world, &logs).await;
    stream(&world, "t").await;
    world.clock.advance(Duration::from_secs(2 * 86_400));
    put(&world, "t", &[(0, "young")]).await;
    gather(&world, &logs).await;
    call(&world, "PutRetentionPolicy", json!({"retentionInDays": 1})).await;
    // As a gathering leaves it that is killed before it commits, when the stream is deleted after it.
    let unnamed = Name::new("logs", "gone/00000000000000000000").unwrap();
    world.blobs.put(&unnamed, "[]").await.unwrap();

    let mut world = world.restart_with(store::Options { stop_after: Some(1) }).await;
    let retain = serve(&mut world).workers().remove(1);
    assert!(retain.run().await.is_err(), "killed between a chunk and its segment");
    let mut world = world.restart().await;
    let logs = serve(&mut world);
    assert_eq!(world.store.count::<Chunk>(Key::all()).await.unwrap(), 1);
    assert_eq!(world.blobs.names("logs").await.unwrap().len(), 3);
    drain(&logs, "logs.sweep").await;
    assert_eq!(world.blobs.names("logs").await.unwrap().len(), 1);
    assert_eq!(messages(&call(&world, "FilterLogEvents", json!({})).await), ["young"]);
}

#[tokio::test]
async fn what_is_being_gathered_is_not_swept() {
    const SEGMENTS: i64 = 50;
    let (world, logs) = fresh().await;
    for n in 0..SEGMENTS {
        put(&world, "s", &[(n, "x")]).await;
        let sweeps = async {
            loop {
                drain(&logs, "logs.sweep").await;
            }
        };
        tokio::select! {
            () = gather(&world, &logs) => {}
            () = sweeps => unreachable!("it sweeps for ever"),
        }
    }
    let read = call(&world, "GetLogEvents", json!({"startFromHead": true})).await;
    assert_eq!(messages(&read).len(), SEGMENTS as usize);
}
