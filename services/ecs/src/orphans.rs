//! Removes tasks of ours on the engine that no record speaks of: left by a crash between two steps.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kernel::{Fault, Fut};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::Ecs;
use crate::error::{Error, Result};

/// The worker. One that cannot be removed delays neither the others nor, in a worker of their own, those that live.
pub(crate) struct Sweeper {
    ecs: Arc<Ecs>,
    swept: AtomicBool,
}

impl Sweeper {
    pub(crate) fn new(ecs: Arc<Ecs>) -> Self {
        Self { ecs, swept: AtomicBool::new(false) }
    }

    async fn sweep(&self) -> Result<()> {
        // The engine first: what it knows by now was recorded before.
        let found = self.ecs.engine.tasks().await?;
        let live = self.ecs.live().await?;
        let mut failed = None;
        for task in found {
            let ours = task.labels.get("kind").is_some_and(|kind| kind == "ecs");
            let known = live.iter().any(|row| row.value.id == task.id.as_str());
            if ours && !known {
                tracing::info!(task = %task.id, "removing a task that nobody owns");
                failed = self.ecs.engine.remove(&task.id).await.err().or(failed);
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

impl Worker for Sweeper {
    fn name(&self) -> String {
        "ecs.orphans".into()
    }

    fn wake(&self) -> Arc<Notify> {
        // Only a start leaves work, and an engine that was away is asked again at the interval's end.
        Arc::new(Notify::new())
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async move {
            if !self.swept.load(Ordering::Relaxed) {
                match self.sweep().await {
                    Ok(()) => self.swept.store(true, Ordering::Relaxed),
                    // Without an engine there is nothing to sweep yet.
                    Err(Error::Engine(engine::Error::Unreachable(_))) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(Next::Idle)
        })
    }
}
