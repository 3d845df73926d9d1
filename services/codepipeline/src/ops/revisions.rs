//! PutActionRevision: somebody tells of a new revision of a custom source, and an execution takes it.
use api::codepipeline as cp;
use kernel::{Access, Cx, Fault, Handle};
use store::Batch;

use super::on;
use crate::CodePipeline;
use crate::engine::Override;
use crate::error::Error;
use crate::jobs::{CUSTOM, REVISION};
use crate::records::Told;
use crate::start::{self, Wish};

impl CodePipeline {
    async fn told(
        &self,
        cx: &Cx,
        input: cp::PutActionRevision,
    ) -> Result<cp::PutActionRevisionOutput, Error> {
        let (place, row) = self.find(cx, &input.pipeline_name).await?;
        let (stage, action) = (&input.stage_name, &input.action_name);
        let declared = row.value.declaration.stages.iter().find(|declared| declared.name == *stage);
        let declared = declared.ok_or_else(|| Error::StageNotFound(stage.clone()))?;
        let source = declared.actions.iter().find(|declared| declared.name == *action);
        let source = source.ok_or_else(|| Error::ActionNotFound {
            stage: stage.clone(),
            what: "action",
            action: action.clone(),
        })?;
        if source.action_type_id.category != "Source" || source.action_type_id.owner != CUSTOM {
            return Err(Error::Validation(format!(
                "actionName: '{action}' is no source action of a custom type; others find their revisions themselves"
            )));
        }
        let cp::ActionRevision { revision_id, revision_change_id, .. } = input.action_revision;
        let key = place.told(stage, action);
        let before = self.desk.store.get::<Told>(&key).await?;
        if let Some(before) = before.as_ref().filter(|row| row.value.change == revision_change_id) {
            let pipeline_execution_id = Some(before.value.execution.clone());
            return Ok(cp::PutActionRevisionOutput { new_revision: Some(false), pipeline_execution_id });
        }
        // Told again after a crash between the start and the note of it, the same execution is found by this token.
        let number = before.as_ref().map_or(0, |row| row.value.number) + 1;
        let token = format!("PutActionRevision/{stage}/{action}/{number}/{revision_change_id}");
        let wish = Wish {
            trigger: start::caused("PutActionRevision", &cx.caller.arn),
            overrides: vec![Override { action: action.clone(), kind: REVISION.into(), value: revision_id }],
            token: Some(token),
            ..Wish::default()
        };
        let started = start::start(&self.desk, &place, &row.value.declaration, &cx.request_id, wish).await?;
        let told = Told { change: revision_change_id, execution: started.clone(), number };
        let batch = Batch::new().expect_same(&key, before.as_ref()).put(&key, &told);
        match self.desk.store.commit(batch).await {
            Err(error) if error.is_conflict() => return Err(Error::ConcurrentModification),
            other => other?,
        };
        Ok(cp::PutActionRevisionOutput { new_revision: Some(true), pipeline_execution_id: Some(started) })
    }
}

impl Handle<cp::PutActionRevision> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::PutActionRevision) -> Result<Vec<Access>, Fault> {
        let action = format!("{}/{}/{}", input.pipeline_name, input.stage_name, input.action_name);
        Ok(on(cx, "codepipeline:PutActionRevision", &action))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::PutActionRevision,
    ) -> Result<cp::PutActionRevisionOutput, Fault> {
        Ok(self.told(cx, input).await?)
    }
}
