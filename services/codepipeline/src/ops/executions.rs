//! Executions: start, stop, get, list.
use std::collections::BTreeMap;

use api::codepipeline as cp;
use kernel::{Access, Cx, Fault, Handle};

use super::{on, page, time};
use crate::CodePipeline;
use crate::desk::Ask;
use crate::engine::{self, Override, Revision, State};
use crate::error::Error;
use crate::records::{ExecutionRow, Listed, Place, Saved};
use crate::start::{self, Wish};

/// Executions on a page.
const PAGE: usize = 100;

impl CodePipeline {
    async fn begin(&self, cx: &Cx, input: cp::StartPipelineExecution) -> Result<String, Error> {
        let (place, row) = self.find(cx, &input.name).await?;
        let mut variables = BTreeMap::new();
        for variable in input.variables.into_iter().flatten() {
            if variables.insert(variable.name.clone(), variable.value).is_some() {
                let message = format!("variables: '{}' is given more than once", variable.name);
                return Err(Error::Validation(message));
            }
        }
        let revision = |r: cp::SourceRevisionOverride| Override {
            action: r.action_name,
            kind: r.revision_type,
            value: r.revision_value,
        };
        let wish = Wish {
            trigger: start::trigger(cx),
            variables,
            overrides: input.source_revisions.into_iter().flatten().map(revision).collect(),
            token: input.client_request_token,
        };
        start::start(&self.desk, &place, &row.value.declaration, &cx.request_id, wish).await
    }

    /// The engine's state as it is stored.
    pub(super) async fn state(&self, place: &Place) -> Result<State, Error> {
        let saved = self.desk.store.get::<Saved>(&place.key()).await?;
        Ok(saved.map(|row| row.value.state).unwrap_or_default())
    }

    async fn execution(&self, cx: &Cx, pipeline: &str, id: &str) -> Result<cp::PipelineExecution, Error> {
        let (place, _) = self.find(cx, pipeline).await?;
        let missing = || Error::ExecutionNotFound { pipeline: pipeline.into(), id: id.into() };
        let row = self.desk.store.get::<ExecutionRow>(&place.execution(id)).await?.ok_or_else(missing)?;
        let state = self.state(&place).await?;
        Ok(shape(&place, &row.value, &state))
    }

    async fn executions(
        &self,
        cx: &Cx,
        input: &cp::ListPipelineExecutions,
    ) -> Result<cp::ListPipelineExecutionsOutput, Error> {
        let (place, row) = self.find(cx, &input.pipeline_name).await?;
        let filter = input.filter.as_ref().and_then(|filter| filter.succeeded_in_stage.as_ref());
        let stage = filter.and_then(|filter| filter.stage_name.as_deref());
        let succeeded = stage.map(|stage| (row.value.version(), stage));
        let most = page(input.max_results, PAGE);
        let (found, next) = self.history(&place, succeeded, input.next_token.as_deref(), most).await?;
        let state = self.state(&place).await?;
        let summaries = found.iter().map(|row| summary(row, &state)).collect();
        Ok(cp::ListPipelineExecutionsOutput {
            pipeline_execution_summaries: Some(summaries),
            next_token: next,
        })
    }
}

/// What there is to say of an execution's status: of one that waits, why; it changes without the execution.
fn status_summary(state: &State, id: &str, stored: Option<&String>) -> Option<String> {
    match state.execution(id) {
        Some(execution) => engine::summary(state, execution),
        None => stored.cloned(),
    }
}

fn trigger(of: &engine::Trigger) -> cp::ExecutionTrigger {
    let engine::Trigger { kind, detail } = of.clone();
    cp::ExecutionTrigger { trigger_type: Some(kind), trigger_detail: Some(detail) }
}

fn rollback(target: Option<&String>) -> Option<cp::PipelineRollbackMetadata> {
    target.map(|target| cp::PipelineRollbackMetadata {
        rollback_target_pipeline_execution_id: Some(target.clone()),
    })
}

