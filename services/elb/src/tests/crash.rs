//! The process dies after each commit in turn; a client that got no answer asks again.
use kernel::Fault;
use testkit::killed_after_each_commit;

use super::*;

impl From<Rig> for World {
    fn from(rig: Rig) -> Self {
        rig.world
    }
}

/// What a release asks for, by a client that takes what is there for made.
async fn deed(rig: &Rig) -> Result<(), Fault> {
    let made = async |kind: &str, input: Value, fine: &str| {
        let answer = rig.world.call(&format!("elb.Create{kind}"), input).await;
        match answer {
            Err(fault) if fault.is(fine) => Ok(Value::Null),
            answer => Ok::<_, Fault>(answer?[format!("{kind}s")][0][format!("{kind}Arn")].clone()),
        }
    };
    let balancer = json!({"Name": "lb", "Subnets": ["subnet-a", "subnet-b"]});
    let balancer = made("LoadBalancer", balancer, "").await?;
    let group =
        json!({"Name": "web", "Protocol": "HTTP", "Port": 8080, "VpcId": "vpc-1", "TargetType": "ip"});
    let group = made("TargetGroup", group, "").await?;
    let target = json!({"TargetGroupArn": group, "Targets": [{"Id": "10.0.1.5"}]});
    rig.world.call("elb.RegisterTargets", target).await?;
    let actions = forward(group.as_str().unwrap_or_default());
    let listener =
        json!({"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": 80, "DefaultActions": actions});
    made("Listener", listener, "DuplicateListener").await?;
    let listeners = json!({"LoadBalancerArn": balancer});
    let listener =
        rig.world.call("elb.DescribeListeners", listeners).await?["Listeners"][0]["ListenerArn"].clone();
    let rule =
        json!({"ListenerArn": listener, "Priority": 7, "Conditions": path("/api/*"), "Actions": actions});
    made("Rule", rule, "PriorityInUse").await?;
    for worker in rig.elb.workers(&rig.ops, watch::Sender::new(Some(Arc::default())).subscribe()) {
        worker.run().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_crash_after_any_commit_changes_nothing() {
    let open = async |world: World, neighbours: Arc<Neighbours>| Rig::over(world, neighbours);
    let outcome = async |rig: &Rig| {
        let snapshot = rig.snapshot();
        let balancing = &snapshot.balancing;
        let ports = balancing
            .load_balancers
            .iter()
            .flat_map(|lb| lb.listeners.iter().map(|l| (l.port, l.rules.len())));
        let addresses = balancing.load_balancers.iter().map(|lb| lb.address.to_string());
        let targets = balancing.target_groups.iter().flat_map(|group| group.targets.iter());
        let interfaces: Vec<String> = rig.neighbours.interfaces.lock().unwrap().keys().cloned().collect();
        let state = rig.call("DescribeLoadBalancers", json!({})).await;
        json!([
            addresses.collect::<Vec<_>>(),
            ports.collect::<Vec<_>>(),
            targets.map(|target| target.ip.to_string()).collect::<Vec<_>>(),
            interfaces,
            state["LoadBalancers"].as_array().map(Vec::len),
            state["LoadBalancers"][0]["State"]["Code"],
        ])
    };
    killed_after_each_commit(5, open, deed, outcome).await;
}

#[tokio::test]
async fn an_edge_is_left_alone_until_the_networks_are_known() {
    let rig = Rig::new().await;
    rig.balancer().await;
    let (known, networks) = watch::channel(None);
    for worker in rig.elb.workers(&rig.ops, networks.clone()) {
        worker.run().await.unwrap();
    }
    assert!(rig.hub.snapshots().borrow().is_none(), "as if no container could reach a load balancer");
    known.send_replace(Some(Arc::default()));
    for worker in rig.elb.workers(&rig.ops, networks) {
        worker.run().await.unwrap();
    }
    assert_eq!(rig.hub.snapshots().borrow().as_ref().unwrap().balancing.load_balancers.len(), 1);
}
