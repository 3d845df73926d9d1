//! S3, CloudWatch Logs, EventBridge, ACM.
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use e2e::Client;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::{column, has, words};

pub fn all(client: &Client) {
    s3(client);
    logs(client);
    events(client);
    acm(client);
}

fn s3(client: &Client) {
    let folder = client.folder().join("site");
    fs::create_dir_all(folder.join("deep")).unwrap();
    fs::write(folder.join("index.html"), "<p>here</p>").unwrap();
    // More than one part of a multipart upload, and no two parts alike.
    let large: Vec<u8> = (0..9_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(folder.join("deep/large"), large).unwrap();

    client.aws("s3 mb s3://tour");
    client.aws("s3api wait bucket-exists --bucket tour");
    client.aws("s3 sync site s3://tour/site");
    assert_eq!(client.aws("s3 sync site s3://tour/site").as_str(), None, "nothing is left to sync");
    client.aws("s3 cp s3://tour/site/deep/large large");
    client.sh("cmp large site/deep/large");
    let list = client.aws("s3 ls --recursive s3://tour").as_str().unwrap().to_owned();
    assert!(list.contains("9000000 site/deep/large") && list.contains("site/index.html"), "{list}");
    client.aws("s3api put-bucket-versioning --bucket tour --versioning-configuration Status=Enabled");
    assert_eq!(client.aws("s3api get-bucket-versioning --bucket tour")["Status"], "Enabled");
    fs::write(folder.join("index.html"), "<p>there</p>").unwrap();
    client.aws("s3 cp site/index.html s3://tour/site/index.html");
    let versions =
        client.aws("s3api list-object-versions --bucket tour --prefix site/index")["Versions"].clone();
    assert_eq!(versions[1]["VersionId"], "null", "{versions}");
    client.aws("s3api get-object --bucket tour --key site/index.html --version-id null first");
    assert_eq!(fs::read_to_string(client.folder().join("first")).unwrap(), "<p>here</p>");
    client.aws("s3 rm --recursive s3://tour");
    assert!(client.aws_error("s3 rb s3://tour").contains("(BucketNotEmpty)"));
    let left = client.aws("s3api list-object-versions --bucket tour");
    for each in
        ["Versions", "DeleteMarkers"].iter().flat_map(|kind| left[kind].as_array().into_iter().flatten())
    {
        let (key, version) = (each["Key"].as_str().unwrap(), each["VersionId"].as_str().unwrap());
        client.aws(&format!("s3api delete-object --bucket tour --key {key} --version-id {version}"));
    }
    client.aws("s3 rb s3://tour");
    assert!(client.aws_error("s3api head-bucket --bucket tour").contains("404"));
}

/// `s3 presign`, which CLI 1 signs with Signature Version 2 in us-east-1, and CLI 2 with 4: `signed` is in its URLs.
pub fn presign(client: &Client, signed: &str) {
    client.aws("s3 mb s3://shared");
    client.sh("printf here >page");
    client.aws("s3 cp page s3://shared/page");
    client.aws("s3 cp page s3://shared/other");
    let url = client.aws("s3 presign s3://shared/page --expires-in 60").as_str().unwrap().trim().to_owned();
    assert!(url.contains(signed), "{url}");
    assert_eq!(client.run("curl", &["-sf", &url]).out, "here");
    let forged = client.run("curl", &["-s", &url.replace("/page", "/other")]).out;
    assert!(forged.contains("<Code>SignatureDoesNotMatch</Code>"), "{forged}");
}

/// A group with two events, the second of them an error.
fn group(client: &Client, name: &str) {
    client.aws(&format!("logs create-log-group --log-group-name {name}"));
    client.aws(&format!("logs create-log-stream --log-group-name {name} --log-stream-name one"));
    let now: u64 = client.sh("date +%s%3N").trim().parse().unwrap();
    let events = words!([
        {"timestamp": now - 1000, "message": "started well"},
        {"timestamp": now, "message": "ERROR: no water"},
    ]);
    client.aws_args(&[
        "logs",
        "put-log-events",
        "--log-group-name",
        name,
        "--log-stream-name",
        "one",
        "--log-events",
        &events,
    ]);
}

fn logs(client: &Client) {
    group(client, "/tour");
    let got =
        client.aws("logs get-log-events --log-group-name /tour --log-stream-name one --start-from-head");
    assert_eq!(column(&got["events"], "message"), ["started well", "ERROR: no water"]);
    let found = client.aws("logs filter-log-events --log-group-name /tour --filter-pattern ERROR");
    assert_eq!(column(&found["events"], "message"), ["ERROR: no water"]);
    client.aws("logs put-retention-policy --log-group-name /tour --retention-in-days 7");
    let group = client.aws("logs describe-log-groups --log-group-name-prefix /tour")["logGroups"][0].clone();
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:/tour";
    has(&group, json!({"retentionInDays": 7, "arn": format!("{arn}:*")}));
    client.aws(&format!("logs tag-resource --resource-arn {arn} --tags on=tour"));
    assert_eq!(
        client.aws(&format!("logs list-tags-for-resource --resource-arn {arn}"))["tags"]["on"],
        "tour"
    );
    client.aws("logs delete-log-group --log-group-name /tour");
    let gone = client.aws("logs describe-log-groups --log-group-name-prefix /tour");
    assert_eq!(gone["logGroups"], json!([]));
}

/// `logs tail`, which CLI 1 lacks.
pub fn tail(client: &Client) {
    group(client, "/tail");
    let lines = client.aws("logs tail /tail --format short").as_str().unwrap().to_owned();
    let last: Vec<&str> =
        lines.lines().filter_map(|line| line.split_once(' ').map(|(_, text)| text)).collect();
    assert_eq!(last, ["started well", "ERROR: no water"]);
    follow(client);
}

/// `logs tail --follow` asks again for what came meanwhile.
fn follow(client: &Client) {
    // Within five minutes: a line that never comes is no reason to wait for ever.
    let tail = ["300", "/usr/bin/aws", "logs", "tail", "/tail", "--follow", "--format", "short"];
    let mut command = client.command("timeout", &tail);
    command.args(["--endpoint-url", client.endpoint()]);
    let mut following = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut until = |text: &str| lines.by_ref().map(Result::unwrap).find(|line| line.ends_with(text));
    assert!(until("ERROR: no water").is_some(), "what was there");
    let now: u64 = client.sh("date +%s%3N").trim().parse().unwrap();
    let events = words!([{"timestamp": now, "message": "water again"}]);
    client.aws_args(&[
        "logs",
        "put-log-events",
        "--log-group-name",
        "/tail",
        "--log-stream-name",
        "one",
        "--log-events",
        &events,
    ]);
    assert!(until("water again").is_some(), "and what came");
    kill(Pid::from_raw(following.id().cast_signed()), Signal::SIGTERM).unwrap();
    following.wait().unwrap();
}

fn events(client: &Client) {
    let pattern = words!({"source": ["aws.codecommit"], "detail": {"referenceName": ["main"]}});
    client.aws_args(&["events", "put-rule", "--name", "tour", "--event-pattern", &pattern]);
    has(
        &client.aws("events describe-rule --name tour"),
        json!({"State": "ENABLED", "EventPattern": pattern}),
    );
    let target = "arn:aws:codepipeline:us-east-1:000000000000:elsewhere";
    let role = "arn:aws:iam::000000000000:role/tour";
    client.aws(&format!("events put-targets --rule tour --targets Id=1,Arn={target},RoleArn={role}"));
    let targets = client.aws("events list-targets-by-rule --rule tour");
    assert_eq!(targets["Targets"], json!([{"Id": "1", "Arn": target, "RoleArn": role}]));
    let event = words!({
        "version": "0", "id": "1", "source": "aws.codecommit", "account": "000000000000", "region": "us-east-1",
        "time": "2026-01-01T00:00:00Z", "detail-type": "x", "resources": [], "detail": {"referenceName": "main"}
    });
    let tested =
        client.aws_args(&["events", "test-event-pattern", "--event-pattern", &pattern, "--event", &event]);
    assert_eq!(tested["Result"], true);
    assert!(
        client
            .aws_error("events delete-rule --name tour")
            .contains("Rule can't be deleted since it has targets")
    );
    client.aws("events remove-targets --rule tour --ids 1");
    client.aws("events delete-rule --name tour");
    assert!(client.aws_error("events describe-rule --name tour").contains("(ResourceNotFoundException)"));
}

fn acm(client: &Client) {
    client.sh("openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 30 -subj /CN=tour.test -addext subjectAltName=DNS:tour.test 2>openssl.log");
    let imported =
        client.aws("acm import-certificate --certificate fileb://cert.pem --private-key fileb://key.pem");
    let arn = imported["CertificateArn"].as_str().unwrap();
    let certificate =
        client.aws(&format!("acm describe-certificate --certificate-arn {arn}"))["Certificate"].clone();
    has(&certificate, json!({"Status": "ISSUED", "Type": "IMPORTED", "DomainName": "tour.test"}));
    let got = client.aws(&format!("acm get-certificate --certificate-arn {arn}"));
    let given = fs::read_to_string(client.folder().join("cert.pem")).unwrap();
    assert_eq!(got["Certificate"].as_str().unwrap().trim(), given.trim());
    assert_eq!(
        client.aws(&format!("acm list-tags-for-certificate --certificate-arn {arn}"))["Tags"],
        json!([])
    );
    client.aws(&format!("acm delete-certificate --certificate-arn {arn}"));
    let gone = client.aws_error(&format!("acm describe-certificate --certificate-arn {arn}"));
    assert!(gone.contains("(ResourceNotFoundException)"), "{gone}");
}
