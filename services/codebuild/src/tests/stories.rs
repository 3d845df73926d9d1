use api::internal::{CloneFrom, CloneReference, PipelineArtifact, StartPipelineBuild};
use serde_json::json;
use testkit::fault;

use super::rig::{Rig, containers, phases, unzipped, zip_of};

const GOOD: [&str; 11] = [
    "SUBMITTED SUCCEEDED",
    "QUEUED SUCCEEDED",
    "PROVISIONING SUCCEEDED",
    "DOWNLOAD_SOURCE SUCCEEDED",
    "INSTALL SUCCEEDED",
    "PRE_BUILD SUCCEEDED",
    "BUILD SUCCEEDED",
    "POST_BUILD SUCCEEDED",
    "UPLOAD_ARTIFACTS SUCCEEDED",
    "FINALIZING SUCCEEDED",
    "COMPLETED -",
];

#[tokio::test]
async fn a_build_runs_and_is_cleared_away() {
    let rig = Rig::new().await;
    containers(&rig.engine);
    rig.project(json!({})).await;
    let spec = "version: 0.2\nenv: {exported-variables: [TAG]}\nphases: {build: {commands: ['echo $CODEBUILD_BUILD_ID $CODEBUILD_BUILD_NUMBER $EXTRA', 'TAG=v1']}}";
    let variables = json!([{"name": "EXTRA", "value": "more", "type": "PLAINTEXT"}]);
    let id = rig.start(json!({"buildspecOverride": spec, "environmentVariablesOverride": variables})).await;
    let build = rig.complete(&id).await.unwrap();
    assert_eq!(build["buildStatus"], "SUCCEEDED", "{build:#}");
    assert_eq!(phases(&build), GOOD);
    assert_eq!(rig.log(&id).await, [format!("{id} 1 more")]);
    assert_eq!(build["exportedEnvironmentVariables"], json!([{"name": "TAG", "value": "v1"}]));
    assert_eq!(build["initiator"], "root");

    // Everyone heard of it: CodePipeline waits for these events.
    let messages = rig.world.store.messages(store::EVENTS, 0, 100).await.unwrap();
    let told = |m: &store::Message| {
        let detail = &m.event.detail;
        assert_eq!((&detail["build-id"], &*m.event.source), (&build["arn"], "aws.codebuild"));
        match detail["completed-phase"].as_str() {
            Some(phase) => phase.to_owned(),
            None => detail["build-status"].as_str().unwrap().to_owned(),
        }
    };
    let told: Vec<String> = messages.iter().map(told).collect();
    let phases = GOOD[1..10].iter().map(|p| p.split_once(' ').unwrap().0);
    let want: Vec<&str> = ["IN_PROGRESS"].into_iter().chain(phases).chain(["SUCCEEDED"]).collect();
    assert_eq!(told, want);

    // Nothing of it stays.
    let task = format!("codebuild-{}", id.split_once(':').unwrap().1);
    let wake = rig.world.store.watch(&["codebuild.build"]);
    while !rig.engine.log().contains(&format!("remove {task}")) || !rig.world.authority.grants().is_empty() {
        let _ = tokio::time::timeout(std::time::Duration::from_millis(20), wake.notified()).await;
    }
    let asked = rig.world.authority.asked();
    assert!(
        asked.contains(&(
            "logs:PutLogEvents".into(),
            format!(
                "arn:aws:logs:us-east-1:000000000000:log-group:/aws/codebuild/app:log-stream:{}",
                id.split_once(':').unwrap().1
            )
        )),
        "{asked:?}"
    );

    let listed = rig.call("ListBuildsForProject", json!({"projectName": "app"})).await.unwrap();
    assert_eq!(listed["ids"], json!([id]));
    let again = rig.call("RetryBuild", json!({"id": id})).await.unwrap();
    assert_eq!(again["build"]["buildNumber"], 2);
    let again = rig.complete(again["build"]["id"].as_str().unwrap()).await.unwrap();
    assert_eq!(again["buildStatus"], "SUCCEEDED");
}

