//! Builds begin: asked for, for a pipeline, again.
use api::codebuild::*;
use api::internal::{StartPipelineBuild, StartTargetBuild};
use kernel::{Access, Cx, Fault, Handle, PrincipalKind, Timestamp, ids, json};
use store::{Batch, Key, Remembered, Row};

use super::{on_project, on_projects, scope, validate};
use crate::error::Error;
use crate::events;
use crate::records::{Action, Artifact, BuildId, BuildRow, Counter, Pipeline, Run};
use crate::{CodeBuild, limits, phases};

impl Handle<StartBuild> for CodeBuild {
    async fn access(&self, cx: &Cx, input: &StartBuild) -> Result<Vec<Access>, Fault> {
        Ok(to_start(cx, input))
    }

    async fn handle(&self, cx: &Cx, mut input: StartBuild) -> Result<StartBuildOutput, Fault> {
        let token = input.idempotency_token.take();
        let token = token.map(|token| Token::brief(scope(cx).text("StartBuild").text(token)));
        let build = self.start(cx, input, initiator(cx), None, token).await?;
        Ok(StartBuildOutput { build: Some(build) })
    }
}

impl Handle<StartTargetBuild> for CodeBuild {
    async fn access(&self, cx: &Cx, input: &StartTargetBuild) -> Result<Vec<Access>, Fault> {
        Ok(to_start(cx, &input.build))
    }

    async fn handle(&self, cx: &Cx, input: StartTargetBuild) -> Result<StartBuildOutput, Fault> {
        let token = Token::lasting(scope(cx).text("StartTargetBuild").text(&input.token));
        let asked = StartBuild { idempotency_token: None, ..input.build };
        let build = self.start(cx, asked, initiator(cx), None, Some(token)).await?;
        Ok(StartBuildOutput { build: Some(build) })
    }
}

impl Handle<StartPipelineBuild> for CodeBuild {
    async fn access(&self, cx: &Cx, input: &StartPipelineBuild) -> Result<Vec<Access>, Fault> {
        Ok(to_start(cx, &input.build))
    }

    async fn handle(&self, cx: &Cx, mut input: StartPipelineBuild) -> Result<StartBuildOutput, Fault> {
        let token = input.build.idempotency_token.take();
        let token = token.map(|token| Token::lasting(scope(cx).text("StartPipelineBuild").text(token)));
        let pipeline = Pipeline {
            inputs: input.inputs.into_iter().map(Artifact::from).collect(),
            revision: input.revision,
            outputs: input.outputs.into_iter().map(Artifact::from).collect(),
        };
        let initiator = format!("codepipeline/{}", input.pipeline);
        let build = self.start(cx, input.build, initiator, Some(pipeline), token).await?;
        Ok(StartBuildOutput { build: Some(build) })
    }
}

impl Handle<RetryBuild> for CodeBuild {
    async fn access(&self, cx: &Cx, input: &RetryBuild) -> Result<Vec<Access>, Fault> {
        let project = input.id.as_deref().and_then(BuildId::parse).map(|id| id.project);
        Ok(on_projects(cx, "codebuild:RetryBuild", project.iter().map(String::as_str)))
    }

    async fn handle(&self, cx: &Cx, input: RetryBuild) -> Result<RetryBuildOutput, Fault> {
        let id = input.id.ok_or_else(|| Error::invalid("id: the build to retry is missing"))?;
        let token =
            input.idempotency_token.map(|token| Token::brief(scope(cx).text("RetryBuild").text(token)));
        let by = initiator(cx);
        let started = self.store.update(|| async {
            let before = match self.recalled(token.as_ref(), &id).await? {
                Ok(build) => return Ok((Batch::new(), build)),
                Err(before) => before,
            };
            let old = self.build(cx, &id).await?.value;
            let wanted = Wanted {
                version: old.build.source_version.clone(),
                initiator: by.clone(),
                pipeline: old.run.pipeline,
                ..Wanted::default()
            };
            let (batch, build) = self.begin(scope(cx), old.project, wanted).await?;
            Ok((self.remembering(batch, token.as_ref(), before.as_ref(), &id, &build), build))
        });
        let build: Result<Build, Error> = started.await;
        Ok(RetryBuildOutput { build: Some(build?) })
    }
}

fn to_start(cx: &Cx, input: &StartBuild) -> Vec<Access> {
    let mut want = on_project(cx, "codebuild:StartBuild", &input.project_name);
    if let Some(role) = &input.service_role_override {
        want.push(Access::pass_role(role, "codebuild.amazonaws.com"));
    }
    want
}

