use std::sync::Arc;
use std::time::Duration;

use kernel::{Clock, Fault, Timestamp};
use serde_json::{Value, json};
use store::{EVENTS, Key, Message};
use testkit::{World, fault};
use work::Worker;

use crate::CloudWatch;
use crate::records::{History, Hour, Metric};

struct Scene {
    world: World,
    workers: Vec<Arc<dyn Worker>>,
}

impl Scene {
    async fn new() -> Self {
        Self::over(World::new().await)
    }

    fn over(mut world: World) -> Self {
        let cloudwatch = CloudWatch::new(world.store.clone(), world.clock.clone(), world.entropy.clone());
        world.serve(|ops| cloudwatch.register(ops));
        let workers = cloudwatch.workers();
        Self { world, workers }
    }

    async fn try_call(&self, operation: &str, input: Value) -> Result<Value, Fault> {
        self.world.call(&format!("cloudwatch.{operation}"), input).await
    }

    async fn ok(&self, operation: &str, input: Value) -> Value {
        self.try_call(operation, input).await.unwrap()
    }

    fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    /// A value of the metric `m`, so many seconds ago.
    async fn put(&self, value: f64, ago: i64) {
        let at = self.now().as_second() - ago;
        let data = json!([{"MetricName": "m", "Value": value, "Timestamp": at}]);
        self.ok("PutMetricData", json!({"Namespace": "n", "MetricData": data})).await;
    }

    async fn alarm(&self, more: Value) {
        self.ok("PutMetricAlarm", alarm(more)).await;
    }

    async fn work(&self) -> Result<(), Fault> {
        for worker in &self.workers {
            worker.run().await?;
        }
        Ok(())
    }

    async fn state(&self) -> String {
        let found = self.ok("DescribeAlarms", json!({"AlarmNames": ["a"]})).await;
        found["MetricAlarms"][0]["StateValue"].as_str().unwrap().to_owned()
    }

    /// From and to of every event so far.
    async fn events(&self) -> Vec<(String, String)> {
        let messages = self.world.store.messages(EVENTS, 0, 100).await.unwrap();
        let state = |m: &Message, name: &str| m.event.detail[name]["value"].as_str().unwrap().to_owned();
        messages.iter().map(|m| (state(m, "previousState"), state(m, "state"))).collect()
    }
}

fn alarm(more: Value) -> Value {
    let mut alarm = json!({
        "AlarmName": "a", "Namespace": "n", "MetricName": "m", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold",
    });
    alarm.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    alarm
}

