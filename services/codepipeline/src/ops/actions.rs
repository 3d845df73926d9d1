//! Runs of actions, and approvals.
use api::codepipeline as cp;
use kernel::{Access, Cx, Fault, Handle};
use store::PageToken;

use super::{artifacts, of_execution, on, page, time};
use crate::CodePipeline;
use crate::catalog::{self, Carrier};
use crate::desk::Ask;
use crate::engine::{self, ActionStatus, Verdict};
use crate::error::Error;
use crate::records::{ActionRow, ExecutionRow};

/// Runs on a page.
const PAGE: usize = 100;

impl CodePipeline {
    async fn runs(
        &self,
        cx: &Cx,
        input: &cp::ListActionExecutions,
    ) -> Result<cp::ListActionExecutionsOutput, Error> {
        let (place, _) = self.find(cx, &input.pipeline_name).await?;
        let filter = input.filter.as_ref();
        let range = filter.and_then(|filter| filter.latest_in_pipeline_execution.as_ref());
        let execution = filter
            .and_then(|filter| filter.pipeline_execution_id.as_ref())
            .or(range.map(|range| &range.pipeline_execution_id));
        if let Some(id) = execution
            && self.desk.store.get::<ExecutionRow>(&place.execution(id)).await?.is_none()
        {
            return Err(Error::ExecutionNotFound { pipeline: input.pipeline_name.clone(), id: id.clone() });
        }
        let latest = range.is_some_and(|range| range.start_time_range == "Latest");
        let scope = execution.map_or_else(|| place.key(), |id| place.execution(id));
        let list = format!("ListActionExecutions/{scope:?}/{latest}");
        let before: Option<u64> =
            PageToken::position(&list, input.next_token.as_deref()).map_err(|_| Error::InvalidNextToken)?;
        let most = page(input.max_results, PAGE);
        let mut rows = match execution {
            Some(_) => of_execution(&self.desk.store, &scope, latest.then_some(action), before).await?,
            None => self.desk.store.list_newest::<ActionRow>(&scope, before, most + 1).await?,
        };
        let more = rows.len() > most;
        rows.truncate(most);
        let next = rows.last().filter(|_| more).map(|row| PageToken::encode(&list, row.created));
        let details = rows.into_iter().map(|row| detail(&place.region, row.value)).collect();
        Ok(cp::ListActionExecutionsOutput { action_execution_details: Some(details), next_token: next })
    }
}

/// What is one action of an execution, however often it ran.
fn action(row: &ActionRow) -> (String, String) {
    (row.stage.clone(), row.action.name.clone())
}

fn detail(region: &str, row: ActionRow) -> cp::ActionExecutionDetail {
    let ActionRow { execution, version, stage, action, resolved, inputs, run } = row;
    let carrier = catalog::carrier(&action.action_type_id);
    let waits = run.status == ActionStatus::InProgress && matches!(carrier, Some(Carrier::Person));
    let progress = run.progress;
    let failure = run.failure.map(|f| cp::ErrorDetails { code: Some(f.code), message: Some(f.message) });
    let result = cp::ActionExecutionResult {
        // An approval's token: a PARALLEL pipeline has no state to read it from.
        external_execution_id: progress.external_id.or_else(|| waits.then(|| run.id.clone())),
        external_execution_summary: progress.summary,
        external_execution_url: progress.external_url,
        error_details: failure,
        log_stream_arn: progress.log_stream,
    };
    let empty = result == cp::ActionExecutionResult::default();
    cp::ActionExecutionDetail {
        pipeline_execution_id: Some(execution),
        action_execution_id: Some(run.id),
        pipeline_version: Some(version),
        stage_name: Some(stage),
        action_name: Some(action.name),
        start_time: time(run.begun),
        last_update_time: time(run.updated),
        updated_by: run.by,
        status: Some(run.status.name().into()),
        input: Some(cp::ActionExecutionInput {
            action_type_id: Some(action.action_type_id),
            configuration: action.configuration,
            resolved_configuration: resolved,
            role_arn: action.role_arn,
            region: Some(action.region.unwrap_or_else(|| region.to_owned())),
            input_artifacts: Some(artifacts(&inputs)),
            namespace: action.namespace,
        }),
        output: Some(cp::ActionExecutionOutput {
            output_artifacts: Some(artifacts(&run.output.artifacts)),
            execution_result: (!empty).then_some(result),
            output_variables: Some(run.output.variables),
        }),
    }
}

impl Handle<cp::ListActionExecutions> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::ListActionExecutions) -> Result<Vec<Access>, Fault> {
        Ok(on(cx, "codepipeline:ListActionExecutions", &input.pipeline_name))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::ListActionExecutions,
    ) -> Result<cp::ListActionExecutionsOutput, Fault> {
        Ok(self.runs(cx, &input).await?)
    }
}

impl Handle<cp::PutApprovalResult> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::PutApprovalResult) -> Result<Vec<Access>, Fault> {
        let action = format!("{}/{}/{}", input.pipeline_name, input.stage_name, input.action_name);
        Ok(on(cx, "codepipeline:PutApprovalResult", &action))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::PutApprovalResult,
    ) -> Result<cp::PutApprovalResultOutput, Fault> {
        let (place, _) = self.find(cx, &input.pipeline_name).await?;
        let verdict = Verdict {
            stage: input.stage_name,
            action: input.action_name,
            token: input.token,
            approved: input.result.status == "Approved",
            summary: input.result.summary,
            by: cx.caller.arn.clone(),
        };
        let at = self.desk.now();
        let decided = self.desk.tell(&place, Some(&cx.request_id), |state| {
            Ok(Ask::of(engine::approve(state, verdict.clone())?, ()))
        });
        decided.await?;
        Ok(cp::PutApprovalResultOutput { approved_at: Some(at) })
    }
}
