//! Stage transitions: enable, disable.
use api::codepipeline as cp;
use kernel::{Access, Cx, Fault, Handle};

use super::on;
use crate::desk::Ask;
use crate::{CodePipeline, engine};

impl Handle<cp::EnableStageTransition> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::EnableStageTransition) -> Result<Vec<Access>, Fault> {
        let stage = format!("{}/{}", input.pipeline_name, input.stage_name);
        Ok(on(cx, "codepipeline:EnableStageTransition", &stage))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::EnableStageTransition,
    ) -> Result<cp::EnableStageTransitionOutput, Fault> {
        let (place, _) = self.find(cx, &input.pipeline_name).await?;
        let by = &cx.caller.arn;
        let opened = self.desk.tell(&place, Some(&cx.request_id), |state| {
            let kind = engine::open(state, &input.stage_name, &input.transition_type, by.clone())?;
            Ok(Ask::of(kind, ()))
        });
        opened.await?;
        Ok(cp::EnableStageTransitionOutput::default())
    }
}

impl Handle<cp::DisableStageTransition> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::DisableStageTransition) -> Result<Vec<Access>, Fault> {
        let stage = format!("{}/{}", input.pipeline_name, input.stage_name);
        Ok(on(cx, "codepipeline:DisableStageTransition", &stage))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::DisableStageTransition,
    ) -> Result<cp::DisableStageTransitionOutput, Fault> {
        let (place, _) = self.find(cx, &input.pipeline_name).await?;
        let (by, reason) = (&cx.caller.arn, &input.reason);
        let closed = self.desk.tell(&place, Some(&cx.request_id), |state| {
            let (stage, side) = (&input.stage_name, &input.transition_type);
            Ok(Ask::of(engine::close(state, stage, side, reason.clone(), by.clone())?, ()))
        });
        closed.await?;
        Ok(cp::DisableStageTransitionOutput::default())
    }
}
