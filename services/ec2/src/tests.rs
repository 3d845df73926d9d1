//! The service over data, on a fake engine.
use std::net::Ipv4Addr;
use std::sync::Arc;

use engine::Engine;
use engine::{Admits, Cidr, Enter, NetworkSpec, PrepareInterface, Prepared, Protocol};
use serde_json::{Value, json};
use testkit::{FakeEngine, World, fault};

use crate::Ec2;

struct Net {
    world: World,
    engine: Arc<FakeEngine>,
}

async fn net() -> Net {
    let world = World::new().await;
    let engine = FakeEngine::new(world.clock.clone());
    over(world, engine)
}

fn over(mut world: World, engine: Arc<FakeEngine>) -> Net {
    let ec2 = Ec2::new(world.store.clone(), engine.clone(), world.clock.clone(), world.entropy.clone());
    world.serve(|ops| ec2.register(ops));
    Net { world, engine }
}

impl Net {
    async fn call(&self, operation: &str, input: Value) -> Value {
        self.world
            .call(&format!("ec2.{operation}"), input)
            .await
            .unwrap_or_else(|fault| panic!("{operation}: {fault}"))
    }

    async fn vpc(&self, cidr: &str) -> String {
        text(&self.call("CreateVpc", json!({"CidrBlock": cidr})).await["vpc"]["vpcId"])
    }

    async fn subnet(&self, vpc: &str, cidr: &str) -> String {
        text(&self.call("CreateSubnet", json!({"VpcId": vpc, "CidrBlock": cidr})).await["subnet"]["subnetId"])
    }

    async fn group(&self, vpc: &str, name: &str) -> String {
        text(
            &self
                .call(
                    "CreateSecurityGroup",
                    json!({"VpcId": vpc, "GroupName": name, "GroupDescription": "d"}),
                )
                .await["groupId"],
        )
    }

    async fn interface(&self, subnet: &str, group: &str, description: &str) -> (String, Ipv4Addr) {
        let made = self
            .call(
                "CreateNetworkInterface",
                json!({"subnetId": subnet, "SecurityGroupId": [group], "description": description}),
            )
            .await;
        let made = &made["networkInterface"];
        (text(&made["networkInterfaceId"]), text(&made["privateIpAddress"]).parse().unwrap())
    }

    async fn open(&self, group: &str, port: u16, source: &str) {
        let pair =
            json!({"ipProtocol": "tcp", "fromPort": port, "toPort": port, "groups": [{"groupId": source}]});
        self.call("AuthorizeSecurityGroupIngress", json!({"GroupId": group, "IpPermissions": [pair]})).await;
    }

