//! Tasks in bridge mode: ports of the host, and all that awsvpc tasks have.
use e2e::eventually;
use serde_json::{Value, json};

use super::{IMAGE, SITE, Site, forward, says, serving, text};

#[test]
fn a_service_in_bridge_mode_is_served_by_its_ports_on_the_host() {
    let site = Site::new();
    let vpc = site.vpc("10.62");
    let group = site.group(&vpc, "balancer");
    site.ingress("authorize", &group, 80, "0.0.0.0/0");
    let targets = site.targets(&vpc, "web", 8080, "instance");
    let balancer = site.balancer(&vpc, "web", "internet-facing", &group);
    site.listener(&balancer, "HTTP", 80, &forward(&targets), &[]);
    // A second container waits for the first, and reaches it as the containers of a task do.
    let mut web = serving("web", 8080);
    web["portMappings"] = json!([{"containerPort": 8080, "hostPort": 0}]);
    web["healthCheck"] =
        json!({"command": ["CMD-SHELL", "curl -sf http://127.0.0.1:8080/"], "interval": 5, "retries": 10});
    let beside = json!({
        "name": "beside", "image": IMAGE, "memory": 64, "essential": false,
        "dependsOn": [{"containerName": "web", "condition": "HEALTHY"}],
        "command": ["sh", "-c", "curl -sS http://127.0.0.1:8080/"],
    });
    site.define("web", "bridge", vec![web, beside], json!({}));
    site.service("web", &targets, "web", 8080, "");
    let target = site.healthy(&targets);
    let port = target["Target"]["Port"].as_i64().unwrap();
    assert!(port != 8080 && text(&target["Target"]["Id"]).starts_with("i-"), "{target}");

    let listed = site.aws(&format!("ecs list-tasks --cluster {SITE} --service-name web"));
    let arn = text(&listed["taskArns"][0]);
    let web = |task: &Value| {
        let all = task["containers"].as_array().into_iter().flatten();
        all.clone().find(|c| c["name"] == "web").cloned().unwrap_or_default()
    };
    let bindings = web(&site.task(&arn))["networkBindings"].clone();
    let ours = bindings.as_array().unwrap().iter().find(|b| b["hostPort"] == port).unwrap();
    assert_eq!((&ours["containerPort"], &ours["protocol"]), (&json!(8080), &json!("tcp")), "{bindings}");
    let page = |url: &str| site.client.run("curl", &["-sS", "--max-time", "10", url]);
    assert_eq!(page(&format!("http://127.0.0.1:{port}/")).out.trim(), "web", "the host's own port");
    let address = site.address(&balancer.name);
    assert_eq!(page(&format!("http://{address}/")).out.trim(), "web", "and through the load balancer");
    eventually("its neighbour has asked it", || {
        let id = arn.rsplit('/').next()?;
        let stream = format!("web/beside/{id}");
        let command = ["logs", "get-log-events", "--log-group-name", SITE, "--log-stream-name", &stream];
        site.client.try_aws(&command).out.contains("\"web\"").then_some(())
    });

    // A deployment takes another port beside the old one, then the old one goes.
    site.aws(&format!("ecs update-service --cluster {SITE} --service web --force-new-deployment"));
    site.aws(&format!("ecs wait services-stable --cluster {SITE} --services web"));
    let moved = site.healthy(&targets)["Target"]["Port"].as_i64().unwrap();
    assert_ne!(moved, port);
    assert_eq!(page(&format!("http://{address}/")).out.trim(), "web");
}

#[test]
fn a_task_in_bridge_mode_has_a_fixed_port_its_role_its_metadata_and_load_balancers() {
    let site = Site::new();
    let vpc = site.vpc("10.63");
    let group = site.group(&vpc, "balancer");
    site.ingress("authorize", &group, 80, "0.0.0.0/0");
    let balancer = site.balancer(&vpc, "web", "internet-facing", &group);
    site.listener(&balancer, "HTTP", 80, &says("from-outside"), &[]);
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    let role = site.client.aws_args(&[
        "iam",
        "create-role",
        "--role-name",
        "task",
        "--assume-role-policy-document",
        &trust.to_string(),
    ]);
    let script = format!(
        "curl -sS $ECS_CONTAINER_METADATA_URI_V4; echo; curl -sS $ECS_CONTAINER_METADATA_URI_V4/task; echo; \
         curl -sS http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI | sed 's/SecretAccessKey.*//'; echo; \
         curl -sS --max-time 30 http://{}/; echo; mkdir /www; cd /www; echo fixed >index.html; exec python3 -m http.server 8080",
        balancer.name
    );
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let container = json!({
        "name": "look", "image": IMAGE, "memory": 64, "command": ["sh", "-c", script],
        "portMappings": [{"containerPort": 8080, "hostPort": port}],
    });
    site.define("look", "bridge", vec![container], json!({"taskRoleArn": role["Role"]["Arn"]}));
    let arn = site.run("look", "");
    let running = site.until(&arn, "RUNNING");
    assert_eq!(running["containers"][0]["networkBindings"][0]["hostPort"], port, "{running}");
    eventually("the fixed port answers", || {
        let page = site.client.run("curl", &["-sS", "--max-time", "5", &format!("http://127.0.0.1:{port}/")]);
        (page.out.trim() == "fixed").then_some(())
    });
    site.aws(&format!("ecs stop-task --cluster {SITE} --task {arn}"));
    site.until(&arn, "STOPPED");
    let said = site.output("look", "look", &arn);
    let lines: Vec<&str> = said.lines().collect();
    let read =
        |line: usize| serde_json::from_str::<Value>(lines[line]).unwrap_or_else(|e| panic!("{e}: {said}"));
    assert_eq!(
        (&read(0)["Name"], &read(0)["Networks"][0]["NetworkMode"]),
        (&json!("look"), &json!("bridge"))
    );
    assert_eq!((&read(1)["TaskARN"], &read(1)["Family"]), (&json!(arn), &json!("look")));
    assert!(
        lines[2].contains(text(&role["Role"]["Arn"]).as_str()) && lines[2].contains("AccessKeyId"),
        "{said}"
    );
    assert_eq!(lines[3], "from-outside", "{said}");
}
