//! GetPipelineState: the stages as the last executions left them.
use std::collections::BTreeMap;

use api::codepipeline as cp;
use kernel::{Access, Cx, Fault, Handle};

use super::{on, time};
use crate::CodePipeline;
use crate::catalog::{self, Carrier};
use crate::engine::{
    self, ActionRun, ActionStatus, Condition, Execution, Moment, StageStatus, State, Status, Visit,
};
use crate::jobs::{self, Types};
use crate::records::Pipeline;
use crate::scope::Scope;
use crate::structure;

impl Handle<cp::GetPipelineState> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::GetPipelineState) -> Result<Vec<Access>, Fault> {
        Ok(on(cx, "codepipeline:GetPipelineState", &input.name))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::GetPipelineState,
    ) -> Result<cp::GetPipelineStateOutput, Fault> {
        let (place, row) = self.find(cx, &input.name).await?;
        let state = self.state(&place).await?;
        let pipeline = row.value;
        let mut actions = pipeline.declaration.stages.iter().flat_map(|stage| &stage.actions);
        let types = match actions.any(|action| jobs::owner(&action.action_type_id)) {
            true => Types::load(&self.desk.store, cx.account(), &cx.region).await?,
            false => Types::default(),
        };
        Ok(cp::GetPipelineStateOutput {
            pipeline_version: Some(pipeline.version()),
            stage_states: Some(
                pipeline.declaration.stages.iter().map(|s| stage(&state, &pipeline, s, &types)).collect(),
            ),
            pipeline_name: Some(input.name),
            created: Some(pipeline.created),
            updated: Some(pipeline.updated),
        })
    }
}

fn stage(
    state: &State,
    pipeline: &Pipeline,
    declared: &cp::StageDeclaration,
    types: &Types,
) -> cp::StageState {
    let name = &declared.name;
    let shown = state.shown(name);
    let current = shown.map(|(execution, _)| execution).filter(|e| e.version == pipeline.version());
    let run = |action: &cp::ActionDeclaration| {
        let scope = current.and_then(|e| Scope::of(&pipeline.declaration, e, name, &action.name));
        let resolved = scope.and_then(|scope| scope.configuration().ok());
        let configuration = resolved.as_ref().or(action.configuration.as_ref());
        let link = configuration.and_then(|configuration| entity(action, configuration, types));
        action_state(action, state.last_run(name, &action.name), link)
    };
    let waiting: Vec<cp::StageExecution> =
        engine::waiting(state, name).into_iter().map(|e| execution(e, e.status.name())).collect();
    cp::StageState {
        stage_name: Some(name.clone()),
        inbound_execution: waiting.first().cloned(),
        inbound_executions: Some(waiting),
        inbound_transition_state: Some(transition(state, name)),
        action_states: Some(declared.actions.iter().map(run).collect()),
        latest_execution: shown.map(|(e, visit)| execution(e, stage_status(e, visit))),
        before_entry_condition_state: condition(declared, shown, Moment::BeforeEntry),
        on_success_condition_state: condition(declared, shown, Moment::OnSuccess),
        on_failure_condition_state: condition(declared, shown, Moment::OnFailure),
        retry_stage_metadata: shown.and_then(|(_, visit)| retries(visit)),
    }
}

/// A condition that the stage declares, as the stage's latest visit has left it.
fn condition(
    stage: &cp::StageDeclaration,
    shown: Option<(&Execution, &Visit)>,
    moment: Moment,
) -> Option<cp::StageConditionState> {
    let mut rules = structure::rules_of(stage, moment).peekable();
    rules.peek()?;
    let run = shown.and_then(|(_, visit)| visit.conditions.get(&moment));
    let rule = |rule: &cp::RuleDeclaration| cp::RuleState {
        rule_name: Some(rule.name.clone()),
        latest_execution: run.and_then(|condition| condition.rules.get(&rule.name)).map(rule_execution),
        ..cp::RuleState::default()
    };
    let status = run.map(|condition| condition.status.name().to_owned());
    let summary = run.and_then(Condition::summary);
    Some(cp::StageConditionState {
        latest_execution: run
            .map(|_| cp::StageConditionsExecution { status: status.clone(), summary: summary.clone() }),
        condition_states: Some(vec![cp::ConditionState {
            latest_execution: run.map(|condition| cp::ConditionExecution {
                status: status.clone(),
                summary: summary.clone(),
                last_status_change: time(condition.updated),
            }),
            rule_states: Some(rules.map(rule).collect()),
        }]),
    })
}

