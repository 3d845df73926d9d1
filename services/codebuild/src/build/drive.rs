//! One build, brought forward step by step: what its row says is to be done next is done, and committed.
use std::sync::{Arc, Once};
use std::time::Duration;

use api::roles::assumed;
use kernel::{Cx, Fault, Timestamp, ids};
use store::{Batch, Key, Row};
use tokio::sync::Notify;

use super::volume::Volume;
use crate::error::Error;
use crate::ops::retry;
use crate::records::{BuildId, BuildRow, Stage};
use crate::{CodeBuild, events, names, phases, vpc};

/// A build that is driven.
pub struct Drive {
    pub service: Arc<CodeBuild>,
    pub key: Key,
    pub id: BuildId,
    pub region: String,
    /// The service acting for itself.
    pub cx: Cx,
    pub volume: Volume,
    /// Somebody wants something of the build: look at the row.
    pub wake: Arc<Notify>,
    /// Done once the engine is being asked to stop the build.
    pub stop: Once,
}

/// Growing delays before what failed is tried again.
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(Duration::from_millis(100))
    }
}

impl Backoff {
    /// Until it is tried again.
    pub async fn rest(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(30));
    }
}

/// Why a step was not done. All are tried again; none says anything about the build.
#[derive(Debug)]
pub enum Failure {
    /// The state is closed: this process is done.
    Closed,
    /// The row has changed meanwhile.
    Conflict,
    /// Anything else.
    Fault(Fault),
}

impl Failure {
    pub fn io(error: std::io::Error) -> Self {
        Self::Fault(Fault::internal(error))
    }

    pub fn engine(error: engine::Error) -> Self {
        Self::Fault(Fault::internal(error))
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Closed => Self::Closed,
            error if error.is_conflict() => Self::Conflict,
            error => Self::Fault(Fault::internal(error)),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) => error.into(),
            error => Self::Fault(error.into()),
        }
    }
}

/// How a build ends.
pub struct End {
    pub status: &'static str,
    pub at: Timestamp,
    /// A phase that has ended with it and was not told of yet.
    pub closed: Option<&'static str>,
}

impl End {
    pub fn new(status: &'static str, at: Timestamp) -> Self {
        Self { status, at, closed: None }
    }
}

impl Drive {
    /// Until nothing remains to be done, or the state is closed.
    pub async fn run(self) {
        let mut backoff = Backoff::default();
        loop {
            match self.step().await {
                Ok(true) => backoff = Backoff::default(),
                Ok(false) | Err(Failure::Closed) => return,
                Err(Failure::Conflict) => {}
                Err(Failure::Fault(fault)) => {
                    tracing::warn!(build = %self.id, ?fault, "a build's step failed and is tried again");
                    backoff.rest().await;
                }
            }
        }
    }

    async fn step(&self) -> Result<bool, Failure> {
        let Some(row) = self.load().await? else { return Ok(false) };
        match row.value.run.stage {
            Stage::Provision => Box::pin(self.provision(row)).await?,
            Stage::Follow => Box::pin(self.follow(row)).await?,
            Stage::Upload => Box::pin(self.upload(row)).await?,
            Stage::Clean => Box::pin(self.clean(row)).await?,
            Stage::Done => return Ok(false),
        }
        Ok(true)
    }

    pub async fn load(&self) -> Result<Option<Row<BuildRow>>, Failure> {
        Ok(self.service.store.get::<BuildRow>(&self.key).await?)
    }

    pub async fn commit(&self, batch: Batch) -> Result<(), Failure> {
        self.service.store.commit(batch).await?;
        Ok(())
    }

    /// The row as it was just committed.
    pub async fn reread(&self, row: &mut Row<BuildRow>) -> Result<(), Failure> {
        if let Some(now) = self.load().await? {
            *row = now;
        }
        Ok(())
    }

    /// The build's role, as its service assumes it.
    pub async fn role_cx(&self, row: &BuildRow) -> Result<Cx, Fault> {
        let role = row.build.service_role.as_deref().unwrap_or_default();
        let (taker, session) = (names::taker(&row.run), names::session(&self.id));
        match row.run.action.as_ref().and_then(|action| action.through.as_deref()) {
            None => self.cx.as_role(taker, role, &session).await,
            Some(first) => assumed(&self.cx.as_role(taker, first, &session).await?, role, &session).await,
        }
    }

    /// The events of phases that have ended.
    pub fn told<'a>(&self, row: &Row<BuildRow>, closed: impl Iterator<Item = &'a str>) -> Batch {
        let (now, entropy) = (self.service.clock.now(), &*self.service.entropy);
        let event = |name| events::phase(&self.key, &row.value.build, name, now, ids::uuid(entropy));
        closed.filter_map(event).fold(Batch::new(), Batch::event)
    }

    /// The build has ended: everyone hears of it, and another one begins if it is to be tried again.
    pub async fn finish(&self, mut row: Row<BuildRow>, end: End) -> Result<(), Failure> {
        let before: Vec<String> = open_or_untold(&row.value, end.closed);
        phases::complete(&mut row.value.build, end.status, end.at);
        row.value.run.stage = Stage::Clean;
        let mut next = Batch::new();
        if end.status == "FAILED"
            && let Some((batch, config)) = retry(&self.service, &self.key, &row.value).await?
        {
            next = batch;
            row.value.build.auto_retry_config = Some(config);
        }
        let closed = before.iter().map(String::as_str).chain(["FINALIZING"]);
        let state = events::state(&self.key, &row.value.build, end.at, ids::uuid(&*self.service.entropy));
        let batch = self.told(&row, closed).event(state).update(&row).and(next);
        self.commit(batch).await
    }

    /// How long the build's containers and files still stay.
    fn lingers(&self, row: &BuildRow) -> Duration {
        let linger = self.service.config.linger;
        let ended = row.build.end_time.unwrap_or(Timestamp::MIN);
        let since = self.service.clock.now().duration_since(ended);
        linger.saturating_sub(Duration::try_from(since).unwrap_or_default())
    }

    /// Takes away what the build had. All of it may be gone already.
    async fn clean(&self, mut row: Row<BuildRow>) -> Result<(), Failure> {
        let task = names::task(&self.id).parse().map_err(Failure::engine)?;
        self.cx.authority().revoke(&names::task(&self.id)).await?;
        tokio::time::sleep(self.lingers(&row.value)).await;
        self.service.engine.remove(&task).await.map_err(Failure::engine)?;
        if vpc::wanted(&row.value.project).is_some() {
            vpc::remove(&self.cx, row.value.build.arn.as_deref().unwrap_or_default()).await?;
        }
        if let Err(error) = self.volume.remove() {
            // Folders that the build made itself as root may outlive it where we are not root.
            tracing::warn!(build = %self.id, %error, "a build's volume could not be removed");
        }
        row.value.run.stage = Stage::Done;
        self.commit(Batch::new().update(&row)).await
    }
}

/// Phases whose end is told with the build's: the open one, and those that this step closed.
fn open_or_untold(row: &BuildRow, closed: Option<&'static str>) -> Vec<String> {
    let open = phases::current(&row.build).map(str::to_owned);
    let provisioning = (row.run.stage == Stage::Provision)
        .then_some(["QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE"])
        .into_iter()
        .flatten()
        .filter(|name| phases::get(&row.build, name).is_some_and(|p| p.end_time.is_some()))
        .map(str::to_owned);
    open.into_iter().chain(closed.map(str::to_owned)).chain(provisioning).collect()
}
