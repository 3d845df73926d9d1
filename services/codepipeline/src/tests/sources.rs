//! What starts an execution, what it takes, and where it goes.
use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn a_push_starts_what_watches_it_once() {
    let b = Bench::new().await;
    b.fakes.memory().builds_end = Some("SUCCEEDED");
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![build()]])})).await;
    b.newest("Succeeded").await;
    b.push("c0ffee2").await;
    let pushed = b.until("ListPipelineExecutions", json!({"pipelineName": "p"}), |l| {
        let newest = &l["pipelineExecutionSummaries"][0];
        newest["status"] == "Succeeded" && newest["sourceRevisions"][0]["revisionId"] == "c0ffee2"
    });
    let pushed = pushed.await;
    let trigger = json!({"triggerType": "PollForSourceChanges", "triggerDetail": "Src"});
    assert_eq!(pushed["pipelineExecutionSummaries"][0]["trigger"], trigger);

    // With polling off and no rule nothing starts; the next thing that does is not the push.
    let quiet = with(
        source(),
        json!({"configuration": {
        "RepositoryName": "repo", "BranchName": "main", "PollForSourceChanges": "false"}}),
    );
    b.ok("UpdatePipeline", json!({"pipeline": pipeline(&[vec![quiet], vec![build()]])})).await;
    b.push("c0ffee3").await;
    let mut cx = b.world.cx();
    cx.context.insert("aws:SourceArn", "arn:aws:events:us-east-1:000000000000:rule/r".into());
    let start = b.world.call_as(&cx, "codepipeline.StartPipelineExecution", json!({"name": "p"}));
    let started = start.await.unwrap()["pipelineExecutionId"].clone();
    let list = b.newest("Succeeded").await;
    assert_eq!(list["pipelineExecutionId"], started);
    assert_eq!(list["trigger"]["triggerType"], "CloudWatchEvent");
    let all = b.ok("ListPipelineExecutions", json!({"pipelineName": "p"})).await;
    assert_eq!(all["pipelineExecutionSummaries"].as_array().unwrap().len(), 3);
}

/// A connection's branch moved to a commit.
fn moved(commit: &str) -> Value {
    json!({
        "connection": "c", "repository": "me/app", "referenceType": "branch", "referenceName": "main",
        "commitId": commit,
    })
}

/// The revisions of all executions of `p`, newest first, once the newest waits for its approval with this one.
async fn taken(b: &Bench, newest: &str) -> Vec<Value> {
    let list = b.until("ListPipelineExecutions", json!({"pipelineName": "p"}), |l| {
        l["pipelineExecutionSummaries"][0]["sourceRevisions"][0]["revisionId"] == *newest
    });
    let list = list.await;
    let executions = list["pipelineExecutionSummaries"].as_array().unwrap();
    executions.iter().map(|execution| execution["sourceRevisions"][0]["revisionId"].clone()).collect()
}

#[tokio::test]
async fn a_change_heard_again_after_an_update_holds_up_nothing() {
    let b = Bench::new().await;
    let hear = async |id: &str, commit: &str| {
        b.publish_as(id.into(), "longshore.codeconnections", "Repository Change", moved(commit)).await;
    };
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![connected("Src")], vec![approval()]])})).await;
    taken(&b, "c0ffee1").await;
    hear("e1", "beef1").await;
    taken(&b, "beef1").await;
    b.ok("UpdatePipeline", json!({"pipeline": pipeline(&[vec![connected("Renamed")], vec![approval()]])}))
        .await;
    // Under its token another wish is made now; what comes behind it is heard all the same.
    hear("e1", "beef1").await;
    hear("e2", "beef2").await;
    assert_eq!(taken(&b, "beef2").await, ["beef2", "beef1", "c0ffee1"]);
}

