//! Runs of rules, and their types.
use api::codepipeline as cp;
use kernel::{Access, Cx, Fault, Handle};
use store::PageToken;

use super::{artifacts, of_execution, on, page, time};
use crate::CodePipeline;
use crate::catalog::OWNER;
use crate::error::Error;
use crate::records::{ActionRow, ExecutionRow, RuleRow, arn};
use crate::rules::TYPES;

/// Runs on a page.
const PAGE: usize = 100;

impl CodePipeline {
    async fn rule_runs(
        &self,
        cx: &Cx,
        input: &cp::ListRuleExecutions,
    ) -> Result<cp::ListRuleExecutionsOutput, Error> {
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
        let list = format!("ListRuleExecutions/{scope:?}/{latest}");
        let before: Option<u64> =
            PageToken::position(&list, input.next_token.as_deref()).map_err(|_| Error::InvalidNextToken)?;
        let most = page(input.max_results, PAGE);
        let mut rows = match execution {
            Some(_) => of_execution(&self.desk.store, &scope, latest.then_some(rule), before).await?,
            None => self.desk.store.list_newest::<RuleRow>(&scope, before, most + 1).await?,
        };
        let more = rows.len() > most;
        rows.truncate(most);
        let next = rows.last().filter(|_| more).map(|row| PageToken::encode(&list, row.created));
        let details = rows.into_iter().map(|row| detail(&place.region, row.value.0)).collect();
        Ok(cp::ListRuleExecutionsOutput { rule_execution_details: Some(details), next_token: next })
    }
}

/// What is one rule of an execution. The same rule may stand in two conditions of a stage: its type and configuration tell
/// them apart.
fn rule(RuleRow(row): &RuleRow) -> (String, cp::ActionDeclaration) {
    (row.stage.clone(), row.action.clone())
}

fn detail(region: &str, row: ActionRow) -> cp::RuleExecutionDetail {
    let ActionRow { execution, version, stage, action, resolved, inputs, run } = row;
    let progress = run.progress;
    let result = cp::RuleExecutionResult {
        external_execution_id: progress.external_id,
        external_execution_summary: progress.summary,
        external_execution_url: progress.external_url,
        error_details: run
            .failure
            .map(|failure| cp::ErrorDetails { code: Some(failure.code), message: Some(failure.message) }),
    };
    let empty = result == cp::RuleExecutionResult::default();
    let id = action.action_type_id;
    cp::RuleExecutionDetail {
        pipeline_execution_id: Some(execution),
        rule_execution_id: Some(run.id),
        pipeline_version: Some(version),
        stage_name: Some(stage),
        rule_name: Some(action.name),
        start_time: time(run.begun),
        last_update_time: time(run.updated),
        updated_by: run.by,
        status: Some(run.status.name().into()),
        input: Some(cp::RuleExecutionInput {
            rule_type_id: Some(cp::RuleTypeId {
                category: id.category,
                owner: Some(id.owner),
                provider: id.provider,
                version: Some(id.version),
            }),
            configuration: action.configuration,
            resolved_configuration: resolved,
            role_arn: action.role_arn,
            region: Some(action.region.unwrap_or_else(|| region.to_owned())),
            input_artifacts: Some(artifacts(&inputs)),
        }),
        output: Some(cp::RuleExecutionOutput { execution_result: (!empty).then_some(result) }),
    }
}

impl Handle<cp::ListRuleExecutions> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::ListRuleExecutions) -> Result<Vec<Access>, Fault> {
        Ok(on(cx, "codepipeline:ListRuleExecutions", &input.pipeline_name))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::ListRuleExecutions,
    ) -> Result<cp::ListRuleExecutionsOutput, Fault> {
        Ok(self.rule_runs(cx, &input).await?)
    }
}

impl Handle<cp::ListRuleTypes> for CodePipeline {
    async fn access(&self, cx: &Cx, _: &cp::ListRuleTypes) -> Result<Vec<Access>, Fault> {
        let types = arn(&cx.region, cx.account(), "ruletype:*");
        Ok(vec![Access::new("codepipeline:ListRuleTypes", types)])
    }

    async fn handle(&self, cx: &Cx, input: cp::ListRuleTypes) -> Result<cp::ListRuleTypesOutput, Fault> {
        let owner = input.rule_owner_filter.is_none_or(|owner| owner == OWNER);
        let region = input.region_filter.is_none_or(|region| region == cx.region);
        let types = TYPES.iter().filter(|_| owner && region).map(|kind| kind.shape()).collect();
        Ok(cp::ListRuleTypesOutput { rule_types: types })
    }
}
