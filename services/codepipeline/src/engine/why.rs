//! Why an execution does not move: every one that has not ended has a reason, and so has each of its actions that
//! could be next.
use std::fmt;

use super::{
    ActionRun, ActionStatus, ConditionStatus, Execution, Millis, Mode, Moment, PlanStage, State, Status,
    Visit, Work, actions, locks, transitions, update,
};
use crate::limits;

/// What an execution waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// The stage before which, or in which, it waits.
    pub stage: String,
    /// Since when.
    pub since: Millis,
    /// What for.
    pub what: What,
}

/// See [`Why`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The transition into the stage is disabled.
    Transition {
        /// Who disabled it: an ARN.
        by: String,
        /// In their words.
        reason: String,
        /// Its place in the line before the stage, from 1.
        position: usize,
    },
    /// Another execution holds the stage.
    Lock {
        /// The holder.
        execution: String,
        /// Its place in the line before the stage, from 1.
        position: usize,
    },
    /// A person's decision.
    Approval(Running),
    /// A provider works.
    Action(Running),
    /// A rule of a condition of the stage is checked.
    Rule {
        /// Which of the stage's conditions.
        moment: Moment,
        /// The rule, as an action under way.
        rule: Running,
    },
    /// As many actions of the execution run as may at a time.
    Capacity {
        /// The action that is not started for it.
        action: String,
        /// How many may run.
        most: usize,
    },
    /// Actions of a lower run order are not done.
    Order {
        /// The action that comes later.
        action: String,
        /// The order that is not done.
        after: i32,
    },
}

/// An action under way, or a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its name.
    pub action: String,
    /// Its run's id.
    pub id: String,
    /// When it fails, unless it ends before.
    pub until: Millis,
    /// What the provider last said.
    pub summary: Option<String>,
    /// The provider's id of what it runs.
    pub external_id: Option<String>,
    /// Where that can be looked at.
    pub external_url: Option<String>,
}

