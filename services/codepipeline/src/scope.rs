//! What one run of an action is given: its declaration, its configuration with variables replaced, its artifacts.
//! All of it follows from the execution, so that a run that is started again is given the same.
use std::borrow::Cow;
use std::collections::BTreeMap;

use api::codepipeline as cp;

use crate::engine::{ActionRun, Artifact, Execution, Moment};
use crate::limits;
use crate::records::ActionRow;
use crate::rules;
use crate::secrets;
use crate::structure;
use crate::variables::{self, EXECUTION, EXECUTION_ID, PIPELINE, Reference, Unresolved};

/// An action of an execution, or a rule in the form of one.
pub struct Scope<'a> {
    /// The declaration that the execution runs.
    pub pipeline: &'a cp::PipelineDeclaration,
    /// The execution.
    pub execution: &'a Execution,
    /// The action.
    pub action: Cow<'a, cp::ActionDeclaration>,
}

/// The configuration cannot be given its values.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// A variable has no value.
    #[error("{0}: {1}")]
    Unresolved(String, Unresolved),
    /// With its values it is too large.
    #[error("The configuration with its variables replaced exceeds {} bytes", limits::RESOLVED_CONFIGURATION)]
    TooLarge,
}

impl<'a> Scope<'a> {
    /// The action of that name in that stage.
    pub fn of(
        pipeline: &'a cp::PipelineDeclaration,
        execution: &'a Execution,
        stage: &str,
        action: &str,
    ) -> Option<Self> {
        let stage = pipeline.stages.iter().find(|s| s.name == stage)?;
        let action = stage.actions.iter().find(|a| a.name == action)?;
        Some(Self { pipeline, execution, action: Cow::Borrowed(action) })
    }

    /// The rule of that name in that condition of that stage.
    pub fn of_rule(
        pipeline: &'a cp::PipelineDeclaration,
        execution: &'a Execution,
        stage: &str,
        moment: Moment,
        rule: &str,
    ) -> Option<Self> {
        let rule = structure::rule(pipeline, stage, moment, rule)?;
        Some(Self { pipeline, execution, action: Cow::Owned(rules::as_action(rule)) })
    }

    /// The configuration with its variables replaced.
    pub fn configuration(&self) -> Result<BTreeMap<String, String>, Unusable> {
        let mut size = 0;
        let mut resolved = BTreeMap::new();
        for (key, text) in self.action.configuration.iter().flatten() {
            let value = variables::resolve(text, |reference| self.value(reference));
            let place = || format!("Configuration key '{key}'");
            let value = value.map_err(|error| Unusable::Unresolved(place(), error))?;
            size += key.len() + value.len();
            resolved.insert(key.clone(), value);
        }
        if size > limits::RESOLVED_CONFIGURATION { Err(Unusable::TooLarge) } else { Ok(resolved) }
    }

    /// The commands with their variables replaced.
    pub fn commands(&self) -> Result<Vec<String>, Unusable> {
        let commands = self.action.commands.iter().flatten();
        commands.map(|command| self.resolved("commands", command)).collect()
    }

    /// The environment variables with their variables replaced.
    pub fn environment(&self) -> Result<Vec<(String, String)>, Unusable> {
        let variables = self.action.environment_variables.iter().flatten();
        let resolved = |v: &cp::EnvironmentVariable| {
            Ok((v.name.clone(), self.resolved(&format!("Environment variable '{}'", v.name), &v.value)?))
        };
        variables.map(resolved).collect()
    }

    fn resolved(&self, place: &str, text: &str) -> Result<String, Unusable> {
        variables::resolve(text, |reference| self.value(reference))
            .map_err(|error| Unusable::Unresolved(place.into(), error))
    }

    fn value(&self, reference: Reference<'_>) -> Option<Cow<'a, str>> {
        let Reference { namespace, key } = reference;
        match namespace {
            EXECUTION => (key == EXECUTION_ID).then(|| Cow::from(&self.execution.id)),
            PIPELINE => self.execution.variables.get(key).map(Cow::from),
            _ => {
                let (stage, giver) = self.pipeline.stages.iter().find_map(|stage| {
                    let named = |a: &&cp::ActionDeclaration| a.namespace.as_deref() == Some(namespace);
                    Some((&stage.name, &stage.actions.iter().find(named)?.name))
                })?;
                self.execution.made(stage, giver)?.variables.get(key).map(Cow::from)
            }
        }
    }

    /// Where the input artifacts lie, in the order of the declaration. One that was not made is left out.
    pub fn inputs(&self) -> Vec<(String, Artifact)> {
        let made = |name: &str| {
            self.execution.outputs().find_map(|(.., output)| output.artifacts.get(name)).cloned()
        };
        let names = self.action.input_artifacts.iter().flatten().map(|input| &input.name);
        names.filter_map(|name| Some((name.clone(), made(name)?))).collect()
    }

    /// See [`outputs`].
    pub fn outputs(&self, region: &str, run: &str) -> Vec<(String, Artifact)> {
        outputs(self.pipeline, &self.action, region, run)
    }

    /// The run as lists show it.
    pub fn row(&self, stage: &str, run: &ActionRun) -> ActionRow {
        let mut action = (*self.action).clone();
        let mut resolved = self.configuration().ok();
        let shown = action.configuration.iter_mut().flatten().chain(resolved.iter_mut().flatten());
        shown.for_each(|(_, value)| secrets::mask(value));
        ActionRow {
            execution: self.execution.id.clone(),
            version: self.execution.version,
            stage: stage.into(),
            action,
            resolved,
            inputs: self.inputs().into_iter().collect(),
            run: run.clone(),
        }
    }
}

/// Where the output artifacts of a run go, in the order of the declaration. The key's last part, random in AWS,
/// follows from the run: what is done again lands in the same place.
pub fn outputs(
    pipeline: &cp::PipelineDeclaration,
    action: &cp::ActionDeclaration,
    region: &str,
    run: &str,
) -> Vec<(String, Artifact)> {
    let Some(store) = structure::artifact_store(pipeline, region) else { return Vec::new() };
    let names = action.output_artifacts.iter().flatten().map(|output| &output.name);
    let artifact = |name: &String| {
        let pipeline: String = pipeline.name.chars().take(20).collect();
        let short: String = name.chars().take(10).collect();
        let key = format!("{pipeline}/{short}/{}", tail(run, name));
        (name.clone(), Artifact { bucket: store.location.clone(), key })
    };
    names.map(artifact).collect()
}

/// Seven letters and digits.
fn tail(run: &str, artifact: &str) -> String {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let name = format!("{run}/{artifact}");
    let mut number = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).as_u128();
    let mut digit = || {
        let index = (number % 62) as usize;
        number /= 62;
        char::from(ALPHABET[index])
    };
    (0..7).map(|_| digit()).collect()
}
