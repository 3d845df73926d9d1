//! Every service, by three unmodified clients: create, read back as Terraform and the waiters do, delete.
mod apps;
mod network;
mod storage;

use e2e::{Client, Server};

/// A policy that lets a service take a role.
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["codebuild.amazonaws.com","codepipeline.amazonaws.com","ecs-tasks.amazonaws.com"]},"Action":"sts:AssumeRole"}]}"#;

/// A JSON argument as the CLI takes it: one word.
macro_rules! words {
    ($($value:tt)*) => { serde_json::json!($($value)*).to_string() };
}
use words;

/// The names that a list of structures has under `member`.
fn column<'a>(list: &'a serde_json::Value, member: &str) -> Vec<&'a str> {
    list.as_array().into_iter().flatten().filter_map(|each| each[member].as_str()).collect()
}

/// `actual` has at least what `expected` has.
#[track_caller]
fn has(actual: &serde_json::Value, expected: serde_json::Value) {
    for (name, value) in expected.as_object().into_iter().flatten() {
        assert_eq!(&actual[name], value, "{name} of {actual}");
    }
}

/// The tour of one CLI: the services side by side, as their commands are many and the CLI is slow to start.
fn tour(client: &Client, server: &Server) {
    let role = identity(client);
    std::thread::scope(|all| {
        all.spawn(|| storage::all(client));
        all.spawn(|| network::all(client, server));
        all.spawn(|| apps::all(client, &role));
    });
    farewell(client);
}

fn identity(client: &Client) -> String {
    let caller = client.aws("sts get-caller-identity");
    has(&caller, serde_json::json!({"Account": "000000000000", "Arn": "arn:aws:iam::000000000000:root"}));
    let statement = serde_json::json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"});
    let document = serde_json::json!({"Version": "2012-10-17", "Statement": [statement]});
    let text = document.to_string();

    client.aws_args(&["iam", "create-role", "--role-name", "tour", "--assume-role-policy-document", TRUST]);
    client.aws("iam wait role-exists --role-name tour");
    let role = client.aws("iam get-role --role-name tour")["Role"].clone();
    assert_eq!(role["AssumeRolePolicyDocument"]["Statement"][0]["Action"], "sts:AssumeRole");
    client.aws_args(&[
        "iam",
        "put-role-policy",
        "--role-name",
        "tour",
        "--policy-name",
        "own",
        "--policy-document",
        &text,
    ]);
    let own = client.aws("iam get-role-policy --role-name tour --policy-name own");
    assert_eq!(own["PolicyDocument"], document);
    let policy =
        client.aws_args(&["iam", "create-policy", "--policy-name", "tour", "--policy-document", &text]);
    let arn = policy["Policy"]["Arn"].as_str().unwrap();
    client.aws(&format!("iam wait policy-exists --policy-arn {arn}"));
    client.aws(&format!("iam attach-role-policy --role-name tour --policy-arn {arn}"));
    let attached = client.aws("iam list-attached-role-policies --role-name tour");
    assert_eq!(column(&attached["AttachedPolicies"], "PolicyArn"), [arn]);
    assert_eq!(client.aws("iam list-role-policies --role-name tour")["PolicyNames"][0], "own");
    let version = client.aws(&format!("iam get-policy-version --policy-arn {arn} --version-id v1"));
    assert_eq!(version["PolicyVersion"]["Document"], document);
    let keys = client.aws("iam list-access-keys");
    let id = keys["AccessKeyMetadata"][0]["AccessKeyId"].as_str().unwrap();
    let used = client.aws(&format!("iam get-access-key-last-used --access-key-id {id}"));
    assert_eq!(used["AccessKeyLastUsed"]["ServiceName"], "iam");
    role["Arn"].as_str().unwrap().to_owned()
}

fn farewell(client: &Client) {
    let arn = "arn:aws:iam::000000000000:policy/tour";
    assert!(client.aws_error("iam delete-role --role-name tour").contains("(DeleteConflict)"));
    client.aws(&format!("iam detach-role-policy --role-name tour --policy-arn {arn}"));
    client.aws("iam delete-role-policy --role-name tour --policy-name own");
    client.aws(&format!("iam delete-policy --policy-arn {arn}"));
    client.aws("iam delete-role --role-name tour");
    assert!(client.aws_error("iam get-role --role-name tour").contains("(NoSuchEntity)"));
}

#[test]
fn tour_by_aws_cli_1() {
    let server = Server::start();
    let client = server.client();
    tour(&client, &server);
    storage::presign(&client, "AWSAccessKeyId=");
}

#[test]
fn tour_by_aws_cli_2() {
    let server = Server::start();
    let Some(client) = server.client().aws2() else { return };
    tour(&client, &server);
    storage::tail(&client);
    storage::presign(&client, "X-Amz-Signature=");
}

#[test]
fn tour_by_boto3() {
    let server = Server::start();
    let client = server.client();
    std::fs::write(client.folder().join("tour.py"), include_str!("tour/tour.py")).unwrap();
    assert_eq!(client.sh("python tour.py"), "done\n");
}
