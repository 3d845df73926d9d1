//! Action types that accounts made. A deleted one stays stored: pipelines that have it go on, and its version stands
//! for the same definition for ever.
use std::collections::{BTreeMap, BTreeSet};

use api::codepipeline as cp;
use serde::{Deserialize, Serialize};
use store::{Key, Record, Store};

use super::{CUSTOM, THIRD_PARTY, TIMEOUT, WORKERS, name, templates};
use crate::catalog::{self, Form, Kind, Property, anything};
use crate::error::Error;
use crate::records::arn;

/// A stored type.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TypeRow {
    /// As ListActionTypes gives it.
    #[serde(with = "kernel::json::stored")]
    pub shape: cp::ActionType,
    /// What else there is of a partner's.
    pub partner: Option<Partner>,
    /// Marked as deleted: for no new pipeline.
    pub deleted: bool,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A partner's type, as UpdateActionType has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Partner {
    /// The declaration.
    #[serde(with = "kernel::json::stored")]
    pub declaration: cp::ActionTypeDeclaration,
}

/// Who carries out the actions of a type.
pub enum Executor<'a> {
    /// Workers that poll.
    Workers,
    /// A function, by its ARN.
    Function(&'a str),
}

impl Record for TypeRow {
    const TABLE: &'static str = "codepipeline.action-type";
}

impl TypeRow {
    /// Who carries its actions out.
    pub fn executor(&self) -> Executor<'_> {
        let configuration = self.partner.as_ref().map(|partner| &partner.declaration.executor.configuration);
        match configuration.and_then(|given| given.lambda_executor_configuration.as_ref()) {
            Some(lambda) => Executor::Function(&lambda.lambda_function_arn),
            None => Executor::Workers,
        }
    }

    /// Milliseconds that a single job of it may take, where it has such a limit.
    pub fn job_timeout(&self) -> Option<i64> {
        let seconds = self.partner.as_ref()?.declaration.executor.job_timeout?;
        Some(i64::from(seconds) * 1000)
    }

    /// The property by whose value workers choose jobs.
    pub fn queryable(&self) -> Option<&str> {
        let mut properties = self.shape.action_configuration_properties.iter().flatten();
        properties.find(|property| property.queryable == Some(true)).map(|property| property.name.as_str())
    }
}

/// The key of a type.
pub fn type_key(account: &str, region: &str, id: &cp::ActionTypeId) -> Key {
    let home = Key::new(account, region);
    home.text(&id.owner).text(&id.category).text(&id.provider).text(&id.version)
}

/// The type that the rest of an ARN, after `actiontype:`, names.
pub fn type_id(path: &str) -> Option<cp::ActionTypeId> {
    let mut parts = path.split('/').map(str::to_owned);
    let (owner, category, provider, version) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then_some(cp::ActionTypeId { category, owner, provider, version })
}

/// The ARN of a type.
pub fn type_arn(account: &str, region: &str, id: &cp::ActionTypeId) -> String {
    arn(region, account, &format!("actiontype:{}", name(id)))
}

/// The action types that an account may use in a Region: the program's own, and those that are stored.
#[derive(Default)]
pub struct Types {
    stored: Vec<(Vec<Property>, TypeRow)>,
    kept: BTreeSet<String>,
}

impl Types {
    /// Reads them.
    pub async fn load(store: &Store, account: &str, region: &str) -> Result<Self, Error> {
        let rows = store.all::<TypeRow>(Key::new(account, region)).await?;
        let stored = rows.into_iter().map(|row| (properties(&row.value.shape), row.value));
        Ok(Self { stored: stored.collect(), kept: BTreeSet::new() })
    }

    /// The same for a new version of a pipeline: it may go on using what it uses, deleted or not.
    pub fn keeping(mut self, pipeline: &cp::PipelineDeclaration) -> Self {
        let actions = pipeline.stages.iter().flat_map(|stage| &stage.actions);
        self.kept.extend(actions.map(|action| name(&action.action_type_id)));
        self
    }

