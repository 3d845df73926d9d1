//! Background work: what a restart finds, deadlines, what deletions leave, and the events of other services.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kernel::{Fault, Fut};
use store::{Batch, EVENTS, Event, Key, Part, Record};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::actions;
use crate::desk::{Ask, Desk};
use crate::engine;
use crate::error::Error;
use crate::jobs::{BY_PIPELINE, JobRow};
use crate::records::{
    ActionRow, Alarm, BY_SOURCE, Base, Cleared, DEADLINE, Definition, ExecutionRow, Pipeline, Place, Remains,
    RuleRow, Saved, Succeeded, Told,
};
use crate::start::{self, Wish};
use crate::triggers::{self, Change};

/// Rows, timers and messages taken at a time.
const PAGE: usize = 500;
/// This service among the outbox's consumers.
const CONSUMER: &str = "codepipeline";

/// Takes up what a restart finds, ends what is past its deadline, removes what deletions leave.
pub struct Executions {
    desk: Arc<Desk>,
    resumed: AtomicBool,
}

impl Executions {
    /// On a desk.
    pub fn new(desk: Arc<Desk>) -> Self {
        Self { desk, resumed: AtomicBool::new(false) }
    }

    async fn pass(&self) -> Result<Next, Error> {
        if !self.resumed.load(Ordering::Acquire) {
            self.resume().await?;
            self.resumed.store(true, Ordering::Release);
        }
        let due = self.desk.store.due(DEADLINE, self.desk.now(), PAGE).await?;
        for timer in &due {
            let Ok(Alarm { name }) = serde_json::from_value(timer.payload.clone()) else { continue };
            let place = place(&timer.key, &name);
            // What follows by now; the timer is set anew or cancelled in the same commit.
            match self.desk.tell(&place, None, |_| Ok(Ask::of(None, ()))).await {
                Err(Error::PipelineNotFound { .. }) => {
                    self.desk.store.commit(Batch::new().cancel(DEADLINE, &timer.key)).await?;
                }
                other => other?,
            }
        }
        let more = self.sweep().await?;
        match more || due.len() == PAGE {
            true => Ok(Next::Again),
            false => Ok(self.desk.store.next_due(DEADLINE).await?.into()),
        }
    }

    /// Starts what is outstanding, pipeline by pipeline; those that rest are not touched.
    async fn resume(&self) -> Result<(), Error> {
        let now = self.desk.now().as_millisecond();
        let mut after: Option<Key> = None;
        loop {
            let page = self.desk.store.list::<Pipeline>(Key::all(), after.as_ref(), PAGE).await?;
            for row in &page {
                let place = Place {
                    account: row.key.account(),
                    region: row.key.region(),
                    name: row.key.last(),
                    uid: row.value.uid.clone(),
                };
                let Some(saved) = self.desk.store.get::<Saved>(&place.key()).await? else { continue };
                let state = &saved.value.state;
                let moving = state.outstanding().next().is_some()
                    || state.outstanding_rules().next().is_some()
                    || !engine::decide(state, now).is_empty();
                if moving {
                    self.desk.resume(&place).await?;
                }
            }
            let Some(last) = page.last().filter(|_| page.len() == PAGE) else { return Ok(()) };
            after = Some(last.key.clone());
        }
    }

    /// Removes a page of each deleted pipeline's history; whether there is more.
    async fn sweep(&self) -> Result<bool, Error> {
        let store = &self.desk.store;
        let remains = store.list::<Remains>(Key::all(), None, PAGE).await?;
        for row in &remains {
            let key = &row.key;
            let home = Key::new(&key.account(), &key.region());
            let jobs = store.find::<JobRow>(&home, BY_PIPELINE, &key.last(), 0, PAGE).await?;
            let mut batch = Batch::new().delete::<Base>(key).delete::<Cleared>(key);
            let gone = batch.len();
            batch = self.removed::<ExecutionRow>(key, batch).await?;
            batch = self.removed::<ActionRow>(key, batch).await?;
            batch = self.removed::<RuleRow>(key, batch).await?;
            batch = self.removed::<Succeeded>(key, batch).await?;
            batch = self.removed::<Definition>(key, batch).await?;
            batch = self.removed::<Told>(key, batch).await?;
            batch = jobs.iter().fold(batch, |batch, row| batch.delete::<JobRow>(&row.key));
            let done = batch.len() == gone;
            store.commit(if done { batch.delete::<Remains>(key) } else { batch }).await?;
        }
        Ok(!remains.is_empty())
    }

    /// Removes a page of a table's rows.
    async fn removed<R: Record>(&self, key: &Key, batch: Batch) -> Result<Batch, Error> {
        let rows = self.desk.store.list::<R>(key, None, PAGE).await?;
        Ok(rows.iter().fold(batch, |batch, row| batch.delete::<R>(&row.key)))
    }
}

