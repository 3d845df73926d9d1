//! The service beside neighbours that answer as EC2 and ACM do.

mod crash;
mod neighbours;

use std::sync::Arc;

use api::{acm, ec2};
use engine::Network;
use kernel::Ops;
use serde_json::{Value, json};
use snapshot::{
    Health, HealthState, Hub, Naming, Platform, Report, TargetId, TargetReport, TargetState, Unbound,
};
use testkit::{World, fault};
use tokio::sync::watch;

use crate::{Elb, Range};
use neighbours::Neighbours;

struct Rig {
    world: World,
    hub: Arc<Hub>,
    elb: Arc<Elb>,
    ops: Arc<Ops>,
    neighbours: Arc<Neighbours>,
}

impl Rig {
    async fn new() -> Self {
        Self::over(World::new().await, Arc::default())
    }

    fn over(mut world: World, neighbours: Arc<Neighbours>) -> Self {
        let hub = Hub::new();
        hub.publish(Naming::default());
        hub.publish(Platform::default());
        let range = Range { network: [127, 42, 0, 0].into(), bits: 16 };
        let elb =
            Elb::new(world.store.clone(), hub.clone(), range, world.clock.clone(), world.entropy.clone());
        let ops = world.serve(|ops| {
            elb.register(ops);
            ops.internal::<ec2::DescribeSubnets, _>(&neighbours);
            ops.internal::<ec2::DescribeSecurityGroups, _>(&neighbours);
            ops.internal::<ec2::DescribeVpcs, _>(&neighbours);
            ops.internal::<ec2::CreateNetworkInterface, _>(&neighbours);
            ops.internal::<ec2::DescribeNetworkInterfaces, _>(&neighbours);
            ops.internal::<ec2::ModifyNetworkInterfaceAttribute, _>(&neighbours);
            ops.internal::<ec2::DeleteNetworkInterface, _>(&neighbours);
            ops.internal::<engine::Admits, _>(&neighbours);
            ops.internal::<engine::Enter, _>(&neighbours);
            ops.internal::<acm::DescribeCertificate, _>(&neighbours);
            ops.internal::<api::internal::ExportForListener, _>(&neighbours);
        });
        Self { world, hub, elb, ops, neighbours }
    }

    async fn call(&self, operation: &str, input: Value) -> Value {
        let answer = self.world.call(&format!("elb.{operation}"), input).await;
        answer.unwrap_or_else(|fault| panic!("{operation}: {fault}"))
    }

    async fn refused(&self, operation: &str, input: Value) -> String {
        fault(self.world.call(&format!("elb.{operation}"), input).await)
    }

    /// The ARN of what was made.
    async fn made(&self, kind: &str, input: Value) -> String {
        let answer = self.call(&format!("Create{kind}"), input).await;
        answer[format!("{kind}s")][0][format!("{kind}Arn")].as_str().unwrap().to_owned()
    }

    async fn work(&self) {
        let network = |name: &str, cidr: &str, gateway: [u8; 4]| Network {
            name: name.into(),
            id: name.into(),
            cidr: cidr.parse().unwrap(),
            gateway: gateway.into(),
        };
        let networks = vec![
            network("vpc-1", "10.0.0.0/16", [10, 0, 0, 1]),
            network("builds", "172.30.0.0/16", [172, 30, 0, 1]),
        ];
        for worker in self.elb.workers(&self.ops, watch::Sender::new(Some(Arc::new(networks))).subscribe()) {
            worker.run().await.unwrap();
        }
    }

    async fn balancer(&self) -> String {
        self.made("LoadBalancer", json!({"Name": "lb", "Subnets": ["subnet-a", "subnet-b"]})).await
    }

    async fn group(&self, name: &str) -> String {
        let input =
            json!({"Name": name, "Protocol": "HTTP", "Port": 8080, "VpcId": "vpc-1", "TargetType": "ip"});
        self.made("TargetGroup", input).await
    }

    async fn listener(&self, balancer: &str, port: u16, group: &str) -> String {
        let actions = forward(group);
        let input =
            json!({"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": port, "DefaultActions": actions});
        self.made("Listener", input).await
    }

    fn snapshot(&self) -> Arc<snapshot::Snapshot> {
        self.hub.snapshots().borrow().clone().unwrap()
    }

