//! Why an execution does not move: every one that has not ended has a reason.
use std::fmt;

use super::{
    ActionStatus, ConditionStatus, Execution, Mode, Moment, PlanAction, State, Status, Visit, Work, locks,
    transitions, update,
};

/// What an execution waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The transition into the stage is disabled.
    Transition {
        /// The stage before which it waits.
        stage: String,
        /// Who disabled it.
        by: String,
        /// In their words.
        reason: String,
    },
    /// Another execution holds the stage.
    Lock {
        /// The stage before which it waits.
        stage: String,
        /// The holder.
        execution: String,
        /// Its place in the line before the stage, from 1.
        position: usize,
    },
    /// A person's decision.
    Approval {
        /// The stage.
        stage: String,
        /// The action.
        action: String,
    },
    /// A rule of a condition.
    Rule {
        /// The stage.
        stage: String,
        /// Which of its conditions.
        moment: Moment,
        /// The rule.
        rule: String,
        /// What it last said.
        summary: Option<String>,
    },
    /// A provider works.
    Action {
        /// The stage.
        stage: String,
        /// The action.
        action: String,
        /// What the provider last said.
        summary: Option<String>,
    },
}

/// What an execution waits for; nothing if it has ended.
pub fn why(state: &State, execution: &Execution) -> Vec<Why> {
    if !execution.active() {
        return Vec::new();
    }
    match execution.visit() {
        Some(visit) => {
            let stage = state.plans.get(&execution.version).and_then(|plan| plan.stage(&visit.stage));
            let approval = |name: &str| {
                let action = stage.and_then(|(_, stage)| stage.action(name));
                action.is_some_and(|a: &PlanAction| a.work == Work::Approval)
            };
            let rules = visit.rules().filter(|(.., run)| run.status == ActionStatus::InProgress);
            let rules = rules.map(|(moment, rule, run)| Why::Rule {
                stage: visit.stage.clone(),
                moment,
                rule: rule.into(),
                summary: run.progress.summary.clone(),
            });
            let running = visit.actions.iter().filter(|(_, run)| run.status == ActionStatus::InProgress);
            running
                .map(|(name, run)| match approval(name) {
                    true => Why::Approval { stage: visit.stage.clone(), action: name.clone() },
                    false => Why::Action {
                        stage: visit.stage.clone(),
                        action: name.clone(),
                        summary: run.progress.summary.clone(),
                    },
                })
                .chain(rules)
                .collect()
        }
        None => before(state, execution).into_iter().collect(),
    }
}

fn before(state: &State, execution: &Execution) -> Option<Why> {
    let stage = &state.stage_of(execution)?.name;
    if execution.mode != Mode::Parallel
        && execution.rollback.is_none()
        && let Some(gate) = state.gates.get(stage)
        && !transitions::enabled(state, stage)
    {
        let reason = gate.reason.clone().unwrap_or_default();
        return Some(Why::Transition { stage: stage.clone(), by: gate.by.clone(), reason });
    }
    let holder = locks::holder(state, stage)?;
    let line = locks::waiting(state, stage);
    let position = line.iter().position(|e| e.id == execution.id).map_or(1, |index| index + 1);
    Some(Why::Lock { stage: stage.clone(), execution: holder.id.clone(), position })
}

/// The sentence that a pipeline execution's `statusSummary` carries.
pub fn summary(state: &State, execution: &Execution) -> Option<String> {
    let reasons: Vec<String> = why(state, execution).iter().map(Why::to_string).collect();
    let outdated = update::outdated(state, execution);
    let ending = match execution.status {
        Status::Stopping => Some("Stopping when its running actions have finished"),
        Status::InProgress if outdated => {
            Some("The pipeline was updated: cancelled when its running actions have finished")
        }
        _ => None,
    };
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
    let parts: Vec<String> = ending.map(str::to_owned).into_iter().chain(reasons).collect();
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
        match self {
            Self::Rule { stage, moment, rule, summary } => {
                let moment = moment.name();
                write!(f, "Checking rule '{rule}' of the {moment} condition of stage '{stage}'")?;
                summary.iter().try_for_each(|summary| write!(f, ": {summary}"))
            }
            Self::Transition { stage, by, reason } => {
                write!(f, "Waiting to enter stage '{stage}': the transition was disabled by {by}: {reason}")
            }
            Self::Lock { stage, execution, position: 1 } => {
                write!(f, "Waiting to enter stage '{stage}': held by execution {execution}")
            }
            Self::Lock { stage, execution, position } => {
                write!(
                    f,
                    "Waiting to enter stage '{stage}': held by execution {execution}, {position} in line"
                )
            }
            Self::Approval { stage, action } => {
                write!(f, "Waiting for the approval '{action}' in stage '{stage}'")
            }
            Self::Action { stage, action, summary: None } => {
                write!(f, "Running action '{action}' in stage '{stage}'")
            }
            Self::Action { stage, action, summary: Some(summary) } => {
                write!(f, "Running action '{action}' in stage '{stage}': {summary}")
            }
        }
    }
}
