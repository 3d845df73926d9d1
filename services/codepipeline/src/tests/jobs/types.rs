//! Types of custom actions: made, listed, deleted, and what is refused of them.
use super::*;

#[tokio::test]
async fn types_are_made_listed_and_deleted() {
    let b = bench().await;
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut asked = jenkins();
        asked["version"] = json!("2");
        edit(&mut asked);
        asked
    };
    for (edit, expected) in [
        (edited(&|t| t["version"] = json!("1")), "exists already"),
        (edited(&|t| t["configurationProperties"][1]["queryable"] = json!(true)), "one may be"),
        (edited(&|t| t["configurationProperties"][0]["required"] = json!(false)), "must be required"),
        (edited(&|t| t["configurationProperties"][0]["name"] = json!("Token")), "declared twice"),
        (edited(&|t| t["inputArtifactDetails"]["maximumCount"] = json!(6)), "inputArtifactDetails"),
        (
            edited(&|t| t["settings"]["entityUrlTemplate"] = json!("https://ci/{Config:Token}")),
            "Config:Token",
        ),
        (edited(&|t| t["category"] = json!("Source")), "takes no input artifacts"),
        (edited(&|t| t["tags"] = json!([{"key": "aws:x", "value": "1"}])), "reserved"),
    ] {
        let refused = b.refused("CreateCustomActionType", edit).await;
        assert!(refused.contains(expected), "{refused}");
    }
    let tagged = edited(&|t| t["tags"] = json!([{"key": "team", "value": "a"}]));
    b.ok("CreateCustomActionType", tagged).await;
    let arn = "arn:aws:codepipeline:us-east-1:000000000000:actiontype:Custom/Build/Jenkins/2";
    b.ok("TagResource", json!({"resourceArn": arn, "tags": [{"key": "b", "value": "2"}]})).await;
    b.ok("UntagResource", json!({"resourceArn": arn, "tagKeys": ["team"]})).await;
    let tags = b.ok("ListTagsForResource", json!({"resourceArn": arn})).await;
    assert_eq!(tags["tags"], json!([{"key": "b", "value": "2"}]));
    let list = async |filter: Value| {
        let types = b.ok("ListActionTypes", filter).await["actionTypes"].as_array().unwrap().clone();
        types.iter().map(|t| format!("{} {}", t["id"]["provider"], t["id"]["version"])).collect::<Vec<_>>()
    };
    let own = json!({"actionOwnerFilter": "Custom"});
    assert_eq!(list(own.clone()).await, [r#""Jenkins" "1""#, r#""Jenkins" "2""#]);
    assert!(list(json!({})).await.len() > 8);
    assert!(list(json!({"regionFilter": "eu-west-1"})).await.is_empty());

    b.ok("CreatePipeline", declared()).await;
    let this = json!({"category": "Build", "provider": "Jenkins", "version": "1"});
    b.ok("DeleteCustomActionType", this.clone()).await;
    b.ok("DeleteCustomActionType", this).await;
    assert_eq!(list(own).await, [r#""Jenkins" "2""#]);
    // What has it goes on, with its secret, and may be updated; nothing new may have it.
    let mut update = b.ok("GetPipeline", json!({"name": "p"})).await;
    update.as_object_mut().unwrap().remove("metadata");
    b.ok("UpdatePipeline", update.clone()).await;
    b.ok("StartPipelineExecution", json!({"name": "p"})).await;
    let job = taken(&b).await;
    assert_eq!(job["data"]["actionConfiguration"]["configuration"]["Token"], "hush-it-up");
    let mut another = declared();
    another["pipeline"]["name"] = json!("q");
    let refused = b.refused("CreatePipeline", another).await;
    assert!(refused.starts_with("InvalidActionDeclarationException"), "{refused}");
    // The version stands for this definition and no other.
    let other = edited(&|t| {
        t["version"] = json!("1");
        t["settings"] = json!({});
    });
    assert!(b.refused("CreateCustomActionType", other).await.contains("another definition"));
    b.ok("CreateCustomActionType", jenkins()).await;
}

#[tokio::test]
async fn bad_polls_and_configurations_are_refused() {
    let b = bench().await;
    let polled = |edit: &dyn Fn(&mut Value)| {
        let mut asked = poll("app");
        edit(&mut asked);
        asked
    };
    for (asked, expected) in [
        (polled(&|p| p["actionTypeId"]["owner"] = json!("AWS")), "ActionTypeNotFoundException"),
        (polled(&|p| p["actionTypeId"]["version"] = json!("9")), "ActionTypeNotFoundException"),
        (polled(&|p| p["queryParam"] = json!({})), "ValidationException: queryParam must have 'ProjectName'"),
        (polled(&|p| p["queryParam"] = json!({"X": "y"})), "ValidationException: queryParam must have"),
        (polled(&|p| p["queryParam"] = json!({"ProjectName": "a b"})), "ValidationException"),
    ] {
        let refused = b.refused("PollForJobs", asked).await;
        assert!(refused.starts_with(expected), "{refused}");
    }
    for (key, value, expected) in [
        ("Other", json!("x"), "is not one of Jenkins"),
        ("ProjectName", json!("not this"), "is queryable"),
        ("Token", json!("#{src.CommitId}"), "take no variables"),
        ("Token", json!("longshore-sealed:{}"), "reserved"),
    ] {
        let mut asked = declared();
        asked["pipeline"]["stages"][1]["actions"][0]["configuration"][key] = value;
        let refused = b.refused("CreatePipeline", asked).await;
        assert!(refused.starts_with("InvalidActionDeclarationException"), "{refused}");
        assert!(refused.contains(expected), "{refused}");
    }
}
