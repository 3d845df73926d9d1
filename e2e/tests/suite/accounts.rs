//! Two accounts on one server: nothing of the one is the other's, but for what a resource's own policy gives.
use std::fs;

use e2e::{Client, Server};
use serde_json::json;

const OTHER: &str = "111111111111";

#[track_caller]
fn denied(client: &Client, args: &str, code: &str) {
    let said = client.aws_error(args);
    assert!(said.contains(&format!("({code})")), "{args}: {said}");
}

#[test]
fn buckets_and_repositories_open_to_another_account_by_their_policies() {
    let mut server = Server::start();
    let owner = server.client();
    fs::write(owner.folder().join("thing"), "shared").unwrap();
    owner.aws("s3 mb s3://shared");
    owner.aws("s3 cp thing s3://shared/thing");
    let uri =
        owner.aws("ecr create-repository --repository-name team/app")["repository"]["repositoryUri"].clone();
    let uri = uri.as_str().unwrap();
    owner.sh(&format!(
        "aws ecr get-login-password | docker --config .docker login --username AWS --password-stdin {} 2>/dev/null \
         && docker tag longshore/test-base:1 {uri}:1 && docker --config .docker push -q {uri}:1 && docker rmi {uri}:1 >/dev/null",
        server.listen()
    ));
    server.up_as(OTHER);
    let other = server.client();
    assert_eq!(other.aws("sts get-caller-identity")["Account"], OTHER);
    assert_eq!(owner.aws("sts get-caller-identity")["Account"], "000000000000");

    // Not even the other account's root user gets at what is not its own.
    let get = "s3api get-object --bucket shared --key thing got";
    let put = "s3api put-object --bucket shared --key new";
    denied(&other, get, "AccessDenied");
    let images = "ecr describe-images --repository-name team/app --registry-id 000000000000";
    let described = "ecr describe-repositories --repository-names team/app";
    denied(&other, images, "AccessDeniedException");
    denied(&other, described, "RepositoryNotFoundException");

    let principal = json!({"AWS": format!("arn:aws:iam::{OTHER}:root")});
    let bucket = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": principal, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shared/*"}
    ]});
    owner.aws_args(&["s3api", "put-bucket-policy", "--bucket", "shared", "--policy", &bucket.to_string()]);
    other.aws(get);
    assert_eq!(fs::read_to_string(other.folder().join("got")).unwrap(), "shared");
    denied(&other, put, "AccessDenied");
    let pull = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:DescribeImages"];
    let repository = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": principal, "Action": pull}]});
    owner.aws_args(&[
        "ecr",
        "set-repository-policy",
        "--repository-name",
        "team/app",
        "--policy-text",
        &repository.to_string(),
    ]);
    let found = other.aws(images);
    assert_eq!(found["imageDetails"][0]["imageTags"], json!(["1"]));
    assert_eq!(found["imageDetails"][0]["registryId"], "000000000000");
    denied(
        &other,
        "ecr batch-delete-image --repository-name team/app --registry-id 000000000000 --image-ids imageTag=1",
        "AccessDeniedException",
    );

    // A user of the other account needs its own account's leave as well.
    other.aws("iam create-user --user-name guest");
    let key = other.aws("iam create-access-key --user-name guest")["AccessKey"].clone();
    let word = |name: &str| key[name].as_str().unwrap().to_owned();
    let guest = other.with_key(&word("AccessKeyId"), &word("SecretAccessKey"), None);
    denied(&guest, get, "AccessDenied");
    let may = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*", "ecr:*"], "Resource": "*"}]});
    other.aws_args(&[
        "iam",
        "put-user-policy",
        "--user-name",
        "guest",
        "--policy-name",
        "all",
        "--policy-document",
        &may.to_string(),
    ]);
    guest.aws(get);
    denied(&guest, put, "AccessDenied");
    // By the registry protocol, under the owner's host name, as docker in another account would.
    let manifest = |client: &Client| {
        client.sh(&format!(
            "curl -s -o /dev/null -w '%{{http_code}}' -u AWS:$(aws ecr get-login-password) -H 'Host: 000000000000.dkr.ecr.us-east-1.amazonaws.com' \
             -H 'Accept: application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json' \
             http://{}/v2/team/app/manifests/1",
            server.listen()
        ))
    };
    assert_eq!(manifest(&guest), "200");
    owner.aws("ecr delete-repository-policy --repository-name team/app");
    assert_eq!(manifest(&guest), "403");
    denied(&guest, images, "AccessDeniedException");
    let closed = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shared/*"}
    ]});
    owner.aws_args(&["s3api", "put-bucket-policy", "--bucket", "shared", "--policy", &closed.to_string()]);
    denied(&guest, get, "AccessDenied");
}
