//! Builds of a pipeline's own actions, which have no project: begun, and looked at.
use api::codebuild::*;
use api::internal::{GetActionBuild, StartActionBuild};
use kernel::{Access, Cx, Fault, Handle, PrincipalKind};
use serde_json::json;
use store::Batch;

use super::start::{Token, Wanted};
use super::{scope, validate};
use crate::CodeBuild;
use crate::error::Error;
use crate::records::{self, Artifact, BuildId, BuildRow, Pipeline};

/// The image of the builds: of the curated ones, the newest that Longshore has.
const IMAGE: &str = "aws/codebuild/standard:7.0";

impl Handle<StartActionBuild> for CodeBuild {
    /// None of its own: the caller is authorized in what the build does as the caller.
    async fn access(&self, _: &Cx, _: &StartActionBuild) -> Result<Vec<Access>, Fault> {
        Ok(Vec::new())
    }

    async fn handle(&self, cx: &Cx, input: StartActionBuild) -> Result<StartBuildOutput, Fault> {
        let PrincipalKind::Role { arn: role, .. } = &cx.caller.kind else {
            return Err(Fault::internal("the build of an action has no role to act as"));
        };
        let project = project(&input, role);
        validate::project(&project)?;
        let token = Token::lasting(scope(cx).text("StartActionBuild").text(&input.token));
        let wanted = Wanted {
            initiator: BuildId::action(&input.pipeline),
            pipeline: Some(Pipeline {
                inputs: input.inputs.into_iter().map(Artifact::from).collect(),
                revision: input.revision,
                outputs: input.outputs.into_iter().map(Artifact::from).collect(),
            }),
            action: Some(records::Action { through: input.through }),
            ..Wanted::default()
        };
        let begun = self.store.update(|| async {
            // The run of an action asks for the same build, however often it asks.
            let before = match self.recalled(Some(&token), "").await? {
                Ok(build) => return Ok((Batch::new(), build)),
                Err(before) => before,
            };
            let (batch, build) = self.begin(scope(cx), project.clone(), wanted.clone()).await?;
            Ok::<_, Error>((self.remembering(batch, Some(&token), before.as_ref(), "", &build), build))
        });
        Ok(StartBuildOutput { build: Some(begun.await?) })
    }
}

impl Handle<GetActionBuild> for CodeBuild {
    /// None: only services call it.
    async fn access(&self, _: &Cx, _: &GetActionBuild) -> Result<Vec<Access>, Fault> {
        Ok(Vec::new())
    }

    async fn handle(&self, cx: &Cx, input: GetActionBuild) -> Result<StartBuildOutput, Fault> {
        let Some(id) = BuildId::parse(&input.id).filter(BuildId::is_action) else {
            return Ok(StartBuildOutput { build: None });
        };
        let row = self.store.get::<BuildRow>(&id.key(scope(cx))).await?;
        Ok(StartBuildOutput { build: row.map(|row| row.value.build) })
    }
}

/// The project that the build would have.
fn project(input: &StartActionBuild, role: &str) -> Project {
    let variable = |(name, value): &(String, String)| EnvironmentVariable {
        name: name.clone(),
        value: value.clone(),
        r#type: None,
    };
    let logs = CloudWatchLogsConfig {
        status: "ENABLED".into(),
        group_name: Some(format!("/aws/codepipeline/{}", input.pipeline)),
        stream_name: None,
    };
    Project {
        name: Some(BuildId::action(&input.pipeline)),
        source: Some(ProjectSource {
            r#type: "CODEPIPELINE".into(),
            buildspec: Some(buildspec(input)),
            ..ProjectSource::default()
        }),
        artifacts: Some(ProjectArtifacts { r#type: "CODEPIPELINE".into(), ..ProjectArtifacts::default() }),
        environment: Some(ProjectEnvironment {
            r#type: "LINUX_CONTAINER".into(),
            image: IMAGE.into(),
            compute_type: input.compute_type.clone(),
            privileged_mode: Some(input.privileged),
            environment_variables: Some(input.variables.iter().map(variable).collect()),
            ..ProjectEnvironment::default()
        }),
        service_role: Some(role.to_owned()),
        timeout_in_minutes: Some(input.minutes),
        queued_timeout_in_minutes: Some(480),
        vpc_config: input.vpc.clone(),
        logs_config: Some(LogsConfig { cloud_watch_logs: Some(logs), ..LogsConfig::default() }),
        ..Project::default()
    }
}

/// A buildspec of the commands. JSON is YAML, and quotes what YAML would read otherwise.
fn buildspec(input: &StartActionBuild) -> String {
    let mut spec = json!({
        "version": "0.2",
        "env": { "exported-variables": input.exported },
        "phases": { "build": { "commands": input.commands } },
    });
    if !input.files.is_empty() {
        spec["artifacts"] = json!({ "files": input.files });
    }
    spec.to_string()
}