    /// The type that this names.
    pub fn find(&self, id: &cp::ActionTypeId) -> Option<Kind<'_>> {
        if !super::owner(id) {
            return catalog::find(id).cloned();
        }
        let (properties, row) = self.stored.iter().find(|(_, row)| row.shape.id == *id)?;
        let usable = !row.deleted || self.kept.contains(&name(id));
        let count = |count: i32| usize::try_from(count).unwrap_or(0);
        let range = |of: &cp::ArtifactDetails| count(of.minimum_count)..=count(of.maximum_count);
        usable.then(|| Kind {
            category: &row.shape.id.category,
            provider: &row.shape.id.provider,
            inputs: range(&row.shape.input_artifact_details),
            outputs: range(&row.shape.output_artifact_details),
            timeout: TIMEOUT,
            timeout_key: None,
            properties,
            check: anything,
            carrier: WORKERS,
        })
    }

    /// The stored types that are not deleted.
    pub fn listed(&self) -> impl Iterator<Item = &TypeRow> {
        self.stored.iter().map(|(_, row)| row).filter(|row| !row.deleted)
    }

    /// The stored type of this id, deleted or not.
    pub fn row(&self, id: &cp::ActionTypeId) -> Option<&TypeRow> {
        self.stored.iter().map(|(_, row)| row).find(|row| row.shape.id == *id)
    }
}

fn properties(shape: &cp::ActionType) -> Vec<Property> {
    let form = |kind: Option<&str>| match kind {
        Some("Boolean") => Form::Boolean,
        Some("Number") => Form::Checked(number),
        _ => Form::Text,
    };
    let property = |p: &cp::ActionConfigurationProperty| Property {
        name: p.name.clone().into(),
        required: p.required,
        secret: p.secret,
        form: match p.queryable {
            Some(true) => Form::Checked(queryable),
            _ => form(p.r#type.as_deref()),
        },
    };
    shape.action_configuration_properties.iter().flatten().map(property).collect()
}

fn number(text: &str) -> Result<(), String> {
    text.parse::<f64>().ok().filter(|n| n.is_finite()).map(drop).ok_or_else(|| "must be a number".into())
}

/// What PollForJobs can be asked for.
fn queryable(text: &str) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    match (1..=50).contains(&text.len()) && text.bytes().all(plain) {
        true => Ok(()),
        false => Err("is queryable: it must have 1 to 50 letters, digits, hyphens and underscores".into()),
    }
}

/// A custom type that was asked for, checked.
pub fn custom(input: &cp::CreateCustomActionType) -> Result<cp::ActionType, Error> {
    let id = cp::ActionTypeId {
        category: input.category.clone(),
        owner: CUSTOM.into(),
        provider: input.provider.clone(),
        version: input.version.clone(),
    };
    checked(cp::ActionType {
        id,
        settings: Some(input.settings.clone().unwrap_or_default()),
        action_configuration_properties: Some(input.configuration_properties.clone().unwrap_or_default()),
        input_artifact_details: input.input_artifact_details.clone(),
        output_artifact_details: input.output_artifact_details.clone(),
    })
}

/// The rules that the model does not know.
fn checked(shape: cp::ActionType) -> Result<cp::ActionType, Error> {
    let wrong = |message: String| Err(Error::Validation(message));
    let (inputs, outputs) = (&shape.input_artifact_details, &shape.output_artifact_details);
    for (field, counts) in [("inputArtifactDetails", inputs), ("outputArtifactDetails", outputs)] {
        if counts.minimum_count > counts.maximum_count {
            return wrong(format!("{field}: minimumCount is greater than maximumCount"));
        }
    }
    match shape.id.category.as_str() {
        "Source" if inputs.maximum_count > 0 => {
            return wrong("inputArtifactDetails: a type of category Source takes no input artifacts".into());
        }
        "Source" if outputs.maximum_count == 0 => {
            return wrong("outputArtifactDetails: a type of category Source has output artifacts".into());
        }
        "Approval" | "Compute" => {
            let category = &shape.id.category;
            return wrong(format!("category '{category}': custom types of it are not served"));
        }
        _ => {}
    }
    let properties = || shape.action_configuration_properties.iter().flatten();
    let mut seen = BTreeSet::new();
    if let Some(twice) = properties().find(|property| !seen.insert(&property.name)) {
        return wrong(format!("configurationProperties: '{}' is declared twice", twice.name));
    }
    let mut queryable = properties().filter(|property| property.queryable == Some(true));
    if let (Some(first), Some(second)) = (queryable.next(), queryable.next()) {
        let (first, second) = (&first.name, &second.name);
        return wrong(format!("configurationProperties: '{first}' and '{second}' are queryable; one may be"));
    }
    if let Some(query) = properties().find(|p| p.queryable == Some(true) && (p.secret || !p.required)) {
        return wrong(format!(
            "configurationProperties: '{}' is queryable: it must be required, and not secret",
            query.name
        ));
    }
    let names: Vec<&str> = properties().filter(|p| !p.secret).map(|p| p.name.as_str()).collect();
    let settings = shape.settings.clone().unwrap_or_default();
    for (field, template) in [
        ("entityUrlTemplate", &settings.entity_url_template),
        ("executionUrlTemplate", &settings.execution_url_template),
        ("revisionUrlTemplate", &settings.revision_url_template),
    ] {
        let refused = template.as_ref().and_then(|template| templates::refuse(field, template, &names));
        if let Some(message) = refused {
            return wrong(message);
        }
    }
    Ok(shape)
}

