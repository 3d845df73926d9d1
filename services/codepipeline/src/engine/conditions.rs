//! Conditions of stages: their rules run as actions do, and what they come to decides where the execution goes.
//!
//! A condition is decided once for each entry and each retry of its stage. The first rule that is not met decides it;
//! those that still run are abandoned.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::actions::run_id;
use super::{
    ActionRun, ActionStatus, Consequence, Event, Execution, Kind, Millis, Mode, Moment, PlanCondition,
    PlanStage, RetryMode, StageStatus, State, Status, Visit, rollback, starting,
};
use crate::error::Error;

/// A condition that is being evaluated, or was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// How it stands.
    pub status: ConditionStatus,
    /// When that last changed.
    pub updated: Millis,
    /// The ARN of who overrode it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The runs of its rules, by name.
    pub rules: BTreeMap<String, ActionRun>,
}

impl Condition {
    /// What there is to say of it: who let it pass, the rule that was not met, or those that are waited for.
    pub fn summary(&self) -> Option<String> {
        if let Some(by) = &self.by {
            return Some(format!("Overridden by {by}"));
        }
        let said = |(name, run): (&String, &ActionRun)| {
            let failure = run.failure.as_ref().map(|failure| &failure.message);
            Some(format!("Rule '{name}': {}", failure.or(run.progress.summary.as_ref())?))
        };
        let said: Vec<String> = self.rules.iter().filter_map(said).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}

/// How a condition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// Rules run.
    InProgress,
    /// A rule was not met.
    Failed,
    /// A rule could not tell.
    Errored,
    /// All rules were met.
    Succeeded,
    /// Its execution was stopped, or the pipeline updated under it.
    Cancelled,
    /// Its execution was stopped without waiting.
    Abandoned,
    /// Somebody let the execution pass.
    Overridden,
}

/// The failure code of a rule that was not met; others say why it could not tell.
pub const UNMET: &str = "JobFailed";

/// What a condition says of its stage.
pub(super) enum Standing {
    /// The stage has no such condition.
    None,
    /// It is met, or was overridden.
    Met,
    /// It is not, and has this result.
    Unmet(Consequence),
    /// It does not say yet. What it does next, unless it waits.
    Open(Option<Box<Kind>>),
}

/// What a condition of the stage that an execution stands in says.
pub(super) fn standing(execution: &Execution, visit: &Visit, stage: &PlanStage, moment: Moment) -> Standing {
    let Some(plan) = stage.conditions.get(&moment) else { return Standing::None };
    let condition = visit.conditions.get(&moment);
    match condition.map(|condition| condition.status) {
        None | Some(ConditionStatus::InProgress) => {
            Standing::Open(advance(execution, stage, moment, plan, condition).map(Box::new))
        }
        Some(ConditionStatus::Succeeded | ConditionStatus::Overridden) => Standing::Met,
        Some(_) => Standing::Unmet(plan.result),
    }
}

fn advance(
    execution: &Execution,
    stage: &PlanStage,
    moment: Moment,
    plan: &PlanCondition,
    condition: Option<&Condition>,
) -> Option<Kind> {
    let run = |rule: &str| condition.and_then(|condition| condition.rules.get(rule));
    let failed = plan.rules.iter().find_map(|rule| run(&rule.name)?.failure.as_ref());
    if let Some(failure) = failed {
        let met = failure.code == UNMET;
        let status = if met { ConditionStatus::Failed } else { ConditionStatus::Errored };
        return Some(ended(execution, &stage.name, moment, status));
    }
    if let Some(rule) = plan.rules.iter().find(|rule| run(&rule.name).is_none()) {
        return Some(Kind::RuleStarted {
            execution: execution.id.clone(),
            stage: stage.name.clone(),
            moment,
            rule: rule.name.clone(),
            id: run_id(execution, &[&stage.name, moment.name(), &rule.name]),
        });
    }
    let succeeded = |name: &str| run(name).is_some_and(|run| run.status == ActionStatus::Succeeded);
    let all = plan.rules.iter().all(|rule| succeeded(&rule.name));
    all.then(|| ended(execution, &stage.name, moment, ConditionStatus::Succeeded))
}

fn ended(execution: &Execution, stage: &str, moment: Moment, status: ConditionStatus) -> Kind {
    Kind::ConditionEnded { execution: execution.id.clone(), stage: stage.into(), moment, status }
}

/// Ends the condition that an execution is in the midst of, which no longer matters.
pub(super) fn cut(execution: &Execution, status: ConditionStatus) -> Option<Kind> {
    let visit = execution.visit()?;
    let open = |condition: &Condition| condition.status == ConditionStatus::InProgress;
    let (moment, _) = visit.conditions.iter().find(|(_, condition)| open(condition))?;
    Some(ended(execution, &visit.stage, *moment, status))
}

