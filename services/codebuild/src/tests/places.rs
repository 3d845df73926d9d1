//! Builds of pipelines' own actions, and builds in VPCs.
use api::internal::{GetActionBuild, PipelineArtifact, StartActionBuild};
use serde_json::{Value, json};
use testkit::fault;

use super::rig::{Rig, containers, unzipped, zip_of};

#[tokio::test]
async fn an_actions_own_build_acts_as_its_role_and_is_seen_by_nobody_else() {
    let rig = Rig::new().await;
    containers(&rig.engine);
    let put = |key: &str, bytes| rig.shelf.0.lock().unwrap().insert(key.to_owned(), bytes);
    put("store/in", zip_of(&[("a.txt", "text\n")]));
    let at =
        |name: &str| PipelineArtifact { name: name.into(), bucket: "store".into(), key: name.to_lowercase() };
    let asked = StartActionBuild {
        token: "run".into(),
        pipeline: "p".into(),
        commands: vec!["cat a.txt".into(), "VERSION=\"v 1: $WHO\"".into(), "echo made >b.txt".into()],
        variables: vec![("WHO".into(), "me".into())],
        exported: vec!["VERSION".into()],
        files: vec!["b.*".into()],
        compute_type: "BUILD_GENERAL1_SMALL".into(),
        minutes: 55,
        inputs: vec![at("In")],
        outputs: vec![at("Out")],
        ..StartActionBuild::default()
    };
    let role = "arn:aws:iam::000000000000:role/pipeline";
    let cx = rig.world.cx().as_role("codepipeline.amazonaws.com", role, "run").await.unwrap();
    let id = cx.call(asked.clone()).await.unwrap().build.unwrap().id.unwrap();
    assert_eq!(cx.call(asked).await.unwrap().build.unwrap().id.unwrap(), id);
    let look = || async { cx.call(GetActionBuild { id: id.clone() }).await.unwrap().build.unwrap() };
    let wake = rig.world.store.watch(&["codebuild.build"]);
    let build = loop {
        let build = look().await;
        if build.build_complete == Some(true) {
            break build;
        }
        let _ = tokio::time::timeout(std::time::Duration::from_millis(50), wake.notified()).await;
    };
    assert_eq!(build.build_status.as_deref(), Some("SUCCEEDED"), "{build:#?}");
    assert_eq!(build.service_role.as_deref(), Some(role));
    let exported = build.exported_environment_variables.unwrap();
    assert_eq!(exported[0].value.as_deref(), Some("v 1: me"));
    let logs = build.logs.unwrap();
    assert_eq!(logs.group_name.as_deref(), Some("/aws/codepipeline/p"));
    assert_eq!(
        unzipped(&rig.shelf.0.lock().unwrap()["store/out"]),
        [("b.txt".to_owned(), "made\n".to_owned())]
    );

    // Nobody sees it among the builds of projects, nor hears of it as of one.
    assert_eq!(rig.call("ListBuilds", json!({})).await.unwrap()["ids"], json!([]));
    let found = rig.call("BatchGetBuilds", json!({"ids": [id]})).await.unwrap();
    assert_eq!(found["buildsNotFound"], json!([id]));
    assert!(fault(rig.call("StopBuild", json!({"id": id})).await).starts_with("ResourceNotFoundException"));
    let told = rig.world.store.messages(store::EVENTS, 0, 100).await.unwrap();
    assert!(!told.is_empty() && told.iter().all(|m| m.event.source == "longshore.codebuild"));
}

async fn made(rig: &Rig, operation: &str, input: Value, id: &[&str]) -> String {
    let made = rig.world.call(&format!("ec2.{operation}"), input).await.unwrap();
    id.iter().fold(&made, |value, name| &value[name]).as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_build_in_a_vpc_has_an_interface_there_as_long_as_it_runs() {
    let rig = Rig::new().await;
    let vpc = made(&rig, "CreateVpc", json!({"CidrBlock": "10.88.0.0/16"}), &["vpc", "vpcId"]).await;
    let other = made(&rig, "CreateVpc", json!({"CidrBlock": "10.89.0.0/16"}), &["vpc", "vpcId"]).await;
    let subnet = json!({"VpcId": vpc, "CidrBlock": "10.88.1.0/24"});
    let subnet = made(&rig, "CreateSubnet", subnet, &["subnet", "subnetId"]).await;
    let group = async |vpc: &str| {
        let group = json!({"VpcId": vpc, "GroupName": "g", "GroupDescription": "d"});
        made(&rig, "CreateSecurityGroup", group, &["groupId"]).await
    };
    let (group, strange) = (group(&vpc).await, group(&other).await);
    let inside = |group: &str| json!({"vpcId": vpc, "subnets": [subnet], "securityGroupIds": [group]});
    rig.project(json!({"vpcConfig": inside(&group)})).await;
    let refused =
        fault(rig.call("UpdateProject", json!({"name": "app", "vpcConfig": inside(&strange)})).await);
    assert!(
        refused.contains(&format!("vpcConfig: securityGroupIds: {strange} is not in the VPC {vpc}")),
        "{refused}"
    );
    let refused = fault(rig.call("UpdateProject", json!({"name": "app", "vpcConfig": inside("sg-0")})).await);
    assert!(
        refused.starts_with("InvalidInputException: vpcConfig: securityGroupIds: InvalidGroup"),
        "{refused}"
    );

    // No agent: the build waits in its container.
    let id = rig.start(json!({})).await;
    let build = rig.until(&id, |build| build["currentPhase"] == "DOWNLOAD_SOURCE").await.unwrap();
    assert_eq!(build["vpcConfig"], inside(&group));
    let task = format!("codebuild-{}", id.split_once(':').unwrap().1).parse().unwrap();
    let spec = rig.engine.spec(&task).unwrap();
    let attachment = spec.network.unwrap();
    assert_eq!(attachment.network, vpc);
    assert_eq!(attachment.address.unwrap().octets()[..3], [10, 88, 1]);
    assert!(
        spec.rules.ingress.is_empty() && !spec.rules.egress.is_empty() && !spec.rules.redirects.is_empty()
    );
    rig.call("StopBuild", json!({"id": id})).await.unwrap();
    rig.complete(&id).await.unwrap();
    let wake = rig.world.store.watch(&["ec2.interface", "codebuild.build"]);
    loop {
        let found = rig.world.call("ec2.DescribeNetworkInterfaces", json!({})).await.unwrap();
        if found["networkInterfaceSet"].as_array().is_none_or(Vec::is_empty) {
            break;
        }
        let _ = tokio::time::timeout(std::time::Duration::from_millis(50), wake.notified()).await;
    }

    // What the role may not do is the build's own reason.
    rig.world.authority.deny("ec2:CreateNetworkInterface");
    let build = rig.complete(&rig.start(json!({})).await).await.unwrap();
    let context = &build["phases"][2]["contexts"][0];
    assert_eq!(context["statusCode"], "VPC_CLIENT_ERROR", "{build:#}");
    assert!(context["message"].as_str().unwrap().contains("ec2:CreateNetworkInterface"), "{context}");
}
