//! What an action type is: who provides it, how many artifacts it takes, what it may be configured with.
//! The types themselves stand in `actions/`, each beside what carries it out.
use std::ops::RangeInclusive;

use api::codepipeline as cp;

use crate::actions::{Action, TYPES};
use crate::variables::is_dynamic;

/// The owner of every type that is served.
pub const OWNER: &str = "AWS";
/// The version of every type that is served.
pub const VERSION: &str = "1";

/// An action type.
pub struct ActionType {
    /// As in `Source`.
    pub category: &'static str,
    /// As in `CodeCommit`.
    pub provider: &'static str,
    /// How many input artifacts.
    pub inputs: RangeInclusive<usize>,
    /// How many output artifacts.
    pub outputs: RangeInclusive<usize>,
    /// How long an action of it may run, in minutes.
    pub timeout: i64,
    /// The configuration key that sets another number of minutes, where there is one.
    pub timeout_key: Option<&'static str>,
    /// What it may be configured with.
    pub properties: &'static [Property],
    /// What the configuration as a whole must fulfil.
    pub check: fn(&Settings<'_>) -> Result<(), String>,
    /// Who does the work.
    pub carrier: Carrier,
}

/// Who does an action's work.
pub enum Carrier {
    /// A provider.
    Provider(&'static dyn Action),
    /// A person.
    Person,
}

/// A configuration key.
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// Whether it must be given.
    pub required: bool,
    /// Whether its value is masked when it is read.
    pub secret: bool,
    /// What values it takes.
    pub form: Form,
}

/// The values that a property takes.
pub enum Form {
    /// Anything.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A whole number within bounds.
    Whole(i64, i64),
    /// One of these.
    OneOf(&'static [&'static str]),
    /// What a function accepts; it says what is wrong.
    Checked(fn(&str) -> Result<(), String>),
    /// AWS has it and Longshore does not do what it asks for.
    Unserved(&'static str),
    /// Only this value is served; why not others.
    Only(&'static str, &'static str),
}

/// An action's declared configuration with what it belongs to.
pub struct Settings<'a> {
    /// The declaration.
    pub action: &'a cp::ActionDeclaration,
}

impl Settings<'_> {
    /// The value of a key, if it was given.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.action.configuration.as_ref()?.get(key).map(String::as_str)
    }
}

/// A key that must be given.
pub const fn required(name: &'static str, form: Form) -> Property {
    Property { name, required: true, secret: false, form }
}

/// A key that may be given.
pub const fn optional(name: &'static str, form: Form) -> Property {
    Property { name, required: false, secret: false, form }
}

/// No further condition.
pub fn anything(_: &Settings<'_>) -> Result<(), String> {
    Ok(())
}

/// The type that this names, if it is served.
pub fn find(id: &cp::ActionTypeId) -> Option<&'static ActionType> {
    let served = id.owner == OWNER && id.version == VERSION;
    TYPES.iter().copied().find(|t| served && t.category == id.category && t.provider == id.provider)
}

impl ActionType {
    /// AWS's name for it.
    pub fn id(&self) -> cp::ActionTypeId {
        cp::ActionTypeId {
            category: self.category.into(),
            owner: OWNER.into(),
            provider: self.provider.into(),
            version: VERSION.into(),
        }
    }

    /// The property of this name.
    pub fn property(&self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|property| property.name == name)
    }

    /// As ListActionTypes gives it.
    pub fn shape(&self) -> cp::ActionType {
        let details = |range: &RangeInclusive<usize>| cp::ArtifactDetails {
            minimum_count: i32::try_from(*range.start()).unwrap_or(i32::MAX),
            maximum_count: i32::try_from(*range.end()).unwrap_or(i32::MAX),
        };
        let property = |p: &Property| cp::ActionConfigurationProperty {
            name: p.name.into(),
            required: p.required,
            // AWS's own types have no keys and no queryable properties; those are of custom types.
            key: false,
            secret: p.secret,
            queryable: Some(false),
            ..Default::default()
        };
        let served = |p: &&Property| !matches!(p.form, Form::Unserved(_));
        cp::ActionType {
            id: self.id(),
            settings: Some(cp::ActionTypeSettings::default()),
            action_configuration_properties: Some(
                self.properties.iter().filter(served).map(property).collect(),
            ),
            input_artifact_details: details(&self.inputs),
            output_artifact_details: details(&self.outputs),
        }
    }
}

