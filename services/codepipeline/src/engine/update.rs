//! A pipeline's definition, and what a new one does to executions of the old.
use super::locks::ending;
use super::{FORMAT, Kind, Mode, Plan, StageStatus, State, Status};

/// A pipeline is created or updated.
pub fn define(version: i32, mode: Mode, plan: Plan) -> Kind {
    Kind::Defined { version, mode, plan }
}

/// Executions of an older version are cancelled: those that wait at once, the others when their running actions have
/// finished. PARALLEL ones finish on their old definition.
pub(super) fn next(state: &State) -> Option<Kind> {
    let outdated = |e: &&super::Execution| {
        e.status == Status::InProgress && e.mode != Mode::Parallel && e.version != state.version && !e.busy()
    };
    let execution = state.executions.iter().find(outdated)?;
    Some(ending(execution, StageStatus::Cancelled, Status::Cancelled))
}

pub(super) fn apply(state: &mut State, version: i32, mode: Mode, plan: &Plan) {
    state.format = FORMAT;
    state.version = version;
    state.mode = mode;
    state.plans.insert(version, plan.clone());
    // What is said of stages that no longer exist is not said of later ones of the same name.
    let named = |stage: &String| plan.stage(stage).is_some();
    state.gates.retain(|stage, _| named(stage));
    state.latest.retain(|stage, _| named(stage));
    state.before.retain(|stage, runs| {
        let declared = plan.stage(stage).map(|(_, stage)| stage);
        runs.retain(|action, _| declared.is_some_and(|stage| stage.action(action).is_some()));
        !runs.is_empty()
    });
}