#[tokio::test]
async fn an_alarm_follows_its_data_and_its_absence() {
    let scene = Scene::new().await;
    scene.world.store.subscribe(EVENTS, "test").await.unwrap();
    scene.alarm(json!({"AlarmDescription": "too many"})).await;
    scene.work().await.unwrap();
    assert_eq!(scene.state().await, "INSUFFICIENT_DATA");
    scene.put(5.0, 60).await;
    scene.work().await.unwrap();
    assert_eq!(scene.state().await, "ALARM");
    // Three periods later the datum is out of sight.
    for _ in 0..4 {
        scene.world.clock.advance(Duration::from_secs(60));
        scene.work().await.unwrap();
    }
    assert_eq!(scene.state().await, "INSUFFICIENT_DATA");
    scene.put(1.0, 60).await;
    scene.work().await.unwrap();
    assert_eq!(scene.state().await, "OK");
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect::<Vec<_>>();
    assert_eq!(
        scene.events().await,
        pairs(&[("INSUFFICIENT_DATA", "ALARM"), ("ALARM", "INSUFFICIENT_DATA"), ("INSUFFICIENT_DATA", "OK")])
    );
    let event = &scene.world.store.messages(EVENTS, 0, 1).await.unwrap()[0].event;
    assert_eq!(event.resources, ["arn:aws:cloudwatch:us-east-1:000000000000:alarm:a"]);
    assert_eq!(event.detail_type, "CloudWatch Alarm State Change");
    assert_eq!(event.detail["configuration"]["description"], "too many");
    let history = scene.ok("DescribeAlarmHistory", json!({"AlarmName": "a", "MaxRecords": 2})).await;
    let summaries = |page: &Value| {
        let items = page["AlarmHistoryItems"].as_array().unwrap().iter();
        items.map(|item| item["HistorySummary"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        summaries(&history),
        ["Alarm updated from INSUFFICIENT_DATA to OK", "Alarm updated from ALARM to INSUFFICIENT_DATA"]
    );
    let more = json!({"AlarmName": "a", "NextToken": history["NextToken"]});
    let rest = scene.ok("DescribeAlarmHistory", more).await;
    assert_eq!(summaries(&rest), ["Alarm updated from INSUFFICIENT_DATA to ALARM", "Alarm \"a\" created"]);
}

#[tokio::test]
async fn a_state_that_is_set_holds_until_the_period_ends() {
    let scene = Scene::new().await;
    scene.alarm(json!({})).await;
    scene.put(5.0, 60).await;
    scene.work().await.unwrap();
    let set =
        json!({"AlarmName": "a", "StateValue": "OK", "StateReason": "by hand", "StateReasonData": "{}"});
    scene.ok("SetAlarmState", set).await;
    scene.work().await.unwrap();
    assert_eq!(scene.state().await, "OK");
    scene.world.clock.advance(Duration::from_secs(60));
    scene.work().await.unwrap();
    assert_eq!(scene.state().await, "ALARM", "its data says so");
}

#[tokio::test]
async fn a_crash_at_any_commit_changes_the_state_once() {
    let mut crashes = 0;
    for stop_after in 1.. {
        let scene = Scene::new().await;
        scene.world.store.subscribe(EVENTS, "test").await.unwrap();
        scene.alarm(json!({})).await;
        scene.put(5.0, 60).await;
        let options = store::Options { stop_after: Some(stop_after) };
        let crashing = Scene::over(scene.world.restart_with(options).await);
        let crashed = crashing.work().await.is_err();
        let scene = Scene::over(crashing.world.restart().await);
        scene.work().await.unwrap();
        assert_eq!((scene.state().await.as_str(), scene.events().await.len()), ("ALARM", 1));
        crashes += u32::from(crashed);
        if !crashed {
            break;
        }
    }
    assert!(crashes >= 1, "an evaluation commits");
}

#[tokio::test]
async fn data_reads_back_by_period_unit_and_statistic() {
    let scene = Scene::new().await;
    let now = scene.now().as_second() / 3600 * 3600;
    scene.world.clock.advance(Duration::from_secs(600));
    let data = json!([
        {"MetricName": "m", "Value": 1.0, "Timestamp": now + 10, "Unit": "Count"},
        {"MetricName": "m", "Values": [2.0, 4.0], "Counts": [1.0, 3.0], "Timestamp": now + 50, "Unit": "Count"},
        {"MetricName": "m", "StatisticValues": {"SampleCount": 2.0, "Sum": 10.0, "Minimum": 3.0, "Maximum": 7.0},
            "Timestamp": now + 70, "Unit": "Count"},
        {"MetricName": "m", "Value": 100.0, "Timestamp": now + 70, "Unit": "Bytes"},
        {"MetricName": "m", "Value": 9.0, "Timestamp": now + 10, "Dimensions": [{"Name": "d", "Value": "v"}]},
    ]);
    scene.ok("PutMetricData", json!({"Namespace": "n", "MetricData": data})).await;
    let ask = |period: i64| {
        json!({"Namespace": "n", "MetricName": "m", "StartTime": now, "EndTime": now + 300, "Period": period,
            "Statistics": ["SampleCount", "Sum", "Average", "Minimum", "Maximum"], "Unit": "Count"})
    };
    let found = scene.ok("GetMetricStatistics", ask(60)).await;
    let first = json!({"Timestamp": now as f64, "SampleCount": 5.0, "Sum": 15.0, "Average": 3.0, "Minimum": 1.0,
        "Maximum": 4.0, "Unit": "Count"});
    let second = json!({"Timestamp": (now + 60) as f64, "SampleCount": 2.0, "Sum": 10.0, "Average": 5.0,
        "Minimum": 3.0, "Maximum": 7.0, "Unit": "Count"});
    assert_eq!(found, json!({"Label": "m", "Datapoints": [first, second]}));
    let found = scene.ok("GetMetricStatistics", ask(300)).await;
    assert_eq!((&found["Datapoints"][0]["Sum"], &found["Datapoints"][1]), (&json!(25.0), &Value::Null));

    let metric = json!({"Namespace": "n", "MetricName": "m", "Dimensions": [{"Name": "d", "Value": "v"}]});
    let query = json!([{"Id": "q", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}}]);
    let found = scene
        .ok("GetMetricData", json!({"MetricDataQueries": query, "StartTime": now, "EndTime": now + 300}))
        .await;
    let result = &found["MetricDataResults"][0];
    assert_eq!(
        (&result["Id"], &result["Values"], &result["StatusCode"]),
        (&json!("q"), &json!([9.0]), &json!("Complete"))
    );

    let listed = scene.ok("ListMetrics", json!({"Dimensions": [{"Name": "d"}]})).await;
    assert_eq!(listed["Metrics"], json!([metric]));
    assert_eq!(
        scene.ok("ListMetrics", json!({"Namespace": "n"})).await["Metrics"].as_array().unwrap().len(),
        2
    );
}

#[tokio::test]
async fn what_is_old_is_forgotten() {
    let scene = Scene::new().await;
    scene.put(1.0, 0).await;
    scene.alarm(json!({})).await;
    scene.world.clock.advance(Duration::from_secs(10 * 86_400));
    scene.put(2.0, 0).await;
    scene.work().await.unwrap();
    let store = &scene.world.store;
    assert_eq!(store.count::<Hour>(Key::all()).await.unwrap(), 2);
    scene.world.clock.advance(Duration::from_secs(6 * 86_400));
    scene.work().await.unwrap();
    assert_eq!(store.count::<Hour>(Key::all()).await.unwrap(), 1, "15 days are kept");
    scene.world.clock.advance(Duration::from_secs(30 * 86_400));
    scene.work().await.unwrap();
    let left = (
        store.count::<Hour>(Key::all()).await.unwrap(),
        store.count::<Metric>(Key::all()).await.unwrap(),
        store.count::<History>(Key::all()).await.unwrap(),
    );
    assert_eq!(left, (0, 0, 0));
}

#[tokio::test]
async fn alarms_are_found_paged_tagged_and_deleted() {
    let scene = Scene::new().await;
    for name in ["b", "a", "c"] {
        let tags = json!([{"Key": "k", "Value": name}]);
        scene.alarm(json!({"AlarmName": name, "Tags": tags, "TreatMissingData": "ignore"})).await;
    }
    let names = |page: &Value| {
        let alarms = page["MetricAlarms"].as_array().unwrap().iter();
        alarms.map(|alarm| alarm["AlarmName"].as_str().unwrap().to_owned()).collect::<String>()
    };
    let first = scene.ok("DescribeAlarms", json!({"MaxRecords": 2})).await;
    let second = scene.ok("DescribeAlarms", json!({"MaxRecords": 2, "NextToken": first["NextToken"]})).await;
    assert_eq!((names(&first), names(&second), second.get("NextToken")), ("ab".into(), "c".into(), None));
    assert_eq!(first["MetricAlarms"][0]["TreatMissingData"], "ignore");
    for (filter, wanted) in [
        (json!({"AlarmNamePrefix": "b"}), "b"),
        (json!({"AlarmNames": ["c", "a", "none"]}), "ac"),
        (json!({"StateValue": "OK"}), ""),
        (json!({"AlarmTypes": ["CompositeAlarm"]}), ""),
    ] {
        assert_eq!(names(&scene.ok("DescribeAlarms", filter.clone()).await), wanted, "{filter}");
    }
    let found =
        scene.ok("DescribeAlarmsForMetric", json!({"Namespace": "n", "MetricName": "m", "Period": 60})).await;
    assert_eq!(found["MetricAlarms"].as_array().unwrap().len(), 3);
    scene.ok("DisableAlarmActions", json!({"AlarmNames": ["a", "none"]})).await;
    let disabled = scene.ok("DescribeAlarms", json!({"AlarmNames": ["a"]})).await;
    assert_eq!(disabled["MetricAlarms"][0]["ActionsEnabled"], false);

    let arn = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:a";
    scene.ok("TagResource", json!({"ResourceARN": arn, "Tags": [{"Key": "x", "Value": "y"}]})).await;
    scene.ok("UntagResource", json!({"ResourceARN": arn, "TagKeys": ["k"]})).await;
    let tags = scene.ok("ListTagsForResource", json!({"ResourceARN": arn})).await;
    assert_eq!(tags["Tags"], json!([{"Key": "x", "Value": "y"}]));

    assert!(
        fault(scene.try_call("DeleteAlarms", json!({"AlarmNames": ["a", "none"]})).await)
            .contains("Alarm none does not exist")
    );
    scene.ok("DeleteAlarms", json!({"AlarmNames": ["a", "b"]})).await;
    assert_eq!(names(&scene.ok("DescribeAlarms", json!({})).await), "c");
}

#[tokio::test]
async fn mistakes_and_what_is_not_served_are_told() {
    let scene = Scene::new().await;
    let datum = |more: Value| {
        let mut datum = json!({"MetricName": "m"});
        datum.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"Namespace": "n", "MetricData": [datum]})
    };
    let now = scene.now().as_second();
    let query = json!([{"Id": "q", "Expression": "a + b"}]);
    for (operation, input, told) in [
        ("PutMetricData", datum(json!({})), "exactly one of Value"),
        ("PutMetricData", datum(json!({"Value": 1.0, "Values": [1.0]})), "exactly one of Value"),
        ("PutMetricData", datum(json!({"Value": "NaN"})), "is not between"),
        (
            "PutMetricData",
            datum(json!({"Values": [1.0], "Counts": [1.0, 2.0]})),
            "as many members as its Values",
        ),
        ("PutMetricData", datum(json!({"Values": [1.0], "Counts": [0.0]})), "it must be over 0"),
        ("PutMetricData", datum(json!({"Value": 1.0, "Timestamp": now - 15 * 86_400})), "two weeks past"),
        (
            "PutMetricData",
            datum(json!({"Value": 1.0, "StorageResolution": 1})),
            "StorageResolution 1 is not served",
        ),
        (
            "PutMetricAlarm",
            alarm(json!({"AlarmActions": ["arn:aws:sns:us-east-1:0:t"]})),
            "AlarmActions is not served",
        ),
        ("PutMetricAlarm", alarm(json!({"Metrics": [{"Id": "m"}]})), "metric math"),
        ("PutMetricAlarm", alarm(json!({"ExtendedStatistic": "p99"})), "ExtendedStatistic is not served"),
        ("PutMetricAlarm", alarm(json!({"ThresholdMetricId": "m"})), "anomaly detection"),
        ("PutMetricAlarm", alarm(json!({"Period": 30})), "Period must be a multiple of 60"),
        ("PutMetricAlarm", alarm(json!({"EvaluationPeriods": 1441})), "must not exceed 86400"),
        ("PutMetricAlarm", alarm(json!({"DatapointsToAlarm": 2})), "must not exceed EvaluationPeriods"),
        ("PutMetricAlarm", alarm(json!({"TreatMissingData": "maybe"})), "TreatMissingData"),
        ("PutMetricAlarm", alarm(json!({"Threshold": null})), "MissingRequiredParameterException"),
        ("PutMetricAlarm", alarm(json!({"Statistic": "Median"})), "enum value set"),
        (
            "SetAlarmState",
            json!({"AlarmName": "none", "StateValue": "OK", "StateReason": "r"}),
            "ResourceNotFound",
        ),
        (
            "SetAlarmState",
            json!({"AlarmName": "none", "StateValue": "OK", "StateReason": "r", "StateReasonData": "{"}),
            "InvalidFormatFault",
        ),
        ("DescribeAlarms", json!({"NextToken": "x"}), "InvalidNextToken"),
        ("DescribeAlarms", json!({"AlarmNames": ["a"], "AlarmNamePrefix": "a"}), "not both"),
        ("DescribeAlarms", json!({"ParentsOfAlarmName": "a"}), "composite alarms are not"),
        (
            "GetMetricData",
            json!({"MetricDataQueries": query, "StartTime": now, "EndTime": now + 60}),
            "metric math",
        ),
        (
            "GetMetricStatistics",
            json!({"Namespace": "n", "MetricName": "m", "StartTime": now - 86_460, "EndTime": now, "Period": 60,
                "Statistics": ["Sum"]}),
            "more than 1440",
        ),
        (
            "TagResource",
            json!({"ResourceARN": "arn:aws:cloudwatch:us-east-1:000000000000:alarm:none", "Tags": []}),
            "ResourceNotFoundException",
        ),
    ] {
        let text = fault(scene.try_call(operation, input.clone()).await);
        assert!(text.contains(told), "{operation} {input}: {text}");
    }
    assert_eq!(scene.world.store.count::<Metric>(Key::all()).await.unwrap(), 0);
    assert_eq!(scene.ok("DescribeAlarms", json!({})).await["MetricAlarms"], json!([]));
}
