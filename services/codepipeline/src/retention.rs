//! What is removed of the past: executions with their actions and events, and the artifacts that they made.
//!
//! An execution stays, however old, while the engine's state holds it or something of its artifacts (it is the last in
//! some stage, may be retried, or a rollback runs with its artifacts), and while it is the newest that succeeded in a
//! stage of the current version: the next rollback returns to it. What goes, goes page by page, artifacts first and
//! the execution's own row last, so that a crash leaves what the next pass finds.
//!
//! Artifacts are deleted by the service for itself, not under the pipeline's role: how long they are kept is the
//! operator's decision, and the role may be gone. It touches only the keys that it gave to the execution's actions.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use api::s3::{DeleteObject, HeadObject};
use kernel::{Fault, Fut};
use store::{Batch, Key, Row};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::desk::Desk;
use crate::engine::{Artifact, Event, Execution, Millis, StageStatus, State};
use crate::error::Error;
use crate::job::PRINCIPAL;
use crate::jobs::{self, JobRow};
use crate::limits;
use crate::records::{
    ActionRow, Base, Cleared, Definition, ExecutionRow, Pipeline, Place, RuleRow, Saved, Succeeded,
};
use crate::scope;

/// How long the past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Executions, their actions and events, after their last change.
    pub executions: Duration,
    /// The artifacts of executions; not longer than these.
    pub artifacts: Duration,
}

impl Default for Keep {
    /// AWS's twelve months.
    fn default() -> Self {
        let year = Duration::from_secs(365 * 24 * 3600);
        Self { executions: year, artifacts: year }
    }
}

/// See the module.
pub struct Retention {
    desk: Arc<Desk>,
    keep: Keep,
}

impl Retention {
    /// On a desk.
    pub fn new(desk: Arc<Desk>, keep: Keep) -> Self {
        Self { desk, keep: Keep { artifacts: keep.artifacts.min(keep.executions), ..keep } }
    }

    async fn pass(&self) -> Result<Next, Error> {
        let (mut after, mut more, mut failed) = (None::<Key>, false, None);
        loop {
            let page = self.desk.store.list::<Pipeline>(Key::all(), after.as_ref(), limits::RETIRED).await?;
            for row in &page {
                let place = Place {
                    account: row.key.account(),
                    region: row.key.region(),
                    name: row.key.last(),
                    uid: row.value.uid.clone(),
                };
                match self.prune(&place, row).await {
                    Ok(left) => more |= left,
                    // It was changed or deleted meanwhile: the next pass looks again.
                    Err(Error::Store(error)) if error.is_conflict() => {}
                    // One pipeline's bucket may forbid it; the others' past goes all the same.
                    Err(error) => failed = Some(error),
                }
            }
            let Some(last) = page.last().filter(|_| page.len() == limits::RETIRED) else { break };
            after = Some(last.key.clone());
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(if more { Next::Again } else { Next::Idle }),
        }
    }