    async fn prepare(&self, interface: &str) -> Prepared {
        self.world.cx().call(PrepareInterface { network_interface_id: interface.into() }).await.unwrap()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

#[tokio::test]
async fn a_default_vpc_is_there_once_and_stays_deleted() {
    let net = net().await;
    let vpcs = net.call("DescribeVpcs", json!({"Filter": [{"Name": "is-default", "Value": ["true"]}]})).await;
    assert_eq!(vpcs["vpcSet"][0]["cidrBlock"], "172.31.0.0/16");
    let subnets = net.call("DescribeSubnets", json!({})).await;
    assert_eq!(subnets["subnetSet"].as_array().unwrap().len(), 3);
    for subnet in subnets["subnetSet"].as_array().unwrap() {
        net.call("DeleteSubnet", json!({"SubnetId": subnet["subnetId"]})).await;
    }
    let gateways = net.call("DescribeInternetGateways", json!({})).await;
    let gateway = &gateways["internetGatewaySet"][0]["internetGatewayId"];
    let vpc = &vpcs["vpcSet"][0]["vpcId"];
    let refused = fault(net.world.call("ec2.DeleteVpc", json!({"VpcId": vpc})).await);
    assert!(refused.starts_with("DependencyViolation"), "{refused}");
    net.call("DetachInternetGateway", json!({"internetGatewayId": gateway, "vpcId": vpc})).await;
    net.call("DeleteVpc", json!({"VpcId": vpc})).await;
    assert_eq!(net.call("DescribeVpcs", json!({})).await["vpcSet"], json!([]));
    net.call("CreateDefaultVpc", json!({})).await;
    let again = fault(net.world.call("ec2.CreateDefaultVpc", json!({})).await);
    assert!(again.starts_with("DefaultVpcAlreadyExists"), "{again}");
}

#[tokio::test]
async fn two_vpcs_of_one_range_both_get_networks_and_addresses_follow_the_range_in_use() {
    let net = net().await;
    let mut found = Vec::new();
    for _ in 0..2 {
        let vpc = net.vpc("10.0.0.0/16").await;
        let subnet = net.subnet(&vpc, "10.0.1.0/24").await;
        let group = net.group(&vpc, "app").await;
        let (interface, before) = net.interface(&subnet, &group, "task").await;
        assert_eq!(before, Ipv4Addr::new(10, 0, 1, 4), "the first that AWS gives");
        let prepared = net.prepare(&interface).await;
        assert_eq!(prepared.network.cidr.prefix(), 16);
        assert!(prepared.subnet.holds(prepared.address) && prepared.network.cidr.contains(prepared.subnet));
        let shown = net.call("DescribeNetworkInterfaces", json!({"NetworkInterfaceId": [interface]})).await;
        assert_eq!(text(&shown["networkInterfaceSet"][0]["privateIpAddress"]), prepared.address.to_string());
        assert_eq!(net.prepare(&interface).await, prepared, "asked again, nothing moves");
        found.push(prepared);
    }
    assert_eq!(found[0].address, Ipv4Addr::new(10, 0, 1, 4));
    assert!(!found[0].network.cidr.overlaps(found[1].network.cidr));
    let taken: Cidr = found[1].network.cidr;
    let third = net.engine.ensure_network(NetworkSpec { name: "other".into(), wanted: taken }).await.unwrap();
    assert_ne!(third.cidr, taken);
}

#[tokio::test]
async fn groups_mean_addresses_and_load_balancers_come_from_the_gateway() {
    let net = net().await;
    let vpc = net.vpc("10.0.0.0/16").await;
    let subnet = net.subnet(&vpc, "10.0.1.0/24").await;
    let (balancers, apps) = (net.group(&vpc, "balancer").await, net.group(&vpc, "app").await);
    let (_, entrance) = net.interface(&subnet, &balancers, "ELB app/web/1").await;
    let (task, address) = net.interface(&subnet, &apps, "task").await;
    let admits = async |port| {
        net.world.cx().call(Admits { source: "ELB app/web/1".into(), target: address, port }).await.unwrap()
    };
    let closed = net.prepare(&task).await;
    assert_eq!(closed.rules.ingress, []);
    assert!(
        closed.rules.egress.iter().any(|allow| allow.protocol == Protocol::Any && allow.peers == [Cidr::ANY])
    );
    assert!(!admits(8080).await);

    net.open(&apps, 8080, &balancers).await;
    let open = net.prepare(&task).await;
    let [allow] = &open.rules.ingress[..] else { panic!("{:?}", open.rules.ingress) };
    assert_eq!((allow.protocol, allow.ports.clone()), (Protocol::Tcp, Some(8080..=8080)));
    assert_eq!(allow.peers, [Cidr::host(open.network.gateway)], "load balancers send from the gateway");
    assert!(admits(8080).await && !admits(8081).await);

    let enter = async || {
        let enter = Enter { balancer: "ELB app/web/1".into(), ports: vec![80, 81] };
        let found = net.world.cx().call(enter).await.unwrap();
        assert_eq!(found.address, Some(entrance), "clients come to its own address");
        [80, 81].map(|port| found.peers[&port].clone())
    };
    assert_eq!(enter().await, [vec![], vec![]]);
    net.open(&balancers, 80, &apps).await;
    assert_eq!(enter().await, [vec![Cidr::host(address)], vec![]]);
    let pair = json!({"ipProtocol": "tcp", "fromPort": 80, "toPort": 80, "groups": [{"groupId": balancers}]});
    net.call("AuthorizeSecurityGroupEgress", json!({"groupId": apps, "ipPermissions": [pair]})).await;
    let egress = net.prepare(&task).await.rules.egress;
    assert!(egress.iter().any(|allow| allow.peers == [Cidr::host(entrance)]), "{egress:?}");

    let pair =
        json!({"ipProtocol": "tcp", "fromPort": 8080, "toPort": 8080, "groups": [{"groupId": balancers}]});
    net.call("RevokeSecurityGroupIngress", json!({"GroupId": apps, "IpPermissions": [pair]})).await;
    assert!(!admits(8080).await);
    assert!(
        net.world
            .cx()
            .call(Admits { source: "ELB app/web/1".into(), target: Ipv4Addr::LOCALHOST, port: 1 })
            .await
            .unwrap(),
        "nothing governs an address that no interface has"
    );
}

#[tokio::test]
async fn refusals_have_awss_codes_and_change_nothing() {
    let net = net().await;
    let vpc = net.vpc("10.0.0.0/16").await;
    net.subnet(&vpc, "10.0.1.0/24").await;
    let group = net.group(&vpc, "app").await;
    net.open(&group, 80, &group).await;
    let pair = json!({"ipProtocol": "tcp", "fromPort": 80, "toPort": 80, "groups": [{"groupId": group}]});
    let ranged = |from: i64, to: i64| json!([{"ipProtocol": "tcp", "fromPort": from, "toPort": to, "ipRanges": [{"cidrIp": "0.0.0.0/0"}]}]);
    for (operation, input, code) in [
        ("CreateVpc", json!({"CidrBlock": "10.0.0.0/8"}), "InvalidVpc.Range"),
        ("CreateVpc", json!({"CidrBlock": "10.0.0.1/16"}), "InvalidVpc.Range"),
        (
            "CreateVpc",
            json!({"CidrBlock": "10.1.0.0/16", "instanceTenancy": "dedicated"}),
            "UnsupportedOperation",
        ),
        ("CreateVpc", json!({"CidrBlock": "10.1.0.0/16", "dryRun": true}), "DryRunOperation"),
        ("CreateSubnet", json!({"VpcId": vpc, "CidrBlock": "10.1.0.0/24"}), "InvalidSubnet.Range"),
        ("CreateSubnet", json!({"VpcId": vpc, "CidrBlock": "10.0.1.128/25"}), "InvalidSubnet.Conflict"),
        (
            "CreateSubnet",
            json!({"VpcId": vpc, "CidrBlock": "10.0.2.0/24", "AvailabilityZone": "mars-1a"}),
            "InvalidParameterValue",
        ),
        ("CreateSubnet", json!({"VpcId": "vpc-0", "CidrBlock": "10.0.2.0/24"}), "InvalidVpcID.NotFound"),
        (
            "CreateSecurityGroup",
            json!({"VpcId": vpc, "GroupName": "app", "GroupDescription": "d"}),
            "InvalidGroup.Duplicate",
        ),
        (
            "AuthorizeSecurityGroupIngress",
            json!({"GroupId": group, "IpPermissions": [pair]}),
            "InvalidPermission.Duplicate",
        ),
        (
            "AuthorizeSecurityGroupIngress",
            json!({"GroupId": group, "IpPermissions": ranged(90, 80)}),
            "InvalidParameterValue",
        ),
        (
            "RevokeSecurityGroupIngress",
            json!({"GroupId": group, "IpPermissions": ranged(81, 81)}),
            "InvalidPermission.NotFound",
        ),
        ("DeleteSecurityGroup", json!({"GroupId": "sg-0"}), "InvalidGroup.NotFound"),
        ("DescribeVpcs", json!({"Filter": [{"Name": "colour", "Value": ["red"]}]}), "InvalidParameterValue"),
        ("DescribeSubnets", json!({"SubnetId": ["subnet-0"]}), "InvalidSubnetID.NotFound"),
        ("CreateTags", json!({"ResourceId": ["i-0"], "Tag": [{"Key": "a", "Value": "b"}]}), "InvalidID"),
        ("ReleaseAddress", json!({"AllocationId": "eipalloc-0"}), "InvalidAllocationID.NotFound"),
    ] {
        let refused = fault(net.world.call(&format!("ec2.{operation}"), input).await);
        assert!(refused.starts_with(&format!("{code}:")), "{operation}: {refused}");
    }
    let groups = net.call("DescribeSecurityGroups", json!({"GroupId": [group]})).await;
    assert_eq!(groups["securityGroupInfo"][0]["ipPermissions"].as_array().unwrap().len(), 1);
    assert_eq!(net.call("DescribeSubnets", json!({"Filter": [{"Name": "vpc-id", "Value": [vpc]}]})).await["subnetSet"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn tags_filter_and_pages_go_on() {
    let net = net().await;
    for name in ["a", "b", "c"] {
        let tags = json!([{"resourceType": "vpc", "Tag": [{"key": "Name", "value": name}]}]);
        net.call("CreateVpc", json!({"CidrBlock": "10.0.0.0/16", "TagSpecification": tags})).await;
    }
    let named = net.call("DescribeVpcs", json!({"Filter": [{"Name": "tag:Name", "Value": ["b"]}]})).await;
    assert_eq!(named["vpcSet"][0]["tagSet"][0]["value"], "b");
    let (mut seen, mut token) = (0, Value::Null);
    loop {
        let page = net.call("DescribeVpcs", json!({"MaxResults": 5, "NextToken": token})).await;
        seen += page["vpcSet"].as_array().unwrap().len();
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen, 4, "the default one too");
    let refused = fault(net.world.call("ec2.DescribeVpcs", json!({"NextToken": "forged"})).await);
    assert!(refused.starts_with("InvalidPaginationToken"), "{refused}");
}

impl From<Net> for World {
    fn from(net: Net) -> Self {
        net.world
    }
}

/// The first of a description's items that fits.
fn with(items: &Value, name: &str, value: &str) -> Option<Value> {
    items.as_array().into_iter().flatten().find(|item| item[name] == *value).cloned()
}

#[tokio::test]
async fn a_crash_after_any_commit_changes_nothing() {
    let open = async |world: World, engine: Arc<std::sync::OnceLock<Arc<FakeEngine>>>| {
        let engine = engine.get_or_init(|| FakeEngine::new(world.clock.clone())).clone();
        over(world, engine)
    };
    // As a client does that describes what it wants: what is there is not made again.
    let deed = async |net: &Net| {
        let call = async |operation: &str, input| net.world.call(&format!("ec2.{operation}"), input).await;
        let ensure = async |set: &str,
                            describe: &str,
                            name: &str,
                            value: &str,
                            create: &str,
                            input: Value| {
            match with(&call(describe, json!({})).await?[set], name, value) {
                Some(found) => Ok::<_, kernel::Fault>(found),
                None => {
                    call(create, input).await?;
                    Ok(with(&call(describe, json!({})).await?[set], name, value).unwrap())
                }
            }
        };
        let (cidr, within) = ("10.0.0.0/16", "10.0.1.0/24");
        let input = json!({"CidrBlock": cidr});
        let vpc =
            ensure("vpcSet", "DescribeVpcs", "cidrBlock", cidr, "CreateVpc", input).await?["vpcId"].clone();
        let input = json!({"VpcId": vpc, "CidrBlock": within});
        let subnet =
            ensure("subnetSet", "DescribeSubnets", "cidrBlock", within, "CreateSubnet", input).await?;
        let input = json!({"VpcId": vpc, "GroupName": "app", "GroupDescription": "d"});
        let set = "securityGroupInfo";
        let group =
            ensure(set, "DescribeSecurityGroups", "groupName", "app", "CreateSecurityGroup", input).await?;
        let pair =
            json!({"ipProtocol": "tcp", "fromPort": 80, "toPort": 80, "ipRanges": [{"cidrIp": "0.0.0.0/0"}]});
        let input = json!({"GroupId": group["groupId"], "IpPermissions": [pair]});
        match call("AuthorizeSecurityGroupIngress", input).await {
            Err(fault) if !fault.is("InvalidPermission.Duplicate") => return Err(fault),
            _ => {}
        }
        let input = json!({"subnetId": subnet["subnetId"], "SecurityGroupId": [group["groupId"]], "description": "task"});
        let set = "networkInterfaceSet";
        let interface =
            ensure(set, "DescribeNetworkInterfaces", "description", "task", "CreateNetworkInterface", input)
                .await?;
        let prepare = PrepareInterface { network_interface_id: text(&interface["networkInterfaceId"]) };
        net.world.cx().call(prepare).await.map(drop)
    };
    let outcome = async |net: &Net| {
        let all = async |operation: &str, set: &str, shown: &[&str]| {
            let items = net.call(operation, json!({})).await[set].clone();
            let show = |item: &Value| shown.iter().map(|name| item[*name].clone()).collect::<Value>();
            let mut lines: Vec<String> =
                items.as_array().unwrap().iter().map(|item| show(item).to_string()).collect();
            lines.sort();
            lines
        };
        let interfaces = net.call("DescribeNetworkInterfaces", json!({})).await;
        let prepared = net.prepare(&text(&interfaces["networkInterfaceSet"][0]["networkInterfaceId"])).await;
        json!([
            all("DescribeVpcs", "vpcSet", &["cidrBlock", "isDefault"]).await,
            all("DescribeSubnets", "subnetSet", &["cidrBlock", "availableIpAddressCount"]).await,
            all("DescribeSecurityGroups", "securityGroupInfo", &["groupName"]).await,
            all(
                "DescribeNetworkInterfaces",
                "networkInterfaceSet",
                &["description", "privateIpAddress", "status"]
            )
            .await,
            format!("{:?}", (prepared.address, prepared.subnet, prepared.rules)),
            net.engine.log(),
        ])
    };
    testkit::killed_after_each_commit(5, open, deed, outcome).await;
}
