//! RetryStageExecution, and the one retry that a stage may ask for itself.
use std::collections::BTreeMap;

use super::{
    ActionRun, ActionStatus, Execution, Kind, Millis, Mode, Place, PlanStage, RetryMode, StageStatus, State,
    Status, Visit, conditions, rollback, starting,
};
use crate::error::Error;

/// Somebody asks for a stage to run again.
///
/// # Errors
/// Only the last execution that entered the stage, only after it failed or was stopped there, only while the
/// pipeline's definition is the one it ran, and all of its actions only when none of them runs.
pub fn request(state: &State, id: &str, stage: &str, mode: RetryMode) -> Result<Kind, Error> {
    let plan = state.plan().ok_or_else(|| Error::StageNotFound(stage.into()))?;
    plan.stage(stage).ok_or_else(|| Error::StageNotFound(stage.into()))?;
    let execution = state.execution(id).ok_or_else(|| Error::NotLatest(id.into()))?;
    if execution.mode != Mode::Parallel && state.latest.get(stage).is_none_or(|latest| latest != id) {
        return Err(Error::NotLatest(id.into()));
    }
    let not = |why: &str| Err(Error::NotRetryable { stage: stage.into(), why: why.into() });
    let Some(visit) = execution.visit().filter(|visit| visit.stage == stage) else {
        return not("the execution is not in it");
    };
    if !matches!(visit.status, StageStatus::Failed | StageStatus::Stopped) {
        return not("it has not failed");
    }
    if execution.version != state.version {
        return not("the pipeline has been updated since");
    }
    if mode == RetryMode::AllActions && visit.busy() {
        return not("actions of it are in progress; retry FAILED_ACTIONS, or wait for them");
    }
    if rollback::pending(state, stage) {
        return not("it is being rolled back");
    }
    starting::room(state)?;
    Ok(retried(execution, visit, mode, false))
}

/// Whether a stage that has a failed action retries itself.
pub(super) enum Automatic {
    /// It does, in this way.
    Now(RetryMode),
    /// It will, once its running actions have ended.
    AfterRunning,
    /// It does not.
    No,
}

pub(super) fn automatic(visit: &Visit, stage: &PlanStage) -> Automatic {
    match stage.auto_retry {
        Some(mode) if visit.auto_retries == 0 => match mode {
            RetryMode::AllActions if visit.busy() => Automatic::AfterRunning,
            _ => Automatic::Now(mode),
        },
        _ => Automatic::No,
    }
}

/// The event of a retry.
pub(super) fn retried(execution: &Execution, visit: &Visit, mode: RetryMode, automatic: bool) -> Kind {
    Kind::Retried { execution: execution.id.clone(), stage: visit.stage.clone(), mode, automatic }
}

pub(super) fn apply(state: &mut State, id: &str, stage: &str, mode: RetryMode, automatic: bool, at: Millis) {
    let Some(execution) = state.execution_mut(id).filter(|e| matches!(e.place, Place::In(_))) else { return };
    let Some(visit) = execution.visits.last_mut().filter(|visit| visit.stage == stage) else { return };
    let again = |status| match mode {
        RetryMode::AllActions => true,
        RetryMode::FailedActions => matches!(status, ActionStatus::Failed | ActionStatus::Abandoned),
    };
    let runs = std::mem::take(&mut visit.actions);
    let (gone, kept) = runs.into_iter().partition(|(_, run)| again(run.status));
    visit.actions = kept;
    conditions::retried(visit, mode);
    visit.status = StageStatus::InProgress;
    visit.since = at;
    visit.last_retry_automatic = automatic;
    if automatic {
        visit.auto_retries += 1;
    } else {
        visit.manual_retries += 1;
    }
    execution.retries += 1;
    execution.status = Status::InProgress;
    execution.stop = None;
    execution.updated = at;
    if execution.mode != Mode::Parallel {
        let gone: BTreeMap<String, ActionRun> = gone;
        state.before.entry(stage.into()).or_default().extend(gone);
    }
}