/// What an execution waits for; nothing if it has ended and none of its actions runs.
pub fn why(state: &State, execution: &Execution) -> Vec<Why> {
    let Some(stage) = state.stage_of(execution) else { return Vec::new() };
    match execution.visits.last().filter(|visit| visit.stage == stage.name) {
        Some(visit) if execution.active() || visit.busy() => within(execution, visit, stage),
        None if execution.active() => before(state, execution, stage).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Before a stage.
fn before(state: &State, execution: &Execution, stage: &PlanStage) -> Option<Why> {
    let line = locks::waiting(state, &stage.name);
    let position = line.iter().position(|e| e.id == execution.id).map_or(1, |index| index + 1);
    let gate = state.gates.get(&stage.name).filter(|_| !transitions::enabled(state, &stage.name));
    let heeds = execution.mode != Mode::Parallel && execution.rollback.is_none();
    let what = match gate.filter(|_| heeds) {
        Some(gate) => What::Transition {
            by: gate.by.clone(),
            reason: gate.reason.clone().unwrap_or_default(),
            position,
        },
        None => What::Lock { execution: locks::holder(state, &stage.name)?.id.clone(), position },
    };
    Some(Why { stage: stage.name.clone(), since: execution.updated, what })
}

/// In a stage: what runs, and what waits for that.
fn within(execution: &Execution, visit: &Visit, stage: &PlanStage) -> Vec<Why> {
    let run = |name: &str| visit.actions.get(name).filter(|run| run.status == ActionStatus::InProgress);
    let rules: Vec<Why> = rules(visit, stage).collect();
    // While a condition is checked no action is next.
    let moving = execution.status == Status::InProgress && rules.is_empty();
    let order = actions::pending(visit, stage).filter(|_| moving);
    let full = execution.mode == Mode::Parallel
        && visit.actions.values().filter(|run| run.status == ActionStatus::InProgress).count()
            >= limits::CONCURRENT_ACTIONS;
    let what = |action: &super::PlanAction| match (run(&action.name), order) {
        (Some(run), _) => {
            let running = running(&action.name, run, action.timeout);
            Some(match action.work {
                Work::Approval => (run.begun, What::Approval(running)),
                Work::Provider => (run.begun, What::Action(running)),
            })
        }
        (None, Some(after)) if !visit.actions.contains_key(&action.name) && action.order > after => {
            Some((visit.since, What::Order { action: action.name.clone(), after }))
        }
        (None, Some(_)) if !visit.actions.contains_key(&action.name) && full => {
            let action = action.name.clone();
            Some((visit.since, What::Capacity { action, most: limits::CONCURRENT_ACTIONS }))
        }
        _ => None,
    };
    let whys = stage.actions.iter().filter_map(what);
    whys.map(|(since, what)| Why { stage: visit.stage.clone(), since, what }).chain(rules).collect()
}

/// The rules that are checked.
fn rules<'a>(visit: &'a Visit, stage: &'a PlanStage) -> impl Iterator<Item = Why> + 'a {
    let checked = visit.rules().filter(|(.., run)| run.status == ActionStatus::InProgress);
    checked.map(move |(moment, rule, run)| {
        let declared = stage.conditions.get(&moment).and_then(|c| c.rules.iter().find(|r| r.name == rule));
        let timeout = declared.map_or(0, |rule| rule.timeout);
        let what = What::Rule { moment, rule: running(rule, run, timeout) };
        Why { stage: visit.stage.clone(), since: run.begun, what }
    })
}

fn running(action: &str, run: &ActionRun, timeout: Millis) -> Running {
    let progress = &run.progress;
    Running {
        action: action.to_owned(),
        id: run.id.clone(),
        until: run.begun.saturating_add(timeout),
        summary: progress.summary.clone(),
        external_id: progress.external_id.clone(),
        external_url: progress.external_url.clone(),
    }
}

/// What an execution does when its running actions have finished, if not the next thing.
pub fn ending(state: &State, execution: &Execution) -> Option<&'static str> {
    let outdated = update::outdated(state, execution);
    match execution.status {
        Status::Stopping => Some("Stopping when its running actions have finished"),
        Status::InProgress if outdated => {
            Some("The pipeline was updated: cancelled when its running actions have finished")
        }
        _ => None,
    }
}

/// The sentence that a pipeline execution's `statusSummary` carries.
pub fn summary(state: &State, execution: &Execution) -> Option<String> {
    // What waits for another action of the same stage says nothing that the other does not.
    let own = |why: &Why| !matches!(why.what, What::Order { .. } | What::Capacity { .. });
    let whys = if execution.active() { why(state, execution) } else { Vec::new() };
    let reasons = whys.iter().filter(|why| own(why)).map(Why::to_string);
    let failed = || {
        let visit = execution.visits.last().filter(|_| execution.status == Status::Failed)?;
        let action = || {
            let (name, failure) =
                visit.actions.iter().find_map(|(name, run)| Some((name, run.failure.as_ref()?)))?;
            Some(format!("Action '{name}' in stage '{}' failed: {}", visit.stage, failure.message))
        };
        action().or_else(|| unmet(visit))
    };
    let superseded = || execution.superseded_by.as_ref().map(|by| format!("Superseded by execution {by}"));
    let parts: Vec<String> = ending(state, execution).map(str::to_owned).into_iter().chain(reasons).collect();
    (!parts.is_empty()).then(|| parts.join("; ")).or_else(failed).or_else(superseded)
}

/// The condition that failed a stage.
fn unmet(visit: &Visit) -> Option<String> {
    let failed = |status| matches!(status, ConditionStatus::Failed | ConditionStatus::Errored);
    let (moment, condition) = visit.conditions.iter().find(|(_, condition)| failed(condition.status))?;
    let (rule, failure) =
        condition.rules.iter().find_map(|(rule, run)| Some((rule, run.failure.as_ref()?)))?;
    let (moment, stage) = (moment.name(), &visit.stage);
    Some(format!("The {moment} condition of stage '{stage}' failed: rule '{rule}': {}", failure.message))
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = &self.stage;
        match &self.what {
            What::Transition { by, reason, .. } => {
                write!(f, "Waiting to enter stage '{stage}': the transition was disabled by {by}: {reason}")
            }
            What::Lock { execution, position: 1 } => {
                write!(f, "Waiting to enter stage '{stage}': held by execution {execution}")
            }
            What::Lock { execution, position } => {
                write!(
                    f,
                    "Waiting to enter stage '{stage}': held by execution {execution}, {position} in line"
                )
            }
            What::Approval(Running { action, .. }) => {
                write!(f, "Waiting for the approval '{action}' in stage '{stage}'")
            }
            What::Action(Running { action, summary: None, .. }) => {
                write!(f, "Running action '{action}' in stage '{stage}'")
            }
            What::Action(Running { action, summary: Some(summary), .. }) => {
                write!(f, "Running action '{action}' in stage '{stage}': {summary}")
            }
            What::Rule { moment, rule: Running { action: rule, summary, .. } } => {
                let moment = moment.name();
                write!(f, "Checking rule '{rule}' of the {moment} condition of stage '{stage}'")?;
                summary.iter().try_for_each(|summary| write!(f, ": {summary}"))
            }
            What::Capacity { action, most } => write!(
                f,
                "Action '{action}' in stage '{stage}' starts when one of {most} running ones has ended"
            ),
            What::Order { action, after } => write!(
                f,
                "Action '{action}' in stage '{stage}' starts when those of run order {after} have succeeded"
            ),
        }
    }
}
