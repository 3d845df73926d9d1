//! Polling and acknowledging. A poll answers at once; what it offers is kept for the poller until it acknowledges.
//!
//! Both are commits, so that a job takes three: it is offered, it is taken, it is done.
use std::collections::BTreeMap;

use api::codepipeline as cp;
use kernel::{Cx, ids};
use store::{Batch, Key, Row};

use super::openings::{self, stored};
use super::row::{BY_OFFER, offer};
use super::types::CLIENT_TOKEN;
use super::{Executor, JobRow, THIRD_PARTY, TypeRow, data, key, name, type_key};
use crate::desk::Desk;
use crate::error::Error;
use crate::records::{Pipeline, Place};
use crate::secrets;

/// Jobs looked at in one read.
const PAGE: usize = 100;

/// The job of this id in the caller's account.
pub async fn find(desk: &Desk, cx: &Cx, id: &str) -> Result<Row<JobRow>, Error> {
    let found = openings::job(desk, &key(cx.account(), &cx.region, id)).await?;
    found.ok_or_else(|| Error::JobNotFound(id.into()))
}

/// The jobs of a type that may be offered now, at most `most`; the type must be of this owner.
pub async fn offered(
    desk: &Desk,
    cx: &Cx,
    owner: &str,
    id: &cp::ActionTypeId,
    query: &BTreeMap<String, String>,
    most: usize,
) -> Result<Vec<Row<JobRow>>, Error> {
    let unknown = || Error::ActionTypeNotFound(name(id));
    if id.owner != owner {
        return Err(unknown());
    }
    let found = desk.store.get::<TypeRow>(&type_key(cx.account(), &cx.region, id)).await?;
    let kind = found.map(|row| row.value).filter(|kind| polls(cx, kind)).ok_or_else(unknown)?;
    let value = asked(&kind, query)?;
    let (now, home) = (desk.now().as_millisecond(), Key::new(cx.account(), &cx.region));
    let index = offer(id, value);
    let (mut jobs, mut after) = (Vec::new(), 0);
    while jobs.len() < most {
        let page = desk.store.find::<JobRow>(&home, BY_OFFER, &index, after, PAGE).await?;
        let last = page.last().filter(|_| page.len() == PAGE).map(|row| row.created);
        jobs.extend(page.into_iter().filter(|row| row.value.offered(now)));
        match last {
            Some(last) => after = last,
            None => break,
        }
    }
    jobs.extend(desk.openings.on(&home, &index, most.saturating_sub(jobs.len())));
    // A deleted type has no more jobs than those of pipelines that go on.
    if kind.deleted && jobs.is_empty() {
        return Err(unknown());
    }
    jobs.truncate(most);
    Ok(jobs)
}

/// Whether workers of the caller's account carry out actions of the type.
fn polls(cx: &Cx, kind: &TypeRow) -> bool {
    if let Executor::Function(_) = kind.executor() {
        return false;
    }
    let executor = kind.partner.as_ref().map(|partner| &partner.declaration.executor.configuration);
    let workers = executor.and_then(|given| given.job_worker_executor_configuration.as_ref());
    let accounts = workers.and_then(|workers| workers.polling_accounts.as_deref()).unwrap_or_default();
    accounts.is_empty() || accounts.iter().any(|account| account == cx.account())
}

/// The value of the queryable property, which must be asked for where there is one.
fn asked<'a>(kind: &TypeRow, query: &'a BTreeMap<String, String>) -> Result<Option<&'a str>, Error> {
    // Partners' workers cannot ask.
    let queryable = kind.queryable().filter(|_| kind.shape.id.owner != THIRD_PARTY);
    let wrong = |what: String| Err(Error::Validation(format!("queryParam {what}")));
    match (queryable, query.iter().next()) {
        (None, None) => Ok(None),
        (None, Some((key, _))) => {
            wrong(format!("names '{key}', and the action type has no queryable property; leave it out"))
        }
        (Some(name), Some((key, value))) if key == name => Ok(Some(value)),
        (Some(name), _) => wrong(format!("must have '{name}', the queryable property of the action type")),
    }
}

/// Offers a job to the caller: the nonce, or nothing if somebody was faster.
pub async fn dispatch(desk: &Desk, row: &mut Row<JobRow>) -> Result<Option<String>, Error> {
    let nonce = ids::uuid(&*desk.entropy);
    row.value.dispatch(nonce.clone(), desk.now().as_millisecond());
    let batch = match stored(row) {
        true => Batch::new().update(row),
        false => match pipeline(desk, row).await? {
            Some(pipeline) => Batch::new().create(&row.key, &row.value).expect(&pipeline),
            None => return Ok(None),
        },
    };
    let offered = match desk.store.commit(batch).await {
        Ok(_) => Some(nonce),
        Err(error) if error.is_conflict() => None,
        Err(error) => return Err(error.into()),
    };
    if offered.is_some() || desk.store.get::<JobRow>(&row.key).await?.is_some() {
        desk.openings.close(&row.key);
    }
    Ok(offered)
}

/// The pipeline of a job, unless it was deleted: then nothing may be stored for it any more.
async fn pipeline(desk: &Desk, row: &Row<JobRow>) -> Result<Option<Row<Pipeline>>, Error> {
    let at = Place::row(&row.key.account(), &row.key.region(), &row.value.pipeline);
    let found = desk.store.get::<Pipeline>(&at).await?;
    Ok(found.filter(|found| found.value.uid == row.value.uid))
}

/// Takes a job; answers its status.
pub async fn acknowledge(desk: &Desk, mut row: Row<JobRow>, nonce: &str) -> Result<String, Error> {
    if row.value.acknowledge(nonce, desk.now().as_millisecond())? {
        match desk.store.commit(Batch::new().update(&row)).await {
            // Another acknowledged, or the action ended.
            Err(error) if error.is_conflict() => return Err(Error::InvalidNonce),
            other => other?,
        };
    }
    Ok(row.value.status().to_owned())
}

/// A partner's job, if the token is the one that the action is configured with.
pub async fn partner(desk: &Desk, cx: &Cx, id: &str, token: &str) -> Result<Row<JobRow>, Error> {
    let row = find(desk, cx, id).await?;
    let work = row.value.work.as_ref();
    let Some(work) = work else { return over(id, &row.value) };
    if work.kind.owner != THIRD_PARTY {
        return Err(Error::JobNotFound(id.into()));
    }
    let place = data::place(cx.account(), &cx.region, &row.value);
    let configuration = work.configuration.clone();
    let configuration = secrets::opened(configuration, &desk.sealer, &place, &work.stage, &work.action)?;
    let wanted = configuration.get(CLIENT_TOKEN).map_or(&[][..], |token| token.as_bytes());
    match aws_lc_rs::constant_time::verify_slices_are_equal(wanted, token.as_bytes()) {
        Ok(()) if !wanted.is_empty() => Ok(row),
        _ => Err(Error::InvalidClientToken),
    }
}

/// Of a job that is over nothing is left to compare a token with.
fn over(id: &str, row: &JobRow) -> Result<Row<JobRow>, Error> {
    Err(Error::InvalidJobState { id: id.into(), status: row.status().into() })
}
