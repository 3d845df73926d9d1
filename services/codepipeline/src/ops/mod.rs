//! The operations, a file a family.
mod action_types;
mod actions;
mod executions;
mod history;
mod jobs;
mod partner_jobs;
mod pipelines;
mod revisions;
mod rules;
mod stages;
mod state;
pub mod tags;
mod targets;
mod transitions;
mod waits;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use api::codepipeline as cp;
use kernel::{Access, Cx, Timestamp};
use store::{Key, Record, Row, Store};

use crate::engine::{Artifact, Millis};
use crate::records::arn;

/// A permission on a pipeline, or on `pipeline/stage` or `pipeline/stage/action`.
pub fn on(cx: &Cx, action: &'static str, resource: &str) -> Vec<Access> {
    vec![Access::new(action, arn(&cx.region, cx.account(), resource))]
}

/// An instant of the engine as shapes have it.
fn time(at: Millis) -> Option<Timestamp> {
    Timestamp::from_millisecond(at).ok()
}

/// How many items a page may have: what was asked for, within AWS's bounds.
pub fn page(asked: Option<i32>, most: usize) -> usize {
    asked.and_then(|asked| usize::try_from(asked).ok()).unwrap_or(most).clamp(1, most)
}

/// The runs of an execution, of actions or rules, newest first, behind the last of a page: they are few, so that no list of
/// them is kept. `latest`: only the newest of those that it tells the same of.
async fn of_execution<R: Record, K: PartialEq>(
    store: &Store,
    execution: &Key,
    latest: Option<impl Fn(&R) -> K>,
    before: Option<u64>,
) -> store::Result<Vec<Row<R>>> {
    let mut rows = store.all::<R>(execution).await?;
    rows.sort_by_key(|row| Reverse(row.created));
    if let Some(latest) = latest {
        let mut seen = Vec::new();
        rows.retain(|row| {
            let what = latest(&row.value);
            let new = !seen.contains(&what);
            seen.push(what);
            new
        });
    }
    rows.retain(|row| before.is_none_or(|before| row.created < before));
    Ok(rows)
}

/// Artifacts as lists of runs show them.
fn artifacts(artifacts: &BTreeMap<String, Artifact>) -> Vec<cp::ArtifactDetail> {
    let detail = |(name, artifact): (&String, &Artifact)| cp::ArtifactDetail {
        name: Some(name.clone()),
        s3location: Some(cp::S3Location {
            bucket: Some(artifact.bucket.clone()),
            key: Some(artifact.key.clone()),
        }),
    };
    artifacts.iter().map(detail).collect()
}