/// The pipeline that a key of [`Place::key`] belongs to.
fn place(key: &Key, name: &str) -> Place {
    let uid = match key.parts().into_iter().nth(2) {
        Some(Part::Text(uid)) => uid,
        _ => String::new(),
    };
    Place { account: key.account(), region: key.region(), name: name.into(), uid }
}

impl Worker for Executions {
    fn name(&self) -> String {
        "codepipeline.executions".into()
    }

    fn wake(&self) -> Arc<Notify> {
        self.desk.store.watch(&[DEADLINE, Remains::TABLE])
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async { Ok(self.pass().await?) })
    }
}

/// Hears the events of all services: wakes the actions that wait for one, and starts the pipelines whose sources
/// have changed.
pub struct Events {
    desk: Arc<Desk>,
}

impl Events {
    /// On a desk.
    pub fn new(desk: Arc<Desk>) -> Self {
        Self { desk }
    }

    async fn pass(&self) -> Result<Next, Error> {
        let store = &self.desk.store;
        let from = store.subscribe(EVENTS, CONSUMER).await?;
        let messages = store.messages(EVENTS, from, PAGE).await?;
        let Some(last) = messages.last().map(|message| message.seq) else { return Ok(Next::Idle) };
        for message in &messages {
            self.heard(&message.event).await?;
        }
        // Heard again after a crash, these do what they did: the cursor only saves the hearing.
        store.commit(Batch::new().advance(EVENTS, CONSUMER, from, last).patient()).await?;
        Ok(if messages.len() == PAGE { Next::Again } else { Next::Idle })
    }

    async fn heard(&self, event: &Arc<Event>) -> Result<(), Error> {
        if let Some(change) = Change::of(event) {
            self.start(event, &change.source(), |pipeline| {
                triggers::wish(&pipeline.declaration, &change, &event.id)
            })
            .await?;
        } else if let Some(source) = actions::changed(event) {
            let wish = |pipeline: &Pipeline| Wish {
                trigger: start::caused("PollForSourceChanges", &origin(pipeline, &source)),
                token: Some(format!("event/{}", event.id)),
                ..Wish::default()
            };
            self.start(event, &source, |pipeline| Some(wish(pipeline))).await?;
        }
        self.desk.hub.tell(event.clone());
        Ok(())
    }

    /// Starts every pipeline that watches a source, with what it wishes: once for an event, however often it is heard.
    async fn start(
        &self,
        event: &Event,
        source: &str,
        wish: impl Fn(&Pipeline) -> Option<Wish>,
    ) -> Result<(), Error> {
        let scope = Key::new(&event.account, &event.region);
        let mut after = 0;
        loop {
            let page = self.desk.store.find::<Pipeline>(&scope, BY_SOURCE, source, after, PAGE).await?;
            for row in &page {
                let Some(wish) = wish(&row.value) else { continue };
                let (account, region) = (event.account.clone(), event.region.clone());
                let place = Place { account, region, name: row.key.last(), uid: row.value.uid.clone() };
                match start::start(&self.desk, &place, &row.value.declaration, &event.id, wish).await {
                    // Heard again after the pipeline has changed, a change may wish for something else, as another name
                    // of its source action: it has started its execution all the same.
                    Ok(_) | Err(Error::Store(store::Error::TokenReused)) => {}
                    Err(error @ (Error::Store(_) | Error::Fault(_) | Error::ConcurrentModification)) => {
                        return Err(error);
                    }
                    // A variable without a value, too many executions: no change starts this pipeline now.
                    Err(error) => tracing::warn!(pipeline = place.name, "a change started nothing: {error}"),
                }
            }
            let Some(last) = page.last().filter(|_| page.len() == PAGE) else { return Ok(()) };
            after = last.created;
        }
    }
}

/// The source action that watches: what AWS gives as the detail of this trigger.
fn origin(pipeline: &Pipeline, source: &str) -> String {
    let stage = pipeline.declaration.stages.first();
    let watching = stage.into_iter().flat_map(|stage| &stage.actions).find(|action| {
        let alone =
            api::codepipeline::StageDeclaration { actions: vec![(*action).clone()], ..Default::default() };
        let alone = api::codepipeline::PipelineDeclaration { stages: vec![alone], ..Default::default() };
        actions::watched(&alone).iter().any(|watched| watched == source)
    });
    watching.map(|action| action.name.clone()).unwrap_or_default()
}

impl Worker for Events {
    fn name(&self) -> String {
        "codepipeline.events".into()
    }

    fn wake(&self) -> Arc<Notify> {
        self.desk.store.watch(&[EVENTS])
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async { Ok(self.pass().await?) })
    }
}
