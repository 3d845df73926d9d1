//! Actions: their types, how many artifacts these take, and their configuration.
use api::codepipeline as cp;

use super::{at, each};
use crate::actions::{commands, needs_v2, unserved};
use crate::catalog::{Kind, Settings};
use crate::error::Error;
use crate::jobs::Types;

pub(super) fn check(pipeline: &cp::PipelineDeclaration, region: &str, types: &Types) -> Result<(), Error> {
    each(pipeline).try_for_each(|(stage, action)| {
        let checked = action_type(action, region, types)
            .and_then(|kind| place(action, region).map(|()| kind))
            .and_then(|kind| counts(&kind, action).map(|()| kind))
            .and_then(|kind| fields(action).map(|()| kind))
            .and_then(|kind| version(pipeline, action).map(|()| kind))
            .and_then(|kind| configuration(&kind, action));
        checked.map_err(|what| Error::InvalidAction(format!("In {}: {what}", at(stage, action))))
    })
}

fn action_type<'a>(
    action: &cp::ActionDeclaration,
    region: &str,
    types: &'a Types,
) -> Result<Kind<'a>, String> {
    let id = &action.action_type_id;
    types.find(id).ok_or_else(|| {
        unserved::refusal(id).unwrap_or_else(|| format!(
            "the action type (category '{}', owner '{}', provider '{}', version '{}') is not available in Region {region}; list-action-types shows those that are",
            id.category, id.owner, id.provider, id.version
        ))
    })
}

/// A pipeline of type V1 has only actions that were there before V2.
fn version(pipeline: &cp::PipelineDeclaration, action: &cp::ActionDeclaration) -> Result<(), String> {
    let id = &action.action_type_id;
    match pipeline.pipeline_type.as_deref() == Some("V1") && needs_v2(id) {
        true => Err(format!("actions of provider {} need a pipeline of pipelineType V2", id.provider)),
        false => Ok(()),
    }
}

fn place(action: &cp::ActionDeclaration, region: &str) -> Result<(), String> {
    match action.region.as_deref().filter(|asked| *asked != region) {
        Some(asked) if action.action_type_id.category == "Source" => {
            Err(format!("region '{asked}': source actions run in the pipeline's own Region, {region}"))
        }
        Some(asked) => Err(format!(
            "region '{asked}': actions outside of the pipeline's Region, {region}, are not served yet"
        )),
        None => Ok(()),
    }
}

fn counts(kind: &Kind<'_>, action: &cp::ActionDeclaration) -> Result<(), String> {
    let inputs = action.input_artifacts.as_ref().map_or(0, Vec::len);
    let outputs = action.output_artifacts.as_ref().map_or(0, Vec::len);
    for (what, count, range) in
        [("inputArtifacts", inputs, &kind.inputs), ("outputArtifacts", outputs, &kind.outputs)]
    {
        if !range.contains(&count) {
            let (least, most) = (range.start(), range.end());
            let allowed = if least == most { format!("{least}") } else { format!("from {least} to {most}") };
            return Err(format!("it has {count} {what}, and {} takes {allowed}", kind.provider));
        }
    }
    Ok(())
}

/// Members that only Commands has.
fn fields(action: &cp::ActionDeclaration) -> Result<(), String> {
    if commands::is(&action.action_type_id) {
        return commands::check(action);
    }
    let filled = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let provider = &action.action_type_id.provider;
    let refuse = |field: &str| Err(format!("{field} is not a field of actions of provider {provider}"));
    if filled(&action.commands) {
        return refuse("commands");
    }
    if filled(&action.output_variables) {
        return refuse("outputVariables");
    }
    if action.environment_variables.as_ref().is_some_and(|list| !list.is_empty()) {
        return refuse("environmentVariables");
    }
    let files = |artifact: &cp::OutputArtifact| filled(&artifact.files);
    if action.output_artifacts.iter().flatten().any(files) {
        return refuse("outputArtifacts.files");
    }
    Ok(())
}

fn configuration(kind: &Kind<'_>, action: &cp::ActionDeclaration) -> Result<(), String> {
    let given = action.configuration.iter().flatten();
    for (key, value) in given {
        let Some(property) = kind.property(key) else {
            return Err(format!("configuration key '{key}' is not one of {}", kind.provider));
        };
        if let Some(wrong) = property.refuse(value) {
            return Err(format!("configuration key '{key}' {wrong}"));
        }
    }
    let settings = Settings { action };
    let missing = |name: &str| settings.get(name).is_none_or(str::is_empty);
    match kind.properties.iter().find(|property| property.required && missing(&property.name)) {
        Some(property) => Err(format!("the required configuration key '{}' is missing", property.name)),
        None => (kind.check)(&settings),
    }
}
