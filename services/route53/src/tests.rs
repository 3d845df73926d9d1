use std::sync::Arc;

use serde_json::{Value, json};
use snapshot::{Balancing, Data, Hub, Platform, Report};
use testkit::{World, fault};

use crate::Route53;

struct Rig {
    world: World,
    hub: Arc<Hub>,
    route53: Arc<Route53>,
}

impl Rig {
    async fn new() -> Self {
        Self::over(World::new().await)
    }

    fn over(mut world: World) -> Self {
        let hub = Hub::new();
        hub.publish(Balancing::default());
        let route53 =
            Route53::new(world.store.clone(), hub.clone(), world.clock.clone(), world.entropy.clone());
        world.serve(|ops| route53.register(ops));
        Self { world, hub, route53 }
    }

    async fn call(&self, operation: &str, input: Value) -> Value {
        let answer = self.world.call(&format!("route53.{operation}"), input).await;
        answer.unwrap_or_else(|fault| panic!("{operation}: {fault}"))
    }

    async fn zone(&self, name: &str) -> String {
        let input = json!({"Name": name, "CallerReference": name});
        let made = self.call("CreateHostedZone", input).await;
        made["HostedZone"]["Id"].as_str().unwrap().to_owned()
    }

    async fn change(&self, zone: &str, changes: Value) -> Result<Value, kernel::Fault> {
        let input = json!({"Id": zone, "ChangeBatch": {"Changes": changes}});
        self.world.call("route53.ChangeResourceRecordSets", input).await
    }

    /// `name TYPE value,value` of all records but the zone's own two.
    async fn records(&self, zone: &str) -> Vec<String> {
        let listed = self.call("ListResourceRecordSets", json!({"Id": zone})).await;
        let sets = listed["ResourceRecordSets"].as_array().unwrap().iter();
        let text = |set: &Value| {
            let values = set["ResourceRecords"].as_array().cloned().unwrap_or_default();
            let values: Vec<&str> = values.iter().map(|v| v["Value"].as_str().unwrap()).collect();
            let alias = set["AliasTarget"]["DNSName"].as_str().unwrap_or_default();
            format!(
                "{} {} {}{alias}",
                set["Name"].as_str().unwrap(),
                set["Type"].as_str().unwrap(),
                values.join(",")
            )
        };
        sets.filter(|set| !matches!(set["Type"].as_str(), Some("SOA" | "NS"))).map(text).collect()
    }

    async fn publish(&self) {
        self.route53.workers().remove(0).run().await.unwrap();
    }

    /// The edge says what it serves, and the service hears it.
    async fn serves(&self, applied: u64) {
        self.hub.report(Report { applied, ..Report::default() });
        self.route53.workers().remove(1).run().await.unwrap();
    }

    async fn status(&self, change: &Value) -> Value {
        let found = self.call("GetChange", json!({"Id": change["ChangeInfo"]["Id"]})).await;
        found["ChangeInfo"]["Status"].clone()
    }
}

