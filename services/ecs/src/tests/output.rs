//! Containers' output across a kill.
use store::{Batch, Key, Row};

use super::*;
use crate::records::LogMark;

#[tokio::test(flavor = "multi_thread")]
async fn a_put_whose_mark_was_not_committed_is_not_repeated() {
    let bench = Bench::new().await;
    bench.define("nginx").await;
    let arn = bench.call("RunTask", run()).await["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    bench.task_is(&arn, "RUNNING").await;
    let id = id_of(&arn);
    let written = async |bench: &Bench, line: &str| {
        bench.engine.write(&id, "web", line);
        bench
            .until(line, async |bench: &Bench| {
                let lines = bench.around.lines.lock().unwrap().clone();
                if lines.iter().any(|found| found == line) { Ok(()) } else { Err(format!("{lines:?}")) }
            })
            .await;
    };
    written(&bench, "one").await;
    let mark: Row<LogMark> = bench
        .until("a mark", async |bench: &Bench| {
            let mut marks = bench.world.store.all::<LogMark>(Key::all()).await.unwrap();
            marks.pop().ok_or_else(|| "none".into())
        })
        .await;
    written(&bench, "two").await;

    let Bench { world, engine, around, driver } = bench;
    driver.stop().await;
    drop(driver);
    let world = world.restart().await;
    world.store.commit(Batch::new().put(&mark.key, &mark.value)).await.unwrap();
    let bench = Bench::start(world, engine, around);
    written(&bench, "three").await;
    assert_eq!(*bench.around.lines.lock().unwrap(), ["stream web", "one", "two", "three"]);
}
