//! Secret values of configurations. They are sealed when a pipeline is declared, in place, and opened for whoever
//! carries the action out: whatever else sees a declaration (rows, lists, events) sees an envelope, and shows a mask.
use std::collections::BTreeMap;

use api::codepipeline as cp;
use kernel::Fault;
use store::{Sealed, Sealer};

use crate::error::Error;
use crate::jobs::Types;
use crate::records::Place;

/// The mask of secret values.
pub const MASK: &str = "****";
/// What an envelope begins with, before its JSON.
const ENVELOPE: &str = "longshore-sealed:";

/// Whether a configuration value is an envelope.
pub fn is_sealed(value: &str) -> bool {
    value.starts_with(ENVELOPE)
}

/// What shows of a value.
pub fn mask(value: &mut String) {
    if is_sealed(value) {
        MASK.clone_into(value);
    }
}

/// The declaration with its secret values masked, as it is read.
pub fn masked(mut pipeline: cp::PipelineDeclaration) -> cp::PipelineDeclaration {
    each(&mut pipeline, |_, _, _, value| mask(value));
    pipeline
}

/// Nobody but [`seal`] makes envelopes: one that came in would be shown as a secret that it is not.
pub fn refuse_envelopes(pipeline: &cp::PipelineDeclaration) -> Result<(), Error> {
    let mut actions = pipeline.stages.iter().flat_map(|stage| &stage.actions);
    let forged = actions.find(|action| action.configuration.iter().flatten().any(|(_, v)| is_sealed(v)));
    match forged {
        None => Ok(()),
        Some(action) => Err(Error::InvalidAction(format!(
            "In action '{}': a configuration value begins with {ENVELOPE}, which is reserved",
            action.name
        ))),
    }
}

/// A new declaration in which a masked secret keeps the value that the same action of the same stage had.
pub fn unmasked(mut new: cp::PipelineDeclaration, old: &cp::PipelineDeclaration) -> cp::PipelineDeclaration {
    each(&mut new, |stage, action, key, value| {
        if value != MASK {
            return;
        }
        let stage = old.stages.iter().find(|before| before.name == stage);
        let action = stage.and_then(|stage| stage.actions.iter().find(|before| before.name == action));
        let before = action.and_then(|action| action.configuration.as_ref()?.get(key));
        if let Some(before) = before.filter(|before| is_sealed(before)) {
            value.clone_from(before);
        }
    });
    new
}

/// A declaration that was checked, its secret values sealed.
pub fn sealed(
    mut pipeline: cp::PipelineDeclaration,
    types: &Types,
    sealer: &Sealer,
    place: &Place,
) -> Result<cp::PipelineDeclaration, Error> {
    for stage in &mut pipeline.stages {
        for action in &mut stage.actions {
            let Some(kind) = types.find(&action.action_type_id) else { continue };
            for (key, value) in action.configuration.iter_mut().flatten() {
                if kind.property(key).is_some_and(|p| p.secret) && !is_sealed(value) {
                    let context = context(place, &stage.name, &action.name, key);
                    let envelope = sealer.seal_text(&context, value).map_err(Fault::from)?;
                    let envelope = serde_json::to_string(&envelope).map_err(Fault::internal)?;
                    *value = format!("{ENVELOPE}{envelope}");
                }
            }
        }
    }
    Ok(pipeline)
}

/// A configuration with its secret values opened.
pub fn opened(
    mut configuration: BTreeMap<String, String>,
    sealer: &Sealer,
    place: &Place,
    stage: &str,
    action: &str,
) -> Result<BTreeMap<String, String>, Fault> {
    for (key, value) in &mut configuration {
        if let Some(envelope) = value.strip_prefix(ENVELOPE) {
            let envelope: Sealed = serde_json::from_str(envelope).map_err(Fault::internal)?;
            *value = sealer.open_text(&context(place, stage, action, key), &envelope)?;
        }
    }
    Ok(configuration)
}

/// Where a secret belongs: moved elsewhere, its envelope does not open.
fn context(place: &Place, stage: &str, action: &str, key: &str) -> String {
    format!("codepipeline/{}/{}/{}/{stage}/{action}/{key}", place.account, place.region, place.name)
}

/// Calls for each configuration value: stage, action, key, value.
fn each(pipeline: &mut cp::PipelineDeclaration, mut call: impl FnMut(&str, &str, &str, &mut String)) {
    for stage in &mut pipeline.stages {
        for action in &mut stage.actions {
            for (key, value) in action.configuration.iter_mut().flatten() {
                call(&stage.name, &action.name, key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(stage: &str, action: &str, token: &str) -> cp::PipelineDeclaration {
        let configuration = [("Token", token), ("Other", MASK)].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let action = cp::ActionDeclaration {
            name: action.into(),
            configuration: Some(BTreeMap::from(configuration)),
            ..Default::default()
        };
        let stage = cp::StageDeclaration { name: stage.into(), actions: vec![action], ..Default::default() };
        cp::PipelineDeclaration { stages: vec![stage], ..Default::default() }
    }

    #[test]
    fn a_mask_keeps_the_old_value_of_the_same_action() {
        let secret = format!("{ENVELOPE}{{}}");
        let old = pipeline("S", "A", &secret);
        assert_eq!(masked(old.clone()), pipeline("S", "A", MASK));
        let updated = |stage, action, value| unmasked(pipeline(stage, action, value), &old);
        assert_eq!(updated("S", "A", MASK), old);
        assert_eq!(updated("S", "A", "new"), pipeline("S", "A", "new"));
        // A renamed stage loses its secrets, as in AWS.
        assert_eq!(updated("T", "A", MASK), pipeline("T", "A", MASK));
        assert!(refuse_envelopes(&old).is_err() && refuse_envelopes(&pipeline("S", "A", MASK)).is_ok());
    }
}