/// As AWS names who started a build: the user's name, `role/session`, `root`.
fn initiator(cx: &Cx) -> String {
    match &cx.caller.kind {
        PrincipalKind::Root => "root".into(),
        PrincipalKind::User(name) => name.clone(),
        PrincipalKind::Role { session, .. } => {
            let role = cx.caller.arn.rsplit('/').nth(1).unwrap_or_default();
            format!("{role}/{session}")
        }
        PrincipalKind::Service(name) => (*name).into(),
        PrincipalKind::Anonymous => "anonymous".into(),
    }
}

/// What a build is besides its project.
#[derive(Clone, Default)]
pub(super) struct Wanted {
    pub version: Option<String>,
    pub initiator: String,
    pub pipeline: Option<Pipeline>,
    pub action: Option<Action>,
    pub auto_retry: AutoRetryConfig,
}

/// A token under which a build is started once.
pub(super) struct Token {
    key: Key,
    /// Valid as long as it is remembered; otherwise as long as AWS's tokens are.
    lasting: bool,
}

impl Token {
    /// A client's.
    pub fn brief(key: Key) -> Self {
        Self { key, lasting: false }
    }

    /// A service's of our own, which may ask again after it was down for long.
    pub fn lasting(key: Key) -> Self {
        Self { key, lasting: true }
    }
}

