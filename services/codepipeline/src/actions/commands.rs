//! Compute Commands: shell commands in a build of the action's own.
use api::codebuild::VpcConfig;
use api::codepipeline as cp;
use kernel::Fut;

use super::{Action, Failed, builds};
use crate::catalog::{ActionType, Carrier, Form, Property, Settings, optional};
use crate::engine::Output;
use crate::job::Job;

const COMPUTE: &[&str] = &["BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_MEDIUM", "BUILD_GENERAL1_LARGE"];

/// What it may be configured with.
pub const PROPERTIES: &[Property] = &[
    optional("EnvironmentType", Form::Only("LINUX_CONTAINER", "builds run in Linux containers")),
    optional("ComputeType", Form::OneOf(COMPUTE)),
    optional("VpcId", Form::Text),
    optional("Subnets", Form::Text),
    optional("SecurityGroupIds", Form::Text),
];

/// The type.
pub static TYPE: ActionType = ActionType {
    category: "Compute",
    provider: "Commands",
    inputs: 1..=10,
    outputs: 0..=1,
    timeout: 60,
    timeout_key: None,
    properties: PROPERTIES,
    check: in_vpc,
    carrier: Carrier::Provider(&Commands),
};

/// Whether it is an action of this type: it alone has the members that [`check`] looks at.
pub fn is(id: &cp::ActionTypeId) -> bool {
    (id.category.as_str(), id.provider.as_str()) == (TYPE.category, TYPE.provider)
}

/// The members that actions of other types do not have.
pub fn check(action: &cp::ActionDeclaration) -> Result<(), String> {
    let commands = action.commands.as_deref().unwrap_or_default();
    if commands.is_empty() {
        return Err("commands is missing: give at least one".into());
    }
    if let Some(command) = commands.iter().find(|command| command.contains(['\n', '\r'])) {
        let start: String = command.chars().take(40).collect();
        return Err(format!("commands: '{start}' has more than one line: give each line as a command"));
    }
    for variable in action.environment_variables.iter().flatten() {
        let name = &variable.name;
        match variable.r#type.as_deref() {
            None | Some("PLAINTEXT") => {}
            Some(kind) => {
                return Err(format!(
                    "environmentVariables: '{name}' has the type {kind}, which is not served yet: there is no Secrets Manager"
                ));
            }
        }
    }
    for output in action.output_artifacts.iter().flatten() {
        if output.files.as_ref().is_none_or(Vec::is_empty) {
            let name = &output.name;
            return Err(format!(
                "outputArtifacts: '{name}' has no files: they say what goes into the artifact"
            ));
        }
    }
    Ok(())
}

/// A VPC comes with its subnets and security groups, or not at all.
pub fn in_vpc(settings: &Settings<'_>) -> Result<(), String> {
    let given = |key: &str| settings.get(key).is_some_and(|value| !value.is_empty());
    let keys = ["VpcId", "Subnets", "SecurityGroupIds"];
    match keys.iter().find(|key| !given(key)) {
        Some(missing) if keys.iter().any(|key| given(key)) => {
            Err(format!("the configuration key '{missing}' is required beside the VPC's others"))
        }
        _ => Ok(()),
    }
}

struct Commands;

impl Action for Commands {
    fn run<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Output, Failed>> {
        Box::pin(run(job))
    }
}

/// Runs them, and waits for the end.
pub async fn run(job: &Job) -> Result<Output, Failed> {
    let files = job.declared.output_artifacts.iter().flatten().filter_map(|output| output.files.clone());
    let commands = builds::Commands {
        commands: job.commands.clone(),
        variables: job.environment.clone(),
        exported: job.declared.output_variables.clone().unwrap_or_default(),
        files: files.flatten().collect(),
        compute_type: job.get("ComputeType").filter(|value| !value.is_empty()).map(str::to_owned),
        privileged: false,
        vpc: vpc(job),
    };
    builds::run(job, commands).await
}

fn vpc(job: &Job) -> Option<VpcConfig> {
    let ids = |key: &str| {
        let text = job.get(key)?;
        Some(text.split(',').map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).collect())
    };
    Some(VpcConfig {
        vpc_id: Some(job.get("VpcId").filter(|id| !id.is_empty())?.to_owned()),
        subnets: ids("Subnets"),
        security_group_ids: ids("SecurityGroupIds"),
    })
}
