//! Stage locks: who holds a stage, who waits before it, who is superseded.
//!
//! A lock belongs to a stage's name, so that an execution of an older version and one of the current version contend
//! for it too. PARALLEL executions take no part.
use super::{Execution, Kind, Millis, Mode, Place, StageStatus, State, Status, Visit, rollback, transitions};

/// The execution that holds a stage: it stands there and has not ended, or has ended while some of its actions run.
pub(super) fn holder<'a>(state: &'a State, stage: &str) -> Option<&'a Execution> {
    state.executions.iter().find(|e| {
        e.mode != Mode::Parallel
            && matches!(e.place, Place::In(_))
            && (e.active() || e.busy())
            && e.visits.last().is_some_and(|visit| visit.stage == stage)
    })
}

/// The executions that wait before a stage, in the order in which they came. That is the order in which they were
/// started: they go through every stage one by one, and what has ended in a stage goes on only while nothing has entered
/// it since.
pub fn waiting<'a>(state: &'a State, stage: &str) -> Vec<&'a Execution> {
    let mut waiting: Vec<&Execution> = state
        .executions
        .iter()
        .filter(|e| e.active() && e.mode != Mode::Parallel && matches!(e.place, Place::Before(_)))
        .filter(|e| state.stage_of(e).is_some_and(|s| s.name == stage))
        .collect();
    // A rollback goes first.
    waiting.sort_by_key(|e| e.rollback.is_none());
    waiting
}

/// Enters what may enter, then supersedes what may not.
pub(super) fn next(state: &State) -> Option<Kind> {
    let arrived = || {
        state
            .executions
            .iter()
            .filter(|e| e.status == Status::InProgress && matches!(e.place, Place::Before(_)))
    };
    arrived().find_map(|e| entrance(state, e)).or_else(|| arrived().find_map(|e| superseding(state, e)))
}

fn entrance(state: &State, execution: &Execution) -> Option<Kind> {
    let stage = &state.stage_of(execution)?.name;
    let free = execution.mode == Mode::Parallel
        || ((transitions::enabled(state, stage) || execution.rollback.is_some())
            && holder(state, stage).is_none()
            && waiting(state, stage).first().is_some_and(|first| first.id == execution.id));
    free.then(|| Kind::Entered { execution: execution.id.clone(), stage: stage.clone() })
}

/// Only between stages, and only by one that arrived at the same entry later.
fn superseding(state: &State, execution: &Execution) -> Option<Kind> {
    let newest = waiting(state, &state.stage_of(execution)?.name).pop()?;
    let yields =
        execution.mode == Mode::Superseded && newest.id != execution.id && execution.rollback.is_none();
    yields.then(|| Kind::Superseded { execution: execution.id.clone(), by: newest.id.clone() })
}

pub(super) fn enter(state: &mut State, id: &str, stage: &str, at: Millis) {
    let earlier = state.shown(stage).map(|(_, visit)| visit.actions.clone()).unwrap_or_default();
    let Some(execution) = state.execution_mut(id) else { return };
    let Place::Before(index) = execution.place else { return };
    execution.place = Place::In(index);
    execution.updated = at;
    execution.visits.push(Visit {
        stage: stage.into(),
        status: StageStatus::InProgress,
        manual_retries: 0,
        auto_retries: 0,
        last_retry_automatic: false,
        since: at,
        actions: Default::default(),
        conditions: Default::default(),
    });
    // PARALLEL executions share no stage, so that none of them is the latest in one.
    if execution.mode != Mode::Parallel {
        state.latest.insert(stage.into(), id.into());
        state.before.entry(stage.into()).or_default().extend(earlier);
    }
}

/// A stage ended. An execution that is through with it stands before the next; any other stays, to be retried.
pub(super) fn leave(state: &mut State, id: &str, stage: &str, status: StageStatus, at: Millis) {
    let stages =
        state.execution(id).and_then(|e| state.plans.get(&e.version)).map_or(0, |plan| plan.stages.len());
    let Some(execution) = state.execution_mut(id) else { return };
    let Place::In(index) = execution.place else { return };
    let Some(visit) = execution.visits.last_mut().filter(|visit| visit.stage == stage) else { return };
    visit.status = status;
    execution.updated = at;
    if matches!(status, StageStatus::Succeeded | StageStatus::Skipped) {
        let last = index + 1 >= stages || execution.rollback.is_some();
        execution.place = if last { Place::Done } else { Place::Before(index + 1) };
    }
    if status == StageStatus::Succeeded {
        rollback::remember(state, id, stage);
    }
}

pub(super) fn end(state: &mut State, id: &str, status: Status, at: Millis) {
    if let Some(execution) = state.execution_mut(id).filter(|e| e.active()) {
        execution.status = status;
        execution.updated = at;
    }
}

pub(super) fn supersede(state: &mut State, id: &str, by: &str, at: Millis) {
    if let Some(execution) = state.execution_mut(id).filter(|e| e.active()) {
        execution.status = Status::Superseded;
        execution.superseded_by = Some(by.into());
        execution.updated = at;
    }
}

/// The event that ends an execution where it stands: first its stage, if it stands in one, then itself.
pub(super) fn ending(execution: &Execution, stage: StageStatus, status: Status) -> Kind {
    match execution.visit().filter(|visit| visit.status == StageStatus::InProgress) {
        Some(visit) => {
            Kind::StageEnded { execution: execution.id.clone(), stage: visit.stage.clone(), status: stage }
        }
        None => Kind::Ended { execution: execution.id.clone(), status },
    }
}
