//! The providers, beside fakes of what they call.
use std::collections::BTreeMap;
use std::time::Duration;

use api::internal::{CloneFrom, CloneReference};
use outside::Outside;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use work::{Driver, Options};

use super::*;

fn commands(name: &str, commands: &[&str]) -> Value {
    let action = action("Compute", "Commands", name, json!({"ComputeType": "BUILD_GENERAL1_MEDIUM"}));
    with(action, json!({"commands": commands, "inputArtifacts": [{"name": "SourceOutput"}]}))
}

#[tokio::test]
async fn commands_run_with_their_variables_and_give_theirs() {
    let b = Bench::new().await;
    let first = with(
        commands("First", &["make #{src.CommitId}", "echo #{codepipeline.PipelineExecutionId}"]),
        json!({
            "namespace": "first", "outputVariables": ["VERSION"],
            "outputArtifacts": [{"name": "Made", "files": ["dist/**/*"]}],
            "environmentVariables": [{"name": "WHO", "value": "by #{variables.Who}", "type": "PLAINTEXT"}],
        }),
    );
    let then = with(
        commands("Then", &["use #{first.VERSION}"]),
        json!({
            "inputArtifacts": [{"name": "Made"}, {"name": "SourceOutput"}], "runOrder": 2,
            "configuration": {"VpcId": "vpc-1", "Subnets": "subnet-1, subnet-2", "SecurityGroupIds": "sg-1"},
        }),
    );
    let declared = pipeline(&[vec![source()], vec![first, then]]);
    let declared = with(declared, json!({"variables": [{"name": "Who", "defaultValue": "me"}]}));
    let created = b.ok("CreatePipeline", json!({"pipeline": declared})).await;
    assert_eq!(created["pipeline"]["pipelineType"], "V2");
    let done = b.newest("Succeeded").await;
    let id = done["pipelineExecutionId"].as_str().unwrap();
    let memory = b.fakes.memory();
    let [(first, _), (then, _)] = &memory.commands[..] else { panic!("two builds: {:?}", memory.done) };
    assert_eq!(first.commands, ["make c0ffee1".to_owned(), format!("echo {id}")]);
    assert_eq!(first.variables, [("WHO".to_owned(), "by me".to_owned())]);
    assert_eq!(
        (first.files.clone(), first.compute_type.as_str()),
        (vec!["dist/**/*".into()], "BUILD_GENERAL1_MEDIUM")
    );
    assert_eq!((first.pipeline.as_str(), first.minutes, &first.through), ("p", 55, &None));
    assert_eq!(first.revision.as_deref(), Some("c0ffee1"));
    assert_eq!(then.commands, ["use the VERSION"]);
    let inputs: Vec<&str> = then.inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(inputs, ["Made", "SourceOutput"]);
    assert_eq!(then.through, None, "the pipeline's own role needs no other to take it");
    let vpc = then.vpc.clone().unwrap();
    assert_eq!(vpc.subnets, Some(vec!["subnet-1".into(), "subnet-2".into()]));
}

#[tokio::test]
async fn an_image_is_built_and_published_and_another_pipeline_started() {
    let b = Bench::new().await;
    let quiet = pipeline(&[vec![source()], vec![approval()]]);
    let quiet = with(quiet, json!({"name": "other", "variables": [{"name": "Image"}]}));
    b.ok("CreatePipeline", json!({"pipeline": quiet})).await;
    let publish =
        json!({"ECRRepositoryName": "team/app", "ImageTags": "v1,#{src.CommitId}", "DockerFilePath": "web"});
    let publish = with(
        action("Build", "ECRBuildAndPublish", "Publish", publish),
        json!({"inputArtifacts": [{"name": "SourceOutput"}], "namespace": "image"}),
    );
    let revisions =
        r##"[{"actionName":"Src","revisionType":"COMMIT_ID","revisionValue":"#{src.CommitId}"}]"##;
    let invoke = json!({
        "PipelineName": "other", "SourceRevisions": revisions,
        "Variables": r##"[{"name":"Image","value":"#{image.ECRImageDigestId}"}]"##,
    });
    let invoke = with(action("Invoke", "CodePipeline", "Next", invoke), json!({"runOrder": 2}));
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![publish, invoke]])})).await;
    b.newest("Succeeded").await;
    {
        let memory = b.fakes.memory();
        let (asked, _) = &memory.commands[0];
        assert!(asked.privileged);
        let pushed: Vec<&String> = asked.commands.iter().filter(|c| c.starts_with("docker push")).collect();
        let image = format!("{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/team/app");
        assert_eq!(pushed, [&format!("docker push {image}:v1"), &format!("docker push {image}:c0ffee1")]);
        assert!(asked.variables.contains(&("DOCKERFILE".into(), "web".into())));
    }
    let list = b.ok("ListPipelineExecutions", json!({"pipelineName": "other"})).await;
    let started = list["pipelineExecutionSummaries"].as_array().unwrap();
    assert_eq!(started.len(), 1, "{list:#}");
    assert_eq!(started[0]["trigger"]["triggerType"], "StartPipelineExecution");
    let run =
        b.ok("GetPipelineState", json!({"name": "p"})).await["stageStates"][1]["actionStates"][1].clone();
    assert_eq!(run["latestExecution"]["externalExecutionId"], started[0]["pipelineExecutionId"]);
    let id = json!({"pipelineName": "other", "pipelineExecutionId": started[0]["pipelineExecutionId"]});
    let got = b.ok("GetPipelineExecution", id).await;
    let image = json!([{"name": "Image", "resolvedValue": "the ECRImageDigestId"}]);
    assert_eq!(got["pipelineExecution"]["variables"], image);
}

