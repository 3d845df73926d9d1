//! EC2 networking, load balancers, Route 53, and ACM's proof by a record.
use e2e::{Client, Server, eventually};
use serde_json::{Value, json};

use super::{column, has, words};

pub fn all(client: &Client, server: &Server) {
    let (vpc, subnets, group) = ec2(client);
    elb(client, &vpc, &subnets, &group);
    route53(client, server);
    // A load balancer's interfaces go a moment after it, as in AWS, and clients ask again.
    eventually("the group is free", || {
        let outcome = client.try_aws(&["ec2", "delete-security-group", "--group-id", &group]);
        assert!(outcome.ok || outcome.err.contains("(DependencyViolation)"), "{}", outcome.err);
        outcome.ok.then_some(())
    });
    for subnet in &subnets {
        client.aws(&format!("ec2 delete-subnet --subnet-id {subnet}"));
    }
    client.aws(&format!("ec2 delete-vpc --vpc-id {vpc}"));
    let gone = client.aws_error(&format!("ec2 describe-vpcs --vpc-ids {vpc}"));
    assert!(gone.contains("(InvalidVpcID.NotFound)"), "{gone}");
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a string, not {value}")).to_owned()
}

fn ec2(client: &Client) -> (String, [String; 2], String) {
    let vpc = text(&client.aws("ec2 create-vpc --cidr-block 10.7.0.0/16")["Vpc"]["VpcId"]);
    client.aws(&format!("ec2 wait vpc-available --vpc-ids {vpc}"));
    client.aws(&format!("ec2 modify-vpc-attribute --vpc-id {vpc} --enable-dns-hostnames Value=true"));
    let names =
        client.aws(&format!("ec2 describe-vpc-attribute --vpc-id {vpc} --attribute enableDnsHostnames"));
    assert_eq!(names["EnableDnsHostnames"]["Value"], true);
    let subnets = ["a", "b"].map(|zone| {
        let cidr = if zone == "a" { "10.7.1.0/24" } else { "10.7.2.0/24" };
        let made = client.aws(&format!(
            "ec2 create-subnet --vpc-id {vpc} --cidr-block {cidr} --availability-zone us-east-1{zone}"
        ));
        text(&made["Subnet"]["SubnetId"])
    });
    client.aws(&format!("ec2 wait subnet-available --subnet-ids {} {}", subnets[0], subnets[1]));
    let overlap = client.aws_error(&format!("ec2 create-subnet --vpc-id {vpc} --cidr-block 10.7.1.0/28"));
    assert!(overlap.contains("(InvalidSubnet.Conflict)"), "{overlap}");
    let group =
        client.aws(&format!("ec2 create-security-group --group-name tour --description tour --vpc-id {vpc}"));
    let group = text(&group["GroupId"]);
    client.aws(&format!(
        "ec2 authorize-security-group-ingress --group-id {group} --protocol tcp --port 8080 --cidr 0.0.0.0/0"
    ));
    let rules =
        client.aws(&format!("ec2 describe-security-group-rules --filters Name=group-id,Values={group}"));
    let rules = rules["SecurityGroupRules"].as_array().unwrap();
    let open = rules.iter().find(|rule| rule["IsEgress"] == false).unwrap();
    has(open, json!({"FromPort": 8080, "ToPort": 8080, "IpProtocol": "tcp", "CidrIpv4": "0.0.0.0/0"}));
    let tables = client.aws(&format!("ec2 describe-route-tables --filters Name=vpc-id,Values={vpc}"));
    assert_eq!(tables["RouteTables"][0]["Associations"][0]["Main"], true);
    let acls = client.aws(&format!("ec2 describe-network-acls --filters Name=vpc-id,Values={vpc}"));
    assert_eq!(acls["NetworkAcls"][0]["IsDefault"], true);
    client.aws(&format!("ec2 create-tags --resources {vpc} --tags Key=Name,Value=tour"));
    let named = client.aws("ec2 describe-vpcs --filters Name=tag:Name,Values=tour");
    assert_eq!(column(&named["Vpcs"], "VpcId"), [vpc.as_str()]);
    (vpc, subnets, group)
}

