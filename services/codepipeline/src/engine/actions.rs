//! Actions: orders within a stage, their outcomes, and their timeouts.
use super::conditions::{Standing, standing};
use super::locks::ending;
use super::{
    ActionRun, ActionStatus, Consequence, Event, Execution, Failure, Kind, Millis, Mode, Moment, PlanStage,
    Progress, StageStatus, State, Status, Visit, Work, retry, rollback, update,
};
use crate::limits;

/// A run that took longer than its action, or its rule, may.
pub(super) fn expired(state: &State, now: Millis) -> Option<Kind> {
    let actions = state.running().map(|(_, _, action, run)| {
        let what = match action.work {
            Work::Approval => "The approval was not decided",
            Work::Provider => "The action did not end",
        };
        (run, action.timeout, what)
    });
    let rules = state.running_rules().map(|(.., rule, run)| (run, rule.timeout, "The rule was not met"));
    let (run, timeout, what) =
        actions.chain(rules).find(|(run, timeout, _)| run.begun.saturating_add(*timeout) <= now)?;
    let message = format!("{what} within its timeout of {} minutes", timeout / 60_000);
    Some(Kind::ActionFailed {
        id: run.id.clone(),
        failure: Failure { code: "JobFailed".into(), message },
        progress: Progress::default(),
        by: None,
    })
}

/// The next thing that some execution does in the stage where it stands.
pub(super) fn next(state: &State) -> Option<Kind> {
    let moving = |e: &&Execution| e.status == Status::InProgress && !update::outdated(state, e);
    state.executions.iter().filter(moving).find_map(|e| advance(state, e))
}

fn advance(state: &State, execution: &Execution) -> Option<Kind> {
    let Some(visit) = execution.visit() else {
        let done = execution.place == super::Place::Done;
        return done.then(|| ending(execution, StageStatus::Succeeded, Status::Succeeded));
    };
    let stage = state.stage_of(execution)?;
    match visit.status {
        StageStatus::InProgress => within(execution, visit, stage),
        StageStatus::Failed => rollback::automatic(state, execution, visit, stage)
            .or_else(|| Some(ending(execution, StageStatus::Failed, Status::Failed))),
        _ => None,
    }
}

/// The way through a stage: its entry condition, its actions, what it says of their success or failure.
fn within(execution: &Execution, visit: &Visit, stage: &PlanStage) -> Option<Kind> {
    let ended = |status, then| Some(ending(execution, status, then));
    let fail = || ended(StageStatus::Failed, Status::Failed);
    let succeed = || ended(StageStatus::Succeeded, Status::Succeeded);
    match standing(execution, visit, stage, Moment::BeforeEntry) {
        Standing::None | Standing::Met => {}
        Standing::Unmet(Consequence::Skip) => return ended(StageStatus::Skipped, Status::Succeeded),
        Standing::Unmet(_) => return fail(),
        Standing::Open(next) => return next.map(|kind| *kind),
    }
    if failed(visit) {
        return match retry::automatic(visit, stage) {
            retry::Automatic::Now(mode) => Some(retry::retried(execution, visit, mode, true)),
            retry::Automatic::AfterRunning => None,
            retry::Automatic::No => match standing(execution, visit, stage, Moment::OnFailure) {
                Standing::Open(next) => next.map(|kind| *kind),
                _ => fail(),
            },
        };
    }
    if let Some(order) = pending(visit, stage) {
        return begin(execution, visit, stage, order);
    }
    match standing(execution, visit, stage, Moment::OnSuccess) {
        Standing::None | Standing::Met => succeed(),
        Standing::Unmet(_) => fail(),
        Standing::Open(next) => next.map(|kind| *kind),
    }
}

fn failed(visit: &Visit) -> bool {
    visit.actions.values().any(|run| run.status == ActionStatus::Failed)
}

/// The lowest order of which not every action has succeeded.
pub(super) fn pending(visit: &Visit, stage: &PlanStage) -> Option<i32> {
    let done = |name: &str| visit.actions.get(name).is_some_and(|run| run.status == ActionStatus::Succeeded);
    stage.actions.iter().filter(|action| !done(&action.name)).map(|action| action.order).min()
}

fn begin(execution: &Execution, visit: &Visit, stage: &PlanStage, order: i32) -> Option<Kind> {
    let running = visit.actions.values().filter(|run| run.status == ActionStatus::InProgress).count();
    if execution.mode == Mode::Parallel && running >= limits::CONCURRENT_ACTIONS {
        return None;
    }
    let due = |name: &str| !visit.actions.contains_key(name);
    let action = stage.actions.iter().find(|action| action.order == order && due(&action.name))?;
    Some(Kind::ActionStarted {
        execution: execution.id.clone(),
        stage: stage.name.clone(),
        action: action.name.clone(),
        id: run_id(execution, &[&stage.name, &action.name]),
    })
}

/// The id of a run follows from what it is a run of, so that a decision taken again names it the same.
pub(super) fn run_id(execution: &Execution, what: &[&str]) -> String {
    let name = format!("{}/{}/{}", execution.id, what.join("/"), execution.retries);
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
}

pub(super) fn apply(state: &mut State, event: &Event) {
    let at = event.at;
    match &event.kind {
        Kind::ActionStarted { execution, stage, action, id } => {
            let Some(execution) = state.execution_mut(execution) else { return };
            let Some(visit) = execution.visits.last_mut().filter(|v| v.stage == *stage) else { return };
            visit.actions.entry(action.clone()).or_insert_with(|| ActionRun::new(id, at));
            execution.updated = at;
        }
        Kind::ActionProgressed { id, progress } => {
            change(state, id, at, |run| run.progress.merge(progress));
        }
        Kind::ActionSucceeded { id, output, by } => change(state, id, at, |run| {
            run.status = ActionStatus::Succeeded;
            run.progress.merge(&output.progress);
            run.progress.checkpoint = None;
            run.output.clone_from(output);
            run.by.clone_from(by);
        }),
        Kind::ActionFailed { id, failure, progress, by } => change(state, id, at, |run| {
            run.status = ActionStatus::Failed;
            run.progress.merge(progress);
            run.progress.checkpoint = None;
            run.failure = Some(failure.clone());
            run.by.clone_from(by);
        }),
        // Also of a rule that had failed, when somebody overrode its condition.
        Kind::ActionAbandoned { id } => {
            let left = |status| matches!(status, ActionStatus::InProgress | ActionStatus::Failed);
            change_if(state, id, at, left, |run| run.status = ActionStatus::Abandoned);
        }
        Kind::Rested { id, until, progress } => change(state, id, at, |run| {
            run.rest = Some(*until);
            run.progress.merge(progress);
        }),
        Kind::Woken { id } => change(state, id, at, |run| {
            run.rest = None;
            run.wakes += 1;
        }),
        _ => {}
    }
}

/// Changes a run that is in progress; one that is over is never touched again.
fn change(state: &mut State, id: &str, at: Millis, how: impl FnOnce(&mut ActionRun)) {
    change_if(state, id, at, |status| status == ActionStatus::InProgress, how);
}

/// Changes a run that stands so.
fn change_if(
    state: &mut State,
    id: &str,
    at: Millis,
    stands: impl FnOnce(ActionStatus) -> bool,
    how: impl FnOnce(&mut ActionRun),
) {
    for execution in &mut state.executions {
        let Some(visit) = execution.visits.last_mut() else { continue };
        let Some(run) = visit.run_mut(id) else { continue };
        if stands(run.status) {
            how(run);
            run.updated = at;
            execution.updated = at;
        }
        return;
    }
}
