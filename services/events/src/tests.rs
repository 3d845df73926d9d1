mod builds;
mod endpoints;
mod oauth;
mod server;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::codepipeline::{StartPipelineExecution, StartPipelineExecutionOutput};
use api::logs::*;
use kernel::{Access, Clock, Cx, Fault, Handle, PrincipalKind};
use serde_json::{Value, json};
use store::{Batch, Event, Key};
use testkit::{World, fault};
use work::Worker;

use crate::records::Delivery;
use crate::{Deps, Events};
use outside::Outside;

const PIPELINE: &str = "arn:aws:codepipeline:us-east-1:000000000000:web";
const GROUP: &str = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/events/all";
const ROLE: &str = "arn:aws:iam::000000000000:role/start";

/// Stands for the services that targets call: keeps what it is told, and fails as it is told.
#[derive(Default)]
struct Told {
    calls: Mutex<Vec<String>>,
    streams: Mutex<Vec<(String, bool)>>,
    failing: Mutex<Option<Fault>>,
}

impl Told {
    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
    fn fail(&self, with: Option<Fault>) {
        *self.failing.lock().unwrap() = with;
    }
    fn tell(&self, call: String) -> Result<(), Fault> {
        self.calls.lock().unwrap().push(call);
        self.failing.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

impl Handle<StartPipelineExecution> for Told {
    async fn access(&self, _: &Cx, _: &StartPipelineExecution) -> Result<Vec<Access>, Fault> {
        Ok(Vec::new())
    }
    async fn handle(
        &self,
        cx: &Cx,
        input: StartPipelineExecution,
    ) -> Result<StartPipelineExecutionOutput, Fault> {
        let role = match &cx.caller.kind {
            PrincipalKind::Role { arn, .. } => arn.clone(),
            _ => panic!("a pipeline is started under its role"),
        };
        assert_eq!(cx.context["aws:SourceArn"], "arn:aws:events:us-east-1:000000000000:rule/r");
        let token = input.client_request_token.unwrap();
        let variables = input.variables.map(|v| format!(" {}={}", v[0].name, v[0].value)).unwrap_or_default();
        self.tell(format!("start {} as {role} {token}{variables}", input.name))?;
        Ok(StartPipelineExecutionOutput::default())
    }
}

impl Handle<CreateLogStream> for Told {
    async fn access(&self, _: &Cx, _: &CreateLogStream) -> Result<Vec<Access>, Fault> {
        Ok(Vec::new())
    }
    async fn handle(&self, _: &Cx, input: CreateLogStream) -> Result<CreateLogStreamOutput, Fault> {
        let mut streams = self.streams.lock().unwrap();
        if streams.iter().any(|(name, _)| *name == input.log_stream_name) {
            return Err(Fault::client("ResourceAlreadyExistsException", "there"));
        }
        streams.push((input.log_stream_name, false));
        Ok(CreateLogStreamOutput {})
    }
}

impl Handle<DescribeLogStreams> for Told {
    async fn access(&self, _: &Cx, _: &DescribeLogStreams) -> Result<Vec<Access>, Fault> {
        Ok(Vec::new())
    }
    async fn handle(&self, _: &Cx, input: DescribeLogStreams) -> Result<DescribeLogStreamsOutput, Fault> {
        let streams = self.streams.lock().unwrap();
        let named = streams.iter().filter(|(name, _)| Some(name) == input.log_stream_name_prefix.as_ref());
        let shown = named.map(|(name, full)| LogStream {
            log_stream_name: Some(name.clone()),
            last_event_timestamp: full.then_some(1),
            ..LogStream::default()
        });
        Ok(DescribeLogStreamsOutput { log_streams: Some(shown.collect()), next_token: None })
    }
}

impl Handle<PutLogEvents> for Told {
    async fn access(&self, _: &Cx, _: &PutLogEvents) -> Result<Vec<Access>, Fault> {
        Ok(Vec::new())
    }
    async fn handle(&self, _: &Cx, input: PutLogEvents) -> Result<PutLogEventsOutput, Fault> {
        for (name, full) in self.streams.lock().unwrap().iter_mut() {
            *full |= *name == input.log_stream_name;
        }
        // The line is there, whatever the answer is.
        self.tell(format!("log {} {}", input.log_group_name, input.log_events[0].message))?;
        Ok(PutLogEventsOutput::default())
    }
}

struct Scene {
    world: World,
    told: Arc<Told>,
    workers: Vec<Arc<dyn Worker>>,
}

impl Scene {
    async fn new() -> Self {
        Self::over(World::new().await, Arc::default())
    }

    fn over(mut world: World, told: Arc<Told>) -> Self {
        let events = Events::new(Deps {
            store: world.store.clone(),
            sealer: world.sealer.clone(),
            outside: Outside::new(b""),
            clock: world.clock.clone(),
            entropy: world.entropy.clone(),
        });
        let ops = world.serve(|ops| {
            events.register(ops);
            ops.op::<StartPipelineExecution, _>(&told);
            ops.internal::<api::internal::StartTargetBuild, _>(&told);
            ops.op::<CreateLogStream, _>(&told);
            ops.op::<DescribeLogStreams, _>(&told);
            ops.op::<PutLogEvents, _>(&told);
        });
        let workers = events.workers(&ops);
        Self { world, told, workers }
    }

    async fn ok(&self, operation: &str, input: Value) -> Value {
        self.world.call(&format!("events.{operation}"), input).await.unwrap()
    }

    /// A rule `r` for `detail.go`, with these targets.
    async fn rule(&self, targets: Value) {
        let pattern = json!({"detail": {"go": [{"exists": true}]}}).to_string();
        self.ok("PutRule", json!({"Name": "r", "EventPattern": pattern})).await;
        self.ok("PutTargets", json!({"Rule": "r", "Targets": targets})).await;
    }

    async fn publish(&self, id: &str, detail: Value) {
        let now = self.world.clock.now();
        let event =
            Event::new("aws.test", "Test", "000000000000", "us-east-1", id.into(), now).detail(detail);
        self.world.store.commit(Batch::new().event(event)).await.unwrap();
    }

    /// A pass of each worker; errors are the test's crash.
    async fn work(&self) -> Result<(), Fault> {
        for worker in &self.workers {
            worker.run().await?;
        }
        Ok(())
    }

    async fn waiting(&self) -> u64 {
        self.world.store.count::<Delivery>(Key::all()).await.unwrap()
    }
}

fn pipeline() -> Value {
    json!({"Id": "1", "Arn": PIPELINE, "RoleArn": ROLE})
}

#[tokio::test]
async fn a_matching_event_starts_the_pipeline_once_under_its_role() {
    let scene = Scene::new().await;
    scene.rule(json!([pipeline()])).await;
    scene.publish("e1", json!({"go": 1})).await;
    scene.publish("e2", json!({"stay": 1})).await;
    scene.work().await.unwrap();
    scene.work().await.unwrap();
    let calls = scene.told.calls();
    assert_eq!(calls.len(), 1);
    assert!(calls[0].starts_with(&format!("start web as {ROLE} ")), "{calls:?}");
    assert_eq!(scene.waiting().await, 0);

    scene.ok("DisableRule", json!({"Name": "r"})).await;
    scene.publish("e3", json!({"go": 1})).await;
    scene.work().await.unwrap();
    scene.ok("EnableRule", json!({"Name": "r"})).await;
    scene.work().await.unwrap();
    assert!(scene.told.calls().is_empty(), "what a disabled rule missed stays missed");
    scene.publish("e4", json!({"go": 1})).await;
    scene.work().await.unwrap();
    assert_eq!(scene.told.calls().len(), 1);
}

#[tokio::test]
async fn a_crash_at_any_commit_repeats_no_other_token() {
    let (mut tokens, mut crashes) = (Vec::new(), 0);
    for stop_after in 0.. {
        let scene = Scene::new().await;
        scene.rule(json!([pipeline(), {"Id": "2", "Arn": PIPELINE, "RoleArn": ROLE}])).await;
        scene.publish("e1", json!({"go": 1})).await;
        let Scene { world, told, .. } = scene;
        let options = store::Options { stop_after: Some(stop_after + 1) };
        let crashing = Scene::over(world.restart_with(options).await, told);
        let crashed = crashing.work().await.is_err();
        let Scene { world, told, .. } = crashing;
        let scene = Scene::over(world.restart().await, told);
        scene.work().await.unwrap();
        assert_eq!(scene.waiting().await, 0);
        let mut calls = scene.told.calls();
        calls.sort();
        calls.dedup();
        tokens.push(calls);
        crashes += u32::from(crashed);
        if !crashed {
            break;
        }
    }
    assert!(crashes >= 4, "subscribing, routing and two deliveries each commit: {crashes}");
    assert_eq!(tokens[0].len(), 2, "one token a target");
    assert!(tokens.iter().all(|calls| *calls == tokens[0]), "{tokens:?}");
}

#[tokio::test]
async fn failures_are_tried_again_later_or_given_up() {
    let scene = Scene::new().await;
    let mut target = pipeline();
    target["RetryPolicy"] = json!({"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3600});
    scene.rule(json!([target])).await;
    scene.publish("e1", json!({"go": 1})).await;
    scene.told.fail(Some(Fault::internal("down")));
    scene.work().await.unwrap();
    assert_eq!((scene.told.calls().len(), scene.waiting().await), (1, 1));
    scene.work().await.unwrap();
    assert!(scene.told.calls().is_empty(), "not before its time");
    for delay in [1, 2] {
        scene.world.clock.advance(Duration::from_secs(delay));
        scene.work().await.unwrap();
        assert_eq!(scene.told.calls().len(), 1);
    }
    assert_eq!(scene.waiting().await, 0, "two more tries, as the target says");

    scene.publish("e2", json!({"go": 1})).await;
    scene.told.fail(Some(Fault::access_denied("no")));
    scene.work().await.unwrap();
    assert_eq!((scene.told.calls().len(), scene.waiting().await), (1, 0), "a denial does not pass by itself");
}

#[tokio::test]
async fn log_groups_get_the_event_and_templates_are_filled() {
    let scene = Scene::new().await;
    let template = r#"{"timestamp": 5, "message": "went <go>"}"#;
    let transformer = json!({"InputPathsMap": {"go": "$.detail.go"}, "InputTemplate": template});
    let override_ = json!({"InputTemplate": r#"{"variables": [{"name": "V", "value": "<go>"}]}"#,
        "InputPathsMap": {"go": "$.detail.go"}});
    let mut start = pipeline();
    start["InputTransformer"] = override_;
    scene.rule(json!([start, {"Id": "2", "Arn": GROUP}, {"Id": "3", "Arn": format!("{GROUP}:*"), "InputTransformer": transformer}])).await;
    scene.publish("e1", json!({"go": "north"})).await;
    scene.work().await.unwrap();
    // The three are called beside one another.
    let mut calls = scene.told.calls();
    calls.sort();
    let event: Value = serde_json::from_str(calls[1].strip_prefix("log /aws/events/all ").unwrap()).unwrap();
    assert_eq!((&event["detail-type"], &event["time"]), (&json!("Test"), &json!("2026-01-01T00:00:00Z")));
    assert_eq!(calls[0], "log /aws/events/all went north");
    assert!(calls[2].ends_with(" V=north"), "{calls:?}");
}

#[tokio::test]
async fn a_logged_event_is_not_logged_again() {
    let scene = Scene::new().await;
    scene.rule(json!([{"Id": "1", "Arn": GROUP}])).await;
    scene.publish("e1", json!({"go": 1})).await;
    // The line was written, but the answer was lost.
    scene.told.fail(Some(Fault::internal("lost")));
    scene.work().await.unwrap();
    scene.told.fail(None);
    scene.world.clock.advance(Duration::from_secs(1));
    scene.work().await.unwrap();
    assert_eq!((scene.told.calls().len(), scene.waiting().await), (1, 0));
}

#[tokio::test]
async fn users_put_events_of_their_own() {
    let scene = Scene::new().await;
    scene.rule(json!([pipeline()])).await;
    let entry = |source: &str, detail: &str| json!({"Source": source, "DetailType": "t", "Detail": detail});
    let entries = json!([entry("my.app", r#"{"go":1}"#), entry("aws.codecommit", "{}"), entry("my.app", "[]"), {"Source": "x"}]);
    let put = scene.ok("PutEvents", json!({"Entries": entries})).await;
    assert_eq!(put["FailedEntryCount"], 3);
    assert!(put["Entries"][0]["EventId"].is_string());
    let codes: Vec<_> = (1..4).map(|n| put["Entries"][n]["ErrorCode"].as_str().unwrap()).collect();
    assert_eq!(codes, ["NotAuthorizedForSourceException", "MalformedDetail", "InvalidArgument"]);
    scene.work().await.unwrap();
    assert_eq!(scene.told.calls().len(), 1);
}

#[tokio::test]
async fn rules_and_targets_read_back_as_they_were_put() {
    let scene = Scene::new().await;
    for name in ["b", "a", "c"] {
        scene.ok("PutRule", json!({"Name": name, "EventPattern": r#"{"source":["x"]}"#, "Tags": [{"Key": "k", "Value": "v"}]})).await;
    }
    let put =
        json!({"Name": "a", "EventPattern": r#"{"source": ["y"]}"#, "State": "DISABLED", "Description": "d"});
    scene.ok("PutTargets", json!({"Rule": "a", "Targets": [pipeline()]})).await;
    let arn = scene.ok("PutRule", put).await["RuleArn"].clone();
    assert_eq!(arn, "arn:aws:events:us-east-1:000000000000:rule/a");
    let rule = scene.ok("DescribeRule", json!({"Name": "a"})).await;
    let wanted = json!({"Name": "a", "Arn": arn, "EventPattern": r#"{"source": ["y"]}"#, "State": "DISABLED",
        "Description": "d", "EventBusName": "default", "CreatedBy": "000000000000"});
    assert_eq!(rule, wanted);
    let listed = scene.ok("ListTargetsByRule", json!({"Rule": "a"})).await;
    assert_eq!(listed["Targets"], json!([pipeline()]), "a rule that is put again keeps its targets");
    assert_eq!(
        scene.ok("ListTagsForResource", json!({"ResourceARN": arn})).await["Tags"],
        json!([{"Key": "k", "Value": "v"}])
    );

    let first = scene.ok("ListRules", json!({"Limit": 2})).await;
    let second = scene.ok("ListRules", json!({"Limit": 2, "NextToken": first["NextToken"]})).await;
    let names = |page: &Value| {
        page["Rules"].as_array().unwrap().iter().map(|r| r["Name"].to_string()).collect::<String>()
    };
    assert_eq!((names(&first), names(&second)), (r#""a""b""#.into(), r#""c""#.into()));
    assert_eq!(second.get("NextToken"), None);
    assert_eq!(
        scene.ok("ListRuleNamesByTarget", json!({"TargetArn": PIPELINE})).await["RuleNames"],
        json!(["a"])
    );

    let delete = scene.world.call("events.DeleteRule", json!({"Name": "a"})).await;
    assert!(fault(delete).contains("since it has targets"));
    scene.ok("RemoveTargets", json!({"Rule": "a", "Ids": ["1"]})).await;
    scene.ok("DeleteRule", json!({"Name": "a"})).await;
    scene.ok("DeleteRule", json!({"Name": "a"})).await;
    assert!(
        fault(scene.world.call("events.DescribeRule", json!({"Name": "a"})).await)
            .contains("Rule a does not exist")
    );
}

#[tokio::test]
async fn mistakes_are_told_as_aws_tells_them() {
    let scene = Scene::new().await;
    scene.ok("PutRule", json!({"Name": "r", "EventPattern": r#"{"source":["x"]}"#})).await;
    let target = |more: Value| {
        let mut target = pipeline();
        target.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"Rule": "r", "Targets": [target]})
    };
    let six: Vec<Value> = (0..6).map(|n| json!({"Id": n.to_string(), "Arn": GROUP})).collect();
    for (operation, input, told) in [
        ("PutRule", json!({"Name": "x"}), "EventPattern or ScheduleExpression must be specified"),
        (
            "PutRule",
            json!({"Name": "x", "ScheduleExpression": "rate(1 day)"}),
            "ScheduleExpression is not served",
        ),
        ("PutRule", json!({"Name": "x", "EventPattern": "{"}), "InvalidEventPatternException"),
        (
            "PutRule",
            json!({"Name": "x", "EventPattern": "{}", "EventBusName": "other"}),
            "Event bus other does not exist",
        ),
        ("PutTargets", json!({"Rule": "none", "Targets": [pipeline()]}), "Rule none does not exist"),
        (
            "PutTargets",
            json!({"Rule": "r", "Targets": [{"Id": "1", "Arn": PIPELINE}]}),
            "RoleArn is required for target",
        ),
        (
            "PutTargets",
            target(json!({"Arn": "arn:aws:lambda:us-east-1:000000000000:function:f"})),
            "is not served by Longshore",
        ),
        (
            "PutTargets",
            target(json!({"Arn": "arn:aws:codepipeline:eu-west-1:000000000000:web"})),
            "not in account",
        ),
        (
            "PutTargets",
            target(json!({"DeadLetterConfig": {"Arn": "arn:aws:sqs:us-east-1:0:q"}})),
            "DeadLetterConfig",
        ),
        ("PutTargets", target(json!({"Input": "{}", "InputPath": "$.detail"})), "Only one of Input"),
        ("PutTargets", json!({"Rule": "r", "Targets": six}), "LimitExceededException"),
        ("DescribeEventBus", json!({"Name": "other"}), "Event bus other does not exist"),
        ("ListRules", json!({"NextToken": "x"}), "NextToken is not valid"),
        (
            "TestEventPattern",
            json!({"EventPattern": "{\"a\":[1]}", "Event": "{}"}),
            "the field id is required",
        ),
    ] {
        let text = fault(scene.world.call(&format!("events.{operation}"), input.clone()).await);
        assert!(text.contains(told), "{operation} {input}: {text}");
    }
    assert_eq!(scene.ok("ListTargetsByRule", json!({"Rule": "r"})).await["Targets"], json!([]));
}
