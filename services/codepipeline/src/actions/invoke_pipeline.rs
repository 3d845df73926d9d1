//! Invoke CodePipeline: starts another pipeline. As on AWS it does not wait for that one's end: the role needs no more
//! than `codepipeline:StartPipelineExecution`.
use api::codepipeline::{PipelineVariable, SourceRevisionOverride, StartPipelineExecution};
use kernel::Fut;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Action, Failed};
use crate::catalog::{ActionType, Carrier, Form, anything, optional, required};
use crate::engine::{Output, Progress};
use crate::job::Job;

/// The type.
pub static TYPE: ActionType = ActionType {
    category: "Invoke",
    provider: "CodePipeline",
    inputs: 0..=0,
    outputs: 0..=0,
    timeout: 60,
    timeout_key: None,
    properties: &[
        required("PipelineName", Form::Text),
        optional("SourceRevisions", Form::Checked(|text| list::<Revision>(text).map(drop))),
        optional("Variables", Form::Checked(|text| list::<Variable>(text).map(drop))),
    ],
    check: anything,
    carrier: Carrier::Provider(&Invoke),
};

/// An element of the configuration's `SourceRevisions`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Revision {
    action_name: String,
    revision_type: String,
    revision_value: String,
}

/// An element of the configuration's `Variables`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    value: String,
}

fn list<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(text).map_err(|error| format!("must be a JSON array of objects: {error}"))
}

struct Invoke;

impl Action for Invoke {
    fn run<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Output, Failed>> {
        Box::pin(run(job))
    }
}

async fn run(job: &Job) -> Result<Output, Failed> {
    let revision = |r: Revision| SourceRevisionOverride {
        action_name: r.action_name,
        revision_type: r.revision_type,
        revision_value: r.revision_value,
    };
    let variable = |v: Variable| PipelineVariable { name: v.name, value: v.value };
    let revisions: Vec<_> = configured(job, "SourceRevisions")?.into_iter().map(revision).collect();
    let variables: Vec<_> = configured(job, "Variables")?.into_iter().map(variable).collect();
    let start = StartPipelineExecution {
        name: job.need("PipelineName")?.into(),
        variables: (!variables.is_empty()).then_some(variables),
        source_revisions: (!revisions.is_empty()).then_some(revisions),
        // Asked again after a restart, it answers the execution that it started.
        client_request_token: Some(job.id().into()),
    };
    let started = job.cx.call(start).await?.pipeline_execution_id;
    Ok(Output { progress: Progress { external_id: started, ..Progress::default() }, ..Output::default() })
}

fn configured<T: DeserializeOwned>(job: &Job, key: &str) -> Result<Vec<T>, Failed> {
    list(job.get(key).unwrap_or_default())
        .map_err(|wrong| Failed::new("ConfigurationError", format!("The configuration key '{key}' {wrong}")))
}