fn rule_execution(run: &ActionRun) -> cp::RuleExecution {
    let run = action_execution(run, false);
    cp::RuleExecution {
        rule_execution_id: run.action_execution_id,
        status: run.status,
        summary: run.summary,
        last_status_change: run.last_status_change,
        token: None,
        last_updated_by: run.last_updated_by,
        external_execution_id: run.external_execution_id,
        external_execution_url: run.external_execution_url,
        error_details: run.error_details,
    }
}

fn execution(execution: &Execution, status: &str) -> cp::StageExecution {
    cp::StageExecution {
        pipeline_execution_id: execution.id.clone(),
        status: status.into(),
        r#type: Some(execution.kind().into()),
    }
}

fn stage_status(execution: &Execution, visit: &Visit) -> &'static str {
    let stopping = execution.status == Status::Stopping && visit.status == StageStatus::InProgress;
    if stopping { Status::Stopping.name() } else { visit.status.name() }
}

fn transition(state: &State, stage: &str) -> cp::TransitionState {
    match state.gates.get(stage) {
        None => cp::TransitionState { enabled: Some(true), ..cp::TransitionState::default() },
        Some(gate) => cp::TransitionState {
            enabled: Some(gate.enabled),
            last_changed_by: Some(gate.by.clone()),
            last_changed_at: time(gate.at),
            disabled_reason: gate.reason.clone(),
        },
    }
}

fn retries(visit: &Visit) -> Option<cp::RetryStageMetadata> {
    let attempts = |count: u32| i32::try_from(count).ok().filter(|count| *count > 0);
    let trigger = if visit.last_retry_automatic { "AutomatedStageRetry" } else { "ManualStageRetry" };
    (visit.auto_retries + visit.manual_retries > 0).then(|| cp::RetryStageMetadata {
        auto_stage_retry_attempt: attempts(visit.auto_retries),
        manual_stage_retry_attempt: attempts(visit.manual_retries),
        latest_retry_trigger: Some(trigger.into()),
    })
}

/// Where what the action works on can be looked at: as an approval gives it, or as its type declares it. The
/// configuration is that of the stage's last execution, its variables replaced, or as declared while they have no values.
fn entity(
    declared: &cp::ActionDeclaration,
    configuration: &BTreeMap<String, String>,
    types: &Types,
) -> Option<String> {
    if person(declared) {
        return configuration.get("ExternalEntityLink").cloned();
    }
    let settings = types.row(&declared.action_type_id)?.shape.settings.as_ref()?;
    jobs::expand(settings.entity_url_template.as_deref()?, configuration, None)
}

/// Whether a person carries an action out.
fn person(declared: &cp::ActionDeclaration) -> bool {
    matches!(catalog::carrier(&declared.action_type_id), Some(Carrier::Person))
}

fn action_state(
    declared: &cp::ActionDeclaration,
    run: Option<&ActionRun>,
    entity_url: Option<String>,
) -> cp::ActionState {
    let revision = run.and_then(|run| run.output.revision.as_ref().map(|revision| (run, revision)));
    cp::ActionState {
        action_name: Some(declared.name.clone()),
        current_revision: revision.and_then(|(run, revision)| {
            Some(cp::ActionRevision {
                revision_id: revision.id.clone(),
                revision_change_id: revision.change.as_ref().unwrap_or(&revision.id).clone(),
                created: time(revision.created.unwrap_or(run.updated))?,
            })
        }),
        latest_execution: run.map(|run| action_execution(run, person(declared))),
        entity_url,
        revision_url: revision.and_then(|(_, revision)| revision.url.clone()),
    }
}

fn action_execution(run: &ActionRun, person: bool) -> cp::ActionExecution {
    let waits = person && run.status == ActionStatus::InProgress;
    let progress = &run.progress;
    cp::ActionExecution {
        action_execution_id: Some(run.id.clone()),
        status: Some(run.status.name().into()),
        summary: progress.summary.clone(),
        last_status_change: time(run.updated),
        token: waits.then(|| run.id.clone()),
        last_updated_by: run.by.clone(),
        external_execution_id: progress.external_id.clone(),
        external_execution_url: progress.external_url.clone(),
        percent_complete: progress.percent,
        error_details: run.failure.as_ref().map(|failure| cp::ErrorDetails {
            code: Some(failure.code.clone()),
            message: Some(failure.message.clone()),
        }),
        log_stream_arn: progress.log_stream.clone(),
    }
}
