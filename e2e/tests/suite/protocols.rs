//! Services that speak several protocols, each by the client that speaks it.
use e2e::{Client, Server, eventually};
use serde_json::json;

#[test]
fn boto3_speaks_cbor() {
    let server = Server::start();
    let client = server.client();
    std::fs::write(client.folder().join("cbor.py"), include_str!("protocols/cbor.py")).unwrap();
    assert_eq!(client.sh("python cbor.py"), "done\n");
}

#[test]
fn every_answer_has_the_id_of_its_request() {
    let server = Server::start();
    let client = server.client();
    for path in
        ["/", "/v2/", "/v1/repos/x/info/refs?service=git-upload-pack", "/webhook/none", "/no-such-bucket/x"]
    {
        let head = client.sh(&format!("curl -s -o /dev/null -D - $AWS_ENDPOINT_URL'{path}'"));
        let found = head.lines().find_map(|line| line.strip_prefix("x-amzn-requestid: "));
        assert!(found.is_some_and(|id| id.trim().len() == 36), "{path}: {head}");
    }
}

/// JSON 1.0, as CLI 1 sends it, or Query, as CLI 2.9 does.
fn alarms(client: &Client) {
    let name = ["--namespace", "E2E", "--metric-name", "errors"];
    let put = [
        "cloudwatch",
        "put-metric-alarm",
        "--alarm-name",
        "too-many",
        "--statistic",
        "Sum",
        "--period",
        "60",
    ];
    let more = ["--evaluation-periods", "1", "--threshold", "1.5", "--treat-missing-data", "notBreaching"];
    let more = [&more[..], &["--comparison-operator", "GreaterThanThreshold"]].concat();
    client.aws_args(&[&put[..], &name, &more].concat());
    let state = || {
        let found = client.aws("cloudwatch describe-alarms --alarm-names too-many");
        found["MetricAlarms"][0]["StateValue"].as_str().unwrap().to_owned()
    };
    eventually("an alarm without data that is OK", || (state() == "OK").then_some(()));
    let minutes = |ago: i64| {
        client.sh(&format!("date -u -d '{ago} minutes ago' +%Y-%m-%dT%H:%M:%SZ")).trim().to_owned()
    };
    let datum = ["cloudwatch", "put-metric-data", "--value", "2", "--timestamp"];
    client.aws_args(&[&datum[..], &[minutes(1).as_str()], &name].concat());
    eventually("the alarm", || (state() == "ALARM").then_some(()));
    let span =
        ["--start-time", &minutes(10), "--end-time", &minutes(0), "--period", "600", "--statistics", "Sum"];
    let found = client.aws_args(&[&["cloudwatch", "get-metric-statistics"][..], &name, &span].concat());
    let sum: f64 =
        found["Datapoints"].as_array().unwrap().iter().filter_map(|point| point["Sum"].as_f64()).sum();
    assert_eq!(sum, 2.0, "{found}");
    let history =
        client.aws("cloudwatch describe-alarm-history --alarm-name too-many --history-item-type StateUpdate");
    let latest = history["AlarmHistoryItems"][0]["HistorySummary"].clone();
    assert_eq!(latest, json!("Alarm updated from OK to ALARM"));
    let refused = client.aws_error("cloudwatch delete-alarms --alarm-names none");
    assert!(refused.contains("(ResourceNotFound)"), "{refused}");
    let refused = client.aws_error("cloudwatch describe-alarms --next-token x");
    assert!(refused.contains("(InvalidNextToken)"), "{refused}");
    client.aws("cloudwatch delete-alarms --alarm-names too-many");
}

#[test]
fn alarms_by_aws_cli_1() {
    alarms(&Server::start().client());
}

#[test]
fn alarms_by_aws_cli_2() {
    let server = Server::start();
    if let Some(client) = server.client().aws2() {
        alarms(&client);
    }
}
