//! How jobs end. The result, the end of the action, and what follows from it are one commit.
use std::collections::BTreeMap;
use std::sync::Arc;

use kernel::Cx;
use store::{Batch, Row};

use super::row::Work;
use super::{JobRow, data, expand};
use crate::desk::{Ask, Desk};
use crate::engine::{self, Kind, Output, Progress, Revision};
use crate::error::Error;
use crate::limits;

/// A worker's word that a job is done.
#[derive(Clone, Debug, Default)]
pub struct Success {
    /// What it has to show.
    pub progress: Progress,
    /// It is not done: somebody goes on with this later.
    pub continuation: Option<String>,
    /// What a source took.
    pub revision: Option<Revision>,
    /// Output variables.
    pub variables: BTreeMap<String, String>,
}

/// A worker's word that a job failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// One of AWS's failure types, and the worker's reason.
    pub failure: engine::Failure,
    /// The worker's id of what it did.
    pub external_id: Option<String>,
}

/// Ends a job, or puts it off with a continuation token.
pub async fn succeed(
    desk: &Arc<Desk>,
    cx: &Cx,
    id: &str,
    row: Row<JobRow>,
    success: Success,
) -> Result<(), Error> {
    let work = row.value.under_way(id)?;
    let Success { mut progress, continuation, mut revision, variables } = success;
    if continuation.is_some() && !variables.is_empty() {
        let message =
            "outputVariables: a job that has a continuationToken goes on, and gives them when it is done";
        return Err(Error::Validation(message.into()));
    }
    let size: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > limits::OUTPUT_VARIABLES {
        return Err(Error::OutputVariablesTooLarge(size));
    }
    link(work, &mut progress);
    if let Some(revision) = &mut revision {
        let template = work.revision_url.as_deref();
        revision.url = template.and_then(|template| expand(template, &work.configuration, None));
    }
    let run = id.to_owned();
    match continuation {
        Some(token) => {
            let mut later = row.clone();
            later.value.go_on(token, desk.now().as_millisecond());
            let batch = Batch::new().update(&later);
            tell(desk, cx, id, &row.value, Kind::ActionProgressed { id: run, progress }, batch).await
        }
        None => {
            let artifacts = work.outputs.iter().map(|given| (given.name.clone(), given.at.clone())).collect();
            let output = Output { progress, artifacts, variables, revision };
            let by = Some(cx.caller.arn.clone());
            let kind = Kind::ActionSucceeded { id: run, output, by };
            tell(desk, cx, id, &row.value, kind, Batch::new()).await
        }
    }
}

/// Fails a job.
pub async fn fail(
    desk: &Arc<Desk>,
    cx: &Cx,
    id: &str,
    row: Row<JobRow>,
    failed: Failure,
) -> Result<(), Error> {
    let work = row.value.under_way(id)?;
    let mut progress = Progress { external_id: failed.external_id, ..Progress::default() };
    link(work, &mut progress);
    let (run, by) = (id.to_owned(), Some(cx.caller.arn.clone()));
    let kind = Kind::ActionFailed { id: run, failure: failed.failure, progress, by };
    tell(desk, cx, id, &row.value, kind, Batch::new()).await
}

/// Fails a job that nobody can be given: its role gives no credentials any more.
pub async fn withdraw(desk: &Arc<Desk>, cx: &Cx, id: &str, row: &JobRow, why: &str) -> Result<(), Error> {
    let failure = engine::Failure { code: "PermissionError".into(), message: limits::cut(why) };
    let kind = Kind::ActionFailed { id: id.into(), failure, progress: Progress::default(), by: None };
    match tell(desk, cx, id, row, kind, Batch::new()).await {
        // It ended by itself.
        Err(Error::InvalidJobState { .. } | Error::JobNotFound(_)) => Ok(()),
        other => other,
    }
}

/// The link to what the worker does, as the type declares it.
fn link(work: &Work, progress: &mut Progress) {
    let template = work.execution_url.as_deref();
    let link = |template| expand(template, &work.configuration, progress.external_id.as_deref());
    progress.external_url = template.and_then(link);
}

/// Tells the engine, unless the run has ended meanwhile; then the job has, too.
async fn tell(
    desk: &Arc<Desk>,
    cx: &Cx,
    id: &str,
    row: &JobRow,
    kind: Kind,
    batch: Batch,
) -> Result<(), Error> {
    let place = data::place(cx.account(), &cx.region, row);
    let told = desk.tell(&place, Some(&cx.request_id), |state| {
        if !state.is_running(id) {
            return Err(Error::InvalidJobState { id: id.into(), status: "Failed".into() });
        }
        let mut ask = Ask::of(kind.clone(), ());
        ask.batch = batch.clone();
        Ok(ask)
    });
    match told.await {
        Err(Error::PipelineNotFound { .. }) => Err(Error::JobNotFound(id.into())),
        other => other,
    }
}