/// Rules of a condition that is decided are not waited for, and one that failed a condition counts no more once
/// somebody let the execution pass.
pub(super) fn next(state: &State) -> Option<Kind> {
    let left = |condition: &Condition, run: &ActionRun| match run.status {
        ActionStatus::InProgress => true,
        ActionStatus::Failed => condition.status == ConditionStatus::Overridden,
        ActionStatus::Succeeded | ActionStatus::Abandoned => false,
    };
    let conditions =
        |execution: &Execution| execution.visits.last().is_some_and(|v| !v.conditions.is_empty());
    state.executions.iter().filter(|e| conditions(e)).find_map(|execution| {
        let visit = execution.visits.last()?;
        let mut over = visit.conditions.values().filter(|c| c.status != ConditionStatus::InProgress);
        let run = over.find_map(|condition| condition.rules.values().find(|run| left(condition, run)))?;
        Some(Kind::ActionAbandoned { id: run.id.clone() })
    })
}

/// A rule whose rest is over.
pub(super) fn woken(state: &State, now: Millis) -> Option<Kind> {
    let due = |run: &ActionRun| run.rest.is_some_and(|rest| rest <= now);
    let (.., run) = state.running_rules().find(|(.., run)| due(run))?;
    Some(Kind::Woken { id: run.id.clone() })
}

/// Somebody lets an execution pass a condition of a stage: while it is evaluated, or after it failed.
///
/// # Errors
/// Only the last execution that entered the stage, only conditions that have not been met, and none whose result is to
/// skip the stage. One that had failed must fit into the pipeline's limit again.
pub fn request(state: &State, id: &str, stage: &str, moment: Moment, by: String) -> Result<Kind, Error> {
    let plan = state.plan().and_then(|plan| plan.stage(stage));
    let (_, declared) = plan.ok_or_else(|| Error::StageNotFound(stage.into()))?;
    let not = |why: &str| {
        let (stage, condition) = (stage.to_owned(), moment.name());
        Err(Error::ConditionNotOverridable { stage, condition, why: why.into() })
    };
    let Some(condition) = declared.conditions.get(&moment) else { return not("the stage declares none") };
    if condition.result == Consequence::Skip {
        return not("its result is SKIP");
    }
    let execution = state.execution(id).ok_or_else(|| Error::NotLatest(id.into()))?;
    if execution.mode != Mode::Parallel && state.latest.get(stage).is_none_or(|latest| latest != id) {
        return Err(Error::NotLatest(id.into()));
    }
    let Some(visit) = execution.visit().filter(|visit| visit.stage == stage) else {
        return not("the execution is not in the stage");
    };
    if execution.version != state.version {
        return not("the pipeline has been updated since");
    }
    let resumes = match visit.conditions.get(&moment).map(|condition| condition.status) {
        Some(ConditionStatus::InProgress) if execution.status == Status::InProgress => false,
        Some(ConditionStatus::Failed | ConditionStatus::Errored) if visit.status == StageStatus::Failed => {
            true
        }
        None => return not("it is not evaluated yet"),
        Some(_) => return not("it does not hold the execution back"),
    };
    if resumes {
        if rollback::pending(state, stage) {
            return not("the stage is being rolled back");
        }
        starting::room(state)?;
    }
    Ok(Kind::ConditionOverridden { execution: id.into(), stage: stage.into(), moment, by, resumes })
}

/// What a retry leaves of a stage's conditions: the entry condition that was passed holds on while only failed
/// actions run again; everything else is evaluated anew.
pub(super) fn retried(visit: &mut Visit, mode: RetryMode) {
    let passed = |c: &Condition| matches!(c.status, ConditionStatus::Succeeded | ConditionStatus::Overridden);
    visit.conditions.retain(|moment, condition| {
        mode == RetryMode::FailedActions && *moment == Moment::BeforeEntry && passed(condition)
    });
}

pub(super) fn apply(state: &mut State, event: &Event) {
    let at = event.at;
    let (Kind::RuleStarted { execution, stage, moment, .. }
    | Kind::ConditionEnded { execution, stage, moment, .. }
    | Kind::ConditionOverridden { execution, stage, moment, .. }) = &event.kind
    else {
        return;
    };
    let Some(execution) = state.execution_mut(execution) else { return };
    let Some(visit) = execution.visits.last_mut().filter(|visit| visit.stage == *stage) else { return };
    execution.updated = at;
    let condition = visit.conditions.entry(*moment).or_insert_with(|| Condition {
        status: ConditionStatus::InProgress,
        updated: at,
        by: None,
        rules: BTreeMap::new(),
    });
    match &event.kind {
        Kind::RuleStarted { rule, id, .. } => {
            condition.rules.entry(rule.clone()).or_insert_with(|| ActionRun::new(id, at));
        }
        Kind::ConditionEnded { status, .. } => {
            condition.status = *status;
            condition.updated = at;
        }
        Kind::ConditionOverridden { by, resumes, .. } => {
            condition.status = ConditionStatus::Overridden;
            condition.by = Some(by.clone());
            condition.updated = at;
            if *resumes {
                visit.status = StageStatus::InProgress;
                execution.status = Status::InProgress;
            }
        }
        _ => {}
    }
}
