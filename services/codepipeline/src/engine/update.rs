//! A pipeline's definition, and what a new one does to executions of the old.
use super::locks::ending;
use super::{ConditionStatus, Execution, FORMAT, Kind, Mode, Plan, StageStatus, State, Status, conditions};

/// A pipeline is created or updated.
pub fn define(version: i32, mode: Mode, plan: Plan) -> Kind {
    Kind::Defined { version, mode, plan }
}

/// Executions of an older version are cancelled: those that wait at once, the others when their running actions have
/// finished. PARALLEL ones finish on their old definition.
pub(super) fn next(state: &State) -> Option<Kind> {
    let outdated = |e: &&Execution| e.status == Status::InProgress && outdated(state, e);
    state.executions.iter().filter(outdated).find_map(|execution| {
        let cancelled = || ending(execution, StageStatus::Cancelled, Status::Cancelled);
        let cut = conditions::cut(execution, ConditionStatus::Cancelled);
        cut.or_else(|| (!execution.busy()).then(cancelled))
    })
}

/// The pipeline was updated under an execution, which therefore begins nothing any more.
pub(super) fn outdated(state: &State, execution: &Execution) -> bool {
    execution.mode != Mode::Parallel && execution.version != state.version
}

pub(super) fn apply(state: &mut State, version: i32, mode: Mode, plan: &Plan) {
    state.format = FORMAT;
    state.version = version;
    state.mode = mode;
    state.plans.insert(version, plan.clone());
    // A stage is rolled back to executions of the current version alone.
    state.targets.clear();
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
