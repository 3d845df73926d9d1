//! Ranges that collide: on a host there is one 10.0.0.0/16, in AWS there are many.
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{IMAGE, Site, awsvpc, text};

/// Runs a task in a VPC of 10.0.0.0/16 of its own and answers the address that the API tells, which is the one that
/// the container has.
fn address(site: &Site, name: &str) -> String {
    let vpc = site.vpc("10.0");
    let group = site.group(&vpc, name);
    let container = json!({"name": name, "image": IMAGE, "memory": 64, "command": ["sh", "-c", "hostname -I; exec sleep 600"]});
    site.define(name, "awsvpc", vec![container], json!({}));
    let arn = site.run(name, &awsvpc(&vpc, &group));
    let task = site.until(&arn, "RUNNING");
    let told = text(&task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"]);
    let details = task["attachments"][0]["details"].as_array().cloned().unwrap_or_default();
    let detail = |name: &str| {
        details.iter().find(|d| d["name"] == name).map(|d| text(&d["value"])).unwrap_or_default()
    };
    assert_eq!(detail("privateIPv4Address"), told, "{task}");
    let interface = site.aws(&format!(
        "ec2 describe-network-interfaces --network-interface-ids {}",
        detail("networkInterfaceId")
    ));
    assert_eq!(interface["NetworkInterfaces"][0]["PrivateIpAddress"], told.as_str());
    e2e::eventually("the task tells its address", || {
        let id = arn.rsplit('/').next()?;
        let stream = format!("{name}/{name}/{id}");
        let command =
            ["logs", "get-log-events", "--log-group-name", super::SITE, "--log-stream-name", &stream];
        let log: Value = serde_json::from_str(&site.client.try_aws(&command).out).ok()?;
        let line = text(log["events"].get(0)?.get("message")?);
        assert_eq!(line.trim(), told, "what the API tells is what it has");
        Some(())
    });
    told
}

#[test]
fn vpcs_of_one_range_and_longshores_run_beside_each_other() {
    let (one, other) = (Site::new(), Site::new());
    let mut addresses = BTreeSet::new();
    for (site, name) in [(&one, "first"), (&one, "second"), (&other, "first"), (&other, "second")] {
        addresses.insert(address(site, name));
    }
    assert_eq!(addresses.len(), 4, "every task has an address of its own on this host: {addresses:?}");
    // Each server knows its own alone.
    for site in [&one, &other] {
        let all = site.aws("ec2 describe-vpcs --filters Name=is-default,Values=false");
        assert_eq!(all["Vpcs"].as_array().map(Vec::len), Some(2), "{all}");
        let tasks = site.aws("ecs list-tasks --cluster site");
        assert_eq!(tasks["taskArns"].as_array().map(Vec::len), Some(2), "{tasks}");
    }
}
