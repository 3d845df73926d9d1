//! Build and Test CodeBuild: a build of a project, waited for by its events.
use std::collections::BTreeMap;

use api::codebuild::{BatchGetBuilds, Build, EnvironmentVariable, StartBuild};
use api::internal::{PipelineArtifact, StartPipelineBuild};
use kernel::Fut;
use serde::Deserialize;

use super::{Action, Failed};
use crate::catalog::{ActionType, Carrier, Form, Property, Settings, optional, required};
use crate::engine::{Artifact, Output, Progress};
use crate::job::Job;

/// What a build may be configured with.
pub const PROPERTIES: &[Property] = &[
    required("ProjectName", Form::Text),
    optional("PrimarySource", Form::Text),
    optional("BatchEnabled", Form::Only("false", "batch builds are not served yet")),
    optional("CombineArtifacts", Form::Only("false", "batch builds are not served yet")),
    optional("BuildspecOverride", Form::Text),
    optional("EnvironmentVariables", Form::Checked(environment)),
    optional("ServiceRoleArnOverride", Form::Text),
];

/// The type of builds.
pub static BUILD: ActionType = action("Build", 36 * 60);
/// The type of tests.
pub static TEST: ActionType = action("Test", 8 * 60);

const fn action(category: &'static str, timeout: i64) -> ActionType {
    ActionType {
        category,
        provider: "CodeBuild",
        inputs: 1..=5,
        outputs: 0..=5,
        timeout,
        timeout_key: None,
        properties: PROPERTIES,
        check: primary,
        carrier: Carrier::Provider(&CodeBuild),
    }
}

/// With several inputs, one of them is named as the primary.
pub fn primary(settings: &Settings<'_>) -> Result<(), String> {
    let inputs: Vec<&str> =
        settings.action.input_artifacts.iter().flatten().map(|input| input.name.as_str()).collect();
    match settings.get("PrimarySource") {
        None if inputs.len() > 1 => {
            Err("the configuration key 'PrimarySource' is required with more than one input artifact".into())
        }
        Some(primary) if !inputs.contains(&primary) => Err(format!(
            "configuration key 'PrimarySource': '{primary}' is not an input artifact of the action"
        )),
        _ => Ok(()),
    }
}

/// A variable as the action's configuration has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    value: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

fn environment(text: &str) -> Result<(), String> {
    variables(text).map(drop)
}