/// Runs a pipeline from this source to a build; answers the artifact that the build is given.
async fn given(b: &Bench, source: Value) -> Vec<u8> {
    b.fakes.memory().builds_end = Some("SUCCEEDED");
    // As AWS exports pipelines that have had actions in other Regions.
    let mut declared = pipeline(&[vec![source], vec![with(build(), json!({"region": REGION}))]]);
    let store = declared.as_object_mut().unwrap().remove("artifactStore").unwrap();
    declared["artifactStores"] = json!({REGION: store});
    b.ok("CreatePipeline", json!({"pipeline": declared})).await;
    b.newest("Succeeded").await;
    let memory = b.fakes.memory();
    let input = &memory.builds[0].0.inputs[0];
    memory.objects[&format!("{}/{}", input.bucket, input.key)].to_vec()
}

#[tokio::test]
async fn a_clone_reference_goes_to_the_build() {
    let connection = format!("arn:aws:codestar-connections:{REGION}:{ACCOUNT}:connection/c");
    let from = CloneFrom::Connection { connection_arn: connection, full_repository_id: "me/app".into() };
    for (mut source, from) in [(source(), CloneFrom::CodeCommit("repo".into())), (connected("Src"), from)] {
        for (format, referred) in [("CODEBUILD_CLONE_REF", true), ("CODE_ZIP", false)] {
            let b = Bench::new().await;
            source["configuration"]["OutputArtifactFormat"] = json!(format);
            let read = CloneReference::read(&given(&b, source.clone()).await);
            let reference = CloneReference { from: from.clone(), commit_id: "c0ffee1".into() };
            assert_eq!(read, referred.then_some(reference), "{format}");
            let memory = b.fakes.memory();
            let archived = memory.done.iter().any(|done| done.starts_with("archive"));
            assert_eq!(archived, !referred, "{format}: {:?}", memory.done);
        }
    }
}

#[tokio::test]
async fn a_deployment_has_its_target() {
    let b = Bench::new().await;
    let configuration = json!({"BucketName": "site", "Extract": "false", "ObjectKey": "#{src.CommitId}.zip"});
    let site = action("Deploy", "S3", "Site", configuration);
    let site = with(site, json!({"inputArtifacts": [{"name": "SourceOutput"}]}));
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![site]])})).await;
    let run = b.action(1, 0, "Succeeded").await["actionExecutionId"].clone();
    let ask = |members: Value| with(json!({"actionExecutionId": run}), members);
    for members in [json!({"pipelineName": "p"}), json!({})] {
        let found = b.ok("ListDeployActionExecutionTargets", ask(members)).await["targets"][0].clone();
        assert_eq!(
            (&found["targetId"], &found["status"]),
            (&json!("arn:aws:s3:::site"), &json!("Succeeded"))
        );
    }
    let failed = json!({"filters": [{"name": "TARGET_STATUS", "values": ["Failed"]}]});
    let none = b.ok("ListDeployActionExecutionTargets", ask(failed)).await;
    assert_eq!(none["targets"], json!([]));
    let unknown = json!({"actionExecutionId": "11111111-1111-4111-8111-111111111111"});
    let refused = b.refused("ListDeployActionExecutionTargets", unknown).await;
    assert!(refused.starts_with("ActionExecutionNotFoundException"), "{refused}");
}

#[tokio::test]
async fn an_acl_that_the_bucket_does_not_take_is_a_matter_of_configuration() {
    for (bucket, acl, taken) in [
        ("site", "private", true),
        ("site", "bucket-owner-full-control", true),
        ("site", "public-read", false),
        ("with-acls", "public-read", false),
    ] {
        let b = Bench::new().await;
        let site = json!({"BucketName": bucket, "Extract": "false", "ObjectKey": "a.zip", "CannedACL": acl});
        let site =
            with(action("Deploy", "S3", "Site", site), json!({"inputArtifacts": [{"name": "SourceOutput"}]}));
        b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![site]])})).await;
        let run = b.action(1, 0, if taken { "Succeeded" } else { "Failed" }).await;
        if taken {
            continue;
        }
        assert_eq!(run["errorDetails"]["code"], "ConfigurationError");
        let message = run["errorDetails"]["message"].as_str().unwrap();
        let expected =
            format!("'CannedACL' is '{acl}', and the bucket '{bucket}' takes no such ACL: leave the key out");
        assert!(message.contains(&expected), "{message}");
    }
}

