//! Security groups and load balancers that change, change what running tasks let in and out, and where it goes.
use std::collections::HashMap;
use std::sync::Arc;

use engine::{ResolveInterface, Rules, TaskId};
use kernel::{Fault, Fut};
use store::Row;
use tokio::sync::{Mutex, Notify};
use work::{Next, Worker};

use crate::Ecs;
use crate::error::Result;
use crate::names::Scope;
use crate::records::{Status, Task};

/// The worker. It remembers what it applied last, so that an unrelated change costs nothing.
pub(crate) struct Applier {
    ecs: Arc<Ecs>,
    applied: Mutex<HashMap<String, Rules>>,
}

impl Applier {
    pub(crate) fn new(ecs: Arc<Ecs>) -> Self {
        Self { ecs, applied: Mutex::default() }
    }

    async fn apply(&self, row: &Row<Task>, applied: &mut HashMap<String, Rules>) -> Result<()> {
        let task = &row.value;
        let Some(place) = &task.place else { return Ok(()) };
        let (mut rules, gateway) = match &place.interface {
            None => (Rules::open(), self.ecs.bridge().await?.gateway),
            Some(interface) => {
                let cx = self.ecs.own_cx(&Scope::of_key(&row.key))?;
                match cx.call(ResolveInterface { network_interface_id: interface.id.clone() }).await {
                    Ok(resolved) => (resolved.rules, resolved.network.gateway),
                    // The task is ending, and its interface went first.
                    Err(fault) if fault.code.ends_with("NotFound") => return Ok(()),
                    Err(fault) => return Err(fault.into()),
                }
            }
        };
        rules.redirects = self.ecs.options.doors.redirects(gateway).await;
        if applied.get(&task.id) == Some(&rules) {
            return Ok(());
        }
        let id: TaskId = task.id.parse()?;
        match self.ecs.engine.update_rules(&id, &rules).await {
            Ok(()) => {
                applied.insert(task.id.clone(), rules);
                Ok(())
            }
            // Not there yet: it will start with the rules of then. Or no more.
            Err(engine::Error::NoTask(_) | engine::Error::Stopped { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Worker for Applier {
    fn name(&self) -> String {
        "ecs.rules".into()
    }

    fn wake(&self) -> Arc<Notify> {
        let wake = self.ecs.store.watch(&["ec2.group", "ec2.interface"]);
        work::wake_on(&wake, self.ecs.options.doors.changes());
        wake
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async move {
            let mut applied = self.applied.lock().await;
            let live = self.ecs.live().await?;
            applied.retain(|id, _| live.iter().any(|row| row.value.id == *id));
            let reached =
                |row: &&Row<Task>| (Status::Pending..=Status::Deactivating).contains(&row.value.status);
            let mut failed = None;
            for row in live.iter().filter(reached) {
                // One task's trouble is not the others'.
                failed = Box::pin(self.apply(row, &mut applied)).await.err().or(failed);
            }
            failed.map_or(Ok(Next::Idle), |error| Err(error.into()))
        })
    }
}