impl Property {
    /// What is wrong with a value; one that is only known when the action starts passes.
    pub fn refuse(&self, value: &str) -> Option<String> {
        if is_dynamic(value) && !matches!(self.form, Form::Unserved(_)) {
            return None;
        }
        match &self.form {
            Form::Text => None,
            Form::Boolean => one_of(value, &["true", "false"]),
            Form::OneOf(values) => one_of(value, values),
            Form::Whole(least, most) => {
                let fits = value.parse().is_ok_and(|n: i64| (*least..=*most).contains(&n));
                (!fits).then(|| format!("must be a whole number from {least} to {most}"))
            }
            Form::Checked(check) => check(value).err(),
            Form::Unserved(why) => Some(format!("is not served yet: {why}")),
            Form::Only(served, why) => (value != *served).then(|| format!("must be '{served}': {why}")),
        }
    }
}

fn one_of(value: &str, values: &[&str]) -> Option<String> {
    (!values.contains(&value)).then(|| format!("must be one of {}", values.join(", ")))
}

/// The mask of secret values.
pub const MASK: &str = "****";

/// Whether a type's configuration key is secret.
type IsSecret = fn(&cp::ActionTypeId, &str) -> bool;

fn is_secret(id: &cp::ActionTypeId, key: &str) -> bool {
    find(id).and_then(|kind| kind.property(key)).is_some_and(|property| property.secret)
}

/// The declaration with its secret values masked, as it is read.
pub fn masked(pipeline: cp::PipelineDeclaration) -> cp::PipelineDeclaration {
    masked_where(pipeline, is_secret)
}

/// A new declaration in which a masked secret keeps the value that the same action of the same stage had.
pub fn unmasked(new: cp::PipelineDeclaration, old: &cp::PipelineDeclaration) -> cp::PipelineDeclaration {
    unmasked_where(new, old, is_secret)
}

fn masked_where(mut pipeline: cp::PipelineDeclaration, secret: IsSecret) -> cp::PipelineDeclaration {
    secrets(&mut pipeline, secret, |_, _, _, value| MASK.clone_into(value));
    pipeline
}

fn unmasked_where(
    mut new: cp::PipelineDeclaration,
    old: &cp::PipelineDeclaration,
    secret: IsSecret,
) -> cp::PipelineDeclaration {
    secrets(&mut new, secret, |stage, action, key, value| {
        if value != MASK {
            return;
        }
        let stage = old.stages.iter().find(|before| before.name == stage);
        let action = stage.and_then(|stage| stage.actions.iter().find(|before| before.name == action));
        if let Some(before) = action.and_then(|action| action.configuration.as_ref()?.get(key)) {
            value.clone_from(before);
        }
    });
    new
}

/// Calls for each secret value: stage, action, key, value.
fn secrets(
    pipeline: &mut cp::PipelineDeclaration,
    secret: IsSecret,
    mut each: impl FnMut(&str, &str, &str, &mut String),
) {
    for stage in &mut pipeline.stages {
        for action in &mut stage.actions {
            for (key, value) in action.configuration.iter_mut().flatten() {
                if secret(&action.action_type_id, key) {
                    each(&stage.name, &action.name, key, value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// No type that is served has a secret: the rule is shown with one of its own.
    fn token(_: &cp::ActionTypeId, key: &str) -> bool {
        key == "Token"
    }

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
        let old = pipeline("S", "A", "secret");
        assert_eq!(masked_where(old.clone(), token), pipeline("S", "A", MASK));
        let updated = |stage, action, value| unmasked_where(pipeline(stage, action, value), &old, token);
        assert_eq!(updated("S", "A", MASK), old);
        assert_eq!(updated("S", "A", "new"), pipeline("S", "A", "new"));
        // A renamed stage loses its secrets, as in AWS.
        assert_eq!(updated("T", "A", MASK), pipeline("T", "A", MASK));
    }
}
