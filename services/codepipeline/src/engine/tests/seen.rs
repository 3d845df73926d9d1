//! What schedules were seen to change to what.
use std::collections::BTreeSet;

use super::random::{ACTIONS, MOMENTS, RULES, STAGES};
use super::*;

/// Transitions that were seen: of what, from, to, by which event.
pub(super) type Seen = BTreeSet<(&'static str, &'static str, &'static str, &'static str)>;

/// A status, and whose: by level, execution, stage, condition and place there.
pub(super) type Standing = ((&'static str, u64, usize, usize, usize), &'static str);

/// The status of everything.
pub(super) fn standings(state: &State) -> Vec<Standing> {
    let mut all = Vec::new();
    for e in &state.executions {
        all.push((("Executions", e.number, 0, 0, 0), e.status.name()));
        for visit in &e.visits {
            let stage = place(&STAGES, &visit.stage);
            all.push((("Stages", e.number, stage, 0, 0), visit.status.name()));
            for (name, run) in &visit.actions {
                let key = ("Actions and rules", e.number, stage, 0, place(&ACTIONS, name));
                all.push((key, run.status.name()));
            }
            for (moment, condition) in &visit.conditions {
                let which = 1 + place(&MOMENTS, moment);
                all.push((("Conditions", e.number, stage, which, 0), condition.status.name()));
                for (name, run) in &condition.rules {
                    let key = ("Actions and rules", e.number, stage, which, place(&RULES, name));
                    all.push((key, run.status.name()));
                }
            }
        }
    }
    all
}

pub(super) fn place<T: PartialEq<U>, U: ?Sized>(all: &[T], one: &U) -> usize {
    all.iter().position(|other| other == one).expect("a name that the schedule gave")
}

pub(super) fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Defined { .. } => "Defined",
        Kind::Started { .. } => "Started",
        Kind::RolledBack { .. } => "RolledBack",
        Kind::Superseded { .. } => "Superseded",
        Kind::Entered { .. } => "Entered",
        Kind::ActionStarted { .. } => "ActionStarted",
        Kind::RuleStarted { .. } => "RuleStarted",
        Kind::Rested { .. } => "Rested",
        Kind::Woken { .. } => "Woken",
        Kind::ConditionEnded { .. } => "ConditionEnded",
        Kind::ConditionOverridden { .. } => "ConditionOverridden",
        Kind::ActionProgressed { .. } => "ActionProgressed",
        Kind::ActionSucceeded { .. } => "ActionSucceeded",
        Kind::ActionFailed { .. } => "ActionFailed",
        Kind::ActionAbandoned { .. } => "ActionAbandoned",
        Kind::StageEnded { .. } => "StageEnded",
        Kind::Ended { .. } => "Ended",
        Kind::StopRequested { .. } => "StopRequested",
        Kind::Retried { .. } => "Retried",
        Kind::TransitionDisabled { .. } => "TransitionDisabled",
        Kind::TransitionEnabled { .. } => "TransitionEnabled",
    }
}
