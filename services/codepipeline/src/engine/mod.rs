//! How executions move: event-sourced, one stream per pipeline, because stage locks, superseding, queues and
//! transitions span executions.
//!
//! - [`State::apply`] folds one [`Event`] in; it is the only thing replayed, so it never decides.
//! - [`decide`] says what follows from a state at an instant. It is pure, and may change between releases.
//! - [`State::outstanding`] and [`State::outstanding_rules`] list the actions and rules that should be running.
//!
//! A module per concern holds its three parts together: what a caller may ask for (`request`), what follows (`next`),
//! and how it is folded in (`apply`).
//!
//! Locks are not stored. A stage is held by the execution that stands in it, so that no lock can outlive its holder.
mod actions;
mod approvals;
mod conditions;
mod event;
mod execution;
mod locks;
mod plan;
mod retry;
mod rollback;
mod starting;
mod state;
mod stop;
mod transitions;
mod update;
mod why;

#[cfg(test)]
mod tests;

pub use approvals::Verdict;
pub use conditions::{Condition, ConditionStatus, UNMET, request as pass};
pub use event::{Event, Kind};
pub use execution::{Execution, Override, Place, StageStatus, Status, Stop, Trigger, Visit, type_name};
pub use locks::waiting;
pub use plan::{Consequence, Moment, Plan, PlanAction, PlanCondition, PlanRule, PlanStage, RetryMode, Work};
pub use retry::request as retry;
pub use rollback::{Made, Rollback, Target, request as roll_back};
pub use starting::{Start, request as start};
pub use state::{
    ActionRun, ActionStatus, Artifact, Failure, Gate, Millis, Mode, Output, Progress, Revision, State,
};
pub use stop::request as stop;
pub use transitions::{close, open};
pub use update::define;
pub use why::{Running, What, Why, ending, summary, why};
pub use {approvals::request as approve, state::FORMAT};

use crate::limits;

/// What follows from the state at `now`: all of it, until nothing more does.
pub fn decide(state: &State, now: Millis) -> Vec<Event> {
    let mut ahead = state.clone();
    let mut events = Vec::new();
    while let Some(kind) = next(&ahead, now) {
        let event = Event { at: now, cause: None, kind };
        ahead.apply(&event);
        events.push(event);
        if events.len() == limits::EVENTS_PER_DECISION {
            tracing::error!("a decision does not end; the last event is {:?}", events.last());
            break;
        }
    }
    events
}

/// The one next thing. The order is part of the rules: what ends comes before what begins.
fn next(state: &State, now: Millis) -> Option<Kind> {
    actions::expired(state, now)
        .or_else(|| conditions::woken(state, now))
        // Before their execution ends, after which nothing is told of them any more.
        .or_else(|| conditions::next(state))
        .or_else(|| stop::next(state))
        .or_else(|| update::next(state))
        .or_else(|| actions::next(state))
        .or_else(|| locks::next(state))
}
