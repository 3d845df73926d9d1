mod orphans;
mod troubles;

use std::sync::Arc;
use std::time::Duration;

use ::work::{Next, Worker};
use kernel::Clock;
use serde_json::{Value, json};
use store::Key;
use testkit::{World, fault};

use crate::records::{Chunk, Due, Group, Lines, Place, Stream, Trash};
use crate::{Logs, limits};

async fn fresh() -> (World, Arc<Logs>) {
    let mut world = World::new().await;
    let logs = serve(&mut world);
    world.call("logs.CreateLogGroup", json!({"logGroupName": "g"})).await.unwrap();
    stream(&world, "s").await;
    (world, logs)
}

fn serve(world: &mut World) -> Arc<Logs> {
    let logs =
        Logs::new(world.store.clone(), world.blobs.clone(), world.clock.clone(), world.entropy.clone());
    world.serve(|ops| logs.register(ops));
    logs
}

async fn stream(world: &World, name: &str) {
    world.call("logs.CreateLogStream", json!({"logGroupName": "g", "logStreamName": name})).await.unwrap();
}

fn now(world: &World) -> i64 {
    world.clock.now().as_millisecond()
}

/// Puts messages at offsets from now, in milliseconds.
async fn put(world: &World, stream: &str, events: &[(i64, &str)]) -> Value {
    let now = now(world);
    let events: Vec<Value> =
        events.iter().map(|(at, message)| json!({"timestamp": now + at, "message": message})).collect();
    let input = json!({"logGroupName": "g", "logStreamName": stream, "logEvents": events});
    world.call("logs.PutLogEvents", input).await.unwrap()
}

/// Calls with `g`, and `s` where the operation takes a stream, in the input.
async fn call(world: &World, operation: &str, mut input: Value) -> Value {
    input["logGroupName"] = json!("g");
    if operation == "GetLogEvents" {
        input["logStreamName"] = json!("s");
    }
    world.call(&format!("logs.{operation}"), input).await.unwrap()
}

