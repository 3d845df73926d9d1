//! What a deploy action deploys to.
use api::codepipeline as cp;
use kernel::{Access, Cx, Fault, Handle};
use store::Key;

use super::{on, time};
use crate::CodePipeline;
use crate::engine::ActionStatus;
use crate::error::Error;
use crate::records::ActionRow;

/// Rows read at a time.
const PAGE: usize = 500;

impl CodePipeline {
    /// The run of an action, of one pipeline or of any.
    async fn run(&self, cx: &Cx, pipeline: Option<&str>, id: &str) -> Result<ActionRow, Error> {
        let prefix = match pipeline {
            Some(name) => self.find(cx, name).await?.0.key(),
            None => Key::new(cx.account(), &cx.region),
        };
        let mut after: Option<Key> = None;
        loop {
            let page = self.desk.store.list::<ActionRow>(&prefix, after.as_ref(), PAGE).await?;
            let last = page.last().filter(|_| page.len() == PAGE).map(|row| row.key.clone());
            if let Some(row) = page.into_iter().find(|row| row.value.run.id == id) {
                return Ok(row.value);
            }
            after = Some(last.ok_or_else(|| Error::ActionExecutionNotFound(id.into()))?);
        }
    }
}

/// The target of a run: its service or its bucket, as the run resolved it. Actions that deploy nothing have none.
fn target(cx: &Cx, row: &ActionRow) -> Option<cp::DeployActionExecutionTarget> {
    let value = |key: &str| row.resolved.as_ref()?.get(key);
    let kind = &row.action.action_type_id;
    let (id, kind) = match (kind.category.as_str(), kind.provider.as_str()) {
        ("Deploy", "ECS") => {
            let (cluster, service) = (value("ClusterName")?, value("ServiceName")?);
            let resource = format!("service/{cluster}/{service}");
            (kernel::Arn::new("ecs", &cx.region, cx.account(), resource).to_string(), "ECS_SERVICE")
        }
        ("Deploy", "S3") => (format!("arn:aws:s3:::{}", value("BucketName")?), "S3_BUCKET"),
        _ => return None,
    };
    let over = row.run.status != ActionStatus::InProgress;
    Some(cp::DeployActionExecutionTarget {
        target_id: Some(id),
        target_type: Some(kind.into()),
        status: Some(row.run.status.name().into()),
        start_time: time(row.run.begun),
        end_time: over.then(|| time(row.run.updated)).flatten(),
        events: Some(Vec::new()),
    })
}

/// Whether a target passes the filters: names are ANDed, values of a name are ORed.
fn passes(target: &cp::DeployActionExecutionTarget, filters: &[cp::TargetFilter]) -> Result<bool, Error> {
    for filter in filters {
        if filter.name.as_deref() != Some("TARGET_STATUS") {
            return Err(Error::Validation("filters: the only filter name is TARGET_STATUS".into()));
        }
        if !filter.values.iter().flatten().any(|value| target.status.as_ref() == Some(value)) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Handle<cp::ListDeployActionExecutionTargets> for CodePipeline {
    async fn access(
        &self,
        cx: &Cx,
        input: &cp::ListDeployActionExecutionTargets,
    ) -> Result<Vec<Access>, Fault> {
        let pipeline = input.pipeline_name.as_deref().unwrap_or("*");
        Ok(on(cx, "codepipeline:ListDeployActionExecutionTargets", pipeline))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::ListDeployActionExecutionTargets,
    ) -> Result<cp::ListDeployActionExecutionTargetsOutput, Fault> {
        // A page holds every target that there is: no token was ever given.
        if input.next_token.is_some_and(|token| !token.is_empty()) {
            return Err(Error::InvalidNextToken.into());
        }
        let row = self.run(cx, input.pipeline_name.as_deref(), &input.action_execution_id).await?;
        let mut targets = Vec::new();
        if let Some(target) = target(cx, &row)
            && passes(&target, input.filters.as_deref().unwrap_or_default())?
        {
            targets.push(target);
        }
        Ok(cp::ListDeployActionExecutionTargetsOutput { targets: Some(targets), next_token: None })
    }
}