    /// `state reason` of each target.
    async fn health(&self, group: &str) -> Vec<String> {
        let described = self.call("DescribeTargetHealth", json!({"TargetGroupArn": group})).await;
        let text = |d: &Value| {
            let health = &d["TargetHealth"];
            format!("{} {}", health["State"].as_str().unwrap(), health["Reason"].as_str().unwrap_or_default())
        };
        described["TargetHealthDescriptions"].as_array().unwrap().iter().map(text).collect()
    }

    fn report(&self, group: &str, state: HealthState, drained: bool) {
        let snapshot = self.snapshot();
        let targets =
            snapshot.balancing.target_groups.iter().flat_map(|g| &g.targets).map(|t| TargetReport {
                id: TargetId { group: group.into(), ip: t.ip, port: t.port },
                health: Health { state, reason: None, description: None },
                in_flight: 0,
                drained: drained && t.state != TargetState::Registered,
            });
        let report = Report { applied: snapshot.generation, targets: targets.collect(), ..Report::default() };
        self.hub.report(report);
    }
}

fn forward(group: &str) -> Value {
    json!([{"Type": "forward", "TargetGroupArn": group}])
}

fn path(pattern: &str) -> Value {
    json!([{"Field": "path-pattern", "Values": [pattern]}])
}

#[tokio::test]
async fn a_load_balancer_lives_from_creation_to_its_last_drained_target() {
    let rig = Rig::new().await;
    let balancer = rig.balancer().await;
    let described = async || {
        rig.call("DescribeLoadBalancers", json!({"Names": ["lb"]})).await["LoadBalancers"][0].clone()
    };
    let first = described().await;
    assert_eq!(
        (&first["State"]["Code"], &first["CanonicalHostedZoneId"]),
        (&json!("provisioning"), &json!("Z35SXDOTRQ7X7K"))
    );
    let dns = first["DNSName"].as_str().unwrap();
    assert!(dns.starts_with("lb-") && dns.ends_with(".us-east-1.elb.amazonaws.com"), "{dns}");
    assert_eq!(first["SecurityGroups"], json!(["sg-default"]));
    rig.work().await;
    assert_eq!(described().await["State"]["Code"], "active");
    let address = rig.snapshot().balancing.load_balancers[0].address;
    let unbound = vec![Unbound { address: (address, 80).into(), reason: "taken".into() }];
    rig.hub.report(Report { unbound, ..Report::default() });
    assert_eq!(described().await["State"], json!({"Code": "active_impaired", "Reason": "taken"}));
    rig.hub.report(Report::default());
    assert_eq!(described().await["State"]["Code"], "active");
    assert_eq!(rig.neighbours.interfaces.lock().unwrap().len(), 2);

    let group = rig.group("web").await;
    rig.call("RegisterTargets", json!({"TargetGroupArn": group, "Targets": [{"Id": "10.0.1.5"}]})).await;
    assert_eq!(rig.health(&group).await, ["unused Target.NotInUse"]);
    let listener = rig.listener(&balancer, 80, &group).await;
    assert_eq!(rig.health(&group).await, ["initial Elb.RegistrationInProgress"]);
    rig.neighbours.closed.lock().unwrap().push(8080);
    rig.work().await;
    let snapshot = rig.snapshot();
    let (lb, tg) = (&snapshot.balancing.load_balancers[0], &snapshot.balancing.target_groups[0]);
    assert_eq!((lb.address.to_string(), lb.listeners[0].port, &*tg.arn), ("127.42.0.1".into(), 80, &*group));
    assert!(!tg.targets[0].admitted, "the security group is closed");
    let [own, other] = &lb.inside[..] else { panic!("{:?}", lb.inside) };
    assert_eq!((own.gateway.to_string(), own.address.to_string()), ("10.0.0.1".into(), "10.0.1.4".into()));
    assert_eq!(
        (other.gateway.to_string(), other.address.to_string()),
        ("172.30.0.1".into(), "198.18.0.1".into())
    );
    assert_eq!(own.peers[&80], ["10.0.1.0/24"]);
    let redirects = rig.elb.doors().redirects([10, 0, 0, 1].into()).await;
    let ours = redirects.iter().find(|one| one.from.to_string() == "10.0.1.4:80").unwrap();
    assert!(ours.governed && ours.to.to_string() == format!("10.0.0.1:{}", own.ports[&80]), "{ours:?}");
    rig.neighbours.closed.lock().unwrap().clear();
    rig.work().await;
    assert!(rig.snapshot().balancing.target_groups[0].targets[0].admitted);
    rig.report(&group, HealthState::Healthy, false);
    assert_eq!(rig.health(&group).await, ["healthy "]);

    rig.call("ModifyTargetGroupAttributes", json!({"TargetGroupArn": group, "Attributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}]})).await;
    rig.call("DeregisterTargets", json!({"TargetGroupArn": group, "Targets": [{"Id": "10.0.1.5"}]})).await;
    assert_eq!(rig.health(&group).await, ["draining Target.DeregistrationInProgress"]);
    rig.report(&group, HealthState::Healthy, true);
    rig.work().await;
    assert_eq!(rig.health(&group).await.len(), 1, "the edge has not heard of it");
    assert_eq!(rig.snapshot().balancing.target_groups[0].deregistration_delay_s, 5);
    rig.report(&group, HealthState::Healthy, true);
    rig.work().await;
    assert_eq!(rig.health(&group).await.len(), 0, "drained and gone");
    let asked = json!({"TargetGroupArn": group, "Targets": [{"Id": "10.0.1.5"}]});
    let described_one = rig.call("DescribeTargetHealth", asked).await;
    assert_eq!(
        described_one["TargetHealthDescriptions"][0]["TargetHealth"]["Reason"],
        "Target.NotRegistered"
    );

    let in_use = rig.refused("DeleteTargetGroup", json!({"TargetGroupArn": group})).await;
    assert!(in_use.starts_with("ResourceInUse"), "{in_use}");
    rig.call("SetSecurityGroups", json!({"LoadBalancerArn": balancer, "SecurityGroups": ["sg-1"]})).await;
    rig.work().await;
    let groups = rig.neighbours.interfaces.lock().unwrap()["eni-subnet-a"].groups.clone().unwrap();
    assert_eq!(groups[0].group_id.as_deref(), Some("sg-1"));
    rig.call("DeleteLoadBalancer", json!({"LoadBalancerArn": balancer})).await;
    rig.work().await;
    assert!(
        rig.neighbours.interfaces.lock().unwrap().is_empty()
            && rig.snapshot().balancing.load_balancers.is_empty()
    );
    let gone = rig.refused("DescribeListeners", json!({"ListenerArns": [listener]})).await;
    assert!(gone.starts_with("ListenerNotFound"), "{gone}");
    rig.call("DeleteTargetGroup", json!({"TargetGroupArn": group})).await;
    let again = rig.balancer().await;
    assert_ne!(again, balancer);
}

#[tokio::test]
async fn rules_are_tried_in_order_of_priority_and_can_trade_places() {
    let rig = Rig::new().await;
    let (balancer, one, two) = (rig.balancer().await, rig.group("one").await, rig.group("two").await);
    let listener = rig.listener(&balancer, 80, &one).await;
    let rule = |priority: i32, pattern: &str| json!({"ListenerArn": listener, "Priority": priority, "Conditions": path(pattern), "Actions": forward(&two)});
    let (a, b) = (rig.made("Rule", rule(20, "/a/*")).await, rig.made("Rule", rule(10, "/b/*")).await);
    let taken = rig.refused("CreateRule", rule(10, "/c")).await;
    assert!(taken.starts_with("PriorityInUse: Priority '10' is currently in use"), "{taken}");
    let order = async || -> Vec<String> {
        let listed = rig.call("DescribeRules", json!({"ListenerArn": listener})).await;
        let text = |rule: &Value| {
            let values = &rule["Conditions"][0]["PathPatternConfig"]["Values"][0];
            format!("{} {}", rule["Priority"].as_str().unwrap(), values.as_str().unwrap_or_default())
        };
        listed["Rules"].as_array().unwrap().iter().map(text).collect()
    };
    assert_eq!(order().await, ["10 /b/*", "20 /a/*", "default "]);
    let swap = json!({"RulePriorities": [{"RuleArn": a, "Priority": 10}, {"RuleArn": b, "Priority": 20}]});
    rig.call("SetRulePriorities", swap).await;
    assert_eq!(order().await, ["10 /a/*", "20 /b/*", "default "]);
    let clash =
        rig.refused("SetRulePriorities", json!({"RulePriorities": [{"RuleArn": a, "Priority": 20}]})).await;
    assert!(clash.starts_with("PriorityInUse"), "{clash}");

    let fixed = json!([{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "later"}}]);
    let hosts = json!([{"Field": "host-header", "HostHeaderConfig": {"Values": ["*.example.com"]}}]);
    let modified = rig.call("ModifyRule", json!({"RuleArn": a, "Conditions": hosts, "Actions": fixed})).await;
    assert_eq!(
        modified["Rules"][0]["Conditions"][0]["Values"],
        json!(["*.example.com"]),
        "the old member is echoed"
    );
    rig.work().await;
    let snapshot = rig.snapshot();
    let rules = &snapshot.balancing.load_balancers[0].listeners[0].rules;
    assert_eq!(rules.len(), 3);
    assert!(
        matches!(&rules[0].action, snapshot::Action::FixedResponse { status: 503, .. })
            && rules[2].conditions.is_empty()
    );

    let other = json!({"Name": "lb2", "Subnets": ["subnet-a", "subnet-b"]});
    let other = rig.made("LoadBalancer", other).await;
    let shared =
        json!({"LoadBalancerArn": other, "Protocol": "HTTP", "Port": 80, "DefaultActions": forward(&one)});
    let shared = rig.refused("CreateListener", shared).await;
    assert!(shared.starts_with("TargetGroupAssociationLimit"), "{shared}");
    rig.call("DeleteRule", json!({"RuleArn": b})).await;
    rig.call("DeleteTargetGroup", json!({"TargetGroupArn": two})).await;
    let default =
        rig.call("DescribeRules", json!({"ListenerArn": listener})).await["Rules"][1]["RuleArn"].clone();
    let kept = rig.refused("DeleteRule", json!({"RuleArn": default})).await;
    assert!(kept.starts_with("OperationNotPermitted"), "{kept}");
}

#[tokio::test]
async fn the_same_again_is_the_same_and_another_is_refused() {
    let rig = Rig::new().await;
    let (balancer, group) = (rig.balancer().await, rig.group("g").await);
    assert_eq!((rig.balancer().await, rig.group("g").await), (balancer.clone(), group.clone()));
    let listener = rig.listener(&balancer, 80, &group).await;
    assert_eq!(rig.listener(&balancer, 80, &group).await, listener);
    let certificate = |name: &str| format!("arn:aws:acm:us-east-1:000000000000:certificate/{name}");
    let https = json!({"LoadBalancerArn": balancer, "Protocol": "HTTPS", "Port": 443, "DefaultActions": forward(&group),
        "Certificates": [{"CertificateArn": certificate("good")}], "SslPolicy": "ELBSecurityPolicy-TLS13-1-3-2021-06"});
    let secure = rig.made("Listener", https.clone()).await;
    rig.call(
        "AddListenerCertificates",
        json!({"ListenerArn": secure, "Certificates": [{"CertificateArn": certificate("good-2")}]}),
    )
    .await;
    rig.work().await;
    let snapshot = rig.snapshot();
    let served = &snapshot.balancing.load_balancers[0].listeners[1];
    let names: Vec<_> = served.certificates.iter().map(|c| (c.names.len(), c.key_pem.as_str())).collect();
    assert_eq!((names, served.tls_min), (vec![(2, "key"), (2, "key")], snapshot::TlsVersion::V13));
    let listed = rig.call("DescribeListenerCertificates", json!({"ListenerArn": secure})).await;
    assert_eq!(listed["Certificates"][0]["IsDefault"], true);

    let lb = |change: Value| merged(json!({"Name": "new", "Subnets": ["subnet-a", "subnet-b"]}), change);
    let tg = |change: Value| {
        merged(
            json!({"Name": "new", "Protocol": "HTTP", "Port": 80, "VpcId": "vpc-1", "TargetType": "ip"}),
            change,
        )
    };
    let on = |change: Value| merged(https.clone(), merged(json!({"Port": 444}), change));
    let rule = |change: Value| {
        merged(
            json!({"ListenerArn": secure, "Priority": 1, "Conditions": path("/x"), "Actions": forward(&group)}),
            change,
        )
    };
    let one = |id: &str| json!({"TargetGroupArn": group, "Targets": [{"Id": id}]});
    let action = |action: Value| rule(json!({"Actions": [action]}));
    for (operation, input, expected) in [
        ("CreateLoadBalancer", lb(json!({"Name": "lb", "Scheme": "internal"})), "DuplicateLoadBalancerName"),
        ("CreateLoadBalancer", lb(json!({"Name": "-x"})), "ValidationError"),
        (
            "CreateLoadBalancer",
            lb(json!({"Subnets": ["subnet-a"]})),
            "ValidationError: At least two subnets in two different Availability Zones",
        ),
        (
            "CreateLoadBalancer",
            lb(json!({"Subnets": ["subnet-a", "subnet-a2"]})),
            "InvalidConfigurationRequest: A load balancer cannot be attached to multiple subnets in the same",
        ),
        ("CreateLoadBalancer", lb(json!({"Subnets": ["subnet-a", "subnet-other"]})), "InvalidSubnet"),
        ("CreateLoadBalancer", lb(json!({"Subnets": ["subnet-a", "subnet-x"]})), "SubnetNotFound"),
        ("CreateLoadBalancer", lb(json!({"SecurityGroups": ["sg-none"]})), "InvalidSecurityGroup"),
        (
            "CreateLoadBalancer",
            lb(json!({"Type": "network"})),
            "ValidationError: Type 'network' is not served",
        ),
        ("CreateLoadBalancer", lb(json!({"Tags": [{"Key": "a"}, {"Key": "a"}]})), "DuplicateTagKeys"),
        ("CreateTargetGroup", tg(json!({"Name": "g"})), "DuplicateTargetGroupName"),
        ("CreateTargetGroup", tg(json!({"VpcId": "vpc-none"})), "ValidationError: The VPC ID 'vpc-none'"),
        (
            "CreateTargetGroup",
            tg(json!({"TargetType": "lambda"})),
            "ValidationError: TargetType 'lambda' is not served",
        ),
        (
            "CreateTargetGroup",
            tg(json!({"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 5})),
            "ValidationError: Health check timeout",
        ),
        ("CreateTargetGroup", tg(json!({"HealthCheckPath": "x"})), "ValidationError: Health check path"),
        (
            "CreateTargetGroup",
            tg(json!({"Matcher": {"HttpCode": "600"}})),
            "ValidationError: Health check matcher",
        ),
        ("RegisterTargets", one("8.8.8.8"), "InvalidTarget"),
        ("RegisterTargets", one("i-0123456789abcdef0"), "InvalidTarget"),
        ("DeregisterTargets", one("10.9.9.9"), "InvalidTarget"),
        ("CreateListener", on(json!({"Port": 80})), "DuplicateListener"),
        (
            "CreateListener",
            on(json!({"Certificates": []})),
            "InvalidConfigurationRequest: Exactly one certificate",
        ),
        (
            "CreateListener",
            on(json!({"Certificates": [{"CertificateArn": certificate("none")}]})),
            "CertificateNotFound",
        ),
        (
            "CreateListener",
            on(json!({"Certificates": [{"CertificateArn": certificate("pending")}]})),
            "UnsupportedCertificate",
        ),
        ("CreateListener", on(json!({"SslPolicy": "none"})), "SSLPolicyNotFound"),
        ("CreateListener", on(json!({"Protocol": "TCP"})), "InvalidConfigurationRequest: Protocol 'TCP'"),
        (
            "CreateListener",
            on(json!({"DefaultActions": forward(&group.replace("/g/", "/h/"))})),
            "TargetGroupNotFound",
        ),
        (
            "RemoveListenerCertificates",
            json!({"ListenerArn": secure, "Certificates": [{"CertificateArn": certificate("good")}]}),
            "OperationNotPermitted",
        ),
        ("CreateRule", rule(json!({"Priority": 50001})), "ValidationException"),
        ("CreateRule", rule(json!({"Conditions": path("x")})), "ValidationError: Path pattern 'x'"),
        (
            "CreateRule",
            rule(json!({"Conditions": path("/******")})),
            "ValidationError: A rule can have at most 5 wildcards",
        ),
        (
            "CreateRule",
            rule(
                json!({"Conditions": [{"Field": "path-pattern", "Values": ["/1", "/2", "/3", "/4", "/5", "/6"]}]}),
            ),
            "TooManyRuleConditionValues",
        ),
        (
            "CreateRule",
            rule(json!({"Conditions": [{"Field": "moon"}]})),
            "ValidationError: Condition field 'moon'",
        ),
        (
            "CreateRule",
            action(json!({"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"}})),
            "ValidationError: A redirect must change",
        ),
        (
            "CreateRule",
            action(
                json!({"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Protocol": "HTTP", "Port": "80"}}),
            ),
            "InvalidConfigurationRequest: An HTTPS listener cannot redirect to HTTP",
        ),
        (
            "CreateRule",
            action(json!({"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "301"}})),
            "ValidationException",
        ),
        (
            "CreateRule",
            action(json!({"Type": "authenticate-oidc"})),
            "ValidationError: Action type 'authenticate-oidc' is not served",
        ),
        (
            "ModifyLoadBalancerAttributes",
            json!({"LoadBalancerArn": balancer, "Attributes": [{"Key": "idle_timeout.timeout_seconds", "Value": "0"}]}),
            "ValidationError: Attribute 'idle_timeout",
        ),
        (
            "ModifyLoadBalancerAttributes",
            json!({"LoadBalancerArn": balancer, "Attributes": [{"Key": "access_logs.s3.enabled", "Value": "true"}]}),
            "ValidationError: Attribute 'access_logs.s3.enabled' with 'true' is not served",
        ),
        ("DescribeLoadBalancers", json!({"Names": ["none"]}), "LoadBalancerNotFound"),
        ("DescribeTargetGroups", json!({"Names": ["none"]}), "TargetGroupNotFound"),
    ] {
        let told = rig.refused(operation, input.clone()).await;
        assert!(told.starts_with(expected), "{operation} {input}: {told:?} is not {expected:?}");
    }
    rig.call("ModifyLoadBalancerAttributes", json!({"LoadBalancerArn": balancer, "Attributes": [{"Key": "deletion_protection.enabled", "Value": "true"}]})).await;
    let kept = rig.refused("DeleteLoadBalancer", json!({"LoadBalancerArn": balancer})).await;
    assert!(kept.starts_with("OperationNotPermitted"), "{kept}");
}

fn merged(mut base: Value, change: Value) -> Value {
    for (key, value) in change.as_object().unwrap() {
        base[key] = value.clone();
    }
    base
}

#[tokio::test]
async fn what_clients_read_after_each_create() {
    let rig = Rig::new().await;
    let (balancer, group) = (rig.balancer().await, rig.group("g").await);
    let listener = rig.listener(&balancer, 80, &group).await;
    let attribute = |answer: &Value, key: &str| {
        let found = answer["Attributes"].as_array().unwrap().iter().find(|a| a["Key"] == key).cloned();
        found.unwrap_or_else(|| panic!("no {key}"))["Value"].as_str().unwrap().to_owned()
    };
    let of_lb = rig.call("DescribeLoadBalancerAttributes", json!({"LoadBalancerArn": balancer})).await;
    assert_eq!(attribute(&of_lb, "idle_timeout.timeout_seconds"), "60");
    let of_tg = rig.call("DescribeTargetGroupAttributes", json!({"TargetGroupArn": group})).await;
    assert_eq!(attribute(&of_tg, "deregistration_delay.timeout_seconds"), "300");
    rig.call("DescribeListenerAttributes", json!({"ListenerArn": listener})).await;
    rig.call("DescribeCapacityReservation", json!({"LoadBalancerArn": balancer})).await;
    let policies = rig.call("DescribeSSLPolicies", json!({"Names": ["ELBSecurityPolicy-2016-08"]})).await;
    assert_eq!(policies["SslPolicies"][0]["Ciphers"].as_array().unwrap().len(), 4);
    let used = rig.call("DescribeTargetGroups", json!({"LoadBalancerArn": balancer})).await;
    assert_eq!(used["TargetGroups"][0]["LoadBalancerArns"], json!([balancer]));
    rig.call("SetSubnets", json!({"LoadBalancerArn": balancer, "Subnets": ["subnet-a2", "subnet-b"]})).await;
    rig.work().await;
    assert!(rig.neighbours.interfaces.lock().unwrap().contains_key("eni-subnet-a2"));

    let arns = json!([balancer, group, listener]);
    rig.call("AddTags", json!({"ResourceArns": arns, "Tags": [{"Key": "k", "Value": "v"}, {"Key": "x"}]}))
        .await;
    rig.call("RemoveTags", json!({"ResourceArns": arns, "TagKeys": ["x"]})).await;
    let tags = rig.call("DescribeTags", json!({"ResourceArns": arns})).await;
    for described in tags["TagDescriptions"].as_array().unwrap() {
        assert_eq!(described["Tags"], json!([{"Key": "k", "Value": "v"}]));
    }
    for name in ["g2", "g3"] {
        rig.group(name).await;
    }
    let first = rig.call("DescribeTargetGroups", json!({"PageSize": 2})).await;
    let second =
        rig.call("DescribeTargetGroups", json!({"PageSize": 2, "Marker": first["NextMarker"]})).await;
    assert_eq!(
        (second["TargetGroups"][0]["TargetGroupName"].as_str(), second.get("NextMarker")),
        (Some("g3"), None)
    );
    rig.world.authority.asked();
    rig.call("DeleteListener", json!({"ListenerArn": listener})).await;
    assert_eq!(rig.world.authority.asked(), [("elasticloadbalancing:DeleteListener".to_owned(), listener)]);
}