    /// One page of each kind; whether there is more.
    async fn prune(&self, place: &Place, pipeline: &Row<Pipeline>) -> Result<bool, Error> {
        let before = |keep: Duration| {
            let now = self.desk.now().as_millisecond();
            now.saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(Millis::MAX))
        };
        let (executions, artifacts) = (before(self.keep.executions), before(self.keep.artifacts));
        let store = &self.desk.store;
        let oldest = store.list_by_seq::<ExecutionRow>(place.key(), 0, 1).await?;
        if oldest.first().is_none_or(|row| row.value.execution.begun >= artifacts.max(executions)) {
            return Ok(false);
        }
        let saved = store.get::<Saved>(&place.key()).await?.map(|row| row.value).unwrap_or_default();
        let needed = self.needed(place, pipeline.value.version(), &saved.state).await?;
        let mut more = self.clear(place, pipeline, artifacts, &needed).await?;
        more |= self.retire(place, executions, &needed).await?;
        more |= self.fold(place, pipeline, executions).await?;
        Ok(more)
    }

    /// The executions that stay however old they are.
    async fn needed(&self, place: &Place, version: i32, state: &State) -> Result<Needed, Error> {
        let mut needed = Needed::default();
        for execution in &state.executions {
            needed.ids.insert(execution.id.clone());
            needed
                .artifacts
                .extend(made(execution).map(|artifact| (artifact.bucket.clone(), artifact.key.clone())));
        }
        // What a stage rolls itself back to, though nothing shows it any more.
        needed.ids.extend(state.targets.values().map(|target| target.execution.clone()));
        for stage in state.plan().iter().flat_map(|plan| &plan.stages) {
            let stage = place.succeeded(version, &stage.name);
            let newest = self.desk.store.list_back::<Succeeded>(&stage, None, 1);
            needed.ids.extend(newest.await?.into_iter().map(|row| row.value.execution));
        }
        Ok(needed)
    }

    /// Removes the artifacts of a page of executions, where they are kept for a shorter time than these.
    async fn clear(
        &self,
        place: &Place,
        pipeline: &Row<Pipeline>,
        before: Millis,
        needed: &Needed,
    ) -> Result<bool, Error> {
        if self.keep.artifacts == self.keep.executions {
            return Ok(false);
        }
        let store = &self.desk.store;
        let row = store.get::<Cleared>(&place.key()).await?;
        let from = row.as_ref().map_or(0, |row| row.value.through);
        let page = store.list_by_seq::<ExecutionRow>(place.key(), from, limits::RETIRED).await?;
        let old: Vec<_> = page.iter().take_while(|row| row.value.execution.begun < before).collect();
        let Some(last) = old.last() else { return Ok(false) };
        for row in old.iter().filter(|row| row.value.execution.updated < before && !needed.has(&row.value)) {
            self.delete_artifacts(place, &row.value.execution).await?;
        }
        let batch = Batch::new().expect(pipeline).put(&place.key(), &Cleared { through: last.created });
        store.commit(batch).await?;
        Ok(old.len() == limits::RETIRED)
    }

    /// Removes a page of executions with all that is shown of them.
    async fn retire(&self, place: &Place, before: Millis, needed: &Needed) -> Result<bool, Error> {
        let (mut after, mut retired) = (0, 0);
        loop {
            let page =
                self.desk.store.list_by_seq::<ExecutionRow>(place.key(), after, limits::RETIRED).await?;
            for row in &page {
                // Later ones began later.
                if row.value.execution.begun >= before {
                    return Ok(false);
                }
                let ended = !row.value.execution.active() && row.value.execution.updated < before;
                if ended && !needed.has(&row.value) {
                    self.remove(place, &row.value.execution).await?;
                    retired += 1;
                }
                if retired == limits::RETIRED {
                    return Ok(true);
                }
            }
            let Some(last) = page.last().filter(|_| page.len() == limits::RETIRED) else { return Ok(false) };
            after = last.created;
        }
    }

    async fn remove(&self, place: &Place, execution: &Execution) -> Result<(), Error> {
        self.delete_artifacts(place, execution).await?;
        let (store, key) = (&self.desk.store, place.execution(&execution.id));
        loop {
            let rows = store.list::<ActionRow>(&key, None, limits::RETIRED_ROWS).await?;
            let batch = rows.iter().fold(Batch::new(), |batch, row| {
                let job = jobs::key(&place.account, &place.region, &row.value.run.id);
                batch.delete::<ActionRow>(&row.key).delete::<JobRow>(&job)
            });
            let rules = store.list::<RuleRow>(&key, None, limits::RETIRED_ROWS).await?;
            let batch = rules.iter().fold(batch, |batch, row| batch.delete::<RuleRow>(&row.key));
            if rows.len().max(rules.len()) == limits::RETIRED_ROWS {
                store.commit(batch).await?;
                continue;
            }
            let succeeded = execution.visits.iter().filter(|visit| visit.status == StageStatus::Succeeded);
            let mark = |stage: &str| place.succeeded(execution.version, stage).number(execution.number);
            let batch = succeeded.fold(batch, |batch, visit| batch.delete::<Succeeded>(&mark(&visit.stage)));
            store.commit(batch.delete::<ExecutionRow>(&key)).await?;
            return Ok(());
        }
    }

    /// Deletes what the runs of an execution made, also what was uploaded for one that failed or was abandoned then;
    /// what is gone already is fine.
    async fn delete_artifacts(&self, place: &Place, execution: &Execution) -> Result<(), Error> {
        let ops = self.desk.ops().ok_or_else(|| Fault::internal("the services are gone"))?;
        let definition = self.desk.store.get::<Definition>(&place.definition(execution.version)).await?;
        let given = |row: &Row<ActionRow>| {
            let pipeline = definition.as_ref().map(|definition| &definition.value.declaration);
            let (action, run) = (&row.value.action, &row.value.run.id);
            pipeline.map(|pipeline| scope::outputs(pipeline, action, &place.region, run)).unwrap_or_default()
        };
        let pair = |artifact: Artifact| (artifact.bucket, artifact.key);
        let (mut keys, mut places) = (BTreeSet::new(), BTreeSet::new());
        let mut after: Option<Key> = None;
        loop {
            let scope = place.execution(&execution.id);
            let rows =
                self.desk.store.list::<ActionRow>(&scope, after.as_ref(), limits::RETIRED_ROWS).await?;
            let artifacts = rows.iter().flat_map(|row| row.value.run.output.artifacts.values());
            keys.extend(artifacts.cloned().map(pair));
            places.extend(rows.iter().flat_map(given).map(|(_, artifact)| pair(artifact)));
            let Some(last) = rows.last().filter(|_| rows.len() == limits::RETIRED_ROWS) else { break };
            after = Some(last.key.clone());
        }
        let cx = ops.as_service(PRINCIPAL, &place.account, &place.region, &execution.id);
        for (bucket, key) in places.difference(&keys).cloned().collect::<Vec<_>>() {
            // Looked for first: a versioned bucket keeps a mark of a deletion, also of what was never there.
            let look = HeadObject { bucket: bucket.clone(), key: key.clone(), version_id: None };
            match cx.call(look).await {
                Ok(_) => _ = keys.insert((bucket, key)),
                Err(fault) if fault.is("NoSuchKey") || fault.is("NoSuchBucket") => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        for (bucket, key) in keys {
            match cx.call(DeleteObject { bucket, key }).await {
                Err(fault) if !fault.is("NoSuchBucket") => return Err(fault.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Replaces old events by what they add up to.
    async fn fold(&self, place: &Place, pipeline: &Row<Pipeline>, before: Millis) -> Result<bool, Error> {
        let (store, key) = (&self.desk.store, place.key());
        let Base(Saved { mut seq, mut state }) =
            store.get::<Base>(&key).await?.map(|row| row.value).unwrap_or_default();
        let events = store.events::<Event>(&key, seq, limits::RETIRED_ROWS).await?;
        let old = events.iter().take_while(|appended| appended.event.at < before);
        let count = old.clone().count();
        for appended in old {
            state.apply(&appended.event);
            seq = appended.seq;
        }
        if count > 0 {
            let batch = Batch::new().expect(pipeline).trim::<Event>(&key, seq);
            store.commit(batch.put(&key, &Base(Saved { seq, state }))).await?;
        }
        Ok(count == limits::RETIRED_ROWS)
    }
}

/// See the module.
#[derive(Default)]
struct Needed {
    ids: BTreeSet<String>,
    artifacts: BTreeSet<(String, String)>,
}

impl Needed {
    fn has(&self, row: &ExecutionRow) -> bool {
        let shared =
            |artifact: &Artifact| self.artifacts.contains(&(artifact.bucket.clone(), artifact.key.clone()));
        self.ids.contains(&row.execution.id) || made(&row.execution).any(shared)
    }
}

/// The artifacts that an execution works with: of its last runs, and those that a rollback was given.
fn made(execution: &Execution) -> impl Iterator<Item = &Artifact> {
    execution.outputs().flat_map(|(.., output)| output.artifacts.values())
}

impl Worker for Retention {
    fn name(&self) -> String {
        "codepipeline.retention".into()
    }

    fn wake(&self) -> Arc<Notify> {
        // Time alone makes anything old.
        Arc::default()
    }

    fn interval(&self) -> Duration {
        limits::RETENTION
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async { Ok(self.pass().await?) })
    }
}