#[tokio::test]
async fn a_token_is_known_whatever_has_changed_since() {
    let b = Bench::new().await;
    let who = |variables: Value| {
        with(pipeline(&[vec![source()], vec![approval()]]), json!({"variables": variables}))
    };
    b.ok("CreatePipeline", json!({"pipeline": who(json!([{"name": "Who"}]))})).await;
    let start = json!({
        "name": "p", "clientRequestToken": "t", "variables": [{"name": "Who", "value": "me"}],
        "sourceRevisions": [{"actionName": "Src", "revisionType": "COMMIT_ID", "revisionValue": "beef"}],
    });
    let first = b.ok("StartPipelineExecution", start.clone()).await;
    let renamed = with(source(), json!({"name": "Renamed"}));
    b.ok("UpdatePipeline", json!({"pipeline": pipeline(&[vec![renamed], vec![approval()]])})).await;
    assert_eq!(b.ok("StartPipelineExecution", start.clone()).await, first);
    // What is new has to fit what the pipeline is now.
    let other = with(start, json!({"clientRequestToken": "u"}));
    let refused = b.refused("StartPipelineExecution", other).await;
    assert_eq!(refused, "ValidationException: The pipeline declares no variable named 'Who'");
}

#[tokio::test]
async fn a_pull_request_runs_the_commit_of_its_own_branch() {
    let b = Bench::new().await;
    let filter = json!({"sourceActionName": "Src", "pullRequest": [
        {"events": ["OPEN", "UPDATED"], "branches": {"includes": ["main"]}}]});
    let triggers = json!([{"providerType": "CodeStarSourceConnection", "gitConfiguration": filter}]);
    let declared = pipeline(&[vec![connected("Src")], vec![approval()]]);
    b.ok("CreatePipeline", json!({"pipeline": with(declared, json!({"triggers": triggers}))})).await;
    taken(&b, "c0ffee1").await;
    let request = |event: &str, target: &str, commit: &str| {
        json!({
            "connection": "c", "repository": "me/app", "referenceType": "pullRequest",
            "referenceName": target, "event": event, "sourceBranch": "feature", "number": "7", "commitId": commit,
        })
    };
    let changes = [
        ("CLOSED", "main", "dead1"),
        ("OPEN", "other", "dead2"),
        ("OPEN", "main", "beef1"),
        ("UPDATED", "main", "beef2"),
    ];
    for (event, target, commit) in changes {
        b.publish("longshore.codeconnections", "Repository Change", request(event, target, commit)).await;
    }
    assert_eq!(taken(&b, "beef2").await, ["beef2", "beef1", "c0ffee1"]);
    let list = b.ok("ListPipelineExecutions", json!({"pipelineName": "p"})).await;
    let trigger = &list["pipelineExecutionSummaries"][0]["trigger"];
    assert_eq!(trigger["triggerType"], "WebhookV2");
    let detail: Value = serde_json::from_str(trigger["triggerDetail"].as_str().unwrap()).unwrap();
    let told = (&detail["branchName"], &detail["targetBranchName"], &detail["pullRequestEvent"]);
    assert_eq!(told, (&json!("feature"), &json!("main"), &json!("UPDATED")));
    let newest = b.newest("InProgress").await["pipelineExecutionId"].clone();
    let runs = json!({"pipelineName": "p", "filter": {"pipelineExecutionId": newest}});
    let runs = b.until("ListActionExecutions", runs, |l| {
        l["actionExecutionDetails"].as_array().unwrap().last().is_some_and(|run| run["status"] == "Succeeded")
    });
    let source = runs.await["actionExecutionDetails"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(source["output"]["outputVariables"]["BranchName"], "feature");
}

#[tokio::test]
async fn variables_have_values_and_sources_take_what_they_are_told() {
    let b = Bench::new().await;
    let look = with(
        approval(),
        json!({"configuration": {"CustomData": "#{variables.Who} #{codepipeline.PipelineExecutionId}"}}),
    );
    let declared = with(pipeline(&[vec![source()], vec![look]]), json!({"variables": [{"name": "Who"}]}));
    let created = b.ok("CreatePipeline", json!({"pipeline": declared})).await;
    assert_eq!(created["pipeline"]["pipelineType"], "V2");
    // A variable without a default has no value in a first execution: there is none.
    let list = b.ok("ListPipelineExecutions", json!({"pipelineName": "p"})).await;
    assert_eq!(list["pipelineExecutionSummaries"], json!([]));
    let refused = b.refused("StartPipelineExecution", json!({"name": "p"})).await;
    assert_eq!(refused, "ValidationException: The variable 'Who' has no default value: give it in variables");
    let start = json!({
        "name": "p", "variables": [{"name": "Who", "value": "me"}],
        "sourceRevisions": [{"actionName": "Src", "revisionType": "COMMIT_ID", "revisionValue": "beef"}],
    });
    let id = b.ok("StartPipelineExecution", start).await["pipelineExecutionId"].as_str().unwrap().to_owned();
    b.action(1, 0, "InProgress").await;
    let runs = b.ok("ListActionExecutions", json!({"pipelineName": "p"})).await;
    let run = &runs["actionExecutionDetails"][0];
    assert_eq!(run["input"]["resolvedConfiguration"]["CustomData"], format!("me {id}"));
    let got = b.ok("GetPipelineExecution", json!({"pipelineName": "p", "pipelineExecutionId": id})).await;
    assert_eq!(got["pipelineExecution"]["variables"], json!([{"name": "Who", "resolvedValue": "me"}]));
    assert_eq!(got["pipelineExecution"]["artifactRevisions"][0]["revisionId"], "beef");
    let wrong = json!({
        "name": "p", "variables": [{"name": "Who", "value": "me"}],
        "sourceRevisions": [{"actionName": "Src", "revisionType": "IMAGE_DIGEST", "revisionValue": "beef"}],
    });
    assert!(b.refused("StartPipelineExecution", wrong).await.starts_with("ValidationException"));
    let twice = json!([{"name": "Who", "value": "me"}, {"name": "Who", "value": "you"}]);
    let refused = b.refused("StartPipelineExecution", json!({"name": "p", "variables": twice})).await;
    assert_eq!(refused, "ValidationException: variables: 'Who' is given more than once");
    let commit = json!({"actionName": "Src", "revisionType": "COMMIT_ID", "revisionValue": "beef"});
    let twice = json!({
        "name": "p", "variables": [{"name": "Who", "value": "me"}], "sourceRevisions": [commit.clone(), commit],
    });
    let refused = b.refused("StartPipelineExecution", twice).await;
    assert_eq!(
        refused,
        "ValidationException: sourceRevisions: action 'Src' is given COMMIT_ID more than once"
    );
}

#[tokio::test]
async fn objects_and_images_are_released() {
    let b = Bench::new().await;
    b.fakes
        .memory()
        .objects
        .insert("sources/app.zip".into(), fakes::zip(&[("index.html", "<p>"), ("css/a.css", "p{}")]));
    let source = action("Source", "S3", "Src", json!({"S3Bucket": "sources", "S3ObjectKey": "app.zip"}));
    let source = with(source, json!({"outputArtifacts": [{"name": "App"}], "namespace": "s3"}));
    let image = with(
        action("Source", "ECR", "Img", json!({"RepositoryName": "app"})),
        json!({"outputArtifacts": [{"name": "Image"}]}),
    );
    let site = json!({"BucketName": "site", "Extract": "true", "ObjectKey": "v-#{s3.VersionId}/", "CacheControl": "no-cache"});
    let site = with(action("Deploy", "S3", "Site", site), json!({"inputArtifacts": [{"name": "App"}]}));
    let whole = json!({"BucketName": "site", "Extract": "false", "ObjectKey": "img-{datetime}.zip"});
    let whole = with(action("Deploy", "S3", "Whole", whole), json!({"inputArtifacts": [{"name": "Image"}]}));
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source, image], vec![site, whole]])})).await;
    b.newest("Succeeded").await;
    let memory = b.fakes.memory();
    assert_eq!(memory.objects["site/v-v7/index.html"], "<p>");
    let headers = &memory.headers["site/v-v7/css/a.css"];
    assert_eq!(
        (headers["content-type"].as_str(), headers["cache-control"].as_str()),
        ("text/css", "no-cache")
    );
    let detail = &memory.objects["site/img-2026-01-01_00-00-00.zip"];
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, detail).unwrap();
    let mut detail = zip::ZipArchive::new(file).unwrap();
    let detail: Value = serde_json::from_reader(detail.by_name("imageDetail.json").unwrap()).unwrap();
    assert_eq!(detail["ImageURI"], "000000000000.dkr.ecr.us-east-1.amazonaws.com/app@sha256:abc");
    assert_eq!(detail["ImageTags"], json!(["latest"]));
}

