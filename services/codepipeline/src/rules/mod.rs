//! The rules of conditions: a file each, with the type that lists and validation show and the code that carries it out.
//!
//! To add one: write a file with a [`RuleType`] and a [`Rule`], and name the type in [`TYPES`].
mod cloudwatch_alarm;
mod codebuild;
mod commands;
mod deployment_window;
mod quartz;
mod variable_check;

use std::ops::RangeInclusive;
use std::sync::Arc;

use api::codepipeline as cp;
use kernel::{Fut, Ops, Timestamp};

use crate::actions::Failed;
use crate::catalog::{OWNER, Property, Settings, VERSION};
use crate::desk::Desk;
use crate::engine::Progress;
use crate::job::{Job, Order};

/// Every rule type that is served.
pub static TYPES: &[&RuleType] = &[
    &cloudwatch_alarm::TYPE,
    &codebuild::TYPE,
    &commands::TYPE,
    &deployment_window::TYPE,
    &variable_check::TYPE,
];

/// Those that AWS has and Longshore does not, and what there is instead.
const UNSERVED: &[(&str, &str)] =
    &[("LambdaInvoke", "there are no Lambda functions; a CodeBuild rule can run the check")];

/// The category of every rule type.
pub const CATEGORY: &str = "Rule";

/// A rule type.
pub struct RuleType {
    /// As in `VariableCheck`.
    pub provider: &'static str,
    /// How many input artifacts.
    pub inputs: RangeInclusive<usize>,
    /// How long a rule of it may take without a `timeoutInMinutes`, in minutes.
    pub timeout: i64,
    /// Whether it may stand in an entry condition whose result is SKIP.
    pub skips: bool,
    /// Whether it has `commands`.
    pub commands: bool,
    /// What it may be configured with.
    pub properties: &'static [Property],
    /// What the configuration as a whole must fulfil.
    pub check: fn(&Settings<'_>) -> Result<(), String>,
    /// Who does the work.
    pub rule: &'static dyn Rule,
}

/// Carries out the rules of a type.
pub trait Rule: Send + Sync {
    /// Looks whether the rule is met. As an action's run it may be ended at any await and made again.
    ///
    /// # Errors
    /// It cannot be told. [`Failed`] with the code `JobFailed` says that it is not met.
    fn check<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Verdict, Failed>>;
}

/// What a rule says.
#[derive(Debug)]
pub enum Verdict {
    /// It is met.
    Met(Progress),
    /// It is not.
    Unmet(String),
    /// It is to be asked again at an instant; until then nothing runs for it.
    Later(Timestamp, Progress),
}

/// The type that this names, if it is served.
pub fn find(id: &cp::RuleTypeId) -> Option<&'static RuleType> {
    let is = |given: &Option<String>, only: &str| given.as_ref().is_none_or(|given| given == only);
    let served = id.category == CATEGORY && is(&id.owner, OWNER) && is(&id.version, VERSION);
    TYPES.iter().copied().find(|kind| served && kind.provider == id.provider)
}

/// Why no type of this name is served.
pub fn missing(id: &cp::RuleTypeId) -> String {
    let unserved = UNSERVED.iter().find(|(provider, _)| *provider == id.provider);
    match unserved {
        Some((provider, instead)) => format!("ruleTypeId.provider: {provider} is not served: {instead}"),
        None => format!(
            "ruleTypeId (category '{}', owner '{}', provider '{}', version '{}') is not available; list-rule-types shows those that are",
            id.category,
            id.owner.as_deref().unwrap_or(OWNER),
            id.provider,
            id.version.as_deref().unwrap_or(VERSION)
        ),
    }
}

/// A rule in the form of an action, of whose members it has some: what serves actions serves it too.
pub fn as_action(rule: &cp::RuleDeclaration) -> cp::ActionDeclaration {
    cp::ActionDeclaration {
        name: rule.name.clone(),
        action_type_id: cp::ActionTypeId {
            category: rule.rule_type_id.category.clone(),
            owner: rule.rule_type_id.owner.clone().unwrap_or_else(|| OWNER.into()),
            provider: rule.rule_type_id.provider.clone(),
            version: rule.rule_type_id.version.clone().unwrap_or_else(|| VERSION.into()),
        },
        configuration: rule.configuration.clone(),
        commands: rule.commands.clone(),
        input_artifacts: rule.input_artifacts.clone(),
        role_arn: rule.role_arn.clone(),
        region: rule.region.clone(),
        timeout_in_minutes: rule.timeout_in_minutes,
        ..cp::ActionDeclaration::default()
    }
}

/// Carries an order of a rule out.
pub async fn carry_out(desk: Arc<Desk>, ops: Arc<Ops>, order: Order) -> Result<Verdict, Failed> {
    let gone = || Failed::new("ConfigurationError", "The pipeline no longer declares this rule");
    let declared = order.rule().ok_or_else(gone)?;
    let kind = find(&declared.rule_type_id)
        .ok_or_else(|| Failed::new("ConfigurationError", missing(&declared.rule_type_id)))?;
    let job = Job::prepare(desk, ops, order).await?;
    kind.rule.check(&job).await
}

impl RuleType {
    /// As ListRuleTypes gives it.
    pub fn shape(&self) -> cp::RuleType {
        let count = |count: &usize| i32::try_from(*count).unwrap_or(i32::MAX);
        let property = |p: &Property| cp::RuleConfigurationProperty {
            name: p.name.clone().into_owned(),
            required: p.required,
            key: false,
            secret: p.secret,
            queryable: Some(false),
            description: None,
            r#type: Some("String".into()),
        };
        cp::RuleType {
            id: cp::RuleTypeId {
                category: CATEGORY.into(),
                owner: Some(OWNER.into()),
                provider: self.provider.into(),
                version: Some(VERSION.into()),
            },
            settings: Some(cp::RuleTypeSettings::default()),
            rule_configuration_properties: Some(self.properties.iter().map(property).collect()),
            input_artifact_details: cp::ArtifactDetails {
                minimum_count: count(self.inputs.start()),
                maximum_count: count(self.inputs.end()),
            },
        }
    }
}
