//! GetPipelineWaits, Longshore's own: why what does not move does not. docs/why-waiting.md describes it.
use api::longshore as own;
use kernel::{Access, Cx, Fault, Handle};

use super::{on, time};
use crate::CodePipeline;
use crate::engine::{self, Execution, Running, State, What, Why};
use crate::error::Error;
use crate::jobs;
use crate::records::{ExecutionRow, Place};

/// The reason of what a provider works on.
const PROVIDER: &str = "Provider";

impl CodePipeline {
    async fn waits(
        &self,
        cx: &Cx,
        input: own::GetPipelineWaits,
    ) -> Result<own::GetPipelineWaitsOutput, Error> {
        let (place, _) = self.find(cx, &input.name).await?;
        let state = self.state(&place).await?;
        let wanted = input.pipeline_execution_id.as_ref();
        if let Some(id) = wanted
            && self.desk.store.get::<ExecutionRow>(&place.execution(id)).await?.is_none()
        {
            return Err(Error::ExecutionNotFound { pipeline: input.name, id: id.clone() });
        }
        let executions = state.executions.iter().filter(|e| wanted.is_none_or(|id| *id == e.id));
        let found = executions.flat_map(|execution| {
            let whys = engine::why(&state, execution).into_iter();
            whys.map(|why| wait(&state, execution, why))
        });
        let mut waits: Vec<_> = found.collect();
        for wait in waits.iter_mut().filter(|wait| wait.reason.as_deref() == Some(PROVIDER)) {
            self.job_of(&place, wait).await?;
        }
        Ok(own::GetPipelineWaitsOutput { waits: Some(waits), pipeline_name: Some(input.name) })
    }

    /// Says how the job stands, where the action has one: whether anybody works on it the engine does not know.
    async fn job_of(&self, place: &Place, wait: &mut own::PipelineWait) -> Result<(), Error> {
        let run = wait.action_execution_id.as_deref().unwrap_or_default();
        let key = jobs::key(&place.account, &place.region, run);
        if let Some((status, what)) = jobs::stands(&self.desk, &key).await? {
            let before = if wait.summary.is_some() { "; " } else { ": " };
            wait.message.get_or_insert_default().extend([before, &what]);
            wait.job_status = Some(status);
        }
        Ok(())
    }
}

fn wait(state: &State, execution: &Execution, why: Why) -> own::PipelineWait {
    let message = why.to_string();
    let wait = own::PipelineWait {
        pipeline_execution_id: Some(execution.id.clone()),
        status: Some(execution.status.name().into()),
        stage_name: Some(why.stage),
        message: Some(message),
        since: time(why.since),
        then_ends: engine::ending(state, execution).map(str::to_owned),
        ..own::PipelineWait::default()
    };
    let number = |number: usize| i32::try_from(number).ok();
    match why.what {
        What::Transition { by, reason, position } => own::PipelineWait {
            reason: Some("TransitionDisabled".into()),
            disabled_by: Some(by),
            disabled_reason: Some(reason),
            queue_position: number(position),
            ..wait
        },
        What::Lock { execution, position } => own::PipelineWait {
            reason: Some("StageLocked".into()),
            held_by_pipeline_execution_id: Some(execution),
            queue_position: number(position),
            ..wait
        },
        What::Approval(run) => running(wait, "Approval", run),
        What::Action(run) => running(wait, PROVIDER, run),
        What::Rule { moment, rule } => own::PipelineWait {
            reason: Some("Condition".into()),
            condition_type: Some(moment.name().into()),
            rule_name: Some(rule.action),
            rule_execution_id: Some(rule.id),
            until: time(rule.until),
            summary: rule.summary,
            ..wait
        },
        What::Capacity { action, most } => own::PipelineWait {
            reason: Some("Capacity".into()),
            action_name: Some(action),
            concurrent_actions: number(most),
            ..wait
        },
        What::Order { action, after } => own::PipelineWait {
            reason: Some("RunOrder".into()),
            action_name: Some(action),
            after_run_order: Some(after),
            ..wait
        },
    }
}

fn running(wait: own::PipelineWait, reason: &str, run: Running) -> own::PipelineWait {
    own::PipelineWait {
        reason: Some(reason.into()),
        action_name: Some(run.action),
        action_execution_id: Some(run.id),
        until: time(run.until),
        summary: run.summary,
        external_execution_id: run.external_id,
        external_execution_url: run.external_url,
        ..wait
    }
}

impl Handle<own::GetPipelineWaits> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &own::GetPipelineWaits) -> Result<Vec<Access>, Fault> {
        Ok(on(cx, "codepipeline:GetPipelineState", &input.name))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: own::GetPipelineWaits,
    ) -> Result<own::GetPipelineWaitsOutput, Fault> {
        Ok(self.waits(cx, input).await?)
    }
}
