//! A run of an action that somebody outside carries out: it opens its job and waits. The job's result ends the run.
use kernel::Fut;
use store::{Batch, Record};

use super::row::{Given, Work};
use super::{Executor, JobRow, Standing, TypeRow, key, type_key};
use crate::actions::{Action, Failed, lambda};
use crate::catalog::Carrier;
use crate::engine::{Artifact, Millis, Output};
use crate::error::Error;
use crate::job::Job;

/// Job workers, as who carries out the actions of stored types.
pub const WORKERS: Carrier = Carrier::Provider(&Workers);

struct Workers;

impl Action for Workers {
    fn run<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Output, Failed>> {
        Box::pin(run(job))
    }
}

async fn run(job: &Job) -> Result<Output, Failed> {
    let declared = &job.declared;
    let stored = type_key(job.account(), job.region(), &declared.action_type_id);
    let found = job.desk.store.get::<TypeRow>(&stored).await.map_err(unavailable)?;
    let gone = || Failed::new("ConfigurationError", "The action's type is not stored any more");
    let kind = found.ok_or_else(gone)?.value;
    if let Executor::Function(arn) = kind.executor() {
        return lambda::invoke(job, arn, Some(&kind)).await;
    }
    let _open = match job.desk.store.get::<JobRow>(&at(job)).await.map_err(unavailable)? {
        // A run before a restart was offered it.
        Some(_) => None,
        None => {
            let queued = Standing::Queued { from: job.desk.now().as_millisecond() };
            Some(job.desk.openings.open(at(job), made(job, Some(&kind), queued)?))
        }
    };
    let Some(limit) = kind.job_timeout() else { return std::future::pending().await };
    loop {
        match watch(job, limit).await? {
            Watch::Changed => {}
            Watch::Late => {
                let message = format!("The job was not done within the {} seconds of its type", limit / 1000);
                return Err(Failed::new("JobFailed", message));
            }
        }
    }
}

fn made(job: &Job, kind: Option<&TypeRow>, standing: Standing) -> Result<JobRow, Failed> {
    let place = &job.order.place;
    let work = Some(work(job, kind)?);
    Ok(JobRow { pipeline: place.name.clone(), uid: place.uid.clone(), standing, work })
}

/// Stores the job of a function's run, as it is to stand at first, unless a run before a restart did.
pub async fn open(job: &Job, kind: Option<&TypeRow>, standing: Standing) -> Result<(), Failed> {
    let row = made(job, kind, standing)?;
    match job.desk.store.commit(Batch::new().create(&at(job), &row)).await {
        Err(error) if !error.is_conflict() => Err(unavailable(error)),
        _ => Ok(()),
    }
}

fn unavailable(error: store::Error) -> Failed {
    Failed::from(Error::from(error).fault())
}

fn at(job: &Job) -> store::Key {
    key(job.account(), job.region(), job.id())
}

fn work(job: &Job, kind: Option<&TypeRow>) -> Result<Work, Failed> {
    let declared = &job.declared;
    let role = &job.order.pipeline.role_arn;
    let own = declared.role_arn.as_ref().filter(|own| *own != role);
    let configuration = job.sealed()?;
    let given = |revision: Option<&str>, (name, at): &(String, Artifact)| Given {
        name: name.clone(),
        at: at.clone(),
        revision: revision.map(str::to_owned),
    };
    let queryable = kind.and_then(TypeRow::queryable);
    let settings = kind.and_then(|kind| kind.shape.settings.as_ref());
    Ok(Work {
        kind: declared.action_type_id.clone(),
        execution: job.order.execution.id.clone(),
        stage: job.order.stage.clone(),
        action: job.order.action.clone(),
        role: own.unwrap_or(role).clone(),
        through: own.map(|_| role.clone()),
        query: queryable.and_then(|name| configuration.get(name).cloned()),
        configuration,
        inputs: job.inputs.iter().map(|input| given(job.revision_of(&input.0), input)).collect(),
        outputs: job.outputs.iter().map(|output| given(job.revision(REVISION), output)).collect(),
        continuation: None,
        turn: 0,
        execution_url: settings.and_then(|settings| settings.execution_url_template.clone()),
        revision_url: settings.and_then(|settings| settings.revision_url_template.clone()),
    })
}

/// The kind of a revision that PutActionRevision told of.
pub const REVISION: &str = "ACTION_REVISION";

/// What a wait for a job came to.
pub enum Watch {
    /// It stands otherwise than before.
    Changed,
    /// It was in progress for too long.
    Late,
}

/// Waits until the job changes, or has been in progress for `limit` milliseconds. What ends a job ends its run too, so
/// that this is not heard of.
pub async fn watch(job: &Job, limit: Millis) -> Result<Watch, Failed> {
    let wake = job.desk.store.watch(&[JobRow::TABLE]);
    let before = read(job).await?;
    let since = match before.standing {
        Standing::InProgress { since, .. } => Some(since),
        _ => None,
    };
    loop {
        let left = since.map(|since| since.saturating_add(limit) - job.desk.now().as_millisecond());
        if left.is_some_and(|left| left <= 0) {
            return Ok(Watch::Late);
        }
        let late = async {
            match left.and_then(|left| u64::try_from(left).ok()) {
                Some(left) => tokio::time::sleep(std::time::Duration::from_millis(left)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wake.notified() => {}
            () = late => {}
        }
        let now = read(job).await?;
        if now.standing != before.standing {
            return Ok(Watch::Changed);
        }
    }
}

async fn read(job: &Job) -> Result<JobRow, Failed> {
    let found = super::openings::job(&job.desk, &at(job)).await.map_err(unavailable)?;
    found.map(|row| row.value).ok_or_else(|| Failed::new("SystemUnavailable", "The action's job is gone"))
}

/// Takes a job for the function that is called next; one that was called and did not answer is not taken anew.
pub async fn begin(job: &Job) -> Result<JobRow, Failed> {
    loop {
        let row = job.desk.store.get::<JobRow>(&at(job)).await.map_err(unavailable)?;
        let mut row = row.ok_or_else(|| Failed::new("SystemUnavailable", "The action's job is gone"))?;
        if !matches!(row.value.standing, Standing::Queued { .. }) {
            return Ok(row.value);
        }
        let since = job.desk.now().as_millisecond();
        row.value.standing = Standing::InProgress { nonce: String::new(), since };
        match job.desk.store.commit(Batch::new().update(&row)).await {
            Ok(_) => return Ok(row.value),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(unavailable(error)),
        }
    }
}

/// Waits until the job may be offered.
pub async fn due(job: &Job) -> Result<(), Failed> {
    loop {
        let row = read(job).await?;
        let now = job.desk.now().as_millisecond();
        match row.standing {
            Standing::Queued { from } if from > now => {
                let left = u64::try_from(from - now).unwrap_or(0);
                tokio::time::sleep(std::time::Duration::from_millis(left)).await;
            }
            _ => return Ok(()),
        }
    }
}
