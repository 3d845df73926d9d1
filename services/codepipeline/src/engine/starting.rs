//! Executions begin: before the first stage, with all that they will not look up again.
use std::collections::BTreeMap;

use super::{Execution, Kind, Millis, Mode, Override, Place, State, Status, Trigger};
use crate::error::Error;
use crate::limits;

/// What an execution starts with.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Its id, a UUID.
    pub id: String,
    /// By what.
    pub trigger: Trigger,
    /// Every pipeline variable, resolved.
    pub variables: BTreeMap<String, String>,
    /// Revisions to take.
    pub overrides: Vec<Override>,
}

/// An execution is asked for.
pub fn request(state: &State, start: Start) -> Result<Kind, Error> {
    room(state)?;
    Ok(Kind::Started {
        execution: start.id,
        trigger: start.trigger,
        variables: start.variables,
        overrides: start.overrides,
    })
}

/// QUEUED and PARALLEL pipelines run so many executions and no more; SUPERSEDED ones are bounded by their stages.
pub(super) fn room(state: &State) -> Result<(), Error> {
    let active = state.executions.iter().filter(|e| e.active()).count();
    if state.mode != Mode::Superseded && active >= limits::CONCURRENT_EXECUTIONS {
        return Err(Error::TooManyExecutions(active));
    }
    Ok(())
}

pub(super) fn apply(
    state: &mut State,
    id: &str,
    trigger: &Trigger,
    variables: &BTreeMap<String, String>,
    overrides: &[Override],
    at: Millis,
) {
    if state.execution(id).is_some() {
        return;
    }
    state.started += 1;
    state.executions.push(Execution {
        id: id.into(),
        number: state.started,
        version: state.version,
        mode: state.mode,
        trigger: trigger.clone(),
        variables: variables.clone(),
        overrides: overrides.to_vec(),
        status: Status::InProgress,
        place: Place::Before(0),
        begun: at,
        updated: at,
        stop: None,
        superseded_by: None,
        retries: 0,
        rollback: None,
        visits: Vec::new(),
    });
}
