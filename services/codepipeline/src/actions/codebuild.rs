//! Build and Test CodeBuild: a build of a project.
use api::codebuild::{EnvironmentVariable, StartBuild};
use api::internal::StartPipelineBuild;
use kernel::Fut;
use serde::Deserialize;

use super::builds::{self, Whose, artifact};
use super::{Action, Failed};
use crate::catalog::{ActionType, Carrier, Form, Property, Settings, optional, required};
use crate::engine::Output;
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
    let events = job.listen();
    let id = match job.left().external_id.clone() {
        Some(id) => id,
        None => start(job).await?,
    };
    builds::ended(job, events, &id, Whose::Project).await
}

async fn start(job: &Job) -> Result<String, Failed> {
    let configured = |key: &str| job.get(key).filter(|value| !value.is_empty()).map(str::to_owned);
    let environment = configured("EnvironmentVariables").map(|text| variables(&text)).transpose();
    let environment = environment.map_err(|wrong| {
        Failed::new("ConfigurationError", format!("The configuration key 'EnvironmentVariables' {wrong}"))
    })?;
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