#[tokio::test]
async fn sources_come_and_artifacts_go() {
    let rig = Rig::new().await;
    containers(&rig.engine);
    let spec = "version: 0.2\nphases: {build: {commands: ['mkdir -p out/a; cp in.txt out/a/x; cp in.txt out/y; cat $CODEBUILD_SRC_DIR_more/m.txt']}}\nartifacts:\n  files: ['**/*']\n  base-directory: out\n  name: over\n  secondary-artifacts: {z: {files: [in.txt]}}\n";
    let put = |key: &str, bytes| rig.shelf.0.lock().unwrap().insert(key.to_owned(), bytes);
    put("bucket/src.zip", zip_of(&[("buildspec.yml", spec), ("in.txt", "text")]));
    put(&format!("repo@{}", "a".repeat(40)), zip_of(&[("m.txt", "more\n")]));
    rig.project(json!({
        "source": {"type": "S3", "location": "bucket/src.zip"},
        "secondarySources": [{"type": "CODECOMMIT", "sourceIdentifier": "more", "location": "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/repo"}],
        "secondarySourceVersions": [{"sourceIdentifier": "more", "sourceVersion": "a".repeat(40)}],
        "artifacts": {"type": "S3", "location": "bucket", "path": "p", "namespaceType": "BUILD_ID", "name": "n", "overrideArtifactName": true},
        "secondaryArtifacts": [{"type": "S3", "artifactIdentifier": "z", "location": "bucket", "name": "z.zip", "packaging": "ZIP"}],
    })).await;
    let id = rig.start(json!({})).await;
    let build = rig.complete(&id).await.unwrap();
    assert_eq!(phases(&build), GOOD, "{build:#}");
    assert_eq!(rig.log(&id).await, ["more"]);
    let uuid = id.split_once(':').unwrap().1;
    let shelf = rig.shelf.0.lock().unwrap();
    assert_eq!(shelf[&format!("bucket/p/{uuid}/over/a/x")], "text");
    assert_eq!(shelf[&format!("bucket/p/{uuid}/over/y")], "text");
    assert_eq!(unzipped(&shelf["bucket/z.zip"]), [("in.txt".to_owned(), "text".to_owned())]);
    assert_eq!(build["artifacts"]["location"], format!("arn:aws:s3:::bucket/p/{uuid}/over"));
}

#[tokio::test]
async fn a_pipelines_artifacts_come_and_go() {
    let rig = Rig::new().await;
    containers(&rig.engine);
    let spec = "version: 0.2\nphases: {build: {commands: ['cat $CODEBUILD_SRC_DIR/.git/depth $CODEBUILD_SRC_DIR_More/m.txt']}}\nartifacts:\n  files: ['*']\n  secondary-artifacts: {One: {files: [in.txt]}, Two: {files: [m.txt], base-directory: $CODEBUILD_SRC_DIR_More}}\n";
    let put = |key: &str, bytes| rig.shelf.0.lock().unwrap().insert(key.to_owned(), bytes);
    put("repo@c0ffee", zip_of(&[("buildspec.yml", spec), ("in.txt", "text")]));
    put("store/more", zip_of(&[("m.txt", "more\n")]));
    let reference = CloneReference { from: CloneFrom::CodeCommit("repo".into()), commit_id: "c0ffee".into() };
    put("store/source", reference.to_json().into());
    rig.project(json!({
        "source": {"type": "CODEPIPELINE", "gitCloneDepth": 1}, "artifacts": {"type": "CODEPIPELINE"},
    }))
    .await;
    let at = |name: &str, key: &str| PipelineArtifact {
        name: name.into(),
        bucket: "store".into(),
        key: key.into(),
    };
    let start = |token: &str, outputs: Vec<PipelineArtifact>| StartPipelineBuild {
        build: api::codebuild::StartBuild {
            project_name: "app".into(),
            idempotency_token: Some(token.into()),
            ..Default::default()
        },
        pipeline: "p".into(),
        inputs: vec![at("Source", "source"), at("More", "more")],
        revision: Some("c0ffee".into()),
        outputs,
    };
    let several = start("t", vec![at("One", "one"), at("Two", "two")]);
    let id = rig.world.cx().call(several.clone()).await.unwrap().build.unwrap().id.unwrap();
    let again = rig.world.cx().call(several).await.unwrap().build.unwrap().id.unwrap();
    assert_eq!(id, again);
    let build = rig.complete(&id).await.unwrap();
    assert_eq!(phases(&build), GOOD, "{build:#}");
    assert_eq!(rig.log(&id).await, ["Some(1)", "more"]);
    assert_eq!(
        (&build["initiator"], &build["resolvedSourceVersion"]),
        (&json!("codepipeline/p"), &json!("c0ffee"))
    );
    let shelf = rig.shelf.0.lock().unwrap();
    assert_eq!(unzipped(&shelf["store/one"]), [("in.txt".to_owned(), "text".to_owned())]);
    assert_eq!(unzipped(&shelf["store/two"]), [("m.txt".to_owned(), "more\n".to_owned())]);
}

