//! CodeBuild projects as targets.
use api::codebuild::StartBuildOutput;
use api::internal::StartTargetBuild;

use super::*;

const PROJECT: &str = "arn:aws:codebuild:us-east-1:000000000000:project/web";

impl Handle<StartTargetBuild> for Told {
    async fn access(&self, _: &Cx, input: &StartTargetBuild) -> Result<Vec<Access>, Fault> {
        let project =
            format!("arn:aws:codebuild:us-east-1:000000000000:project/{}", input.build.project_name);
        Ok(vec![Access::new("codebuild:StartBuild", project)])
    }

    async fn handle(&self, cx: &Cx, input: StartTargetBuild) -> Result<StartBuildOutput, Fault> {
        let PrincipalKind::Role { arn, .. } = &cx.caller.kind else {
            panic!("a build is started under its role");
        };
        let version = input.build.source_version.unwrap_or_default();
        self.tell(format!("build {} {version} as {arn} {}", input.build.project_name, input.token))?;
        Ok(StartBuildOutput::default())
    }
}

fn project() -> Value {
    let template =
        json!({"InputPathsMap": {"go": "$.detail.go"}, "InputTemplate": r#"{"sourceVersion": <go>}"#});
    json!({"Id": "1", "Arn": PROJECT, "RoleArn": ROLE, "InputTransformer": template,
        "DeadLetterConfig": {"Arn": GROUP}})
}

#[tokio::test]
async fn a_build_is_started_under_the_targets_role_as_its_input_says() {
    let scene = Scene::new().await;
    scene.rule(json!([project()])).await;
    scene.publish("e1", json!({"go": "v1"})).await;
    scene.told.fail(Some(Fault::internal("down")));
    scene.work().await.unwrap();
    scene.told.fail(None);
    scene.pass(1).await;
    let calls = scene.told.calls();
    assert_eq!((calls.len(), scene.waiting().await), (2, 0), "{calls:?}");
    assert!(calls[0].starts_with(&format!("build web v1 as {ROLE} ")), "{calls:?}");
    assert_eq!(calls[0], calls[1], "its token makes both tries one build");
    let asked = scene.world.authority.asked();
    assert!(asked.contains(&("codebuild:StartBuild".into(), PROJECT.into())), "{asked:?}");
}

#[tokio::test]
async fn a_role_without_start_build_starts_none() {
    for denied in ["codebuild:StartBuild", "sts:AssumeRole"] {
        let scene = Scene::new().await;
        scene.rule(json!([project()])).await;
        scene.world.authority.deny(denied);
        scene.publish("e1", json!({"go": "v1"})).await;
        scene.work().await.unwrap();
        scene.work().await.unwrap();
        let calls = scene.told.calls();
        assert_eq!((calls.len(), scene.waiting().await), (1, 0), "the letter alone: {calls:?}");
        let letter: Value =
            serde_json::from_str(calls[0].strip_prefix("log /aws/events/all ").unwrap()).unwrap();
        assert_eq!(
            (&letter["ERROR_CODE"], &letter["EXHAUSTED_RETRY_CONDITION"], &letter["TARGET_ARN"]),
            (&json!("AccessDeniedException"), &json!("NoRetry"), &json!(PROJECT))
        );
    }
}
