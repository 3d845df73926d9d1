//! Builds that actions wait for, woken by their events: of a project, or of commands that an action brings.
use std::collections::BTreeMap;

use api::codebuild::{BatchGetBuilds, Build};
use api::internal::{GetActionBuild, PipelineArtifact, StartActionBuild};

use super::Failed;
use crate::engine::{Artifact, Output, Progress};
use crate::hub::Listener;
use crate::job::Job;

/// Minutes after which a build of an action's own commands times out, as on AWS.
const MINUTES: i32 = 55;
/// Minutes that a build may take at most: CodeBuild's.
const LONGEST: i32 = 36 * 60;

/// Whose build it is.
#[derive(Clone, Copy, Debug)]
pub enum Whose {
    /// A project's: the role may look at it.
    Project,
    /// The action's own.
    Action,
}

/// What an action's own build runs.
#[derive(Debug, Default)]
pub struct Commands {
    pub commands: Vec<String>,
    pub variables: Vec<(String, String)>,
    pub exported: Vec<String>,
    pub files: Vec<String>,
    pub compute_type: Option<String>,
    pub privileged: bool,
    pub vpc: Option<api::codebuild::VpcConfig>,
}

/// Runs commands in a build of the action's own, under its role, and waits for the end.
pub async fn run(job: &Job, commands: Commands) -> Result<Output, Failed> {
    let events = job.listen();
    let id = match job.left().external_id.clone() {
        Some(id) => id,
        None => start(job, commands).await?,
    };
    ended(job, events, &id, Whose::Action).await
}

async fn start(job: &Job, commands: Commands) -> Result<String, Failed> {
    let Commands { commands, variables, exported, files, compute_type, privileged, vpc } = commands;
    let build = StartActionBuild {
        token: job.id().into(),
        pipeline: job.pipeline().into(),
        through: job.through().map(str::to_owned),
        commands,
        variables,
        exported,
        files,
        compute_type: compute_type.unwrap_or_else(|| "BUILD_GENERAL1_SMALL".into()),
        privileged,
        vpc,
        minutes: minutes(job),
        inputs: job.inputs.iter().cloned().map(artifact).collect(),
        revision: job.inputs.first().and_then(|(name, _)| job.revision_of(name)).map(str::to_owned),
        outputs: job.outputs.iter().cloned().map(artifact).collect(),
    };
    let started = job.cx.call(build).await?.build.and_then(|build| build.id);
    started.ok_or_else(|| Failed::new("JobFailed", "CodeBuild answered without a build"))
}

/// A rule says how long it may take; nobody waits for its build after that, so that the build ends as well.
fn minutes(job: &Job) -> i32 {
    let rule = job.order.rule().and_then(|rule| rule.timeout_in_minutes);
    rule.map_or(MINUTES, |minutes| minutes.min(LONGEST))
}

/// An artifact as builds are told of it.
pub fn artifact((name, Artifact { bucket, key }): (String, Artifact)) -> PipelineArtifact {
    PipelineArtifact { name, bucket, key }
}

/// Waits for the end of a build. `events` began before it was started or first looked at.
pub async fn ended(job: &Job, mut events: Listener, id: &str, whose: Whose) -> Result<Output, Failed> {
    let mut shown = job.left().clone();
    loop {
        let gone =
            || Failed::new("JobFailed", format!("The build {id} was deleted while the action waited for it"));
        let build = look(job, id, whose).await?.ok_or_else(gone)?;
        let now = showing(id, &build);
        if build.build_status.as_deref() != Some("IN_PROGRESS") {
            return outcome(job, build, now);
        }
        if now != shown {
            job.progress(now.clone()).await?;
            shown = now;
        }
        let ours = |source: &str| matches!(source, "aws.codebuild" | "longshore.codebuild");
        events.next(|event| ours(&event.source) && concerns(&event.detail["build-id"], id)).await;
    }
}

async fn look(job: &Job, id: &str, whose: Whose) -> Result<Option<Build>, Failed> {
    Ok(match whose {
        Whose::Project => {
            let found = job.cx.call(BatchGetBuilds { ids: vec![id.to_owned()] }).await?;
            found.builds.and_then(|builds| builds.into_iter().next())
        }
        Whose::Action => job.cx.call(GetActionBuild { id: id.to_owned() }).await?.build,
    })
}

/// The event names the build by its ARN.
fn concerns(build: &serde_json::Value, id: &str) -> bool {
    build.as_str().is_some_and(|arn| arn == id || arn.ends_with(&format!("/{id}")))
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

fn outcome(job: &Job, build: Build, progress: Progress) -> Result<Output, Failed> {
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