#[tokio::test]
async fn a_build_clones_what_a_connection_reaches_as_far_as_its_role_may() {
    let rig = Rig::new().await;
    containers(&rig.engine);
    let put = |key: &str, bytes| rig.shelf.0.lock().unwrap().insert(key.to_owned(), bytes);
    let spec = "version: 0.2\nphases: {build: {commands: ['cat .git/depth in.txt']}}";
    put("me/app@c0ffee", zip_of(&[("buildspec.yml", spec), ("in.txt", "text\n")]));
    let arn = "arn:aws:codestar-connections:us-east-1:000000000000:connection/c";
    rig.project(json!({
        "source": {"type": "CODEPIPELINE", "gitCloneDepth": 0}, "artifacts": {"type": "CODEPIPELINE"},
    }))
    .await;
    let run = async |token: &str, commit: &str| {
        let from = CloneFrom::Connection { connection_arn: arn.into(), full_repository_id: "me/app".into() };
        let reference = CloneReference { from, commit_id: commit.into() };
        put("store/source", reference.to_json().into());
        let start = StartPipelineBuild {
            build: api::codebuild::StartBuild {
                project_name: "app".into(),
                idempotency_token: Some(token.into()),
                ..Default::default()
            },
            pipeline: "p".into(),
            inputs: vec![PipelineArtifact {
                name: "Source".into(),
                bucket: "store".into(),
                key: "source".into(),
            }],
            ..StartPipelineBuild::default()
        };
        let id = rig.world.cx().call(start).await.unwrap().build.unwrap().id.unwrap();
        (rig.complete(&id).await.unwrap(), id)
    };
    let (build, id) = run("good", "c0ffee").await;
    assert_eq!(phases(&build), GOOD, "{build:#}");
    assert_eq!(rig.log(&id).await, ["None", "text"], "all of its history");

    let check = async |token: &str, commit: &str, code: &str, message: &str| {
        let (build, _) = run(token, commit).await;
        let phases = build["phases"].as_array().unwrap();
        let phase = phases.iter().find(|phase| phase["phaseType"] == "DOWNLOAD_SOURCE").unwrap();
        assert_eq!((&build["buildStatus"], &phase["phaseStatus"]), (&json!("FAILED"), &json!("FAILED")));
        let context = &phase["contexts"][0];
        assert_eq!(context["statusCode"], code, "{context}");
        assert!(context["message"].as_str().unwrap().contains(message), "{context}");
    };
    check("unknown", "beef", "CLIENT_ERROR", "CommitDoesNotExistException").await;
    rig.world.authority.deny("codestar-connections:UseConnection");
    let denied = format!("not authorized to perform: codestar-connections:UseConnection on resource: {arn}");
    check("denied", "c0ffee", "ACCESS_DENIED", &denied).await;
    let asked = rig.world.authority.asked();
    assert!(asked.contains(&("codestar-connections:UseConnection".into(), arn.into())), "{asked:?}");
}

#[tokio::test]
async fn what_is_wrong_is_told_in_its_phase() {
    let rig = Rig::new().await;
    containers(&rig.engine);
    rig.project(json!({})).await;
    let check = async |overrides, phase: &str, status: &str, code: &str, message: &str| {
        let build = rig.complete(&rig.start(overrides).await).await.unwrap();
        let found =
            build["phases"].as_array().unwrap().iter().find(|p| p["phaseType"] == phase).unwrap().clone();
        assert_eq!(build["buildStatus"], status, "{build:#}");
        assert_eq!(found["phaseStatus"], status, "{build:#}");
        let context = &found["contexts"][0];
        assert_eq!(context["statusCode"], code, "{context}");
        assert!(context["message"].as_str().unwrap().contains(message), "{context}");
    };
    let spec = |text: &str| json!({"buildspecOverride": text});
    check(
        spec("version: 0.2\nphases: {build: {commands: [exit 3]}}"),
        "BUILD",
        "FAILED",
        "COMMAND_EXECUTION_ERROR",
        "exit status 3",
    )
    .await;
    check(
        spec("version: 0.2\nphases: [\n"),
        "DOWNLOAD_SOURCE",
        "FAILED",
        "YAML_FILE_ERROR",
        "line 2, column 9",
    )
    .await;
    let missing = json!({"sourceTypeOverride": "S3", "sourceLocationOverride": "none/x.zip"});
    check(missing, "DOWNLOAD_SOURCE", "FAILED", "CLIENT_ERROR", "NoSuchKey").await;
    let error = engine::Error::NoImage { reference: "nowhere/x".into(), reason: "not found".into() };
    rig.engine.refuse_image("nowhere/x", Some(error));
    check(
        json!({"imageOverride": "nowhere/x"}),
        "PROVISIONING",
        "FAILED",
        "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE",
        "nowhere/x",
    )
    .await;
    rig.world.authority.deny("logs:CreateLogStream");
    check(
        json!({}),
        "PROVISIONING",
        "FAILED",
        "ACCESS_DENIED",
        "does not allow AWS CodeBuild to create Amazon CloudWatch Logs log streams",
    )
    .await;
    rig.world.authority.allow("logs:CreateLogStream");
    rig.world.authority.deny("sts:AssumeRole");
    check(json!({}), "PROVISIONING", "FAILED", "ACCESS_DENIED", "sts:AssumeRole").await;
    rig.world.authority.allow("sts:AssumeRole");
    rig.engine.unreachable(true);
    check(json!({}), "PROVISIONING", "FAULT", "INTERNAL_SERVICE_ERROR", "container engine").await;
}

