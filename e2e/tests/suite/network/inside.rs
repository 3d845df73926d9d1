//! Load balancers by their names, from tasks and builds.
use e2e::eventually;
use serde_json::json;

use super::{IMAGE, SITE, Site, alias, awsvpc, forward, says, serving, text};

/// Asks a URL from a task of its own; answers curl's exit code and what it printed.
fn ask(site: &Site, network: &str, url: &str) -> (i64, String) {
    let over =
        json!({"containerOverrides": [{"name": "ask", "environment": [{"name": "URL", "value": url}]}]});
    let command = format!("ecs run-task --cluster {SITE} --task-definition ask {network} --overrides");
    let words: Vec<&str> = command.split_whitespace().collect();
    let over = over.to_string();
    let ran = site.client.aws_args(&[&words[..], &[&over]].concat());
    let arn = text(&ran["tasks"][0]["taskArn"]);
    let ended = site.until(&arn, "STOPPED");
    let code = ended["containers"][0]["exitCode"].as_i64().unwrap_or_else(|| panic!("it never ran: {ended}"));
    (code, site.output("ask", "ask", &arn))
}

#[test]
fn tasks_and_builds_reach_load_balancers_by_name_as_security_groups_allow() {
    let site = Site::new();
    let vpc = site.vpc("10.61");
    let [clients, inner, outer, apps] =
        ["clients", "inner", "outer", "apps"].map(|name| site.group(&vpc, name));
    site.ingress("authorize", &inner, 80, &clients);
    site.ingress("authorize", &apps, 8080, &inner);
    site.ingress("authorize", &outer, 80, "0.0.0.0/0");
    let targets = site.targets(&vpc, "web", 8080, "ip");
    let internal = site.balancer(&vpc, "inner", "internal", &inner);
    site.listener(&internal, "HTTP", 80, &forward(&targets), &[]);
    let public = site.balancer(&vpc, "outer", "internet-facing", &outer);
    site.listener(&public, "HTTP", 80, &says("from-outside"), &[]);
    let zone = site.zone("site.test");
    site.record(&zone, &alias("web.site.test", &internal));
    site.define("web", "awsvpc", vec![with_port(serving("web", 8080), 8080)], json!({}));
    let curl = ["sh", "-c", "curl -sS --max-time 30 $URL"];
    site.define(
        "ask",
        "awsvpc",
        vec![json!({"name": "ask", "image": IMAGE, "memory": 64, "command": curl})],
        json!({}),
    );
    site.service("web", &targets, "web", 8080, &awsvpc(&vpc, &apps));

    let client = awsvpc(&vpc, &clients);
    let answers = |network: &str, name: &str, word: &str| {
        let (code, said) = ask(&site, network, &format!("http://{name}/"));
        assert_eq!((code, said.trim()), (0, word), "{name}");
    };
    answers(&client, &internal.name, "web");
    answers(&client, "web.site.test", "web");
    answers(&client, &public.name, "from-outside");
    // A group that nothing admits.
    let strangers = awsvpc(&vpc, &site.group(&vpc, "strangers"));
    let (code, said) = ask(&site, &strangers, &format!("http://{}/", internal.name));
    assert!(code != 0, "{said}");
    assert!(said.contains("curl: ") && !said.contains("resolve"), "it resolves, and is kept out: {said}");
    answers(&strangers, &public.name, "from-outside");

    // From a build, which is in no VPC: what faces the internet.
    let said = build(&site, &public.name, &internal.name);
    assert!(
        said.contains("public says from-outside") && said.contains("internal cannot be resolved"),
        "{said}"
    );

    site.ingress("revoke", &inner, 80, &clients);
    eventually("the load balancer's closed group keeps its clients out", || {
        let (code, _) = ask(&site, &client, "http://web.site.test/");
        (code != 0).then_some(())
    });
    site.ingress("authorize", &inner, 80, &clients);
    eventually("and lets them in again", || {
        let (code, said) = ask(&site, &client, "http://web.site.test/");
        (code == 0 && said.trim() == "web").then_some(())
    });
    // The client's own side: what its group lets out.
    let everything = json!([{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]).to_string();
    let egress = |allow: &str, permissions: &str| {
        let operation = format!("{allow}-security-group-egress");
        site.client.aws_args(&["ec2", &operation, "--group-id", &clients, "--ip-permissions", permissions]);
    };
    egress("revoke", &everything);
    let only = json!([{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": inner}]}]);
    egress("authorize", &only.to_string());
    answers(&client, &internal.name, "web");
    let (code, said) = ask(&site, &client, &format!("http://{}/", public.name));
    assert!(code != 0, "{said}");
}

fn with_port(mut container: serde_json::Value, port: u16) -> serde_json::Value {
    container["portMappings"] = json!([{"containerPort": port}]);
    container
}

/// What a build says of a public and an internal load balancer.
fn build(site: &Site, public: &str, internal: &str) -> String {
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    let may = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]});
    let client = &site.client;
    let role = client.aws_args(&[
        "iam",
        "create-role",
        "--role-name",
        "build",
        "--assume-role-policy-document",
        &trust.to_string(),
    ]);
    client.aws_args(&[
        "iam",
        "put-role-policy",
        "--role-name",
        "build",
        "--policy-name",
        "logs",
        "--policy-document",
        &may.to_string(),
    ]);
    let ask = format!("echo public says $(curl -sS --max-time 30 http://{public}/)");
    let fail = format!(
        "curl -sS http://{internal}/ 2>&1 | grep -q 'not resolve' && echo internal cannot be resolved"
    );
    let buildspec =
        format!("version: 0.2\nphases:\n  build:\n    commands:\n      - {ask}\n      - {fail}\n");
    let project = json!({
        "name": "ask", "serviceRole": role["Role"]["Arn"], "artifacts": {"type": "NO_ARTIFACTS"},
        "source": {"type": "NO_SOURCE", "buildspec": buildspec},
        "environment": {"type": "LINUX_CONTAINER", "image": IMAGE, "computeType": "BUILD_GENERAL1_SMALL"},
    });
    client.aws_args(&["codebuild", "create-project", "--cli-input-json", &project.to_string()]);
    let id = text(&client.aws("codebuild start-build --project-name ask")["build"]["id"]);
    let ended = eventually("the build ends", || {
        let build = client.aws(&format!("codebuild batch-get-builds --ids {id}"))["builds"][0].clone();
        Some(build.clone()).filter(|build| build["buildComplete"] == true)
    });
    let log = client.aws("logs filter-log-events --log-group-name /aws/codebuild/ask");
    assert_eq!(ended["buildStatus"], "SUCCEEDED", "{log}");
    let lines = log["events"].as_array().into_iter().flatten();
    lines.filter_map(|event| event["message"].as_str()).collect()
}
