//! For benchmarks, behind the feature `bench`: the wake of a job worker in this process, and a past: executions that were decided by the engine and are written as
//! it writes them, without a commit each and without telling anybody.
use std::sync::Arc;

use kernel::{Timestamp, ids};
use store::{Batch, Key};
use tokio::sync::Notify;

use crate::CodePipeline;
use crate::engine::{self, Artifact, Execution, Kind, Millis, Output, Revision, Start, Trigger};
use crate::error::Error;
use crate::projection::Rows;
use crate::records::{Pipeline, Place};

/// Executions of one commit.
const TOGETHER: u64 = 50;

impl CodePipeline {
    /// Names of all pipelines.
    pub async fn names(&self, account: &str, region: &str) -> Result<Vec<String>, Error> {
        let rows = self.desk.store.all::<Pipeline>(Key::new(account, region)).await?;
        Ok(rows.into_iter().map(|row| row.key.last()).collect())
    }

    /// Woken when a job is there to be polled for. For one waiter.
    pub fn opened(&self) -> Arc<Notify> {
        self.desk.openings.wake()
    }

    /// Gives a pipeline so many executions that succeeded, evenly from `from` until now. What is under way succeeds
    /// first. Nothing else may work on the store.
    pub async fn past(
        self: &Arc<Self>,
        account: &str,
        region: &str,
        name: &str,
        executions: u64,
        from: Timestamp,
    ) -> Result<(), Error> {
        let desk = &self.desk;
        let missing = || Error::PipelineNotFound { account: account.into(), name: name.into() };
        let row =
            desk.store.get::<Pipeline>(&Place::row(account, region, name)).await?.ok_or_else(missing)?;
        let (account, region) = (account.to_owned(), region.to_owned());
        let place = Place { account, region, name: name.into(), uid: row.value.uid };
        let mut loaded = desk.load(&place).await?;
        let (from, now) = (from.as_millisecond(), desk.now().as_millisecond());
        let step = (now - from) / Millis::try_from(executions.max(1)).unwrap_or(Millis::MAX);
        let mut at = from;
        for begun in (0..executions).step_by(TOGETHER as usize) {
            let mut rows = Rows::new(&place, &*desk.entropy);
            let mut events = Vec::new();
            for number in begun..executions.min(begun + TOGETHER) {
                if number > 0 {
                    let (id, variables) = (ids::uuid(&*desk.entropy), Default::default());
                    let trigger = Trigger { kind: "StartPipelineExecution".into(), detail: String::new() };
                    let start = Start { id, trigger, variables, overrides: Vec::new() };
                    let started = engine::start(&loaded.saved.state, start)?;
                    events.extend(loaded.happen(&mut rows, [started], at, None));
                }
                while let Some(kind) = success(&place, &loaded.saved.state) {
                    events.extend(loaded.happen(&mut rows, [kind], at, None));
                }
                at += step;
            }
            desk.store.commit(rows.rows(loaded.append(&place, &events, Batch::new()))).await?;
        }
        Ok(())
    }
}

/// The success of an action that runs.
fn success(place: &Place, state: &engine::State) -> Option<Kind> {
    let running = |e: &Execution| {
        let runs = e.visits.last()?.actions.values();
        runs.filter(|run| run.status == engine::ActionStatus::InProgress).map(|run| run.id.clone()).next()
    };
    let id = state.executions.iter().find_map(running)?;
    let artifact =
        Artifact { bucket: "artifacts".into(), key: format!("{}/SourceArti/{}", place.name, &id[..7]) };
    let output = Output {
        artifacts: [("SourceArtifact".to_owned(), artifact)].into(),
        revision: Some(Revision { id: id.clone(), ..Revision::default() }),
        ..Output::default()
    };
    Some(Kind::ActionSucceeded { id, output, by: None })
}
