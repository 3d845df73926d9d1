//! Tasks and services on an engine that runs nothing, beside services that are a few lines each.
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use api::ec2::{CreateNetworkInterface, DeleteNetworkInterface, DescribeNetworkInterfaces};
use api::elb::{DeregisterTargets, DescribeTargetGroups, DescribeTargetHealth, RegisterTargets};
use api::logs::{CreateLogStream, DescribeLogStreams, PutLogEvents};
use engine::{Error, NetworkSpec, PrepareInterface, ResolveInterface, TaskId};
use kernel::images::HostRegistry;
use kernel::{Fault, Ops};
use serde_json::{Value, json};
use testkit::{FakeEngine, World, fault};
use work::{Driver, Options as DriverOptions};

use crate::{Ecs, Options};

mod around;
mod ends;
mod others;
mod output;
mod start_task;

use around::{Around, GROUP};

struct Bench {
    world: World,
    engine: Arc<FakeEngine>,
    around: Arc<Around>,
    driver: Driver,
}

impl Bench {
    async fn new() -> Self {
        let world = World::new().await;
        let engine = FakeEngine::new(world.clock.clone());
        let around = Arc::new(Around::new(engine.clone()));
        let bench = Self::start(world, engine, around);
        bench.call("CreateCluster", json!({"clusterName": "c"})).await;
        bench
    }

    fn start(mut world: World, engine: Arc<FakeEngine>, around: Arc<Around>) -> Self {
        let bridge = NetworkSpec { name: "bridge".into(), wanted: "172.29.0.0/16".parse().unwrap() };
        let options = Options {
            settle: Duration::ZERO,
            ..Options::new(
                HostRegistry::new("127.0.0.1:4566".parse().unwrap(), Vec::new()),
                bridge,
                engine::Doors::none(),
            )
        };
        let (clock, entropy) = (world.clock.clone(), world.entropy.clone());
        let ecs = Ecs::new(world.store.clone(), engine.clone(), clock.clone(), entropy, options);
        let ops = world.serve(|ops: &mut Ops| {
            ecs.register(ops);
            ops.internal::<CreateNetworkInterface, _>(&around);
            ops.internal::<DeleteNetworkInterface, _>(&around);
            ops.internal::<DescribeNetworkInterfaces, _>(&around);
            ops.internal::<PrepareInterface, _>(&around);
            ops.internal::<ResolveInterface, _>(&around);
            ops.internal::<DescribeTargetGroups, _>(&around);
            ops.internal::<RegisterTargets, _>(&around);
            ops.internal::<DeregisterTargets, _>(&around);
            ops.internal::<DescribeTargetHealth, _>(&around);
            ops.internal::<CreateLogStream, _>(&around);
            ops.internal::<DescribeLogStreams, _>(&around);
            ops.internal::<PutLogEvents, _>(&around);
        });
        let driver = Driver::new(clock, DriverOptions::default());
        for worker in ecs.workers(&ops, around.reports.subscribe()) {
            driver.start(worker);
        }
        Self { world, engine, around, driver }
    }

    /// Ends this process, so to speak, and begins another on the same state and engine.
    async fn restart(self) -> Self {
        let Self { world, engine, around, driver } = self;
        driver.stop().await;
        drop(driver);
        Self::start(world.restart().await, engine, around)
    }

    async fn try_call(&self, operation: &str, input: Value) -> Result<Value, Fault> {
        self.world.call(&format!("ecs.{operation}"), input).await
    }

    async fn call(&self, operation: &str, input: Value) -> Value {
        self.try_call(operation, input).await.unwrap()
    }

