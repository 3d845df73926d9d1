//! A project of CodeBuild is built, under the target's role. The target's input may be what StartBuild takes.
use api::codebuild::StartBuild;
use api::internal::StartTargetBuild;
use kernel::{Cx, Fault};
use serde_json::Value;

use crate::PRINCIPAL;

pub(super) async fn start(
    cx: &Cx,
    role: &str,
    project: String,
    token: String,
    input: Option<&str>,
) -> Result<(), Fault> {
    let cx = cx.as_role(PRINCIPAL, role, &token).await?;
    let input: Option<Value> =
        input.and_then(|text| serde_json::from_str(text).ok()).filter(Value::is_object);
    let given: StartBuild = input.as_ref().map(kernel::json::from_value).transpose()?.unwrap_or_default();
    let build = StartBuild { project_name: project, ..given };
    cx.call(StartTargetBuild { build, token }).await.map(drop)
}