/// The configuration key with which a partner's workers prove that a job is theirs.
pub const CLIENT_TOKEN: &str = "ClientToken";

/// A partner's type that was asked for, checked.
pub fn partners(declaration: &cp::ActionTypeDeclaration) -> Result<cp::ActionType, Error> {
    let wrong = |message: &str| Err(Error::RequestFailed(message.into()));
    let cp::ActionTypeDeclaration { executor, id, urls, properties, .. } = declaration;
    if id.owner != THIRD_PARTY {
        return wrong(
            "actionType.id.owner: the types of owner AWS are the server's own; ThirdParty is served",
        );
    }
    if executor.policy_statements_template.is_some() {
        return wrong("actionType.executor.policyStatementsTemplate is not served; leave it out");
    }
    let properties = properties.iter().flatten();
    let configuration = &executor.configuration;
    let workers = configuration.job_worker_executor_configuration.as_ref();
    match (executor.r#type.as_str(), workers, &configuration.lambda_executor_configuration) {
        ("Lambda", None, Some(_)) => {}
        ("JobWorker", Some(workers), None) => {
            if workers.polling_service_principals.as_ref().is_some_and(|list| !list.is_empty()) {
                return wrong(
                    "actionType.executor: pollingServicePrincipals are not served; use pollingAccounts",
                );
            }
            let mut tokens =
                properties.clone().filter(|p| p.name == CLIENT_TOKEN && p.no_echo && !p.optional);
            if tokens.next().is_none() {
                return wrong(
                    "actionType.properties: workers prove with a client token that a job is theirs; declare the property ClientToken with noEcho true and optional false",
                );
            }
        }
        _ => {
            return wrong(
                "actionType.executor: give the one configuration that its type, Lambda or JobWorker, has",
            );
        }
    }
    let property = |p: &cp::ActionTypeProperty| cp::ActionConfigurationProperty {
        name: p.name.clone(),
        required: !p.optional,
        key: p.key,
        secret: p.no_echo,
        queryable: p.queryable,
        description: p.description.clone(),
        r#type: Some("String".into()),
    };
    let details = |of: &cp::ActionTypeArtifactDetails| cp::ArtifactDetails {
        minimum_count: of.minimum_count,
        maximum_count: of.maximum_count,
    };
    let urls = urls.clone().unwrap_or_default();
    let cp::ActionTypeIdentifier { category, owner, provider, version } = id.clone();
    checked(cp::ActionType {
        id: cp::ActionTypeId { category, owner, provider, version },
        settings: Some(cp::ActionTypeSettings {
            third_party_configuration_url: urls.configuration_url,
            entity_url_template: urls.entity_url_template,
            execution_url_template: urls.execution_url_template,
            revision_url_template: urls.revision_url_template,
        }),
        action_configuration_properties: Some(properties.map(property).collect()),
        input_artifact_details: details(&declaration.input_artifact_details),
        output_artifact_details: details(&declaration.output_artifact_details),
    })
}