    async fn define(&self, image: &str) -> Value {
        let log = json!({"logDriver": "awslogs", "options": {
            "awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "web"}});
        let container = json!({"name": "web", "image": image, "portMappings": [{"containerPort": 8080}],
            "logConfiguration": log});
        self.call(
            "RegisterTaskDefinition",
            json!({
                "family": "web", "networkMode": "awsvpc", "cpu": "256", "memory": "512",
                "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [container],
            }),
        )
        .await
    }

    /// Looks again after each commit and each second of the machine's own, until what is there is as it should be.
    async fn until<T>(&self, what: &str, look: impl AsyncFn(&Self) -> Result<T, String>) -> T {
        let wake = self.world.store.watch(&["ecs.task", "ecs.service", "ecs.log"]);
        let mut last = String::new();
        for _ in 0..200 {
            match look(self).await {
                Ok(found) => return found,
                Err(seen) => last = seen,
            }
            let _ = tokio::time::timeout(Duration::from_millis(100), wake.notified()).await;
        }
        panic!("{what}: at last {last}");
    }

    async fn task_is(&self, arn: &str, status: &str) -> Value {
        self.until(status, async |bench: &Self| {
            let found = bench.call("DescribeTasks", json!({"cluster": "c", "tasks": [arn]})).await;
            let task = found["tasks"][0].clone();
            if task["lastStatus"] == status { Ok(task) } else { Err(task.to_string()) }
        })
        .await
    }

    async fn service(&self) -> Value {
        let found = self.call("DescribeServices", json!({"cluster": "c", "services": ["web"]})).await;
        found["services"][0].clone()
    }

    async fn service_until(&self, what: &str, fine: impl Fn(&Value) -> bool) -> Value {
        self.until(what, async |bench: &Self| {
            let service = bench.service().await;
            if fine(&service) { Ok(service) } else { Err(service.to_string()) }
        })
        .await
    }

    /// Addresses of targets in a state, once there are as many.
    async fn targets(&self, state: &str, count: usize) -> Vec<String> {
        self.until(state, async |bench: &Self| {
            let all = bench.around.states();
            let found: Vec<String> =
                all.iter().filter(|(_, s)| s == state).map(|(id, _)| id.clone()).collect();
            if found.len() == count { Ok(found) } else { Err(format!("{all:?}")) }
        })
        .await
    }

    /// Until the engine did this.
    async fn engine_did(&self, what: &str) {
        self.until(what, async |bench: &Self| {
            let log = bench.engine.log();
            if log.iter().any(|line| line == what) { Ok(()) } else { Err(format!("{log:?}")) }
        })
        .await;
    }

    fn runs(&self) -> usize {
        self.engine.log().iter().filter(|line| line.starts_with("run ")).count()
    }
}

fn network() -> Value {
    json!({"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}})
}

fn run() -> Value {
    json!({"cluster": "c", "taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network(),
        "clientToken": "once"})
}

fn service(desired: i32, balanced: bool) -> Value {
    let mut input = json!({"cluster": "c", "serviceName": "web", "taskDefinition": "web", "desiredCount": desired,
        "launchType": "FARGATE", "networkConfiguration": network()});
    if balanced {
        input["loadBalancers"] =
            json!([{"targetGroupArn": GROUP, "containerName": "web", "containerPort": 8080}]);
    }
    input
}

fn id_of(arn: &str) -> TaskId {
    arn.rsplit('/').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_runs_once_logs_and_ends_with_its_essential_container() {
    let bench = Bench::new().await;
    bench.define("nginx").await;
    let started = bench.call("RunTask", run()).await;
    assert_eq!(started["tasks"][0]["lastStatus"], "PROVISIONING");
    let arn = started["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    let again = bench.call("RunTask", run()).await;
    assert_eq!(again["tasks"][0]["taskArn"], arn.as_str(), "the same token is the same task");
    let task = bench.task_is(&arn, "RUNNING").await;
    assert_eq!(task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"], "10.0.0.10");
    assert_eq!(task["attachments"][0]["status"], "ATTACHED");

    let id = id_of(&arn);
    let spec = bench.engine.spec(&id).unwrap();
    assert_eq!(spec.network.as_ref().unwrap().address, Some(Ipv4Addr::new(10, 0, 0, 10)));
    assert_eq!(spec.rules.redirects.len(), 4, "credentials and names are redirected");
    bench.engine.write(&id, "web", "hello");
    let bench = bench.restart().await;
    bench.engine.write(&id, "web", "world");
    bench.engine.exit(&id, "web", 3);
    let task = bench.task_is(&arn, "STOPPED").await;
    assert_eq!(task["stopCode"], "EssentialContainerExited");
    assert_eq!(task["stoppedReason"], "Essential container in task exited");
    assert_eq!(task["containers"][0]["exitCode"], 3);
    assert_eq!(*bench.around.lines.lock().unwrap(), ["stream web", "hello", "world"]);
    assert_eq!(bench.engine.log().last().unwrap(), &format!("remove {id}"));
    assert_eq!(bench.runs(), 1, "adopted, never started twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_start_says_why() {
    let bench = Bench::new().await;
    let reason = "manifest unknown".to_owned();
    bench.engine.refuse_image("missing", Some(Error::NoImage { reference: "missing".into(), reason }));
    bench.define("missing").await;
    let arn = bench.call("RunTask", run()).await["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    let task = bench.task_is(&arn, "STOPPED").await;
    assert_eq!(task["stopCode"], "TaskFailedToStart");
    let text = task["stoppedReason"].as_str().unwrap();
    assert!(text.starts_with("CannotPullContainerError") && text.contains("manifest unknown"), "{text}");
    assert_eq!(task["containers"][0]["reason"], text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_waits_for_health_and_drains_before_it_stops() {
    let bench = Bench::new().await;
    bench.define("one").await;
    bench.call("CreateService", service(1, true)).await;
    let first = bench.targets("initial", 1).await.remove(0);
    bench.around.target(&first, Some("healthy"));
    let stable =
        bench.service_until("completed", |s| s["deployments"][0]["rolloutState"] == "COMPLETED").await;
    assert_eq!((&stable["runningCount"], stable["deployments"].as_array().unwrap().len()), (&json!(1), 1));
    let events = stable["events"].to_string();
    for text in [
        "has reached a steady state.",
        "has started 1 tasks: (task ",
        "registered 1 targets in (target-group ",
    ] {
        assert!(events.contains(text), "{text} in {events}");
    }

    bench.define("two").await;
    bench.call("UpdateService", json!({"cluster": "c", "service": "web", "taskDefinition": "web:2"})).await;
    let second = bench.targets("initial", 1).await.remove(0);
    assert_eq!(bench.service().await["deployments"].as_array().unwrap().len(), 2);
    assert!(
        !bench.engine.log().iter().any(|line| line.starts_with("stop ")),
        "the old task serves until then"
    );
    // As it is told until the edge reports again.
    bench.around.target(&first, Some("initial"));
    let bench = bench.restart().await;
    bench.around.target(&second, Some("healthy"));
    let kept = |s: &Value| s["deployments"][0]["runningCount"] == 1 && s["runningCount"] == 2;
    bench.service_until("both run", kept).await;
    bench.around.target(&first, Some("healthy"));
    assert_eq!(bench.targets("draining", 1).await, [first.as_str()]);
    assert!(
        !bench.engine.log().iter().any(|line| line.starts_with("stop ")),
        "an edge still sends it requests"
    );
    bench.around.target(&first, None);
    let stable = bench.service_until("rolled", |s| s["deployments"].as_array().unwrap().len() == 1).await;
    assert!(stable["taskDefinition"].as_str().unwrap().ends_with("web:2"));
    assert_eq!(bench.engine.log().iter().filter(|line| line.starts_with("stop ")).count(), 1);
    assert_eq!(bench.runs(), 2);

    // An unhealthy task is replaced before it goes.
    bench.around.target(&second, Some("unhealthy"));
    let third = bench.targets("initial", 1).await.remove(0);
    bench.around.target(&third, Some("healthy"));
    assert_eq!(bench.targets("draining", 1).await, [second.as_str()]);
    bench.around.target(&second, None);
    let service = bench.service_until("healed", |s| s["events"][0].to_string().contains("steady")).await;
    assert!(service["events"].to_string().contains("is unhealthy in (target-group"), "{service}");

    assert_eq!(
        fault(bench.try_call("DeleteService", json!({"cluster": "c", "service": "web"})).await),
        "InvalidParameterException: The service cannot be stopped while it is scaled above 0."
    );
    bench.call("DeleteService", json!({"cluster": "c", "service": "web", "force": true})).await;
    bench.targets("draining", 1).await;
    bench.around.target(&third, None);
    bench.service_until("inactive", |s| s["status"] == "INACTIVE").await;
    bench.call("DeleteCluster", json!({"cluster": "c"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_circuit_breaker_goes_back_to_what_worked() {
    let bench = Bench::new().await;
    bench.define("good").await;
    let mut input = service(1, false);
    let breaker =
        json!({"enable": true, "rollback": true, "thresholdConfiguration": {"type": "COUNT", "value": 2}});
    input["deploymentConfiguration"] = json!({"deploymentCircuitBreaker": breaker});
    bench.call("CreateService", input).await;
    bench.service_until("completed", |s| s["deployments"][0]["rolloutState"] == "COMPLETED").await;
    let reason = "gone".to_owned();
    bench.engine.refuse_image("bad", Some(Error::NoImage { reference: "bad".into(), reason }));
    bench.define("bad").await;
    bench.call("UpdateService", json!({"cluster": "c", "service": "web", "taskDefinition": "web:2"})).await;
    let back = bench
        .service_until("rolled back", |s| {
            let primary = &s["deployments"][0];
            primary["rolloutState"] == "COMPLETED"
                && primary["taskDefinition"].as_str().unwrap().ends_with("web:1")
                && s["events"].to_string().contains("rolling back to deployment")
        })
        .await;
    assert_eq!(back["runningCount"], 1);
    let told = bench
        .call("ListServiceDeployments", json!({"cluster": "c", "service": "web", "status": ["STOPPED"]}))
        .await;
    let arn = told["serviceDeployments"][0]["serviceDeploymentArn"].clone();
    let described = bench.call("DescribeServiceDeployments", json!({"serviceDeploymentArns": [arn]})).await;
    assert_eq!(described["serviceDeployments"][0]["deploymentCircuitBreaker"]["status"], "TRIGGERED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_engine_says_nothing_about_tasks() {
    let bench = Bench::new().await;
    bench.define("nginx").await;
    let arn = bench.call("RunTask", run()).await["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    bench.task_is(&arn, "RUNNING").await;
    bench.engine.unreachable(true);
    let refused = bench.call("RunTask", run()).await;
    assert_eq!((&refused["tasks"], &refused["failures"][0]["reason"]), (&json!([]), &json!("AGENT")));
    let why = refused["failures"][0]["detail"].as_str().unwrap();
    assert!(why.starts_with("the container engine does not answer"), "{why}");
    bench.call("StopTask", json!({"cluster": "c", "task": arn, "reason": "enough"})).await;
    let task = bench.task_is(&arn, "STOPPING").await;
    assert_eq!((&task["stopCode"], &task["stoppedReason"]), (&json!("UserInitiated"), &json!("enough")));
    bench.engine.unreachable(false);
    bench.task_is(&arn, "STOPPED").await;
}

#[tokio::test]
async fn mistakes_are_told() {
    let bench = Bench::new().await;
    bench.define("nginx").await;
    let check = async |operation: &str, input: Value, expected: &str| {
        let told = fault(bench.try_call(operation, input).await);
        assert!(told.starts_with(expected), "{operation}: {told}");
    };
    let with = |mut input: Value, name: &str, value: Value| {
        input[name] = value;
        input
    };
    check("RunTask", with(run(), "cluster", json!("d")), "ClusterNotFoundException: Cluster not found.")
        .await;
    check(
        "RunTask",
        with(run(), "taskDefinition", json!("no")),
        "ClientException: TaskDefinition not found.",
    )
    .await;
    check("RunTask", with(run(), "count", json!(11)), "InvalidParameterException: Count must be").await;
    check(
        "RunTask",
        with(run(), "networkConfiguration", Value::Null),
        "InvalidParameterException: Network Configuration must",
    )
    .await;
    let over = json!({"containerOverrides": [{"name": "db"}]});
    check(
        "RunTask",
        with(run(), "overrides", over),
        "InvalidParameterException: Override for container named db",
    )
    .await;
    check(
        "StopTask",
        json!({"cluster": "c", "task": "0"}),
        "InvalidParameterException: The referenced task was not found.",
    )
    .await;
    check(
        "UpdateService",
        json!({"cluster": "c", "service": "x"}),
        "ServiceNotFoundException: Service not found.",
    )
    .await;
    let lb = json!([{"targetGroupArn": GROUP, "containerName": "web", "containerPort": 81}]);
    check(
        "CreateService",
        with(service(1, false), "loadBalancers", lb),
        "InvalidParameterException: The container web did not have a container port 81",
    )
    .await;
    let controller = json!({"type": "CODE_DEPLOY"});
    check(
        "CreateService",
        with(service(1, false), "deploymentController", controller),
        "ClientException: Deployment controller 'CODE_DEPLOY'",
    )
    .await;
    check(
        "DescribeTaskDefinition",
        json!({"taskDefinition": "web:9"}),
        "ClientException: Unable to describe task definition.",
    )
    .await;
    let missing = bench.call("DescribeServices", json!({"cluster": "c", "services": ["x"]})).await;
    assert_eq!(missing["failures"][0]["reason"], "MISSING");
    bench.call("CreateService", service(0, false)).await;
    check(
        "CreateService",
        service(0, false),
        "InvalidParameterException: Creation of service was not idempotent.",
    )
    .await;
    check("DeleteCluster", json!({"cluster": "c"}), "ClusterContainsServicesException").await;
}
