//! A pipeline is started, under the target's role.
use api::codepipeline::{PipelineVariable, SourceRevisionOverride, StartPipelineExecution};
use api::events as shape;
use kernel::{Cx, Fault, Shape};
use serde_json::Value;

use crate::PRINCIPAL;

pub(super) async fn start(
    cx: &Cx,
    target: &shape::Target,
    name: String,
    token: String,
    input: Option<&str>,
) -> Result<(), Fault> {
    let role = target.role_arn.as_deref().unwrap_or_default();
    let cx = cx.as_role(PRINCIPAL, role, &token).await?;
    // A target's input may override what the pipeline runs with; any other input means nothing to a pipeline.
    let input: Value = input.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let start = StartPipelineExecution {
        name,
        client_request_token: Some(token),
        source_revisions: shapes::<SourceRevisionOverride>(&input["sourceRevisions"])?,
        variables: shapes::<PipelineVariable>(&input["variables"])?,
    };
    cx.call(start).await.map(drop)
}

fn shapes<T: Shape>(value: &Value) -> Result<Option<Vec<T>>, Fault> {
    let Some(items) = value.as_array() else { return Ok(None) };
    items.iter().map(kernel::json::from_value).collect::<Result<Vec<T>, Fault>>().map(Some)
}
