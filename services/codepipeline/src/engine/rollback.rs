//! Rollback of a stage: a new execution runs it again with what an earlier one, which succeeded in it, had there.
//!
//! It begins before that stage and ends with it. It goes before all that wait there, past the transition: like a
//! retry, it does not come from the stage before. It waits only for actions of the stage that still run.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    ConditionStatus, Consequence, Execution, Kind, Millis, Mode, Moment, Output, Place, PlanStage,
    StageStatus, State, Trigger, Visit, actions, locks, starting,
};
use crate::error::Error;

/// Outputs of actions, by stage and action.
pub type Made = BTreeMap<String, BTreeMap<String, Output>>;

/// What an execution of type ROLLBACK goes back to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollback {
    /// The execution.
    pub target: String,
    /// The stage.
    pub stage: String,
    /// What was made for the target in the stages before.
    pub given: Made,
}

/// An execution that a stage can be rolled back to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its id.
    pub execution: String,
    /// Its pipeline variables.
    pub variables: BTreeMap<String, String>,
    /// What was made for it in the stages before.
    pub given: Made,
}

impl Target {
    /// What is needed of an execution in order to go back to it in a stage.
    pub fn of(execution: &Execution, stage: &str) -> Self {
        let before = execution.visits.iter().take_while(|visit| visit.stage != stage);
        let made = |visit: &Visit| {
            let actions = visit.actions.iter();
            (visit.stage.clone(), actions.map(|(name, run)| (name.clone(), run.output.clone())).collect())
        };
        Self {
            execution: execution.id.clone(),
            variables: execution.variables.clone(),
            given: before.map(made).collect(),
        }
    }
}

/// Somebody asks for a stage to be rolled back; `id` is that of the new execution, `target` is as it was recorded.
///
/// # Errors
/// Not the source stage, not a PARALLEL pipeline; not while an execution is in the stage, or was last passed over in
/// it; only to an execution of the pipeline's current version that succeeded in the stage and is no rollback itself.
pub fn request(
    state: &State,
    stage: &str,
    target: &Execution,
    id: String,
    by: Trigger,
) -> Result<Kind, Error> {
    let plan = state.plan().and_then(|plan| plan.stage(stage));
    let (index, _) = plan.ok_or_else(|| Error::StageNotFound(stage.into()))?;
    let unable = |why: String| Err(Error::UnableToRollback { stage: stage.into(), why });
    if state.mode == Mode::Parallel {
        return unable("the pipeline's execution mode is PARALLEL".into());
    }
    if index == 0 {
        return unable("it is the source stage".into());
    }
    if target.version != state.version {
        return Err(Error::ExecutionOutdated { id: target.id.clone(), version: target.version });
    }
    if target.rollback.is_some() {
        return unable(format!("execution {} is a rollback itself", target.id));
    }
    let visit = target.visits.iter().find(|visit| visit.stage == stage);
    match visit.map(|visit| visit.status) {
        Some(StageStatus::Succeeded) => {}
        Some(status) => {
            return unable(format!("execution {} is {} in it, not Succeeded", target.id, status.name()));
        }
        None => return unable(format!("execution {} was never in it", target.id)),
    }
    if let Some(holder) = locks::holder(state, stage) {
        return unable(format!("execution {} is in progress in it", holder.id));
    }
    if pending(state, stage) {
        return unable("another rollback of it is under way".into());
    }
    if state.shown(stage).is_some_and(|(_, visit)| visit.status == StageStatus::Skipped) {
        return unable("it was skipped last".into());
    }
    Ok(begun(id, Target::of(target, stage), stage, by))
}

/// What an execution whose stage has failed does before it ends: starts the rollback that the stage asks for.
///
/// A rollback is not rolled back, or it would go on forever. Nor does a stage without a target: nothing has succeeded
/// in it since the pipeline's last update.
pub(super) fn automatic(
    state: &State,
    execution: &Execution,
    visit: &Visit,
    stage: &PlanStage,
) -> Option<Kind> {
    let asked = wanted(visit, stage);
    if !asked || execution.rollback.is_some() || execution.version != state.version {
        return None;
    }
    let target = state.targets.get(&stage.name)?;
    let id = actions::run_id(execution, &[&stage.name, "rollback"]);
    let trigger = Trigger { kind: "AutomatedRollback".into(), detail: execution.id.clone() };
    let due = state.execution(&id).is_none();
    due.then(|| begun(id, target.clone(), &stage.name, trigger))
}

/// Whether a failed stage is to be rolled back.
fn wanted(visit: &Visit, stage: &PlanStage) -> bool {
    let status = |moment: Moment| visit.conditions.get(&moment).map(|condition| condition.status);
    let unmet = |moment| matches!(status(moment), Some(ConditionStatus::Failed | ConditionStatus::Errored));
    let succeeded = |moment| status(moment) == Some(ConditionStatus::Succeeded);
    let rolls = |moment: Moment| {
        stage.conditions.get(&moment).is_some_and(|condition| condition.result == Consequence::Rollback)
    };
    // A stage that was not let in has changed nothing that there would be to roll back.
    if unmet(Moment::BeforeEntry) {
        return false;
    }
    stage.auto_rollback
        || (unmet(Moment::OnSuccess) && rolls(Moment::OnSuccess))
        || (succeeded(Moment::OnFailure) && rolls(Moment::OnFailure))
}

/// A rollback waits before the stage.
pub(super) fn pending(state: &State, stage: &str) -> bool {
    state.executions.iter().any(|e| {
        let mine = e.rollback.as_ref().is_some_and(|rollback| rollback.stage == stage);
        mine && e.active() && matches!(e.place, Place::Before(_))
    })
}

fn begun(id: String, target: Target, stage: &str, trigger: Trigger) -> Kind {
    let rollback = Rollback { target: target.execution, stage: stage.into(), given: target.given };
    Kind::RolledBack { execution: id, trigger, variables: target.variables, rollback: Box::new(rollback) }
}

/// A stage ended well: it is what it would go back to.
pub(super) fn remember(state: &mut State, id: &str, stage: &str) {
    let Some(execution) = state.execution(id) else { return };
    let current = execution.version == state.version && execution.rollback.is_none();
    let rolls = state.plan().and_then(|plan| plan.stage(stage)).is_some_and(|(_, stage)| stage.rolls_back());
    if current && rolls && execution.mode != Mode::Parallel {
        let target = Target::of(execution, stage);
        state.targets.insert(stage.into(), target);
    }
}

pub(super) fn apply(
    state: &mut State,
    id: &str,
    trigger: &Trigger,
    variables: &BTreeMap<String, String>,
    rollback: &Rollback,
    at: Millis,
) {
    let Some((index, _)) = state.plan().and_then(|plan| plan.stage(&rollback.stage)) else { return };
    starting::apply(state, id, trigger, variables, &[], at);
    if let Some(execution) = state.execution_mut(id) {
        execution.place = Place::Before(index);
        execution.rollback = Some(Box::new(rollback.clone()));
    }
}
