//! Tasks that end half-way to running: nothing of theirs may stay.
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_registered_in_part_is_taken_out_again() {
    let bench = Bench::new().await;
    bench.define("nginx").await;
    let other = GROUP.replace("web", "other");
    bench.around.fail(format!("register {other}"));
    let mut input = service(1, true);
    let second = json!({"targetGroupArn": other, "containerName": "web", "containerPort": 8080});
    input["loadBalancers"].as_array_mut().unwrap().push(second);
    bench.call("CreateService", input).await;
    let address = bench.targets("initial", 1).await.remove(0);
    let listed = bench.call("ListTasks", json!({"cluster": "c"})).await;
    let arn = listed["taskArns"][0].as_str().unwrap();
    bench.call("StopTask", json!({"cluster": "c", "task": arn})).await;
    assert_eq!(bench.targets("draining", 1).await, [address.as_str()]);
    bench.around.target(&address, None);
    bench.task_is(arn, "STOPPED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interface_goes_with_a_task_that_never_had_its_place() {
    let bench = Bench::new().await;
    bench.define("nginx").await;
    bench.around.fail("prepare".into());
    let arn = bench.call("RunTask", run()).await["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    let made = bench.until("an interface", async |bench: &Bench| {
        let made = bench.around.interfaces.lock().unwrap().len();
        if made == 1 { Ok(()) } else { Err(made.to_string()) }
    });
    made.await;
    bench.call("StopTask", json!({"cluster": "c", "task": arn})).await;
    bench.task_is(&arn, "STOPPED").await;
    assert!(bench.around.interfaces.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_given_up_only_once_the_engine_has_stopped_it() {
    let bench = Bench::new().await;
    let check = json!({"command": ["CMD", "true"]});
    let on = json!([{"containerName": "db", "condition": "HEALTHY"}]);
    let containers = json!([{"name": "db", "image": "db", "healthCheck": check},
        {"name": "web", "image": "web", "dependsOn": on}]);
    let define = json!({"family": "web", "networkMode": "awsvpc", "cpu": "256", "memory": "512",
        "requiresCompatibilities": ["FARGATE"], "containerDefinitions": containers});
    bench.call("RegisterTaskDefinition", define).await;
    let arn = bench.call("RunTask", run()).await["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    let id = id_of(&arn);
    bench.engine_did(&format!("start {id} db")).await;
    bench.call("StopTask", json!({"cluster": "c", "task": arn})).await;
    bench.task_is(&arn, "STOPPED").await;
    let log = bench.engine.log();
    assert!(!log.contains(&format!("break {id}")), "{log:?}");
}
