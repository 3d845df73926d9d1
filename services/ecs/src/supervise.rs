//! Keeps an actor for each live task, and forgets tasks that stopped long ago.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kernel::{Fault, Fut, Timestamp};
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
        let over = |at: Timestamp| {
            let age = now.duration_since(at);
            age.unsigned_abs() > limits::STOPPED_FOR && age.is_positive()
        };
        let mut after = 0;
        loop {
            let page = self.ecs.store.list_by_seq::<Task>(Key::all(), after, limits::ROWS).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.created;
            let old = page.iter().filter(|row| row.value.stopped.is_some_and(over));
            let batch = old.fold(Batch::new(), |batch, row| batch.delete::<Task>(&row.key));
            if !batch.is_empty() {
                self.ecs.store.commit(batch).await?;
            }
            // What was made after this one cannot have ended so long ago either.
            if !over(last.value.created) {
                return Ok(());
            }
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use engine::{Doors, NetworkSpec};
    use kernel::Clock;
    use kernel::images::HostRegistry;
    use serde_json::json;
    use testkit::{FakeEngine, World};

    use super::*;

    #[tokio::test]
    async fn tasks_that_live_long_keep_none_that_stopped() {
        let mut world = World::new().await;
        let bridge = NetworkSpec { name: "bridge".into(), wanted: "172.29.0.0/16".parse().unwrap() };
        let registry = HostRegistry::new("127.0.0.1:4566".parse().unwrap(), Vec::new());
        let options = crate::Options::new(registry, bridge, Doors::none());
        let engine = FakeEngine::new(world.clock.clone());
        let ecs = Ecs::new(world.store.clone(), engine, world.clock.clone(), world.entropy.clone(), options);
        world.serve(|ops| ecs.register(ops));
        world.call("ecs.CreateCluster", json!({"clusterName": "c"})).await.unwrap();
        let container = json!([{"name": "web", "image": "nginx", "memory": 64}]);
        let define = json!({"family": "web", "containerDefinitions": container});
        world.call("ecs.RegisterTaskDefinition", define).await.unwrap();
        world.call("ecs.RunTask", json!({"cluster": "c", "taskDefinition": "web"})).await.unwrap();
        let first = ecs.live().await.unwrap().remove(0);
        let (scope, mut batch) = (Scope::of_key(&first.key), Batch::new());
        for n in 0..limits::ROWS {
            let task = Task { id: format!("{n:032x}"), ..first.value.clone() };
            batch = batch.create(&task.key(&scope), &task);
        }
        world.store.commit(batch).await.unwrap();
        let now = Some(world.clock.now());
        let gone = Task { id: "f".repeat(32), status: Status::Stopped, stopped: now, ..first.value.clone() };
        world.store.commit(Batch::new().create(&gone.key(&scope), &gone)).await.unwrap();

        let supervisor = Supervisor::new(ecs);
        let check = async |left: u64| {
            supervisor.forget().await.unwrap();
            assert_eq!(world.store.count::<Task>(Key::all()).await.unwrap(), left);
        };
        let all = limits::ROWS as u64 + 2;
        check(all).await;
        world.clock.advance(limits::STOPPED_FOR + Duration::from_secs(1));
        check(all - 1).await;
    }
}