fn shape(place: &Place, row: &ExecutionRow, state: &State) -> cp::PipelineExecution {
    let execution = &row.execution;
    let artifact = |(name, revision): (&String, &Revision)| cp::ArtifactRevision {
        name: Some(name.clone()),
        revision_id: Some(revision.id.clone()),
        revision_change_identifier: revision.change.clone(),
        revision_summary: revision.summary.clone(),
        created: revision.created.and_then(time),
        revision_url: revision.url.clone(),
    };
    let artifacts = execution.outputs().filter_map(|(_, _, output)| {
        let revision = output.revision.as_ref()?;
        Some(output.artifacts.keys().map(move |name| (name, revision)))
    });
    let variable = |(name, value): (&String, &String)| cp::ResolvedPipelineVariable {
        name: Some(name.clone()),
        resolved_value: Some(value.clone()),
    };
    let variables: Vec<_> = execution.variables.iter().map(variable).collect();
    cp::PipelineExecution {
        pipeline_name: Some(place.name.clone()),
        pipeline_version: Some(execution.version),
        pipeline_execution_id: Some(execution.id.clone()),
        status: Some(execution.status.name().into()),
        status_summary: status_summary(state, &execution.id, row.summary.as_ref()),
        artifact_revisions: Some(artifacts.flatten().map(artifact).collect()),
        variables: Some(variables).filter(|variables| !variables.is_empty()),
        trigger: Some(trigger(&execution.trigger)),
        execution_mode: Some(execution.mode.name().into()),
        execution_type: Some(execution.kind().into()),
        rollback_metadata: rollback(execution.rollback.as_ref().map(|rollback| &rollback.target)),
    }
}

fn summary(row: &Listed, state: &State) -> cp::PipelineExecutionSummary {
    let execution = &row.execution;
    let revision = |(action, revision): (&str, &Revision)| cp::SourceRevision {
        action_name: action.to_owned(),
        revision_id: Some(revision.id.clone()),
        revision_summary: revision.summary.clone(),
        revision_url: revision.url.clone(),
    };
    let stop = execution.stop.as_ref();
    cp::PipelineExecutionSummary {
        pipeline_execution_id: Some(execution.id.clone()),
        status: Some(execution.status.name().into()),
        status_summary: status_summary(state, &execution.id, row.summary.as_ref()),
        start_time: time(execution.begun),
        last_update_time: time(execution.updated),
        source_revisions: Some(execution.revisions().map(revision).collect()),
        trigger: Some(trigger(&execution.trigger)),
        stop_trigger: stop.map(|stop| cp::StopExecutionTrigger { reason: stop.reason.clone() }),
        execution_mode: Some(execution.mode.name().into()),
        execution_type: Some(execution.kind().into()),
        rollback_metadata: rollback(execution.rollback.as_ref().map(|rollback| &rollback.target)),
    }
}

impl Handle<cp::StartPipelineExecution> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::StartPipelineExecution) -> Result<Vec<Access>, Fault> {
        Ok(on(cx, "codepipeline:StartPipelineExecution", &input.name))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::StartPipelineExecution,
    ) -> Result<cp::StartPipelineExecutionOutput, Fault> {
        let id = self.begin(cx, input).await?;
        Ok(cp::StartPipelineExecutionOutput { pipeline_execution_id: Some(id) })
    }
}

impl Handle<cp::StopPipelineExecution> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::StopPipelineExecution) -> Result<Vec<Access>, Fault> {
        Ok(on(cx, "codepipeline:StopPipelineExecution", &input.pipeline_name))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::StopPipelineExecution,
    ) -> Result<cp::StopPipelineExecutionOutput, Fault> {
        let (place, _) = self.find(cx, &input.pipeline_name).await?;
        let id = &input.pipeline_execution_id;
        let stopped = self.desk.tell(&place, Some(&cx.request_id), |state| {
            let kind = engine::stop(state, id, input.abandon.unwrap_or(false), input.reason.clone())?;
            Ok(Ask::of(kind, ()))
        });
        stopped.await?;
        Ok(cp::StopPipelineExecutionOutput { pipeline_execution_id: Some(id.clone()) })
    }
}

impl Handle<cp::GetPipelineExecution> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::GetPipelineExecution) -> Result<Vec<Access>, Fault> {
        Ok(on(cx, "codepipeline:GetPipelineExecution", &input.pipeline_name))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::GetPipelineExecution,
    ) -> Result<cp::GetPipelineExecutionOutput, Fault> {
        let execution = self.execution(cx, &input.pipeline_name, &input.pipeline_execution_id).await?;
        Ok(cp::GetPipelineExecutionOutput { pipeline_execution: Some(execution) })
    }
}

impl Handle<cp::ListPipelineExecutions> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::ListPipelineExecutions) -> Result<Vec<Access>, Fault> {
        Ok(on(cx, "codepipeline:ListPipelineExecutions", &input.pipeline_name))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::ListPipelineExecutions,
    ) -> Result<cp::ListPipelineExecutionsOutput, Fault> {
        Ok(self.executions(cx, &input).await?)
    }
}
