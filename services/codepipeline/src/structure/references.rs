//! Variables: namespaces, and that a reference can have a value when its action starts.
use std::collections::BTreeSet;

use api::codepipeline as cp;

use super::{at, each, order, twice};
use crate::error::Error;
use crate::variables::{EXECUTION, EXECUTION_ID, PIPELINE, Reference, references};

/// Where something stands in the pipeline that takes what earlier actions made.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The stage's index.
    pub stage: usize,
    /// The place in the stage: what was made has a lower one.
    pub order: i32,
    /// It is a source action.
    pub source: bool,
}

impl Place {
    /// An action's, in the stage of that index.
    pub fn of(stage: usize, action: &cp::ActionDeclaration) -> Self {
        Self { stage, order: order(action), source: action.action_type_id.category == "Source" }
    }

    /// To compare with others.
    pub fn at(self) -> (usize, i32) {
        (self.stage, self.order)
    }
}

pub(super) fn check(pipeline: &cp::PipelineDeclaration) -> Result<(), Error> {
    namespaces(pipeline)?;
    for (index, stage) in pipeline.stages.iter().enumerate() {
        for action in &stage.actions {
            for (field, value) in texts(action) {
                if let Some(wrong) = wrong(pipeline, Place::of(index, action), value) {
                    let place = at(stage, action);
                    return Err(Error::InvalidAction(format!("In {place}, {field}: {wrong}")));
                }
            }
        }
    }
    Ok(())
}

/// The texts of an action that may refer to variables, each with what it is.
fn texts(action: &cp::ActionDeclaration) -> impl Iterator<Item = (String, &str)> {
    let configuration = action.configuration.iter().flatten();
    let configuration =
        configuration.map(|(key, text)| (format!("configuration key '{key}'"), text.as_str()));
    let commands = action.commands.iter().flatten().map(|text| ("commands".to_owned(), text.as_str()));
    let variables = action.environment_variables.iter().flatten();
    let variables = variables.map(|v| (format!("environment variable '{}'", v.name), v.value.as_str()));
    configuration.chain(commands).chain(variables)
}

fn namespaces(pipeline: &cp::PipelineDeclaration) -> Result<(), Error> {
    let declared =
        || each(pipeline).filter_map(|(stage, action)| Some((stage, action, action.namespace.as_deref()?)));
    let artifacts: BTreeSet<&str> = each(pipeline)
        .flat_map(|(_, a)| a.output_artifacts.iter().flatten())
        .map(|o| o.name.as_str())
        .collect();
    for (stage, action, namespace) in declared() {
        let wrong = match namespace {
            EXECUTION | PIPELINE => "is reserved",
            _ if artifacts.contains(namespace) => "is the name of an artifact",
            _ => continue,
        };
        let place = at(stage, action);
        return Err(Error::InvalidAction(format!(
            "The namespace '{namespace}' of {place} {wrong}; choose another"
        )));
    }
    match twice(declared().map(|(_, _, namespace)| namespace)) {
        Some(namespace) => Err(Error::InvalidAction(format!(
            "The namespace '{namespace}' is used by more than one action: namespaces are unique in a pipeline"
        ))),
        None => Ok(()),
    }
}

/// What is wrong with the references of a text.
pub(super) fn wrong(pipeline: &cp::PipelineDeclaration, place: Place, text: &str) -> Option<String> {
    references(text).find_map(|reference| match reference {
        Err(malformed) => Some(malformed.to_string()),
        Ok(reference) => refuse(pipeline, place, reference),
    })
}

fn refuse(pipeline: &cp::PipelineDeclaration, place: Place, reference: Reference<'_>) -> Option<String> {
    let Reference { namespace, key } = reference;
    let text = format!("'#{{{namespace}.{key}}}'");
    match namespace {
        EXECUTION if key == EXECUTION_ID => None,
        EXECUTION => Some(format!("{text} does not exist; the namespace {EXECUTION} holds {EXECUTION_ID}")),
        PIPELINE if place.source => {
            Some(format!("{text}: pipeline variables cannot be used in source actions"))
        }
        PIPELINE => {
            let declared = pipeline.variables.iter().flatten().any(|variable| variable.name == key);
            (!declared).then(|| format!("{text}: the pipeline declares no variable '{key}'"))
        }
        _ => {
            let giver = pipeline.stages.iter().enumerate().find_map(|(index, s)| {
                let giver = s.actions.iter().find(|a| a.namespace.as_deref() == Some(namespace))?;
                Some((index, order(giver)))
            });
            match giver {
                None => Some(format!("{text} refers to the namespace '{namespace}', which no action has")),
                Some(at) if at >= place.at() => Some(format!(
                    "{text} refers to an action that has not ended by then: use namespaces of earlier stages, or of lower runOrder"
                )),
                Some(_) => None,
            }
        }
    }
}