#[tokio::test]
async fn a_stop_and_a_death_end_a_build() {
    let rig = Rig::new().await;
    rig.project(json!({})).await;
    for (stop, status) in [(true, "STOPPED"), (false, "FAILED")] {
        let id = rig.start(json!({})).await;
        rig.until(&id, |b| b["currentPhase"] == "DOWNLOAD_SOURCE").await.unwrap();
        if stop {
            rig.call("StopBuild", json!({"id": id})).await.unwrap();
        } else {
            let task = format!("codebuild-{}", id.split_once(':').unwrap().1);
            rig.engine.exit(&task.parse().unwrap(), "build", 137);
        }
        let build = rig.complete(&id).await.unwrap();
        assert_eq!(build["buildStatus"], status, "{build:#}");
    }
}

#[tokio::test]
async fn a_build_retries_itself() {
    let rig = Rig::new().await;
    containers(&rig.engine);
    rig.project(json!({})).await;
    let spec = "version: 0.2\nphases: {build: {on-failure: RETRY-1, commands: [echo oops; exit 1]}}";
    let first = rig.complete(&rig.start(json!({"buildspecOverride": spec})).await).await.unwrap();
    let next = first["autoRetryConfig"]["nextAutoRetry"].as_str().expect("a retry").to_owned();
    let second = rig.complete(next.split_once(":build/").unwrap().1).await.unwrap();
    assert_eq!(second["autoRetryConfig"]["previousAutoRetry"], first["arn"]);
    assert_eq!(second["autoRetryConfig"].get("nextAutoRetry"), None);
    let listed = rig.call("ListBuilds", json!({})).await.unwrap();
    assert_eq!(listed["ids"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn bad_input_is_refused_by_name() {
    let rig = Rig::new().await;
    rig.project(json!({"concurrentBuildLimit": 1})).await;
    let create = async |changes: serde_json::Value| {
        let mut project = json!({
            "name": "other", "serviceRole": super::rig::ROLE, "artifacts": {"type": "NO_ARTIFACTS"},
            "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2"},
            "environment": {"type": "LINUX_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL"},
        });
        for (name, value) in changes.as_object().unwrap() {
            project[name] = value.clone();
        }
        fault(rig.call("CreateProject", project).await)
    };
    assert!(create(json!({"name": "app"})).await.starts_with("ResourceAlreadyExistsException"));
    for (changes, want) in [
        (json!({"source": {"type": "GITHUB", "location": "x"}}), "GITHUB"),
        (json!({"source": {"type": "NO_SOURCE"}}), "buildspec"),
        (json!({"source": {"type": "S3", "location": "bucket/folder/"}}), "location"),
        (json!({"artifacts": {"type": "CODEPIPELINE"}}), "CODEPIPELINE"),
        (json!({"artifacts": {"type": "S3"}}), "location"),
        (json!({"serviceRole": "build"}), "serviceRole"),
        (json!({"timeoutInMinutes": 5000}), "timeoutInMinutes"),
        (json!({"vpcConfig": {"vpcId": "vpc-1"}}), "vpcConfig"),
        (
            json!({"environment": {"type": "WINDOWS_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL"}}),
            "WINDOWS",
        ),
    ] {
        let said = create(changes).await;
        assert!(said.contains(want), "{said}");
    }
    let missing = rig.call("StartBuild", json!({"projectName": "none"})).await;
    assert!(fault(missing).starts_with("ResourceNotFoundException: Project cannot be found"));
    let start = |token: &str, spec: &str| json!({"projectName": "app", "idempotencyToken": token, "buildspecOverride": spec});
    let first = rig.call("StartBuild", start("t", "version: 0.2")).await.unwrap();
    let again = rig.call("StartBuild", start("t", "version: 0.2")).await.unwrap();
    assert_eq!(first["build"]["id"], again["build"]["id"]);
    assert!(fault(rig.call("StartBuild", start("t", "version: 0.1")).await).contains("idempotencyToken"));
    assert!(
        fault(rig.call("StartBuild", start("u", "version: 0.2")).await)
            .starts_with("AccountLimitExceededException")
    );
    let missing = rig.call("BatchGetBuilds", json!({"ids": ["app:none"]})).await.unwrap();
    assert_eq!(missing["buildsNotFound"], json!(["app:none"]));
}
