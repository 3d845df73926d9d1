//! Segments that no chunk names: a kill left them between a blob and the row that named it, or was to name it.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ::work::{Next, Worker};
use kernel::{Fault, Fut};
use store::Key;
use tokio::sync::Notify;

use crate::error::Error;
use crate::records::{Chunk, Place};
use crate::{AREA, Logs, limits};

/// Removes them.
pub(crate) struct Sweep(pub Arc<Logs>);

impl Worker for Sweep {
    fn name(&self) -> String {
        "logs.sweep".into()
    }
    fn wake(&self) -> Arc<Notify> {
        // They come about when the process ends, and the first pass is made at its start.
        Arc::default()
    }
    fn interval(&self) -> Duration {
        limits::SWEEP
    }
    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async { Ok(self.0.sweep().await.map(|()| Next::Idle)?) })
    }
}

impl Logs {
    async fn sweep(&self) -> Result<(), Error> {
        // Nobody may be between putting a segment and naming it.
        let _naming = self.naming.lock().await;
        let mut orphans: BTreeSet<String> =
            self.blobs.names(AREA).await?.into_iter().map(|name| name.to_string()).collect();
        let mut after = None;
        while !orphans.is_empty() {
            let page = self.store.list::<Chunk>(Key::all(), after.as_ref(), limits::PASS).await?;
            for chunk in &page {
                if let Place::Segment(name) = &chunk.value.place {
                    orphans.remove(name);
                }
            }
            match page.last() {
                Some(last) if page.len() == limits::PASS => after = Some(last.key.clone()),
                _ => break,
            }
        }
        for name in &orphans {
            self.blobs.delete(&name.parse()?).await?;
        }
        Ok(())
    }
}
