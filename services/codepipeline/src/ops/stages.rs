//! A stage of an execution: retry it, roll it back, let it pass a condition.
use api::codepipeline as cp;
use kernel::{Access, Cx, Fault, Handle, ids};

use super::on;
use crate::CodePipeline;
use crate::desk::Ask;
use crate::engine::{self, Moment, RetryMode};
use crate::error::Error;
use crate::records::ExecutionRow;
use crate::start;

impl CodePipeline {
    async fn roll_back(&self, cx: &Cx, input: &cp::RollbackStage) -> Result<String, Error> {
        let (place, _) = self.find(cx, &input.pipeline_name).await?;
        let target = &input.target_pipeline_execution_id;
        let row = self.desk.store.get::<ExecutionRow>(&place.execution(target)).await?;
        let missing =
            || Error::ExecutionNotFound { pipeline: input.pipeline_name.clone(), id: target.clone() };
        // What it had made before it succeeded in the stage no longer changes.
        let target = row.ok_or_else(missing)?.value.execution;
        let id = ids::uuid(&*self.desk.entropy);
        let trigger = start::caused("ManualRollback", &cx.caller.arn);
        let started = self.desk.tell(&place, Some(&cx.request_id), |state| {
            let kind = engine::roll_back(state, &input.stage_name, &target, id.clone(), trigger.clone())?;
            Ok(Ask::of(kind, id.clone()))
        });
        started.await
    }

    async fn pass(&self, cx: &Cx, input: &cp::OverrideStageCondition) -> Result<(), Error> {
        let (place, _) = self.find(cx, &input.pipeline_name).await?;
        let moment = match input.condition_type.as_str() {
            "ON_SUCCESS" => Moment::OnSuccess,
            _ => Moment::BeforeEntry,
        };
        let (id, stage, by) = (&input.pipeline_execution_id, &input.stage_name, &cx.caller.arn);
        let passed = self.desk.tell(&place, Some(&cx.request_id), |state| {
            Ok(Ask::of(engine::pass(state, id, stage, moment, by.clone())?, ()))
        });
        passed.await
    }
}

impl Handle<cp::RetryStageExecution> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::RetryStageExecution) -> Result<Vec<Access>, Fault> {
        let stage = format!("{}/{}", input.pipeline_name, input.stage_name);
        Ok(on(cx, "codepipeline:RetryStageExecution", &stage))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::RetryStageExecution,
    ) -> Result<cp::RetryStageExecutionOutput, Fault> {
        let (place, _) = self.find(cx, &input.pipeline_name).await?;
        let id = &input.pipeline_execution_id;
        let mode = match input.retry_mode.as_str() {
            "ALL_ACTIONS" => RetryMode::AllActions,
            _ => RetryMode::FailedActions,
        };
        let retried = self.desk.tell(&place, Some(&cx.request_id), |state| {
            Ok(Ask::of(engine::retry(state, id, &input.stage_name, mode)?, ()))
        });
        retried.await?;
        Ok(cp::RetryStageExecutionOutput { pipeline_execution_id: Some(id.clone()) })
    }
}

impl Handle<cp::RollbackStage> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::RollbackStage) -> Result<Vec<Access>, Fault> {
        let stage = format!("{}/{}", input.pipeline_name, input.stage_name);
        Ok(on(cx, "codepipeline:RollbackStage", &stage))
    }

    async fn handle(&self, cx: &Cx, input: cp::RollbackStage) -> Result<cp::RollbackStageOutput, Fault> {
        Ok(cp::RollbackStageOutput { pipeline_execution_id: self.roll_back(cx, &input).await? })
    }
}

impl Handle<cp::OverrideStageCondition> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::OverrideStageCondition) -> Result<Vec<Access>, Fault> {
        let stage = format!("{}/{}", input.pipeline_name, input.stage_name);
        Ok(on(cx, "codepipeline:OverrideStageCondition", &stage))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::OverrideStageCondition,
    ) -> Result<cp::OverrideStageConditionOutput, Fault> {
        self.pass(cx, &input).await?;
        Ok(cp::OverrideStageConditionOutput::default())
    }
}
