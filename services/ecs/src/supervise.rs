//! Keeps an actor for each live task, and forgets tasks that stopped long ago.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kernel::{Fault, Fut};
use store::{Batch, Key, Row};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use work::{Next, Worker};

use crate::actor::Actor;
use crate::error::Result;
use crate::names::Scope;
use crate::records::{Status, Task};
use crate::{Ecs, limits};

/// The worker.
pub(crate) struct Supervisor {
    ecs: Arc<Ecs>,
    actors: Mutex<HashMap<Key, Kept>>,
}

struct Kept {
    wake: Arc<Notify>,
    version: u64,
    run: JoinHandle<()>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.run.abort();
    }
}

impl Supervisor {
    pub(crate) fn new(ecs: Arc<Ecs>) -> Self {
        Self { ecs, actors: Mutex::default() }
    }

    /// Starts the actors that are missing and wakes those whose record changed.
    fn keep(&self, live: &[Row<Task>]) {
        let mut actors = self.actors.lock().unwrap_or_else(PoisonError::into_inner);
        actors.retain(|_, kept| !kept.run.is_finished());
        for row in live {
            match actors.get_mut(&row.key) {
                Some(kept) if kept.version != row.version => {
                    kept.version = row.version;
                    kept.wake.notify_one();
                }
                Some(_) => {}
                None => {
                    let wake = Arc::new(Notify::new());
                    let Ok(actor) =
                        Actor::new(self.ecs.clone(), Scope::of_key(&row.key), &row.value, wake.clone())
                    else {
                        continue;
                    };
                    let run = tokio::spawn(actor.live());
                    actors.insert(row.key.clone(), Kept { wake, version: row.version, run });
                }
            }
        }
    }

    async fn forget(&self) -> Result<()> {
        let now = self.ecs.clock.now();
        let oldest = self.ecs.store.list_by_seq::<Task>(Key::all(), 0, 500).await?;
        let old = |row: &&Row<Task>| {
            let age = row.value.stopped.map(|at| now.duration_since(at));
            age.is_some_and(|age| age.unsigned_abs() > limits::STOPPED_FOR && age.is_positive())
        };
        let batch = oldest.iter().filter(old).fold(Batch::new(), |batch, row| batch.delete::<Task>(&row.key));
        if !batch.is_empty() {
            self.ecs.store.commit(batch).await?;
        }
        Ok(())
    }
}

impl Ecs {
    /// The tasks that have not ended, as they were made.
    pub(crate) async fn live(&self) -> Result<Vec<Row<Task>>> {
        let (mut live, mut after): (Vec<Row<Task>>, u64) = (Vec::new(), 0);
        loop {
            let page = self.store.find(Key::all(), "live", "yes", after, limits::ROWS).await?;
            let Some(last) = page.last() else { return Ok(live) };
            after = last.created;
            live.extend(page);
        }
    }
}

impl Worker for Supervisor {
    fn name(&self) -> String {
        "ecs.tasks".into()
    }

    fn wake(&self) -> Arc<Notify> {
        self.ecs.store.watch(&["ecs.task"])
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async move {
            let live = self.ecs.live().await?;
            debug_assert!(live.iter().all(|row| row.value.status != Status::Stopped));
            self.keep(&live);
            self.forget().await?;
            Ok(Next::Idle)
        })
    }
}
