//! Events of CodePipeline on EventBridge: what each event of the engine tells the outside.
use kernel::{Entropy, Timestamp, ids};
use serde_json::{Value, json};
use store::Event as Notice;

use crate::engine::{Event, Execution, Kind, Place as At, StageStatus, State, Status, Visit};
use crate::records::{ActionRow, Place};

/// What is told: the level, the state, and whom it concerns.
struct Telling<'a> {
    level: &'static str,
    state: &'static str,
    execution: &'a Execution,
    extra: Value,
}

/// The notices of one event, from the state after it. `action` is the row of the run that it concerns.
pub fn of(
    place: &Place,
    state: &State,
    event: &Event,
    action: Option<&ActionRow>,
    entropy: &dyn Entropy,
) -> Vec<Notice> {
    let time = Timestamp::from_millisecond(event.at).unwrap_or_default();
    let tellings = tellings(place, state, &event.kind, action);
    let notice = |telling: Telling<'_>| {
        let kind = format!("CodePipeline {} Execution State Change", telling.level);
        let id = ids::uuid(entropy);
        Notice::new("aws.codepipeline", &kind, &place.account, &place.region, id, time)
            .resource(place.arn())
            .detail(detail(place, &telling))
    };
    tellings.into_iter().map(notice).collect()
}

fn detail(place: &Place, telling: &Telling<'_>) -> Value {
    let execution = telling.execution;
    let started = Timestamp::from_millisecond(execution.begun).unwrap_or_default();
    let mut detail = json!({
        "pipeline": place.name,
        "execution-id": execution.id,
        "start-time": started.to_string(),
        "state": telling.state,
        "version": execution.version,
        "pipeline-execution-attempt": execution.retries + 1,
        "execution-trigger": {
            "trigger-type": execution.trigger.kind,
            "trigger-detail": execution.trigger.detail,
        },
    });
    let comment = execution.stop.as_ref().and_then(|stop| stop.reason.clone());
    let members = telling.extra.as_object().cloned().unwrap_or_default();
    if let Some(object) = detail.as_object_mut() {
        object.extend(members);
        object.extend(comment.map(|comment| ("stop-execution-comments".to_owned(), Value::from(comment))));
    }
    detail
}

fn tellings<'a>(
    place: &Place,
    state: &'a State,
    kind: &Kind,
    action: Option<&ActionRow>,
) -> Vec<Telling<'a>> {
    let pipeline = |id: &str, to| {
        let execution = state.execution(id);
        execution.map(|execution| Telling { level: "Pipeline", state: to, execution, extra: Value::Null })
    };
    let stage = |id: &str, stage: &str, to| {
        let extra = json!({ "stage": stage });
        state.execution(id).map(|execution| Telling { level: "Stage", state: to, execution, extra })
    };
    let run = |to| {
        let row = action?;
        let execution = state.execution(&row.execution)?;
        Some(Telling { level: "Action", state: to, execution, extra: action_detail(place, row) })
    };
    let told = match kind {
        Kind::Started { execution, .. } | Kind::RolledBack { execution, .. } => {
            [pipeline(execution, "STARTED"), None]
        }
        Kind::Superseded { execution, .. } => [pipeline(execution, "SUPERSEDED"), None],
        Kind::Entered { execution, stage: name } => [stage(execution, name, "STARTED"), None],
        Kind::ActionStarted { .. } => [run("STARTED"), None],
        Kind::ActionSucceeded { .. } => [run("SUCCEEDED"), None],
        Kind::ActionFailed { .. } => [run("FAILED"), None],
        Kind::ActionAbandoned { .. } => [run("ABANDONED"), None],
        Kind::StageEnded { execution, stage: name, status } => {
            [stage_word(*status).and_then(|word| stage(execution, name, word)), None]
        }
        Kind::Ended { execution, status } => [word(*status).and_then(|word| pipeline(execution, word)), None],
        Kind::StopRequested { execution, .. } => {
            let within = state.execution(execution).filter(|e| matches!(e.place, At::In(_)));
            let name = within.and_then(|e| e.visits.last()).map(|visit: &Visit| visit.stage.clone());
            [pipeline(execution, "STOPPING"), name.and_then(|name| stage(execution, &name, "STOPPING"))]
        }
        Kind::Retried { execution, stage: name, .. }
        | Kind::ConditionOverridden { execution, stage: name, resumes: true, .. } => {
            [pipeline(execution, "RESUMED"), stage(execution, name, "RESUMED")]
        }
        Kind::Defined { .. }
        | Kind::ActionProgressed { .. }
        // EventBridge hears nothing of conditions and their rules.
        | Kind::RuleStarted { .. }
        | Kind::Rested { .. }
        | Kind::Woken { .. }
        | Kind::ConditionEnded { .. }
        | Kind::ConditionOverridden { .. }
        | Kind::TransitionDisabled { .. }
        | Kind::TransitionEnabled { .. } => [None, None],
    };
    told.into_iter().flatten().collect()
}

/// EventBridge spells CANCELED with one L, where the API says Cancelled.
fn word(status: Status) -> Option<&'static str> {
    match status {
        Status::Succeeded => Some("SUCCEEDED"),
        Status::Failed => Some("FAILED"),
        Status::Stopped => Some("STOPPED"),
        Status::Cancelled => Some("CANCELED"),
        Status::Superseded => Some("SUPERSEDED"),
        Status::InProgress | Status::Stopping => None,
    }
}

fn stage_word(status: StageStatus) -> Option<&'static str> {
    match status {
        StageStatus::Succeeded => Some("SUCCEEDED"),
        StageStatus::Failed => Some("FAILED"),
        StageStatus::Stopped => Some("STOPPED"),
        StageStatus::Cancelled => Some("CANCELED"),
        // EventBridge has no word for a stage that was skipped.
        StageStatus::InProgress | StageStatus::Skipped => None,
    }
}

fn action_detail(place: &Place, row: &ActionRow) -> Value {
    let kind = &row.action.action_type_id;
    let location = |(name, artifact): (&String, &crate::engine::Artifact)| json!({ "name": name, "s3location": { "bucket": artifact.bucket, "key": artifact.key } });
    let mut detail = json!({
        "stage": row.stage,
        "action": row.action.name,
        "action-execution-id": row.run.id,
        "region": place.region,
        "type": {
            "owner": kind.owner, "category": kind.category, "provider": kind.provider, "version": kind.version,
        },
        "input-artifacts": row.inputs.iter().map(location).collect::<Vec<_>>(),
        "output-artifacts": row.run.output.artifacts.iter().map(location).collect::<Vec<_>>(),
    });
    let progress = &row.run.progress;
    let failure = row.run.failure.as_ref();
    let summary = failure.map(|f| &f.message).or(progress.summary.as_ref());
    let result = [
        ("external-execution-url", progress.external_url.as_ref()),
        ("external-execution-summary", summary),
        ("external-execution-id", progress.external_id.as_ref()),
        ("error-code", failure.map(|f| &f.code)),
    ];
    let result: serde_json::Map<String, Value> = result
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?.clone()))))
        .collect();
    if !result.is_empty() {
        detail["execution-result"] = Value::Object(result);
    }
    detail
}