#[tokio::test]
async fn what_an_approval_is_about_is_shown_with_its_values() {
    let b = Bench::new().await;
    let about = json!({"configuration": {"ExternalEntityLink": "https://example.com/#{src.CommitId}"}});
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![with(approval(), about)]])}))
        .await;
    b.action(1, 0, "InProgress").await;
    let state = b.ok("GetPipelineState", json!({"name": "p"})).await;
    assert_eq!(state["stageStates"][1]["actionStates"][0]["entityUrl"], "https://example.com/c0ffee1");
}

/// An approval with a topic.
fn told(topic: &str) -> Value {
    let configuration = json!({
        "NotificationArn": format!("arn:aws:sns:{REGION}:{ACCOUNT}:{topic}"),
        "CustomData": "look at #{src.CommitId}", "ExternalEntityLink": "http://example.com",
    });
    with(action("Approval", "Manual", "Ok", configuration), json!({"timeoutInMinutes": 60}))
}

/// Runs the worker of notifications; the configuration knows one topic.
fn posting(b: &Bench, endpoint: &TcpListener) -> Driver {
    let endpoint = format!("http://{}/hook", endpoint.local_addr().unwrap()).parse().unwrap();
    let topics = BTreeMap::from([(format!("arn:aws:sns:{REGION}:{ACCOUNT}:approvals"), endpoint)]);
    let driver = Driver::new(b.world.clock.clone(), Options::default());
    driver.start(b.service.post(b.world.ops(), topics, Outside::new(b"")));
    driver
}

/// Answers one request; its head and what its body says.
async fn hear(endpoint: &TcpListener, status: &str) -> (String, Value) {
    let (mut stream, _) = endpoint.accept().await.unwrap();
    let mut sent = String::new();
    let (head, body) = loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0, "{sent}");
        sent += std::str::from_utf8(&piece[..read]).unwrap();
        let Some((head, body)) = sent.split_once("\r\n\r\n") else { continue };
        if let Ok(body) = serde_json::from_str(body) {
            break (head.to_owned(), body);
        }
    };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
    (head, body)
}

#[tokio::test]
async fn an_approval_is_told_to_its_topics_endpoint_until_it_is_heard() {
    let b = Bench::new().await;
    let endpoint = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let driver = posting(&b, &endpoint);
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![told("approvals")]])})).await;
    let waiting = b.action(1, 0, "InProgress").await;
    let (head, first) = tokio::time::timeout(PATIENCE, hear(&endpoint, "500 No")).await.unwrap();
    assert!(head.starts_with("POST /hook HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("x-amz-sns-message-type: Notification"), "{head}");
    assert_eq!((&first["Type"], &first["MessageId"]), (&json!("Notification"), &waiting["token"]));
    assert_eq!(first["TopicArn"], format!("arn:aws:sns:{REGION}:{ACCOUNT}:approvals"));
    let message: Value = serde_json::from_str(first["Message"].as_str().unwrap()).unwrap();
    let approval = &message["approval"];
    assert_eq!((&message["region"], &approval["token"]), (&json!(REGION), &waiting["token"]));
    assert_eq!(approval["customData"], "look at c0ffee1");
    assert_eq!(approval["externalEntityLink"], "http://example.com");
    assert!(approval["expires"].as_str().unwrap().ends_with('Z'), "{approval}");
    assert!(b.world.authority.asked().iter().any(|(action, _)| action == "sns:Publish"));
    // It was not taken: it comes again, the same, also after a restart.
    driver.stop().await;
    b.world.clock.advance(Duration::from_secs(5));
    let b = b.restart().await;
    let driver = posting(&b, &endpoint);
    let (_, again) = tokio::time::timeout(PATIENCE, hear(&endpoint, "200 OK")).await.unwrap();
    assert_eq!(again, first);
    driver.stop().await;
}

#[tokio::test]
async fn an_approval_that_nobody_can_be_told_of_fails() {
    let b = Bench::new().await;
    let endpoint = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let driver = posting(&b, &endpoint);
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![told("unknown")]])})).await;
    let failed = b.action(1, 0, "Failed").await;
    assert_eq!(failed["errorDetails"]["code"], "ConfigurationError");
    let message = failed["errorDetails"]["message"].as_str().unwrap();
    assert!(message.contains("NotificationArn") && message.contains("sns-topics"), "{message}");
    b.world.authority.deny("sns:Publish");
    b.ok("UpdatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![told("approvals")]])})).await;
    b.ok("StartPipelineExecution", json!({"name": "p"})).await;
    b.until("GetPipelineState", json!({"name": "p"}), |s| {
        s["stageStates"][1]["actionStates"][0]["latestExecution"]["errorDetails"]["code"] == "PermissionError"
    })
    .await;
    driver.stop().await;
}
