//! What an action type is: who provides it, how many artifacts it takes, what it may be configured with.
//! Those of owner AWS stand in `actions/`, each beside what carries it out; those that accounts made are stored
//! (`jobs::types`). Both are a [`Kind`].
use std::borrow::Cow;
use std::ops::RangeInclusive;

use api::codepipeline as cp;

use crate::actions::{Action, TYPES};
use crate::jobs;
use crate::secrets::is_sealed;
use crate::variables::is_dynamic;

/// The owner of every type of the program's own.
pub const OWNER: &str = "AWS";
/// The version of every type of the program's own.
pub const VERSION: &str = "1";

/// An action type of the program's own.
pub type ActionType = Kind<'static>;

/// An action type.
#[derive(Clone)]
pub struct Kind<'a> {
    /// As in `Source`.
    pub category: &'a str,
    /// As in `CodeCommit`.
    pub provider: &'a str,
    /// How many input artifacts.
    pub inputs: RangeInclusive<usize>,
    /// How many output artifacts.
    pub outputs: RangeInclusive<usize>,
    /// How long an action of it may run, in minutes.
    pub timeout: i64,
    /// The configuration key that sets another number of minutes, where there is one.
    pub timeout_key: Option<&'static str>,
    /// What it may be configured with.
    pub properties: &'a [Property],
    /// What the configuration as a whole must fulfil.
    pub check: fn(&Settings<'_>) -> Result<(), String>,
    /// Who does the work.
    pub carrier: Carrier,
}

/// Who does an action's work.
#[derive(Clone, Copy)]
pub enum Carrier {
    /// A provider.
    Provider(&'static dyn Action),
    /// A person.
    Person,
}

/// A configuration key.
#[derive(Clone)]
pub struct Property {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Whether it must be given.
    pub required: bool,
    /// Whether its value is masked when it is read.
    pub secret: bool,
    /// What values it takes.
    pub form: Form,
}

/// The values that a property takes.
#[derive(Clone, Copy)]
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
    Property { name: Cow::Borrowed(name), required: true, secret: false, form }
}

/// A key that may be given.
pub const fn optional(name: &'static str, form: Form) -> Property {
    Property { name: Cow::Borrowed(name), required: false, secret: false, form }
}

/// No further condition.
pub fn anything(_: &Settings<'_>) -> Result<(), String> {
    Ok(())
}

/// The type of the program's own that this names.
pub fn find(id: &cp::ActionTypeId) -> Option<&'static ActionType> {
    let served = id.owner == OWNER && id.version == VERSION;
    TYPES.iter().copied().find(|t| served && t.category == id.category && t.provider == id.provider)
}

/// Who carries out the actions of a type. Job workers do it for every stored type, whether or not it still is there.
pub fn carrier(id: &cp::ActionTypeId) -> Option<Carrier> {
    match jobs::owner(id) {
        true => Some(jobs::WORKERS),
        false => find(id).map(|kind| kind.carrier),
    }
}

impl Kind<'_> {
    /// The property of this name.
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name == name)
    }
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

    /// As ListActionTypes gives it.
    pub fn shape(&self) -> cp::ActionType {
        let details = |range: &RangeInclusive<usize>| cp::ArtifactDetails {
            minimum_count: i32::try_from(*range.start()).unwrap_or(i32::MAX),
            maximum_count: i32::try_from(*range.end()).unwrap_or(i32::MAX),
        };
        let property = |p: &Property| cp::ActionConfigurationProperty {
            name: p.name.clone().into_owned(),
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
        // Checked when it was sealed.
        if is_sealed(value) {
            return None;
        }
        if self.secret && is_dynamic(value) {
            return Some("is a secret, and those take no variables".into());
        }
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
