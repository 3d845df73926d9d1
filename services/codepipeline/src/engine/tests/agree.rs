//! What must hold of executions beside the model, and of a log by itself.
use std::collections::{BTreeMap, BTreeSet};

use super::model::{self, At};
use super::random::{ACTIONS, MOMENTS, RULES, STAGES};
use super::*;

/// Executions as rows keep them, by number.
pub(super) type Rows = BTreeMap<u64, Execution>;

/// Whether the two say the same of an execution, and of the last stage that it was in.
pub(super) fn agree(rows: &Rows, row: &Execution, run: &model::Run) -> bool {
    let other = |n: usize| &rows[&(n as u64 + 1)];
    row.status.name() == run.status
        && row.superseded_by.as_deref() == run.superseded.map(|n| other(n).id.as_str())
        && rolls_back(row, run.rollback.map(other))
        && stands(row, run)
}

/// Whether an execution goes back to this one, with what was made for it before the stage.
fn rolls_back(row: &Execution, target: Option<&Execution>) -> bool {
    let (Some(mine), Some(target)) = (&row.rollback, target) else {
        return row.rollback.is_none() && target.is_none();
    };
    let before: Vec<_> = target.visits.iter().take_while(|visit| visit.stage != mine.stage).collect();
    let given = |visit: &&Visit| {
        let given = &mine.given[&visit.stage];
        visit.actions.len() == given.len()
            && visit.actions.iter().all(|(name, run)| given.get(name) == Some(&run.output))
    };
    mine.target == target.id
        && row.variables == target.variables
        && mine.given.len() == before.len()
        && before.iter().all(given)
}

/// Whether both say where it stands.
fn stands(row: &Execution, run: &model::Run) -> bool {
    let at = match run.at {
        At::Before(stage) => Place::Before(stage),
        At::In(stage) => Place::In(stage),
        At::Done => Place::Done,
    };
    let (visit, seen) = match (row.visits.last(), run.visits.last()) {
        (None, None) => return row.place == at,
        (Some(visit), Some(seen)) => (visit, seen),
        _ => return false,
    };
    let job = |(index, job): (usize, &Option<model::Job>)| {
        let mine = visit.actions.get(ACTIONS[index]).map(|run| run.status.name());
        mine == job.as_ref().map(|job| job.status)
    };
    let condition = |which: usize| match (visit.conditions.get(&MOMENTS[which]), &seen.conditions[which]) {
        (None, None) => true,
        (Some(mine), Some(theirs)) => {
            let mut rules = theirs.rules.iter().enumerate();
            mine.status.name() == theirs.status
                && mine.rules.len() == theirs.rules.len()
                && rules.all(|(index, rule)| mine.rules[RULES[index]].status.name() == rule.status)
        }
        _ => false,
    };
    let place = row.place == at && row.stop.as_ref().map(|stop| stop.abandon) == run.stop;
    place
        && row.visits.len() == run.visits.len()
        && visit.stage == STAGES[seen.stage]
        && visit.status.name() == seen.status
        && [visit.manual_retries, visit.auto_retries] == seen.retries
        && seen.jobs.iter().enumerate().all(job)
        && (0..3).all(condition)
}

/// The rules that can be read off the log alone.
pub(super) fn audit(log: &[Event]) {
    let mut runs: BTreeSet<&str> = BTreeSet::new();
    let mut running: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    let mut parallel: BTreeSet<&str> = BTreeSet::new();
    let mut modes: BTreeMap<&str, Mode> = BTreeMap::new();
    let mut mode = Mode::default();
    for event in log {
        match &event.kind {
            Kind::Defined { mode: new, .. } => mode = *new,
            Kind::Started { execution, .. } | Kind::RolledBack { execution, .. } => {
                assert!(modes.insert(execution, mode).is_none(), "{execution} started twice");
                if mode == Mode::Parallel {
                    parallel.insert(execution);
                }
            }
            Kind::ActionStarted { execution, stage, id, .. } => {
                assert!(runs.insert(id), "a run started twice: {event:?}");
                let others = running.values().filter(|(e, s)| s == stage && e != execution);
                let locked = others.filter(|(e, _)| !parallel.contains(e)).count();
                let shared = parallel.contains(execution.as_str());
                assert!(shared || locked == 0, "two executions in a stage: {event:?}");
                running.insert(id, (execution, stage));
            }
            Kind::RuleStarted { id, .. } => assert!(runs.insert(id), "a rule started twice: {event:?}"),
            Kind::ActionSucceeded { id, .. }
            | Kind::ActionFailed { id, .. }
            | Kind::ActionAbandoned { id } => {
                assert!(runs.contains(id.as_str()), "{id} ended before it began");
                running.remove(id.as_str());
            }
            Kind::Superseded { execution, by } => {
                assert_eq!(modes[execution.as_str()], Mode::Superseded);
                assert!(!running.values().any(|(e, _)| e == execution), "superseded inside a stage");
                assert!(modes.contains_key(by.as_str()));
            }
            _ => {}
        }
    }
}
