//! Networks as their users see them: load balancers, tasks and builds that reach one another, or must not.
mod alone;
mod bridge;
mod inside;
mod tls;
mod vpcs;

use e2e::{Client, Server, eventually};
use serde_json::{Value, json};

/// The image of all tasks: a shell, curl, an HTTP server in one line.
const IMAGE: &str = "longshore/test-base:1";
/// The cluster, and the log group of everything that runs.
const SITE: &str = "site";

/// A server with a cluster.
struct Site {
    server: Server,
    client: Client,
}

/// A VPC with subnets in two zones.
struct Vpc {
    id: String,
    subnets: [String; 2],
}

/// A load balancer.
struct Balancer {
    arn: String,
    name: String,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a string, not {value}")).to_owned()
}

/// A container that answers every request for `/` with a word.
fn serving(word: &str, port: u16) -> Value {
    let script =
        format!("mkdir /www && cd /www && echo {word} >index.html && exec python3 -m http.server {port}");
    json!({"name": word, "image": IMAGE, "memory": 64, "command": ["sh", "-c", script]})
}

impl Site {
    fn new() -> Self {
        let server = Server::start();
        let client = server.client();
        client.aws(&format!("ecs create-cluster --cluster-name {SITE}"));
        client.aws(&format!("logs create-log-group --log-group-name {SITE}"));
        Self { server, client }
    }

    fn aws(&self, args: &str) -> Value {
        self.client.aws(args)
    }

    fn vpc(&self, first: &str) -> Vpc {
        let id = text(&self.aws(&format!("ec2 create-vpc --cidr-block {first}.0.0/16"))["Vpc"]["VpcId"]);
        let subnet = |zone: &str, third: u8| {
            let made = self.aws(&format!(
                "ec2 create-subnet --vpc-id {id} --cidr-block {first}.{third}.0/24 --availability-zone us-east-1{zone}"
            ));
            text(&made["Subnet"]["SubnetId"])
        };
        let subnets = [subnet("a", 1), subnet("b", 2)];
        Vpc { id, subnets }
    }

    fn group(&self, vpc: &Vpc, name: &str) -> String {
        let made = self.aws(&format!(
            "ec2 create-security-group --group-name {name} --description {name} --vpc-id {}",
            vpc.id
        ));
        text(&made["GroupId"])
    }

    /// `allow` is `authorize` or `revoke`, `source` a group or a range.
    fn ingress(&self, allow: &str, group: &str, port: u16, source: &str) {
        let option = if source.starts_with("sg-") { "--source-group" } else { "--cidr" };
        self.aws(&format!(
            "ec2 {allow}-security-group-ingress --group-id {group} --protocol tcp --port {port} {option} {source}"
        ));
    }

    fn balancer(&self, vpc: &Vpc, name: &str, scheme: &str, group: &str) -> Balancer {
        let made = self.aws(&format!(
            "elbv2 create-load-balancer --name {name} --scheme {scheme} --subnets {} {} --security-groups {group}",
            vpc.subnets[0], vpc.subnets[1]
        ));
        let made = &made["LoadBalancers"][0];
        Balancer { arn: text(&made["LoadBalancerArn"]), name: text(&made["DNSName"]) }
    }

    fn targets(&self, vpc: &Vpc, name: &str, port: u16, kind: &str) -> String {
        let made = self.aws(&format!(
            "elbv2 create-target-group --name {name} --protocol HTTP --port {port} --vpc-id {} --target-type {kind} --health-check-interval-seconds 5 --health-check-timeout-seconds 2",
            vpc.id
        ));
        let arn = text(&made["TargetGroups"][0]["TargetGroupArn"]);
        self.aws(&format!(
            "elbv2 modify-target-group-attributes --target-group-arn {arn} --attributes Key=deregistration_delay.timeout_seconds,Value=1"
        ));
        arn
    }

    /// A listener; answers its ARN. `options` are further ones, as for HTTPS.
    fn listener(
        &self,
        balancer: &Balancer,
        protocol: &str,
        port: u16,
        action: &Value,
        options: &[&str],
    ) -> String {
        let (port, actions) = (port.to_string(), json!([action]).to_string());
        let command = [
            "elbv2",
            "create-listener",
            "--load-balancer-arn",
            &balancer.arn,
            "--protocol",
            protocol,
            "--port",
            &port,
            "--default-actions",
            &actions,
        ];
        text(&self.client.aws_args(&[&command, options].concat())["Listeners"][0]["ListenerArn"])
    }

    /// Registers a task definition; every container's output goes to the log group.
    fn define(&self, family: &str, mode: &str, mut containers: Vec<Value>, more: Value) {
        for container in &mut containers {
            let options = json!({"awslogs-group": SITE, "awslogs-region": "us-east-1", "awslogs-stream-prefix": family});
            container["logConfiguration"] = json!({"logDriver": "awslogs", "options": options});
        }
        let mut definition =
            json!({"family": family, "networkMode": mode, "containerDefinitions": containers});
        for (name, value) in more.as_object().into_iter().flatten() {
            definition[name] = value.clone();
        }
        self.client.aws_args(&[
            "ecs",
            "register-task-definition",
            "--cli-input-json",
            &definition.to_string(),
        ]);
    }

