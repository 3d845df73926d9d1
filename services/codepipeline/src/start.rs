//! Executions begin: by a caller, by a rule, by a change of a source.
use std::collections::BTreeMap;
use std::sync::Arc;

use api::codepipeline as cp;
use kernel::{Cx, ids};
use serde_json::{Value, json};
use store::Batch;

use crate::desk::{Ask, Desk};
use crate::engine::{self, Override, Start, Trigger};
use crate::error::Error;
use crate::jobs::{self, REVISION};
use crate::limits;
use crate::records::Place;
use crate::triggers::CONNECTION;

/// What an execution is asked to start with.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// By what.
    pub trigger: Trigger,
    /// Values of pipeline variables.
    pub variables: BTreeMap<String, String>,
    /// Revisions to take.
    pub overrides: Vec<Override>,
    /// The same token starts one execution.
    pub token: Option<String>,
}

/// The trigger of a call: who called, or the rule that EventBridge called for.
pub fn trigger(cx: &Cx) -> Trigger {
    let rule =
        cx.context.get("aws:SourceArn").filter(|arn| arn.contains(":events:") && arn.contains(":rule/"));
    match rule {
        Some(rule) => caused("CloudWatchEvent", rule),
        None => caused("StartPipelineExecution", &cx.caller.arn),
    }
}

/// A trigger, its detail within AWS's length.
pub fn caused(kind: &str, detail: &str) -> Trigger {
    Trigger { kind: kind.into(), detail: detail.chars().take(limits::TRIGGER_DETAIL).collect() }
}

/// Starts an execution and answers its id.
pub async fn start(
    desk: &Arc<Desk>,
    place: &Place,
    pipeline: &cp::PipelineDeclaration,
    cause: &str,
    wish: Wish,
) -> Result<String, Error> {
    let fingerprint = fingerprint(&wish);
    let key = wish.token.as_ref().map(|token| place.token(token));
    let recall = async || match &key {
        Some(key) => Ok::<_, Error>(
            desk.store.recall(key, &fingerprint).await?.as_ref().and_then(Value::as_str).map(str::to_owned),
        ),
        None => Ok(None),
    };
    if let Some(before) = recall().await? {
        return Ok(before);
    }
    // Only what is not there yet has to fit: the pipeline may have changed since a token was first used.
    let variables = variables(pipeline, &wish.variables)?;
    overrides(pipeline, &wish.overrides)?;
    let id = ids::uuid(&*desk.entropy);
    let started = desk.tell(place, Some(cause), |state| {
        let start = Start {
            id: id.clone(),
            trigger: wish.trigger.clone(),
            variables: variables.clone(),
            overrides: wish.overrides.clone(),
        };
        let mut ask = Ask::of(engine::start(state, start)?, id.clone());
        if let Some(key) = &key {
            ask.batch = Batch::new().remember(key, &fingerprint, &json!(id), desk.now());
        }
        Ok(ask)
    });
    match started.await {
        // The same token may have been used meanwhile.
        Err(Error::ConcurrentModification) => recall().await?.ok_or(Error::ConcurrentModification),
        other => other,
    }
}

/// Every declared variable with its value.
pub fn variables(
    pipeline: &cp::PipelineDeclaration,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Error> {
    let declared = || pipeline.variables.iter().flatten();
    if let Some(unknown) = given.keys().find(|name| !declared().any(|variable| variable.name == **name)) {
        return Err(Error::Validation(format!("The pipeline declares no variable named '{unknown}'")));
    }
    let value = |variable: &cp::PipelineVariableDeclaration| {
        let value = given.get(&variable.name).or(variable.default_value.as_ref());
        let missing = || {
            let name = &variable.name;
            Error::Validation(format!("The variable '{name}' has no default value: give it in variables"))
        };
        Ok((variable.name.clone(), value.ok_or_else(missing)?.clone()))
    };
    declared().map(value).collect()
}

/// Revisions are of types that their source actions know.
fn overrides(pipeline: &cp::PipelineDeclaration, wanted: &[Override]) -> Result<(), Error> {
    for (index, Override { action, kind, .. }) in wanted.iter().enumerate() {
        if wanted.iter().take(index).any(|before| before.action == *action && before.kind == *kind) {
            let message = format!("sourceRevisions: action '{action}' is given {kind} more than once");
            return Err(Error::Validation(message));
        }
        let sources = pipeline.stages.first().map_or(&[][..], |stage| &stage.actions);
        let Some(source) = sources.iter().find(|source| source.name == *action) else {
            let message = format!("sourceRevisions: the pipeline has no source action named '{action}'");
            return Err(Error::Validation(message));
        };
        let provider = source.action_type_id.provider.as_str();
        let fits = match kind.as_str() {
            // What PutActionRevision told of: the worker of the source gets it.
            REVISION => jobs::owner(&source.action_type_id),
            "COMMIT_ID" => provider == "CodeCommit" || provider == CONNECTION,
            "IMAGE_DIGEST" => provider == "ECR",
            "S3_OBJECT_VERSION_ID" | "S3_OBJECT_KEY" => provider == "S3",
            _ => false,
        };
        if !fits {
            let message = format!(
                "sourceRevisions: revisionType {kind} is none of the {provider} source action '{action}'"
            );
            return Err(Error::Validation(message));
        }
        let allowed = source.configuration.as_ref().and_then(|c| c.get("AllowOverrideForS3ObjectKey"));
        if kind == "S3_OBJECT_KEY" && allowed.is_none_or(|value| value != "true") {
            let message = format!(
                "sourceRevisions: action '{action}' does not allow S3_OBJECT_KEY; set AllowOverrideForS3ObjectKey to true"
            );
            return Err(Error::Validation(message));
        }
    }
    Ok(())
}

/// What a token stands for.
fn fingerprint(wish: &Wish) -> String {
    let overrides: Vec<_> = wish.overrides.iter().map(|o| (&o.action, &o.kind, &o.value)).collect();
    json!([wish.variables, overrides]).to_string()
}
