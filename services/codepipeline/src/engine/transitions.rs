//! Transitions: an execution enters a stage only while the transition into it is enabled.
use super::{Event, Gate, Kind, State};
use crate::error::Error;

/// Which side of a stage a transition is asked for by.
fn inbound(state: &State, stage: &str, side: &str) -> Result<String, Error> {
    let plan = state.plan().ok_or_else(|| Error::StageNotFound(stage.into()))?;
    let (index, found) = plan.stage(stage).ok_or_else(|| Error::StageNotFound(stage.into()))?;
    // The way out of a stage is the way into the next.
    let entered = if side == "Outbound" { plan.stages.get(index + 1) } else { Some(found) };
    let named = entered.map(|stage| stage.name.clone());
    named.ok_or_else(|| {
        Error::Validation(format!(
            "Stage '{stage}' is the pipeline's last: no transition leads out of it (transitionType Outbound)"
        ))
    })
}

/// Disables a transition.
pub fn close(state: &State, stage: &str, side: &str, reason: String, by: String) -> Result<Kind, Error> {
    Ok(Kind::TransitionDisabled { stage: inbound(state, stage, side)?, reason, by })
}

/// Enables a transition.
pub fn open(state: &State, stage: &str, side: &str, by: String) -> Result<Kind, Error> {
    Ok(Kind::TransitionEnabled { stage: inbound(state, stage, side)?, by })
}

pub(super) fn enabled(state: &State, stage: &str) -> bool {
    state.gates.get(stage).is_none_or(|gate| gate.enabled)
}

pub(super) fn apply(state: &mut State, event: &Event) {
    let (stage, enabled, by, reason) = match &event.kind {
        Kind::TransitionDisabled { stage, reason, by } => (stage, false, by, Some(reason.clone())),
        Kind::TransitionEnabled { stage, by } => (stage, true, by, None),
        _ => return,
    };
    state.gates.insert(stage.clone(), Gate { enabled, by: by.clone(), at: event.at, reason });
}