    /// Runs a task; answers its ARN. `network` is empty but for awsvpc.
    fn run(&self, family: &str, network: &str) -> String {
        let ran = self.aws(&format!("ecs run-task --cluster {SITE} --task-definition {family} {network}"));
        assert_eq!(ran["failures"], json!([]));
        text(&ran["tasks"][0]["taskArn"])
    }

    fn task(&self, arn: &str) -> Value {
        self.aws(&format!("ecs describe-tasks --cluster {SITE} --tasks {arn}"))["tasks"][0].clone()
    }

    /// Waits until a task has this status; answers it.
    fn until(&self, arn: &str, status: &str) -> Value {
        eventually(&format!("a task is {status}"), || {
            let task = self.task(arn);
            let over = status != "STOPPED" && task["lastStatus"] == "STOPPED";
            assert!(!over, "it stopped: {task}");
            Some(task.clone()).filter(|task| task["lastStatus"] == status)
        })
    }

    /// What a container of a task that has ended wrote.
    fn output(&self, family: &str, container: &str, task: &str) -> String {
        let id = task.rsplit('/').next().unwrap_or_default();
        let log = self.aws(&format!(
            "logs get-log-events --log-group-name {SITE} --log-stream-name {family}/{container}/{id} --start-from-head"
        ));
        let lines = log["events"].as_array().into_iter().flatten();
        lines.map(|event| format!("{}\n", event["message"].as_str().unwrap_or_default())).collect()
    }

    /// A service of one task behind a target group, and what makes it healthy awaited.
    fn service(&self, name: &str, targets: &str, container: &str, port: u16, network: &str) {
        self.aws(&format!(
            "ecs create-service --cluster {SITE} --service-name {name} --task-definition {name} --desired-count 1 \
             --load-balancers targetGroupArn={targets},containerName={container},containerPort={port} {network}"
        ));
        self.healthy(targets);
    }

    /// Waits until a target is healthy; answers it.
    fn healthy(&self, targets: &str) -> Value {
        eventually("a target is healthy", || {
            let all = self.aws(&format!("elbv2 describe-target-health --target-group-arn {targets}"));
            let all = all["TargetHealthDescriptions"].as_array()?.clone();
            all.into_iter().find(|target| target["TargetHealth"]["State"] == "healthy")
        })
    }

    /// What Longshore's DNS answers the host.
    fn address(&self, name: &str) -> String {
        let (host, port) = self.server.dns().split_once(':').unwrap_or_default();
        eventually(&format!("{name} resolves"), || {
            let asked = ["+short", "+time=2", "+tries=1", &format!("@{host}"), "-p", port, name, "A"];
            let out = self.client.run("dig", &asked).out;
            out.lines().next().filter(|line| line.parse::<std::net::Ipv4Addr>().is_ok()).map(str::to_owned)
        })
    }

    /// A hosted zone; answers its id.
    fn zone(&self, name: &str) -> String {
        let made = self.aws(&format!("route53 create-hosted-zone --name {name} --caller-reference {name}"));
        text(&made["HostedZone"]["Id"])
    }

    /// Makes a record set and waits until it is served.
    fn record(&self, zone: &str, set: &Value) {
        let batch = json!({"Changes": [{"Action": "UPSERT", "ResourceRecordSet": set}]}).to_string();
        let command =
            ["route53", "change-resource-record-sets", "--hosted-zone-id", zone, "--change-batch", &batch];
        let id = text(&self.client.aws_args(&command)["ChangeInfo"]["Id"]);
        self.aws(&format!("route53 wait resource-record-sets-changed --id {id}"));
    }
}

/// The network of an awsvpc task.
fn awsvpc(vpc: &Vpc, group: &str) -> String {
    format!(
        "--network-configuration awsvpcConfiguration={{subnets=[{}],securityGroups=[{group}]}}",
        vpc.subnets[0]
    )
}

/// A fixed response.
fn says(word: &str) -> Value {
    let response = json!({"StatusCode": "200", "ContentType": "text/plain", "MessageBody": word});
    json!({"Type": "fixed-response", "FixedResponseConfig": response})
}

fn forward(targets: &str) -> Value {
    json!({"Type": "forward", "TargetGroupArn": targets})
}

/// An alias of a load balancer.
fn alias(name: &str, balancer: &Balancer) -> Value {
    let target =
        json!({"HostedZoneId": "Z35SXDOTRQ7X7K", "DNSName": balancer.name, "EvaluateTargetHealth": false});
    json!({"Name": name, "Type": "A", "AliasTarget": target})
}