fn variables(text: &str) -> Result<Vec<EnvironmentVariable>, String> {
    let found: Vec<Variable> = serde_json::from_str(text).map_err(|error| {
        format!("must be a JSON array of {{\"name\", \"value\", \"type\"}} objects: {error}")
    })?;
    let variable = |v: Variable| match v.kind.as_deref() {
        None | Some("PLAINTEXT") => Ok(EnvironmentVariable { name: v.name, value: v.value, r#type: v.kind }),
        Some(kind @ ("PARAMETER_STORE" | "SECRETS_MANAGER")) => {
            Err(format!("gives variable '{}' the type {kind}, which is not served yet", v.name))
        }
        Some(kind) => Err(format!("gives variable '{}' the unknown type {kind}", v.name)),
    };
    found.into_iter().map(variable).collect()
}

struct CodeBuild;

impl Action for CodeBuild {
    fn run<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Output, Failed>> {
        Box::pin(run(job))
    }
}

/// Runs a build and waits for its end.
pub async fn run(job: &Job) -> Result<Output, Failed> {
    // Before the first look, so that no event falls between.
    let mut events = job.listen();
    let mut shown = job.left().clone();
    let id = match shown.external_id.clone() {
        Some(id) => id,
        None => start(job).await?,
    };
    loop {
        let found = job.cx.call(BatchGetBuilds { ids: vec![id.clone()] }).await?;
        let build = found.builds.and_then(|builds| builds.into_iter().next());
        let gone =
            || Failed::new("JobFailed", format!("The build {id} was deleted while the action waited for it"));
        let build = build.ok_or_else(gone)?;
        let now = showing(&id, &build);
        if build.build_status.as_deref() != Some("IN_PROGRESS") {
            return ended(job, build, now);
        }
        if now != shown {
            job.progress(now.clone()).await?;
            shown = now;
        }
        events
            .next(|event| event.source == "aws.codebuild" && concerns(&event.detail["build-id"], &id))
            .await;
    }
}

/// The event names the build by its ARN.
fn concerns(build: &serde_json::Value, id: &str) -> bool {
    build.as_str().is_some_and(|arn| arn == id || arn.ends_with(&format!("/{id}")))
}

async fn start(job: &Job) -> Result<String, Failed> {
    let configured = |key: &str| job.get(key).filter(|value| !value.is_empty()).map(str::to_owned);
    let environment = configured("EnvironmentVariables").map(|text| variables(&text)).transpose();
    let environment = environment.map_err(|wrong| {
        Failed::new("ConfigurationError", format!("The configuration key 'EnvironmentVariables' {wrong}"))
    })?;
    let artifact =
        |(name, Artifact { bucket, key }): (String, Artifact)| PipelineArtifact { name, bucket, key };
    let mut inputs = job.inputs.clone();
    // A stable sort: the primary first, the others as declared.
    inputs.sort_by_key(|(name, _)| job.get("PrimarySource").is_some_and(|primary| primary != name));
    let revision = inputs.first().and_then(|(name, _)| job.revision_of(name)).map(str::to_owned);
    let build = StartBuild {
        project_name: job.need("ProjectName")?.into(),
        idempotency_token: Some(job.id().into()),
        environment_variables_override: environment,
        buildspec_override: configured("BuildspecOverride"),
        service_role_override: configured("ServiceRoleArnOverride"),
        ..StartBuild::default()
    };
    let asked = StartPipelineBuild {
        build,
        pipeline: job.pipeline().into(),
        inputs: inputs.into_iter().map(artifact).collect(),
        revision,
        outputs: job.outputs.iter().cloned().map(artifact).collect(),
    };
    let started = job.cx.call(asked).await?.build.and_then(|build| build.id);
    started.ok_or_else(|| Failed::new("JobFailed", "CodeBuild answered without a build"))
}

fn showing(id: &str, build: &Build) -> Progress {
    let logs = build.logs.as_ref();
    Progress {
        external_id: Some(id.into()),
        external_url: logs.and_then(|logs| logs.deep_link.clone()),
        log_stream: logs.and_then(|logs| logs.cloud_watch_logs_arn.clone()),
        ..Progress::default()
    }
}

fn ended(job: &Job, build: Build, progress: Progress) -> Result<Output, Failed> {
    let status = build.build_status.clone().unwrap_or_default();
    if status != "SUCCEEDED" {
        return Err(Failed::new("JobFailed", reason(&status, &build)).showing(progress));
    }
    let exported = build.exported_environment_variables.unwrap_or_default();
    let variables: BTreeMap<String, String> =
        exported.into_iter().filter_map(|v| Some((v.name?, v.value.unwrap_or_default()))).collect();
    Ok(Output { progress, artifacts: job.outputs.iter().cloned().collect(), variables, revision: None })
}

/// The build's own reason: that of the phase in which it failed.
fn reason(status: &str, build: &Build) -> String {
    let mut text = format!("Build terminated with state: {status}");
    let unbroken = |status: Option<&str>| matches!(status, None | Some("SUCCEEDED" | "IN_PROGRESS"));
    let failed = build.phases.iter().flatten().find(|phase| !unbroken(phase.phase_status.as_deref()));
    if let Some(phase) = failed {
        text += &format!(". Phase: {}", phase.phase_type.as_deref().unwrap_or_default());
        if let Some(context) = phase.contexts.iter().flatten().next() {
            let code = context.status_code.as_deref().unwrap_or_default();
            let message = context.message.as_deref().unwrap_or_default();
            text += &format!(", Code: {code}, Message: {message}");
        }
    }
    text
}