#[tokio::test]
async fn an_archive_that_leaves_its_folder_deploys_nothing() {
    let b = Bench::new().await;
    b.fakes.memory().objects.insert("sources/app.zip".into(), fakes::zip(&[("ok", "1"), ("../evil", "2")]));
    let source = action("Source", "S3", "Src", json!({"S3Bucket": "sources", "S3ObjectKey": "app.zip"}));
    let source = with(source, json!({"outputArtifacts": [{"name": "App"}]}));
    let site = action("Deploy", "S3", "Site", json!({"BucketName": "site", "Extract": "true"}));
    let site = with(site, json!({"inputArtifacts": [{"name": "App"}]}));
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source], vec![site]])})).await;
    let run = b.action(1, 0, "Failed").await;
    let message = run["errorDetails"]["message"].as_str().unwrap();
    assert!(message.contains("'../evil', which is not a path inside of it"), "{message}");
    assert!(!b.fakes.memory().objects.keys().any(|key| key.starts_with("site/")));
}

#[tokio::test]
async fn objects_and_images_are_taken_as_the_start_tells() {
    let b = Bench::new().await;
    for key in ["sources/app.zip", "sources/other.zip"] {
        b.fakes.memory().objects.insert(key.into(), fakes::zip(&[("name", key)]));
    }
    let object = |name: &str, allow: &str| {
        let configuration =
            json!({"S3Bucket": "sources", "S3ObjectKey": "app.zip", "AllowOverrideForS3ObjectKey": allow});
        with(action("Source", "S3", name, configuration), json!({"outputArtifacts": [{"name": name}]}))
    };
    let image = action("Source", "ECR", "Img", json!({"RepositoryName": "app"}));
    let image = with(image, json!({"outputArtifacts": [{"name": "Img"}]}));
    let site = json!({"BucketName": "site", "Extract": "false", "ObjectKey": "app-{uuid}.zip"});
    let site = with(action("Deploy", "S3", "Site", site), json!({"inputArtifacts": [{"name": "Free"}]}));
    let sources = vec![object("Free", "true"), object("Fixed", "false"), image];
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[sources, vec![site]])})).await;
    b.newest("Succeeded").await;
    let start = |revisions: &[(&str, &str, &str)]| {
        let revision = |(action, kind, value): &(&str, &str, &str)| json!({"actionName": action, "revisionType": kind, "revisionValue": value});
        json!({"name": "p", "sourceRevisions": revisions.iter().map(revision).collect::<Vec<_>>()})
    };
    let refused =
        b.refused("StartPipelineExecution", start(&[("Fixed", "S3_OBJECT_KEY", "other.zip")])).await;
    let expected = "ValidationException: sourceRevisions: action 'Fixed' does not allow S3_OBJECT_KEY; \
                    set AllowOverrideForS3ObjectKey to true";
    assert_eq!(refused, expected);
    let digest = format!("sha256:{}", "e".repeat(64));
    let told = start(&[
        ("Free", "S3_OBJECT_KEY", "other.zip"),
        ("Free", "S3_OBJECT_VERSION_ID", "v3"),
        ("Fixed", "S3_OBJECT_VERSION_ID", "v4"),
        ("Img", "IMAGE_DIGEST", &digest),
    ]);
    let id = b.ok("StartPipelineExecution", told).await["pipelineExecutionId"].clone();
    let done = b.newest("Succeeded").await;
    assert_eq!(done["pipelineExecutionId"], id);
    let revisions = done["sourceRevisions"].as_array().unwrap();
    let of =
        |action: &str| revisions.iter().find(|r| r["actionName"] == action).unwrap()["revisionId"].clone();
    assert_eq!((of("Free"), of("Fixed"), of("Img")), (json!("v3"), json!("v4"), json!(digest)));
    // What stands for chance in the key is the run's own id: no two runs write the same object.
    let run = b.action(1, 0, "Succeeded").await["actionExecutionId"].clone();
    let memory = b.fakes.memory();
    let deployed = &memory.objects[&format!("site/app-{}.zip", run.as_str().unwrap())];
    assert_eq!(*deployed, memory.objects["sources/other.zip"]);
    assert_eq!(memory.objects.keys().filter(|key| key.starts_with("site/app-")).count(), 2);
}
