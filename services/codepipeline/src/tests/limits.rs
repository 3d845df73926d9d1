//! AWS's quotas, each just kept and just passed.
use store::Key;

use super::*;
use crate::limits;
use crate::records::{Pipeline, Place};
use crate::triggers::webhooks::Webhook;

#[tokio::test]
async fn a_region_has_so_many_pipelines() {
    let b = Bench::new().await;
    let declared = pipeline(&[vec![source()], vec![approval()]]);
    b.ok("CreatePipeline", json!({"pipeline": declared})).await;
    let row = b.world.store.list::<Pipeline>(Key::all(), None, 1).await.unwrap().remove(0);
    let more = (2..limits::PIPELINES).fold(Batch::new(), |batch, number| {
        batch.create(&Place::row(ACCOUNT, REGION, &format!("more-{number}")), &row.value)
    });
    b.world.store.commit(more).await.unwrap();
    let named = |name: &str| json!({"pipeline": with(declared.clone(), json!({"name": name}))});
    b.ok("CreatePipeline", named("last")).await;
    let refused = b.refused("CreatePipeline", named("one-more")).await;
    let expected = "LimitExceededException: The account has 1000 pipelines in this Region, the most allowed";
    assert_eq!(refused, expected);
}

#[tokio::test]
async fn a_region_has_so_many_webhooks() {
    let b = Bench::with(World::new().await, Fakes::new(), |service, ops| service.webhooks().register(ops));
    b.ok("CreatePipeline", json!({"pipeline": pipeline(&[vec![source()], vec![approval()]])})).await;
    let hook = |name: &str| {
        json!({"webhook": {
            "name": name, "targetPipeline": "p", "targetAction": "Src", "filters": [{"jsonPath": "$.ref"}],
            "authentication": "UNAUTHENTICATED", "authenticationConfiguration": {},
        }})
    };
    b.ok("PutWebhook", hook("first")).await;
    let row = b.world.store.list::<Webhook>(Key::all(), None, 1).await.unwrap().remove(0);
    let more = (2..limits::WEBHOOKS).fold(Batch::new(), |batch, number| {
        batch.create(&Webhook::key(ACCOUNT, REGION, &format!("more-{number}")), &row.value)
    });
    b.world.store.commit(more).await.unwrap();
    b.ok("PutWebhook", hook("last")).await;
    let refused = b.refused("PutWebhook", hook("one-more")).await;
    let expected = "LimitExceededException: The account has 300 webhooks in this Region, and 300 are allowed";
    assert_eq!(refused, expected);
    // One that is there is changed all the same.
    b.ok("PutWebhook", hook("last")).await;
}

#[tokio::test]
async fn a_region_has_so_many_types() {
    let b = Bench::new().await;
    let of = |number: usize| {
        json!({
            "category": "Build", "provider": "Own", "version": number.to_string(),
            "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 1},
            "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 1},
        })
    };
    for number in 0..limits::ACTION_TYPES {
        b.ok("CreateCustomActionType", of(number)).await;
    }
    let refused = b.refused("CreateCustomActionType", of(limits::ACTION_TYPES)).await;
    assert!(refused.starts_with("LimitExceededException") && refused.contains("50"), "{refused}");
}

#[tokio::test]
async fn a_pipeline_has_so_many_tags() {
    let b = Bench::new().await;
    let tags = |count: usize| -> Value {
        (0..count).map(|number| json!({"key": format!("k{number}"), "value": "v"})).collect()
    };
    let declared = pipeline(&[vec![source()], vec![approval()]]);
    b.ok("CreatePipeline", json!({"pipeline": declared, "tags": tags(49)})).await;
    let arn = "arn:aws:codepipeline:us-east-1:000000000000:p";
    // Those that are there already count once.
    b.ok("TagResource", json!({"resourceArn": arn, "tags": tags(50)})).await;
    let one = json!({"resourceArn": arn, "tags": [{"key": "more", "value": "v"}]});
    let refused = b.refused("TagResource", one).await;
    assert_eq!(refused, "TooManyTagsException: A pipeline has at most 50 tags");
}

#[tokio::test]
async fn a_configuration_has_a_size_with_its_values() {
    // Each key has 71,000 bytes with its values: one fits, two do not.
    let long = "#{variables.V}".repeat(71);
    for (cache, fits) in [("no-cache", true), (long.as_str(), false)] {
        let b = Bench::new().await;
        let site =
            json!({"BucketName": "site", "Extract": "false", "ObjectKey": long, "CacheControl": cache});
        let site = action("Deploy", "S3", "Site", site);
        let site = with(site, json!({"inputArtifacts": [{"name": "SourceOutput"}]}));
        let variable = json!([{"name": "V", "defaultValue": "v".repeat(1000)}]);
        let declared = with(pipeline(&[vec![source()], vec![site]]), json!({"variables": variable}));
        b.ok("CreatePipeline", json!({"pipeline": declared})).await;
        let run = b.action(1, 0, if fits { "Succeeded" } else { "Failed" }).await;
        let error = json!({
            "code": "ConfigurationError",
            "message": "The configuration with its variables replaced exceeds 102400 bytes",
        });
        assert_eq!(run["errorDetails"], if fits { Value::Null } else { error });
    }
}