fn messages(answer: &Value) -> Vec<&str> {
    answer["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap()).collect()
}

/// Runs a worker until it has nothing more to do.
async fn drain(logs: &Arc<Logs>, name: &str) {
    let worker: Arc<dyn Worker> = logs.workers().into_iter().find(|worker| worker.name() == name).unwrap();
    while worker.run().await.unwrap() == Next::Again {}
}

#[tokio::test]
async fn one_stream_is_read_forward_and_backward() {
    let (world, _) = fresh().await;
    put(&world, "s", &[(1, "a"), (2, "b")]).await;
    put(&world, "s", &[(3, "c"), (3, "d"), (4, "e")]).await;

    let first = call(&world, "GetLogEvents", json!({"startFromHead": true, "limit": 2})).await;
    assert_eq!(messages(&first), ["a", "b"]);
    let on = |token: &Value| json!({"nextToken": token, "startFromHead": true, "limit": 2});
    let second = call(&world, "GetLogEvents", on(&first["nextForwardToken"])).await;
    assert_eq!(messages(&second), ["c", "d"]);
    let third = call(&world, "GetLogEvents", on(&second["nextForwardToken"])).await;
    let end = call(&world, "GetLogEvents", on(&third["nextForwardToken"])).await;
    assert_eq!((messages(&third), messages(&end)), (vec!["e"], vec![]));
    assert_eq!(end["nextForwardToken"], third["nextForwardToken"], "the same token tells the end");

    put(&world, "s", &[(4, "f")]).await;
    let more = call(&world, "GetLogEvents", on(&end["nextForwardToken"])).await;
    assert_eq!(messages(&more), ["f"], "and goes on when more has come");

    let last = call(&world, "GetLogEvents", json!({"limit": 2})).await;
    assert_eq!(messages(&last), ["e", "f"], "the latest by default, in order");
    let before = call(&world, "GetLogEvents", on(&last["nextBackwardToken"])).await;
    assert_eq!(messages(&before), ["c", "d"]);
    let turned = call(&world, "GetLogEvents", on(&before["nextForwardToken"])).await;
    assert_eq!(messages(&turned), ["e", "f"]);

    let at = now(&world);
    let part = json!({"startTime": at + 2, "endTime": at + 4, "startFromHead": true});
    assert_eq!(messages(&call(&world, "GetLogEvents", part).await), ["b", "c", "d"], "the end is exclusive");
}

#[tokio::test]
async fn an_empty_stream_can_be_followed() {
    let (world, _) = fresh().await;
    let empty = call(&world, "GetLogEvents", json!({"startFromHead": true})).await;
    let input = json!({"nextToken": empty["nextForwardToken"], "startFromHead": true});
    assert_eq!(call(&world, "GetLogEvents", input.clone()).await["nextForwardToken"], input["nextToken"]);
    put(&world, "s", &[(0, "a")]).await;
    assert_eq!(messages(&call(&world, "GetLogEvents", input).await), ["a"]);
}

#[tokio::test]
async fn filtering_merges_streams_by_time_page_by_page() {
    let (world, logs) = fresh().await;
    stream(&world, "t").await;
    // Batches overlap in time, and one of them came late.
    put(&world, "s", &[(1, "s1 x"), (5, "s5")]).await;
    put(&world, "t", &[(2, "t2 x"), (3, "t3"), (6, "t6 x")]).await;
    put(&world, "s", &[(4, "s4 x")]).await;
    let all = ["s1 x", "t2 x", "t3", "s4 x", "s5", "t6 x"];
    for gathered in [false, true] {
        if gathered {
            gather(&world, &logs).await;
        }
        assert_eq!(messages(&call(&world, "FilterLogEvents", json!({})).await), all);
        let mut seen = Vec::new();
        let mut input = json!({"limit": 2});
        loop {
            let page = call(&world, "FilterLogEvents", input.clone()).await;
            seen.extend(messages(&page).into_iter().map(str::to_owned));
            match page.get("nextToken") {
                Some(token) => input["nextToken"] = token.clone(),
                None => break,
            }
        }
        assert_eq!(seen, all);
        let found = call(&world, "FilterLogEvents", json!({"filterPattern": "x -t2"})).await;
        assert_eq!(messages(&found), ["s1 x", "s4 x", "t6 x"]);
        let at = now(&world);
        let part = json!({"startTime": at + 2, "endTime": at + 4, "logStreamNames": ["t"]});
        assert_eq!(
            messages(&call(&world, "FilterLogEvents", part).await),
            ["t2 x", "t3"],
            "the end is inclusive"
        );
        let latest = call(&world, "FilterLogEvents", json!({"startFromHead": false, "limit": 2})).await;
        assert_eq!(messages(&latest), ["t6 x", "s5"]);
        let rest = json!({"startFromHead": false, "nextToken": latest["nextToken"]});
        assert_eq!(messages(&call(&world, "FilterLogEvents", rest).await), ["s4 x", "t3", "t2 x", "s1 x"]);
    }
    let ids = call(&world, "FilterLogEvents", json!({})).await;
    let ids: Vec<_> = ids["events"].as_array().unwrap().iter().map(|e| e["eventId"].to_string()).collect();
    assert!(ids.is_sorted() && ids.iter().all(|id| id.len() == 58), "{ids:?}");
}

/// Makes a segment of every stream's rows.
async fn gather(world: &World, logs: &Arc<Logs>) {
    for row in world.store.all::<Stream>(Key::all()).await.unwrap() {
        let due = Key::new(&row.key.account(), &row.key.region()).text(&row.value.id);
        world.store.commit(store::Batch::new().put(&due, &Due)).await.unwrap();
    }
    drain(logs, "logs.compact").await;
    let chunks = world.store.all::<Chunk>(Key::all()).await.unwrap();
    assert!(!chunks.is_empty() && chunks.iter().all(|chunk| chunk.value.place != Place::Row));
    assert_eq!(world.store.count::<Lines>(Key::all()).await.unwrap(), 0);
}

#[tokio::test]
async fn many_puts_become_segments_and_read_the_same() {
    let (world, logs) = fresh().await;
    for n in 0..limits::HOT_CHUNKS + 3 {
        put(&world, "s", &[(n as i64, &n.to_string())]).await;
    }
    drain(&logs, "logs.compact").await;
    put(&world, "s", &[(1000, "last")]).await;
    assert_eq!(world.store.count::<Chunk>(Key::all()).await.unwrap(), 2);
    let all = call(&world, "GetLogEvents", json!({"startFromHead": true})).await;
    let wanted: Vec<String> =
        (0..limits::HOT_CHUNKS + 3).map(|n| n.to_string()).chain(["last".into()]).collect();
    assert_eq!(messages(&all), wanted);
    let stream = world.store.all::<Stream>(Key::all()).await.unwrap().remove(0).value;
    assert_eq!((stream.chunks, stream.next), (limits::HOT_CHUNKS + 4, limits::HOT_CHUNKS + 4));
    // A restart finds the same.
    let mut world = world.restart().await;
    serve(&mut world);
    assert_eq!(messages(&call(&world, "GetLogEvents", json!({"startFromHead": true})).await), wanted);
}

#[tokio::test]
async fn old_new_and_expired_events_are_rejected_and_told() {
    let (world, _) = fresh().await;
    let told = put(&world, "s", &[(-limits::TOO_OLD - 1, "old")]).await;
    assert_eq!(told["rejectedLogEventsInfo"], json!({"tooOldLogEventEndIndex": 1}));
    let told = put(&world, "s", &[(limits::TOO_NEW - 5, "ok"), (limits::TOO_NEW + 1, "new")]).await;
    assert_eq!(told["rejectedLogEventsInfo"], json!({"tooNewLogEventStartIndex": 1}));
    call(&world, "PutRetentionPolicy", json!({"retentionInDays": 1})).await;
    let told = put(&world, "s", &[(-limits::DAY - 1, "expired"), (-limits::DAY, "kept")]).await;
    assert_eq!(told["rejectedLogEventsInfo"], json!({"expiredLogEventEndIndex": 1}));
    assert_eq!(messages(&call(&world, "GetLogEvents", json!({})).await), ["kept", "ok"]);
    assert_eq!(put(&world, "s", &[(0, "x")]).await.get("rejectedLogEventsInfo"), None);
}

#[tokio::test]
async fn retention_hides_at_once_and_removes_later() {
    let (world, logs) = fresh().await;
    put(&world, "s", &[(0, "old")]).await;
    gather(&world, &logs).await;
    world.clock.advance(Duration::from_secs(3600));
    put(&world, "s", &[(0, "older row")]).await;
    world.clock.advance(Duration::from_secs(86_400));
    put(&world, "s", &[(0, "young")]).await;
    call(&world, "PutRetentionPolicy", json!({"retentionInDays": 1})).await;
    world.clock.advance(Duration::from_secs(1));
    let read = async |world: &World| {
        let read = call(world, "FilterLogEvents", json!({})).await;
        messages(&read).join(",")
    };
    assert_eq!(read(&world).await, "young");
    drain(&logs, "logs.retain").await;
    assert_eq!(world.store.count::<Chunk>(Key::all()).await.unwrap(), 1);
    assert!(world.blobs.names("logs").await.unwrap().is_empty());
    assert_eq!(read(&world).await, "young");
    call(&world, "DeleteRetentionPolicy", json!({})).await;
    assert_eq!(read(&world).await, "young");
}

#[tokio::test]
async fn deleting_hides_at_once_and_removes_later() {
    let (world, logs) = fresh().await;
    stream(&world, "t").await;
    put(&world, "s", &[(0, "a")]).await;
    put(&world, "t", &[(0, "b")]).await;
    gather(&world, &logs).await;
    world.call("logs.DeleteLogStream", json!({"logGroupName": "g", "logStreamName": "t"})).await.unwrap();
    assert_eq!(messages(&call(&world, "FilterLogEvents", json!({})).await), ["a"]);
    call(&world, "DeleteLogGroup", json!({})).await;
    call(&world, "CreateLogGroup", json!({})).await;
    stream(&world, "s").await;
    assert!(messages(&call(&world, "FilterLogEvents", json!({})).await).is_empty());
    drain(&logs, "logs.purge").await;
    assert_eq!(world.store.count::<Chunk>(Key::all()).await.unwrap(), 0);
    assert_eq!(world.store.count::<Stream>(Key::all()).await.unwrap(), 1);
    assert_eq!(world.store.count::<Trash>(Key::all()).await.unwrap(), 0);
    assert_eq!(world.store.count::<Group>(Key::all()).await.unwrap(), 1);
    assert!(world.blobs.names("logs").await.unwrap().is_empty());
}

#[tokio::test]
async fn groups_and_streams_are_described_in_pages() {
    let (world, _) = fresh().await;
    for name in ["a/1", "a/2", "a/3", "b"] {
        let input = json!({"logGroupName": name, "tags": {"k": name}});
        world.call("logs.CreateLogGroup", input).await.unwrap();
    }
    let names = |answer: &Value, list: &str, name: &str| -> String {
        let items = answer[list].as_array().unwrap().iter();
        items.map(|item| item[name].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let describe = async |input: Value| world.call("logs.DescribeLogGroups", input).await.unwrap();
    let page = describe(json!({"logGroupNamePrefix": "a/", "limit": 2})).await;
    assert_eq!(names(&page, "logGroups", "logGroupName"), "a/1 a/2");
    let input = json!({"logGroupNamePrefix": "a/", "limit": 2, "nextToken": page["nextToken"]});
    let rest = describe(input).await;
    assert_eq!(names(&rest, "logGroups", "logGroupName"), "a/3");
    assert_eq!(rest.get("nextToken"), None);
    let some = describe(json!({"logGroupNamePattern": "A/"})).await;
    assert_eq!(names(&some, "logGroups", "logGroupName"), "a/1 a/2 a/3");
    let group = &describe(json!({"logGroupNamePrefix": "b"})).await["logGroups"][0];
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:b";
    assert_eq!((&group["arn"], &group["logGroupArn"]), (&json!(format!("{arn}:*")), &json!(arn)));
    let tags = world.call("logs.ListTagsForResource", json!({"resourceArn": arn})).await.unwrap();
    assert_eq!(tags["tags"], json!({"k": "b"}));
    world.call("logs.TagResource", json!({"resourceArn": arn, "tags": {"x": "y"}})).await.unwrap();
    world.call("logs.UntagResource", json!({"resourceArn": arn, "tagKeys": ["k"]})).await.unwrap();
    let tags = world.call("logs.ListTagsLogGroup", json!({"logGroupName": "b"})).await.unwrap();
    assert_eq!(tags["tags"], json!({"x": "y"}));

    for name in ["t", "u"] {
        stream(&world, name).await;
    }
    put(&world, "t", &[(9, "x")]).await;
    put(&world, "s", &[(5, "x")]).await;
    let order = async |mut input: Value| {
        let (mut seen, mut turns) = (Vec::new(), 0);
        input["limit"] = json!(2);
        loop {
            let page = call(&world, "DescribeLogStreams", input.clone()).await;
            seen.push(names(&page, "logStreams", "logStreamName"));
            turns += 1;
            match page.get("nextToken") {
                Some(token) if turns < 9 => input["nextToken"] = token.clone(),
                _ => return seen.join("|"),
            }
        }
    };
    assert_eq!(order(json!({})).await, "s t|u");
    assert_eq!(order(json!({"descending": true})).await, "u t|s");
    assert_eq!(order(json!({"orderBy": "LastEventTime", "descending": true})).await, "t s|u");
    assert_eq!(order(json!({"logStreamNamePrefix": "u"})).await, "u");
}

#[tokio::test]
async fn mistakes_are_told_as_aws_tells_them() {
    let (world, _) = fresh().await;
    let group = |more: Value| {
        let mut input = json!({"logGroupName": "g", "logStreamName": "s"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let at = now(&world);
    let big = "x".repeat(limits::EVENT / 2);
    let event = |after: i64, message: &str| json!({"timestamp": at + after, "message": message});
    let cases = [
        ("CreateLogGroup", json!({"logGroupName": "g"}), "ResourceAlreadyExistsException"),
        ("CreateLogGroup", json!({"logGroupName": "k", "kmsKeyId": "x"}), "kmsKeyId is not served"),
        ("CreateLogStream", group(json!({})), "ResourceAlreadyExistsException"),
        ("CreateLogStream", json!({"logGroupName": "h", "logStreamName": "s"}), "log group does not exist"),
        ("DeleteLogGroup", json!({"logGroupName": "h"}), "ResourceNotFoundException"),
        ("GetLogEvents", json!({"logGroupName": "g", "logStreamName": "x"}), "log stream does not exist"),
        ("GetLogEvents", group(json!({"nextToken": "f/x"})), "The specified nextToken is invalid"),
        ("GetLogEvents", json!({"logStreamName": "s"}), "logGroupName or by logGroupIdentifier"),
        (
            "FilterLogEvents",
            group(json!({"logStreamNames": ["s"], "logStreamNamePrefix": "s"})),
            "Only one of",
        ),
        ("FilterLogEvents", group(json!({"logStreamNames": ["x"]})), "log stream does not exist"),
        ("FilterLogEvents", group(json!({"filterPattern": "a.b"})), "Invalid filter pattern"),
        ("PutRetentionPolicy", group(json!({"retentionInDays": 2})), "'retentionInDays'"),
        (
            "DescribeLogStreams",
            group(json!({"orderBy": "LastEventTime", "logStreamNamePrefix": "s"})),
            "Cannot order",
        ),
        ("PutLogEvents", group(json!({"logEvents": [event(1, "a"), event(0, "b")]})), "chronological order"),
        (
            "PutLogEvents",
            group(json!({"logEvents": [event(-limits::DAY - 1, "a"), event(0, "b")]})),
            "24 hours",
        ),
        ("PutLogEvents", group(json!({"logEvents": [event(0, &big), event(0, &big)]})), "Upload too large"),
        ("PutLogEvents", group(json!({"logEvents": [event(0, &big.repeat(2))]})), "Log event too large"),
        (
            "TagResource",
            json!({"resourceArn": "arn:aws:logs:us-east-1:1:log-group:g", "tags": {"a": "b"}}),
            "ResourceNotFound",
        ),
    ];
    for (operation, input, told) in cases {
        let text = fault(world.call(&format!("logs.{operation}"), input.clone()).await);
        assert!(text.contains(told), "{operation}: {text}");
    }
}

#[tokio::test]
async fn permissions_name_what_aws_names() {
    let (world, _) = fresh().await;
    world.authority.asked();
    put(&world, "s", &[(0, "x")]).await;
    call(&world, "FilterLogEvents", json!({})).await;
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:g:log-stream:";
    let wanted =
        [("logs:PutLogEvents".to_owned(), format!("{arn}s")), ("logs:FilterLogEvents".into(), arn.into())];
    assert_eq!(world.authority.asked(), wanted);
    world.authority.deny("logs:GetLogEvents");
    let denied = world.call("logs.GetLogEvents", json!({"logGroupName": "g", "logStreamName": "s"})).await;
    assert!(fault(denied).starts_with("AccessDenied"));
}

#[tokio::test]
async fn a_crash_at_any_commit_of_the_workers_loses_no_line() {
    for stop_after in 1.. {
        let (world, _) = fresh().await;
        stream(&world, "t").await;
        for n in 0..limits::HOT_CHUNKS {
            put(&world, "s", &[(n as i64, &n.to_string())]).await;
        }
        world.call("logs.DeleteLogStream", json!({"logGroupName": "g", "logStreamName": "t"})).await.unwrap();
        let mut world = world.restart_with(store::Options { stop_after: Some(stop_after) }).await;
        let logs = serve(&mut world);
        let mut crashed = false;
        for worker in logs.workers() {
            crashed |= worker.run().await.is_err();
        }
        let mut world = world.restart().await;
        let logs = serve(&mut world);
        for name in ["logs.compact", "logs.purge"] {
            drain(&logs, name).await;
        }
        let read = call(&world, "GetLogEvents", json!({"startFromHead": true})).await;
        let wanted: Vec<String> = (0..limits::HOT_CHUNKS).map(|n| n.to_string()).collect();
        assert_eq!(messages(&read), wanted, "after commit {stop_after}");
        assert_eq!(world.blobs.names("logs").await.unwrap().len(), 1);
        assert_eq!(world.store.count::<Trash>(Key::all()).await.unwrap(), 0);
        if !crashed {
            assert!(stop_after > 2, "the workers committed");
            return;
        }
    }
}

#[tokio::test]
async fn a_follower_sees_every_line_once_while_segments_are_made() {
    const LINES: usize = 300;
    let (world, logs) = fresh().await;
    let writes = async {
        for n in 0..LINES {
            put(&world, "s", &[(n as i64 / 3, &n.to_string())]).await;
        }
    };
    let gathers = async {
        let compact = logs.workers().remove(0);
        loop {
            compact.wake().notify_one();
            compact.run().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let follows = async {
        let (mut seen, mut input) = (Vec::new(), json!({"startFromHead": true}));
        while seen.len() < LINES {
            let page = call(&world, "GetLogEvents", input.clone()).await;
            seen.extend(messages(&page).into_iter().map(str::to_owned));
            input["nextToken"] = page["nextForwardToken"].clone();
        }
        seen
    };
    let (seen, ()) = tokio::select! {
        done = async { tokio::join!(follows, writes) } => done,
        () = gathers => unreachable!("it gathers for ever"),
    };
    let wanted: Vec<String> = (0..LINES).map(|n| n.to_string()).collect();
    assert_eq!(seen, wanted);
    let segments = world.blobs.names("logs").await.unwrap();
    assert!(!segments.is_empty());
}
