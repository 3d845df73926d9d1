//! StopPipelineExecution: wait for the running actions, or abandon them.
use super::locks::ending;
use super::{ActionStatus, ConditionStatus, Kind, Millis, StageStatus, State, Status, Stop, conditions};
use crate::error::Error;

/// Somebody asks an execution to stop.
///
/// # Errors
/// One that has ended cannot be stopped; a second stop that adds nothing to the first is refused.
pub fn request(state: &State, id: &str, abandon: bool, reason: Option<String>) -> Result<Kind, Error> {
    let execution = state.execution(id).filter(|e| e.active());
    let Some(execution) = execution else { return Err(Error::NotStoppable(id.into())) };
    match &execution.stop {
        Some(stop) if stop.abandon || !abandon => Err(Error::DuplicatedStop(id.into())),
        _ => Ok(Kind::StopRequested { execution: id.into(), abandon, reason }),
    }
}

/// What a stopping execution still has to do. What a condition would say of it no longer matters.
pub(super) fn next(state: &State) -> Option<Kind> {
    state.executions.iter().filter(|e| e.status == Status::Stopping).find_map(|execution| {
        let abandon = execution.stop.as_ref().is_some_and(|stop| stop.abandon);
        let condition = if abandon { ConditionStatus::Abandoned } else { ConditionStatus::Cancelled };
        if let Some(cut) = conditions::cut(execution, condition) {
            return Some(cut);
        }
        let running = execution
            .visits
            .last()
            .and_then(|visit| visit.actions.values().find(|run| run.status == ActionStatus::InProgress));
        match running {
            None => Some(ending(execution, StageStatus::Stopped, Status::Stopped)),
            Some(run) => abandon.then(|| Kind::ActionAbandoned { id: run.id.clone() }),
        }
    })
}

pub(super) fn apply(state: &mut State, id: &str, abandon: bool, reason: Option<&str>, at: Millis) {
    let Some(execution) = state.execution_mut(id).filter(|e| e.active()) else { return };
    let earlier = execution.stop.take().and_then(|stop| stop.reason);
    execution.stop = Some(Stop { abandon, reason: reason.map(str::to_owned).or(earlier) });
    execution.status = Status::Stopping;
    execution.updated = at;
}