fn set(action: &str, name: &str, kind: &str, values: &[&str]) -> Value {
    let values: Vec<Value> = values.iter().map(|value| json!({"Value": value})).collect();
    json!({"Action": action, "ResourceRecordSet": {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": values}})
}

fn alias(name: &str, zone: &str, target: &str) -> Value {
    json!({"Action": "UPSERT", "ResourceRecordSet": {"Name": name, "Type": "A", "AliasTarget":
        {"HostedZoneId": zone, "DNSName": target, "EvaluateTargetHealth": false}}})
}

fn typed(mut change: Value, kind: &str) -> Value {
    change["ResourceRecordSet"]["Type"] = json!(kind);
    change
}

const LB: &str = "dualstack.app-1.us-east-1.elb.amazonaws.com";

#[tokio::test]
async fn a_zone_lives_and_its_records_are_served() {
    let rig = Rig::new().await;
    let zone = rig.zone("Example.com").await;
    let got = rig.call("GetHostedZone", json!({"Id": zone})).await;
    assert_eq!(
        (got["HostedZone"]["Name"].as_str(), got["DelegationSet"]["NameServers"].as_array().unwrap().len()),
        (Some("example.com."), 4)
    );
    assert_eq!(got["HostedZone"]["ResourceRecordSetCount"], 2);
    let again = json!({"Name": "other.com", "CallerReference": "Example.com"});
    let taken = fault(rig.world.call("route53.CreateHostedZone", again).await);
    assert!(taken.starts_with("HostedZoneAlreadyExists"), "{taken}");

    let lb = LB;
    let changed = rig
        .change(
            &zone,
            json!([
                set("CREATE", "www.example.com", "A", &["192.0.2.1", "192.0.2.2"]),
                set("CREATE", "*.Example.com.", "TXT", &["\"a b\""]),
                set("UPSERT", "a.www.example.com", "CNAME", &["www.example.com"]),
                alias("example.com", "Z35SXDOTRQ7X7K", lb),
                alias("app.example.com", zone.trim_start_matches("/hostedzone/"), "www.example.com"),
            ]),
        )
        .await
        .unwrap();
    let expected = [
        format!("example.com. A {lb}."),
        "\\052.example.com. TXT \"a b\"".into(),
        "app.example.com. A www.example.com.".into(),
        "www.example.com. A 192.0.2.1,192.0.2.2".into(),
        "a.www.example.com. CNAME www.example.com".into(),
    ];
    assert_eq!(rig.records(&zone).await, expected);

    // In sync is what the edge serves, and nothing before.
    assert_eq!(rig.status(&changed).await, "PENDING");
    rig.publish().await;
    assert_eq!(rig.status(&changed).await, "PENDING", "the snapshot is not whole");
    let generation = rig.hub.publish(Platform::default());
    rig.serves(generation - 1).await;
    assert_eq!(rig.status(&changed).await, "PENDING");
    rig.serves(generation).await;
    assert_eq!(rig.status(&changed).await, "INSYNC");
    let snapshot = rig.hub.snapshots().borrow().clone().unwrap();
    assert_eq!(snapshot.naming.zones[0].records.len(), 7);

    let not_empty = fault(rig.world.call("route53.DeleteHostedZone", json!({"Id": zone})).await);
    assert!(not_empty.starts_with("HostedZoneNotEmpty"), "{not_empty}");
    let all: Vec<Value> = [
        set("DELETE", "www.example.com", "A", &["192.0.2.2", "192.0.2.1"]),
        set("DELETE", "\\052.example.com", "TXT", &["\"a b\""]),
        set("DELETE", "a.www.example.com", "CNAME", &["www.example.com"]),
        alias("example.com", "Z35SXDOTRQ7X7K", lb),
        alias("app.example.com", zone.trim_start_matches("/hostedzone/"), "www.example.com"),
    ]
    .into_iter()
    .map(|mut change| {
        change["Action"] = json!("DELETE");
        change
    })
    .collect();
    rig.change(&zone, json!(all)).await.unwrap();
    rig.call("DeleteHostedZone", json!({"Id": zone})).await;
    let gone = fault(rig.world.call("route53.GetHostedZone", json!({"Id": zone})).await);
    assert!(gone.starts_with("NoSuchHostedZone"), "{gone}");
}

#[tokio::test]
async fn a_batch_is_done_whole_or_refused_with_every_reason() {
    let rig = Rig::new().await;
    let zone = rig.zone("example.com").await;
    rig.change(&zone, json!([set("CREATE", "a.example.com", "A", &["192.0.2.1"])])).await.unwrap();
    let check = async |changes: Value, reason: &str| {
        let told = fault(rig.change(&zone, changes).await);
        assert!(told.contains(reason), "{told:?} does not say {reason:?}");
        assert_eq!(rig.records(&zone).await, ["a.example.com. A 192.0.2.1"], "{reason}");
    };
    let id = zone.trim_start_matches("/hostedzone/");
    let good = set("CREATE", "b.example.com", "A", &["192.0.2.2"]);
    for (bad, reason) in [
        (
            set("CREATE", "a.example.com", "A", &["192.0.2.3"]),
            "InvalidChangeBatch: [Tried to create resource record set [name='a.example.com.', type='A'] but it already exists]",
        ),
        (set("DELETE", "x.example.com", "A", &["192.0.2.3"]), "but it was not found"),
        (set("DELETE", "a.example.com", "A", &["192.0.2.3"]), "do not match the current values"),
        (set("CREATE", "a.example.com", "CNAME", &["b.example.com"]), "conflicts with other records"),
        (set("CREATE", "example.com", "CNAME", &["b.example.com"]), "not permitted at apex"),
        (set("CREATE", "a.other.com", "A", &["192.0.2.3"]), "is not permitted in zone example.com."),
        (set("CREATE", "aexample.com", "A", &["192.0.2.3"]), "is not permitted in zone example.com."),
        (set("CREATE", "c.example.com", "A", &["256.0.0.1"]), "Invalid Resource Record"),
        (set("CREATE", "c.example.com", "AAAA", &["192.0.2.3"]), "Invalid Resource Record"),
        (set("CREATE", "c.example.com", "TXT", &["bare"]), "enclosed in quotation marks"),
        (set("CREATE", "c.example.com", "MX", &["mail.example.com"]), "Invalid Resource Record"),
        (set("CREATE", "c.example.com", "CNAME", &["a.com", "b.com"]), "exactly one value"),
        (set("CREATE", "c.example.com", "A", &["192.0.2.3", "192.0.2.3"]), "Duplicate Resource Record"),
        (alias("c.example.com", "Z35SXDOTRQ7X7K", "www.aws.com"), "target was not found"),
        (
            alias("c.example.com", zone.trim_start_matches("/hostedzone/"), "none.example.com"),
            "the alias target name was not found",
        ),
        (
            json!({"Action": "CREATE", "ResourceRecordSet": {"Name": "c.example.com", "Type": "A"}}),
            "InvalidInput: Record set c.example.com. A must have TTL",
        ),
        (
            json!({"Action": "CREATE", "ResourceRecordSet": {"Name": "c.example.com", "Type": "A", "Weight": 1, "TTL": 1, "ResourceRecords": [{"Value": "192.0.2.1"}]}}),
            "InvalidInput: Weight is not served",
        ),
        (set("CREATE", "a..example.com", "A", &["192.0.2.3"]), "InvalidDomainName"),
        (set("CREATE", "a(b.example.com", "A", &["192.0.2.3"]), "InvalidDomainName"),
        (set("CREATE", "c.example.com", "A", &["192.0.2.3 192.0.2.4"]), "Invalid Resource Record"),
        (set("CREATE", "c.example.com", "SPF", &["\"v=spf1\""]), "Record type 'SPF' is not served"),
        (alias("c.example.com", id, "c.example.com"), "is an alias itself"),
        (typed(alias("c.example.com", id, "a.example.com"), "AAAA"), "the alias target name was not found"),
        (typed(alias("c.example.com", id, "b.example.com"), "CNAME"), "cannot be aliases"),
        (typed(alias("c.example.com", "Z35SXDOTRQ7X7K", LB), "MX"), "use A or AAAA"),
    ] {
        check(json!([good, bad]), reason).await;
    }
    let soa = rig
        .call(
            "ListResourceRecordSets",
            json!({"Id": zone, "name": "example.com", "type": "SOA", "maxitems": "1"}),
        )
        .await;
    assert_eq!(
        (soa["IsTruncated"].as_bool(), soa["NextRecordName"].as_str()),
        (Some(true), Some("a.example.com."))
    );
    let mut delete = json!({"Action": "DELETE", "ResourceRecordSet": soa["ResourceRecordSets"][0]});
    delete["ResourceRecordSet"]["TTL"] = json!(900);
    check(json!([delete]), "must contain at least one SOA").await;
}

#[tokio::test]
async fn lists_page_and_tags_stay() {
    let rig = Rig::new().await;
    for name in ["b.com", "a.org", "a.com"] {
        rig.zone(name).await;
    }
    let names = |listed: &Value| -> Vec<String> {
        listed["HostedZones"]
            .as_array()
            .unwrap()
            .iter()
            .map(|z| z["Name"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = rig.call("ListHostedZones", json!({"maxitems": "2"})).await;
    assert_eq!(names(&first), ["b.com.", "a.org."]);
    let second = rig.call("ListHostedZones", json!({"marker": first["NextMarker"]})).await;
    assert_eq!((names(&second), second["IsTruncated"].as_bool()), (vec!["a.com.".to_owned()], Some(false)));
    let by_name = rig.call("ListHostedZonesByName", json!({"dnsname": "b.com", "maxitems": "1"})).await;
    assert_eq!(
        (names(&by_name), by_name["NextDNSName"].as_str()),
        (vec!["b.com.".to_owned()], Some("a.org."))
    );
    assert_eq!(rig.call("GetHostedZoneCount", json!({})).await["HostedZoneCount"], 3);

    let id = by_name["HostedZones"][0]["Id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let on = json!({"ResourceType": "hostedzone", "ResourceId": id});
    let mut change = on.clone();
    change["AddTags"] = json!([{"Key": "k", "Value": "v"}, {"Key": "x", "Value": "y"}]);
    rig.call("ChangeTagsForResource", change).await;
    let mut change = on.clone();
    change["RemoveTagKeys"] = json!(["x"]);
    rig.call("ChangeTagsForResource", change).await;
    let tags = rig.call("ListTagsForResource", on).await;
    assert_eq!(tags["ResourceTagSet"]["Tags"], json!([{"Key": "k", "Value": "v"}]));
    rig.world.authority.asked();
    rig.call("GetDNSSEC", json!({"Id": format!("/hostedzone/{id}")})).await;
    let asked = ("route53:GetDNSSEC".to_owned(), format!("arn:aws:route53:::hostedzone/{id}"));
    assert_eq!(rig.world.authority.asked(), [asked]);
}

#[tokio::test]
async fn a_change_stays_in_sync_and_never_is_by_an_older_report() {
    let rig = Rig::new().await;
    rig.hub.publish(Platform::default());
    let zone = rig.zone("example.com").await;
    let one = json!([set("CREATE", "a.example.com", "CNAME", &["b.example.com"])]);
    let first = rig.change(&zone, one.clone()).await.unwrap();
    rig.publish().await;
    // The edge still serves what a control plane before this one told it.
    rig.hub.resume_after(40);
    rig.serves(40).await;
    assert_eq!(rig.status(&first).await, "PENDING");
    let second =
        rig.change(&zone, json!([set("CREATE", "c.example.com", "A", &["192.0.2.1"])])).await.unwrap();
    rig.serves(41).await;
    assert_eq!(rig.status(&first).await, "INSYNC");
    assert_eq!(rig.status(&second).await, "PENDING", "it is not published yet");
    rig.publish().await;
    assert_eq!(rig.status(&first).await, "INSYNC", "what is served stays served");
    rig.serves(42).await;
    assert_eq!(rig.status(&second).await, "INSYNC");
    // Nothing new to tell: no report would follow.
    let same = rig.change(&zone, json!([set("UPSERT", "c.example.com", "A", &["192.0.2.1"])])).await.unwrap();
    rig.publish().await;
    assert_eq!(rig.status(&same).await, "INSYNC");

    let snapshot = rig.hub.snapshots().borrow().clone().unwrap();
    let cname = snapshot.naming.zones[0].records.iter().find(|record| record.kind == "CNAME").unwrap();
    let Data::Values { values, .. } = &cname.data else { panic!("{cname:?}") };
    assert_eq!(values, &["b.example.com."], "names are from the root");
}

#[tokio::test]
async fn a_restart_publishes_again_and_wakes_come() {
    let rig = Rig::new().await;
    let zone = rig.zone("example.com").await;
    let pending =
        rig.change(&zone, json!([set("CREATE", "a.example.com", "A", &["192.0.2.1"])])).await.unwrap();
    let rig = Rig::over(rig.world.restart().await);
    rig.hub.publish(Platform::default());
    let driver = work::Driver::new(rig.world.clock.clone(), work::Options::default());
    let mut snapshots = rig.hub.snapshots();
    rig.route53.workers().into_iter().for_each(|worker| driver.start(worker));
    let holds = |snapshot: &Option<Arc<snapshot::Snapshot>>, records: usize| {
        snapshot.as_ref().is_some_and(|s| s.naming.zones.first().is_some_and(|z| z.records.len() == records))
    };
    snapshots.wait_for(|snapshot| holds(snapshot, 3)).await.unwrap();
    let woken = rig.world.store.watch(&["route53.change"]);
    rig.hub.report(Report { applied: 1, ..Report::default() });
    while rig.status(&pending).await != "INSYNC" {
        woken.notified().await;
    }
    rig.change(&zone, json!([set("CREATE", "b.example.com", "A", &["192.0.2.2"])])).await.unwrap();
    snapshots.wait_for(|snapshot| holds(snapshot, 4)).await.unwrap();
    driver.stop().await;
}

impl From<Rig> for World {
    fn from(rig: Rig) -> Self {
        rig.world
    }
}

#[tokio::test]
async fn a_crash_after_any_commit_changes_nothing() {
    let deed = async |rig: &Rig| {
        let input = json!({"Name": "example.com", "CallerReference": "once"});
        match rig.world.call("route53.CreateHostedZone", input).await {
            // As after a client's retry.
            Err(fault) if !fault.is("HostedZoneAlreadyExists") => return Err(fault),
            _ => {}
        }
        let zones = rig.world.call("route53.ListHostedZones", json!({})).await?;
        let zone = zones["HostedZones"][0]["Id"].as_str().unwrap_or_default().to_owned();
        let sets = json!([
            set("UPSERT", "www.example.com", "A", &["192.0.2.1"]),
            set("UPSERT", "example.com", "TXT", &["\"a\""]),
        ]);
        rig.change(&zone, sets).await?;
        rig.change(&zone, json!([set("UPSERT", "www.example.com", "A", &["192.0.2.2"])])).await?;
        let last = rig.change(&zone, json!([set("UPSERT", "api.example.com", "A", &["192.0.2.3"])])).await?;
        rig.route53.workers().remove(0).run().await?;
        let generation = rig.hub.snapshots().borrow().as_ref().map_or(0, |snapshot| snapshot.generation);
        rig.hub.report(Report { applied: generation, ..Report::default() });
        rig.route53.workers().remove(1).run().await?;
        let found = rig.world.call("route53.GetChange", json!({"Id": last["ChangeInfo"]["Id"]})).await?;
        assert_eq!(found["ChangeInfo"]["Status"], "INSYNC");
        Ok(())
    };
    let outcome = async |rig: &Rig| {
        let zones = rig.call("ListHostedZones", json!({})).await;
        let zone = zones["HostedZones"][0]["Id"].as_str().unwrap().to_owned();
        let served = rig.hub.snapshots().borrow().as_ref().map(|snapshot| snapshot.naming.zones.len());
        json!([zones["HostedZones"].as_array().map(Vec::len), rig.records(&zone).await, served])
    };
    let open = async |world: World, (): ()| {
        let rig = Rig::over(world);
        rig.hub.publish(Platform::default());
        rig
    };
    testkit::killed_after_each_commit(5, open, deed, outcome).await;
}
