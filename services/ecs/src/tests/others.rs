//! What one task cannot have, the others still get.
use std::collections::BTreeMap;

use engine::{Container, Engine, ImageSource, Limits, Rules, TaskSpec};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_cannot_be_resolved_holds_up_its_own_task_only() {
    let bench = Bench::new().await;
    bench.define("nginx").await;
    let mut input = run();
    input.as_object_mut().unwrap().remove("clientToken");
    let mut ids = Vec::new();
    for _ in 0..2 {
        let run = bench.call("RunTask", input.clone()).await;
        let arn = run["tasks"][0]["taskArn"].as_str().unwrap();
        bench.task_is(arn, "RUNNING").await;
        ids.push(id_of(arn));
    }
    bench.around.fail(format!("resolve eni-{}", ids[0]));
    let bench = bench.restart().await;
    bench.engine_did(&format!("rules {}", ids[1])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_orphan_goes_but_the_one_that_cannot() {
    let bench = Bench::new().await;
    for id in ["a", "b"] {
        let spec = TaskSpec {
            id: id.parse().unwrap(),
            labels: BTreeMap::from([("kind".to_owned(), "ecs".to_owned())]),
            network: None,
            rules: Rules::open(),
            containers: vec![Container::new("app", ImageSource::new("app"))],
            limits: Limits::default(),
        };
        bench.engine.run(spec).await.unwrap();
    }
    bench.engine.refuse_removal(&"a".parse().unwrap());
    let bench = bench.restart().await;
    bench.engine_did("remove b").await;
}
