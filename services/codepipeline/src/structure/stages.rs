//! Stages: how many, their names, and where sources stand.
use api::codepipeline as cp;

use super::{each, twice};
use crate::error::Error;
use crate::limits;
use crate::triggers::declared;

pub(super) fn check(pipeline: &cp::PipelineDeclaration) -> Result<(), Error> {
    counts(pipeline)?;
    if let Some(name) = twice(pipeline.stages.iter().map(|stage| stage.name.as_str())) {
        return Err(Error::InvalidStage(format!(
            "The stage name '{name}' is used more than once: stage names are unique"
        )));
    }
    pipeline.stages.iter().try_for_each(stage)?;
    sources(pipeline)?;
    declared::check(pipeline)?;
    variables(pipeline)
}

fn counts(pipeline: &cp::PipelineDeclaration) -> Result<(), Error> {
    let stages = pipeline.stages.len();
    if stages < limits::STAGES_MIN {
        let least = limits::STAGES_MIN;
        let message = format!("The pipeline has {stages} stage(s): a pipeline has at least {least}");
        return Err(Error::InvalidStructure(message));
    }
    if stages > limits::STAGES {
        let message = format!("The pipeline has {stages} stages: a pipeline has at most {}", limits::STAGES);
        return Err(Error::InvalidStructure(message));
    }
    let actions = each(pipeline).count();
    if actions > limits::ACTIONS {
        let message =
            format!("The pipeline has {actions} actions: a pipeline has at most {}", limits::ACTIONS);
        return Err(Error::InvalidStructure(message));
    }
    Ok(())
}

fn stage(stage: &cp::StageDeclaration) -> Result<(), Error> {
    let name = &stage.name;
    let invalid = |message: String| Err(Error::InvalidStage(message));
    if stage.actions.is_empty() {
        return invalid(format!("Stage '{name}' has no action: a stage has at least one"));
    }
    if stage.actions.len() > limits::ACTIONS_PER_STAGE {
        let (count, most) = (stage.actions.len(), limits::ACTIONS_PER_STAGE);
        return invalid(format!("Stage '{name}' has {count} actions: a stage has at most {most}"));
    }
    if let Some(action) = twice(stage.actions.iter().map(|action| action.name.as_str())) {
        let message = format!(
            "The action name '{action}' is used more than once in stage '{name}': names are unique in a stage"
        );
        return Err(Error::InvalidAction(message));
    }
    if stage.blockers.as_ref().is_some_and(|blockers| !blockers.is_empty()) {
        return Err(Error::InvalidBlocker(format!(
            "Stage '{name}' has blockers, which AWS keeps for future use"
        )));
    }
    Ok(())
}

/// The first stage holds sources alone, the others none.
fn sources(pipeline: &cp::PipelineDeclaration) -> Result<(), Error> {
    for (index, stage) in pipeline.stages.iter().enumerate() {
        for action in &stage.actions {
            let source = action.action_type_id.category == "Source";
            let (action, stage) = (&action.name, &stage.name);
            if index == 0 && !source {
                return Err(Error::InvalidStructure(format!(
                    "The pipeline must start with a stage that holds only source actions: action '{action}' in stage '{stage}' is none"
                )));
            }
            if index > 0 && source {
                return Err(Error::InvalidStructure(format!(
                    "Only the first stage may hold source actions: action '{action}' in stage '{stage}' is one"
                )));
            }
        }
    }
    Ok(())
}

fn variables(pipeline: &cp::PipelineDeclaration) -> Result<(), Error> {
    let declared = pipeline.variables.iter().flatten();
    if declared.clone().count() > limits::VARIABLES {
        let message = format!("The pipeline declares more than {} variables", limits::VARIABLES);
        return Err(Error::InvalidStructure(message));
    }
    match twice(declared.map(|variable| variable.name.as_str())) {
        Some(name) => {
            Err(Error::InvalidStructure(format!("The pipeline variable '{name}' is declared more than once")))
        }
        None => Ok(()),
    }
}