impl CodeBuild {
    async fn start(
        &self,
        cx: &Cx,
        input: StartBuild,
        initiator: String,
        pipeline: Option<Pipeline>,
        token: Option<Token>,
    ) -> Result<Build, Error> {
        refuse_unserved(&input)?;
        let fingerprint = json::to_value(&input).to_string();
        self.store
            .update(|| async {
                let before = match self.recalled(token.as_ref(), &fingerprint).await? {
                    Ok(build) => return Ok((Batch::new(), build)),
                    Err(before) => before,
                };
                let mut project = self.project(cx, &input.project_name).await?.value.project;
                override_project(&mut project, &input);
                validate::project(&project)?;
                if (pipeline.is_some()) != (project.source.as_ref().is_some_and(|s| s.r#type == "CODEPIPELINE")) {
                    return Err(Error::invalid(
                        "A project with source type CODEPIPELINE is built by a pipeline, and no other is: set sourceTypeOverride, or start the pipeline",
                    ));
                }
                self.within_limit(cx, &project).await?;
                let limit = project.auto_retry_limit;
                let wanted = Wanted {
                    version: input.source_version.clone().or_else(|| project.source_version.clone()),
                    initiator: initiator.clone(),
                    pipeline: pipeline.clone(),
                    action: None,
                    auto_retry: AutoRetryConfig { auto_retry_limit: limit, auto_retry_number: Some(0), ..AutoRetryConfig::default() },
                };
                let (batch, build) = self.begin(scope(cx), project, wanted).await?;
                Ok((self.remembering(batch, token.as_ref(), before.as_ref(), &fingerprint, &build), build))
            })
            .await
    }

    /// The build that was started under a token, or what the token stood for before, if anything.
    pub(super) async fn recalled(
        &self,
        token: Option<&Token>,
        fingerprint: &str,
    ) -> Result<Result<Build, Option<Row<Remembered>>>, Error> {
        let Some(token) = token else { return Ok(Err(None)) };
        let Some(row) = self.store.get::<Remembered>(&token.key).await? else { return Ok(Err(None)) };
        let age = self.clock.now().duration_since(row.value.at);
        if !token.lasting && age >= limits::TOKEN {
            return Ok(Err(Some(row)));
        }
        if row.value.fingerprint != fingerprint {
            return Err(store::Error::TokenReused.into());
        }
        Ok(Ok(json::from_value(&row.value.output)?))
    }

    /// The batch that also remembers what was started under a token. `before` is what [`Self::recalled`] found.
    pub(super) fn remembering(
        &self,
        batch: Batch,
        token: Option<&Token>,
        before: Option<&Row<Remembered>>,
        fingerprint: &str,
        build: &Build,
    ) -> Batch {
        let Some(Token { key, .. }) = token else { return batch };
        let (fingerprint, output) = (fingerprint.to_owned(), json::to_value(build));
        let remembered = Remembered { fingerprint, output, at: self.clock.now() };
        batch.expect_same(key, before).put(key, &remembered)
    }

    async fn within_limit(&self, cx: &Cx, project: &Project) -> Result<(), Error> {
        let Some(limit) = project.concurrent_build_limit else { return Ok(()) };
        let prefix = scope(cx).text(project.name.as_deref().unwrap_or_default());
        let active = self.store.find::<BuildRow>(prefix, "active", "yes", 0, limits::PAGE).await?;
        // What is only cleaned up behind a build that has ended does not count.
        let running = active.iter().filter(|row| row.value.build.build_complete != Some(true)).count();
        if i64::try_from(running).unwrap_or(i64::MAX) >= i64::from(limit) {
            return Err(Error::Limit(format!(
                "Cannot have more than {limit} builds in queue for the project"
            )));
        }
        Ok(())
    }

    /// The batch that makes a build, and the build.
    pub(super) async fn begin(
        &self,
        scope: Key,
        project: Project,
        wanted: Wanted,
    ) -> Result<(Batch, Build), Error> {
        let now = self.clock.now();
        let name = project.name.clone().unwrap_or_default();
        let counter_key = scope.clone().text(&name);
        let counter = self.store.get::<Counter>(&counter_key).await?;
        let number = counter.as_ref().map_or(0, |row| row.value.last) + 1;
        let id = BuildId { project: name, uuid: ids::uuid(&*self.entropy) };
        let mut build = shown(&scope, &project, &id, now, &wanted);
        build.build_number = Some(number);
        phases::open(&mut build, "SUBMITTED", now);
        phases::close(&mut build, "SUBMITTED", "SUCCEEDED", Vec::new(), now);
        phases::open(&mut build, "QUEUED", now);
        let minutes = i64::from(build.timeout_in_minutes.unwrap_or(60));
        let deadline = now.checked_add(jiff::SignedDuration::from_mins(minutes)).unwrap_or(now);
        let row = BuildRow {
            build: build.clone(),
            project,
            run: Run::new(deadline, wanted.pipeline, wanted.action),
        };
        let key = id.key(scope);
        let batch = Batch::new()
            .expect_same(&counter_key, counter.as_ref())
            .put(&counter_key, &Counter { last: number })
            .create(&key, &row)
            .event(events::state(&key, &build, now, ids::uuid(&*self.entropy)));
        Ok((batch, build))
    }
}

/// The next build in a row of automatic retries, if there is one: its batch, and the config that the failed build
/// shows from then on.
pub(crate) async fn retry(
    service: &CodeBuild,
    key: &Key,
    row: &BuildRow,
) -> Result<Option<(Batch, AutoRetryConfig)>, Error> {
    let mut config = row.build.auto_retry_config.clone().unwrap_or_default();
    let number = config.auto_retry_number.unwrap_or(0);
    let asked = row.run.retry.and_then(|n| i32::try_from(n).ok());
    let limit = asked.into_iter().chain(config.auto_retry_limit).max().unwrap_or(0);
    if number >= limit || row.run.pipeline.is_some() {
        return Ok(None);
    }
    let wanted = Wanted {
        version: row.build.source_version.clone(),
        initiator: row.build.initiator.clone().unwrap_or_default(),
        pipeline: None,
        action: None,
        auto_retry: AutoRetryConfig {
            auto_retry_limit: Some(limit),
            auto_retry_number: Some(number + 1),
            next_auto_retry: None,
            previous_auto_retry: row.build.arn.clone(),
        },
    };
    let scope = Key::new(&key.account(), &key.region());
    let (batch, build) = service.begin(scope, row.project.clone(), wanted).await?;
    config.next_auto_retry = build.arn;
    Ok(Some((batch, config)))
}

/// What the API shows of a build that has just begun.
fn shown(scope: &Key, project: &Project, id: &BuildId, now: Timestamp, wanted: &Wanted) -> Build {
    let arn_of = |kind: &str| {
        kernel::Arn::new("codebuild", &scope.region(), &scope.account(), format!("{kind}/{id}")).to_string()
    };
    let version = match wanted.pipeline.as_ref().and_then(|p| p.inputs.first()) {
        Some(input) => Some(format!("arn:aws:s3:::{}/{}", input.bucket, input.key)),
        None => wanted.version.clone(),
    };
    Build {
        id: Some(id.to_string()),
        arn: Some(arn_of("build")),
        start_time: Some(now),
        current_phase: Some("QUEUED".into()),
        build_status: Some("IN_PROGRESS".into()),
        source_version: version,
        resolved_source_version: wanted.pipeline.as_ref().and_then(|p| p.revision.clone()),
        project_name: Some(id.project.clone()),
        phases: Some(Vec::new()),
        source: project.source.clone(),
        secondary_sources: Some(project.secondary_sources.clone().unwrap_or_default()),
        secondary_source_versions: Some(project.secondary_source_versions.clone().unwrap_or_default()),
        artifacts: Some(artifacts(project.artifacts.as_ref())),
        secondary_artifacts: project
            .secondary_artifacts
            .as_ref()
            .map(|all| all.iter().map(|one| artifacts(Some(one))).collect()),
        cache: project.cache.clone(),
        environment: project.environment.clone(),
        service_role: project.service_role.clone(),
        vpc_config: project.vpc_config.clone(),
        logs: Some(crate::names::logs(scope, project, id)),
        timeout_in_minutes: project.timeout_in_minutes,
        queued_timeout_in_minutes: project.queued_timeout_in_minutes,
        build_complete: Some(false),
        initiator: Some(wanted.initiator.clone()),
        encryption_key: project.encryption_key.clone(),
        auto_retry_config: Some(wanted.auto_retry.clone()),
        ..Build::default()
    }
}

fn artifacts(project: Option<&ProjectArtifacts>) -> BuildArtifacts {
    BuildArtifacts {
        location: project.map(|_| String::new()),
        override_artifact_name: project.and_then(|a| a.override_artifact_name),
        encryption_disabled: project.and_then(|a| a.encryption_disabled),
        artifact_identifier: project.and_then(|a| a.artifact_identifier.clone()),
        ..BuildArtifacts::default()
    }
}

fn refuse_unserved(input: &StartBuild) -> Result<(), Error> {
    if input.debug_session_enabled == Some(true) {
        return Err(Error::invalid("debugSessionEnabled needs Session Manager, which is not served yet"));
    }
    if input.fleet_override.as_ref().is_some_and(|fleet| fleet.fleet_arn.is_some()) {
        return Err(Error::invalid("fleetOverride is not served yet"));
    }
    validate::variables(input.environment_variables_override.as_deref().unwrap_or_default())
}

/// The start's overrides put into the project.
fn override_project(project: &mut Project, input: &StartBuild) {
    fn set<T: Clone>(slot: &mut Option<T>, value: &Option<T>) {
        if value.is_some() {
            slot.clone_from(value);
        }
    }
    set(&mut project.secondary_sources, &input.secondary_sources_override);
    set(&mut project.secondary_source_versions, &input.secondary_sources_version_override);
    set(&mut project.artifacts, &input.artifacts_override);
    set(&mut project.secondary_artifacts, &input.secondary_artifacts_override);
    set(&mut project.cache, &input.cache_override);
    set(&mut project.service_role, &input.service_role_override);
    set(&mut project.timeout_in_minutes, &input.timeout_in_minutes_override);
    set(&mut project.queued_timeout_in_minutes, &input.queued_timeout_in_minutes_override);
    set(&mut project.encryption_key, &input.encryption_key_override);
    set(&mut project.logs_config, &input.logs_config_override);
    set(&mut project.auto_retry_limit, &input.auto_retry_limit_override);
    if let Some(source) = &mut project.source {
        source.r#type = input.source_type_override.clone().unwrap_or_else(|| source.r#type.clone());
        set(&mut source.location, &input.source_location_override);
        set(&mut source.auth, &input.source_auth_override);
        set(&mut source.git_clone_depth, &input.git_clone_depth_override);
        set(&mut source.git_submodules_config, &input.git_submodules_config_override);
        set(&mut source.buildspec, &input.buildspec_override);
    }
    if let Some(environment) = &mut project.environment {
        environment.r#type =
            input.environment_type_override.clone().unwrap_or_else(|| environment.r#type.clone());
        environment.image = input.image_override.clone().unwrap_or_else(|| environment.image.clone());
        environment.compute_type =
            input.compute_type_override.clone().unwrap_or_else(|| environment.compute_type.clone());
        set(&mut environment.privileged_mode, &input.privileged_mode_override);
        set(&mut environment.certificate, &input.certificate_override);
        set(&mut environment.registry_credential, &input.registry_credential_override);
        set(&mut environment.image_pull_credentials_type, &input.image_pull_credentials_type_override);
        let variables = environment.environment_variables.get_or_insert_default();
        for variable in input.environment_variables_override.iter().flatten() {
            variables.retain(|v| v.name != variable.name);
            variables.push(variable.clone());
        }
    }
}