fn elb(client: &Client, vpc: &str, subnets: &[String; 2], group: &str) {
    let made = client.aws(&format!(
        "elbv2 create-load-balancer --name tour --subnets {} {} --security-groups {group}",
        subnets[0], subnets[1]
    ));
    let balancer = text(&made["LoadBalancers"][0]["LoadBalancerArn"]);
    client.aws(&format!("elbv2 wait load-balancer-available --load-balancer-arns {balancer}"));
    let attributes =
        client.aws(&format!("elbv2 describe-load-balancer-attributes --load-balancer-arn {balancer}"));
    assert!(column(&attributes["Attributes"], "Key").contains(&"idle_timeout.timeout_seconds"));
    let made = client.aws(&format!(
        "elbv2 create-target-group --name tour --protocol HTTP --port 8080 --vpc-id {vpc} --target-type ip"
    ));
    let targets = text(&made["TargetGroups"][0]["TargetGroupArn"]);
    client.aws(&format!(
        "elbv2 modify-target-group-attributes --target-group-arn {targets} --attributes Key=deregistration_delay.timeout_seconds,Value=5"
    ));
    let attributes =
        client.aws(&format!("elbv2 describe-target-group-attributes --target-group-arn {targets}"));
    let delay = json!({"Key": "deregistration_delay.timeout_seconds", "Value": "5"});
    assert!(attributes["Attributes"].as_array().unwrap().contains(&delay), "{attributes}");
    let made = client.aws(&format!(
        "elbv2 create-listener --load-balancer-arn {balancer} --protocol HTTP --port 80 --default-actions Type=forward,TargetGroupArn={targets}"
    ));
    let listener = text(&made["Listeners"][0]["ListenerArn"]);
    let fixed = words!([{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "ContentType": "text/plain", "MessageBody": "none"}}]);
    let made = client.aws_args(&[
        "elbv2",
        "create-rule",
        "--listener-arn",
        &listener,
        "--priority",
        "5",
        "--conditions",
        "Field=path-pattern,Values=/none*",
        "--actions",
        &fixed,
    ]);
    let rule = text(&made["Rules"][0]["RuleArn"]);
    let rules = client.aws(&format!("elbv2 describe-rules --listener-arn {listener}"));
    assert_eq!(column(&rules["Rules"], "Priority"), ["5", "default"]);
    let health = client.aws(&format!("elbv2 describe-target-health --target-group-arn {targets}"));
    assert_eq!(health["TargetHealthDescriptions"], json!([]));
    let tags = client.aws(&format!("elbv2 describe-tags --resource-arns {balancer}"));
    assert_eq!(tags["TagDescriptions"][0]["Tags"], json!([]));
    let used = client.aws_error(&format!("elbv2 delete-target-group --target-group-arn {targets}"));
    assert!(used.contains("(ResourceInUse)"), "{used}");
    client.aws(&format!("elbv2 delete-rule --rule-arn {rule}"));
    client.aws(&format!("elbv2 delete-listener --listener-arn {listener}"));
    client.aws(&format!("elbv2 delete-load-balancer --load-balancer-arn {balancer}"));
    client.aws(&format!("elbv2 wait load-balancers-deleted --load-balancer-arns {balancer}"));
    client.aws(&format!("elbv2 delete-target-group --target-group-arn {targets}"));
}

/// One change of a record set.
fn change(client: &Client, zone: &str, action: &str, name: &str, kind: &str, value: &str) {
    let record = json!({"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]});
    let batch = words!({"Changes": [{"Action": action, "ResourceRecordSet": record}]});
    let made = client.aws_args(&[
        "route53",
        "change-resource-record-sets",
        "--hosted-zone-id",
        zone,
        "--change-batch",
        &batch,
    ]);
    let id = text(&made["ChangeInfo"]["Id"]);
    client.aws(&format!("route53 wait resource-record-sets-changed --id {id}"));
}

fn route53(client: &Client, server: &Server) {
    let zone = client.aws("route53 create-hosted-zone --name tour.test --caller-reference tour");
    let zone = text(&zone["HostedZone"]["Id"]);
    change(client, &zone, "CREATE", "www.tour.test", "A", "192.0.2.7");
    let (host, port) = server.dns().split_once(':').unwrap();
    let asked = client.run("dig", &["+short", &format!("@{host}"), "-p", port, "www.tour.test", "A"]);
    assert_eq!(asked.out.trim(), "192.0.2.7");
    let found = client.aws("route53 list-hosted-zones-by-name --dns-name tour.test");
    assert_eq!(found["HostedZones"][0]["Id"], zone.as_str());
    let records = client.aws(&format!("route53 list-resource-record-sets --hosted-zone-id {zone}"));
    assert_eq!(column(&records["ResourceRecordSets"], "Type"), ["NS", "SOA", "A"]);

    let requested = client.aws("acm request-certificate --domain-name www.tour.test --validation-method DNS");
    let arn = text(&requested["CertificateArn"]);
    let describe = format!("acm describe-certificate --certificate-arn {arn}");
    let certificate = || client.aws(&describe)["Certificate"].clone();
    let proof = eventually("the record that proves the name", || {
        Some(certificate()["DomainValidationOptions"][0]["ResourceRecord"].clone()).filter(Value::is_object)
    });
    assert_eq!(certificate()["Status"], "PENDING_VALIDATION");
    let (name, value) = (text(&proof["Name"]), text(&proof["Value"]));
    change(client, &zone, "CREATE", &name, "CNAME", &value);
    eventually("the certificate is issued", || Some(()).filter(|()| certificate()["Status"] == "ISSUED"));
    client.aws(&format!("acm delete-certificate --certificate-arn {arn}"));

    let full = client.aws_error(&format!("route53 delete-hosted-zone --id {zone}"));
    assert!(full.contains("(HostedZoneNotEmpty)"), "{full}");
    change(client, &zone, "DELETE", &name, "CNAME", &value);
    change(client, &zone, "DELETE", "www.tour.test", "A", "192.0.2.7");
    client.aws(&format!("route53 delete-hosted-zone --id {zone}"));
    assert!(client.aws_error(&format!("route53 get-hosted-zone --id {zone}")).contains("(NoSuchHostedZone)"));
}
