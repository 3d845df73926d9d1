//! Tasks on the one container instance.
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn start_task_runs_on_the_instances_that_are_named() {
    let bench = Bench::new().await;
    bench.define("nginx").await;
    let listed = bench.call("ListContainerInstances", json!({"cluster": "c"})).await;
    let instance = listed["containerInstanceArns"][0].as_str().unwrap().to_owned();
    let mut input = run();
    for only_run in ["launchType", "clientToken", "count"] {
        input.as_object_mut().unwrap().remove(only_run);
    }
    input["containerInstances"] = json!([instance, "0123456789abcdef0123456789abcdef"]);
    let started = bench.call("StartTask", input.clone()).await;
    assert_eq!(started["failures"][0]["reason"], "MISSING", "{started}");
    assert_eq!(started["tasks"].as_array().unwrap().len(), 1);
    let arn = started["tasks"][0]["taskArn"].as_str().unwrap();
    let task = bench.task_is(arn, "RUNNING").await;
    assert_eq!((&task["launchType"], &task["containerInstanceArn"]), (&json!("EC2"), &json!(instance)));

    input["containerInstances"] = json!([]);
    let told = fault(bench.try_call("StartTask", input).await);
    assert!(told.starts_with("InvalidParameterException: containerInstances must name"), "{told}");
}
