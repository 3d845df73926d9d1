//! What nobody needs any more: images that a lifecycle policy expires, layers that no image holds, blobs without rows.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kernel::{Fault, Fut, Timestamp};
use store::{Batch, Key, Row};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::lifecycle::{Candidate, Policy};
use crate::records::{Image, Layer, Repository, Tag};
use crate::{AREA, Ecr, Result, limits, manifest};

/// The worker.
pub struct Sweep {
    ecr: Arc<Ecr>,
    wake: Arc<Notify>,
}

impl Sweep {
    pub fn new(ecr: Arc<Ecr>) -> Self {
        Self { ecr, wake: Arc::default() }
    }
}

impl Worker for Sweep {
    fn name(&self) -> String {
        "ecr.sweep".into()
    }
    fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }
    fn interval(&self) -> Duration {
        limits::SWEEP
    }
    fn run(&self) -> Fut<'_, std::result::Result<Next, Fault>> {
        Box::pin(async {
            self.ecr.sweep().await?;
            Ok(Next::Idle)
        })
    }
}

impl Ecr {
    /// One pass over every registry.
    pub async fn sweep(&self) -> Result<()> {
        // Nobody may be between keeping a blob and naming it.
        let _naming = self.naming.write().await;
        let now = self.clock.now();
        for row in self.store.all::<Repository>(Key::all()).await? {
            self.expire(row, now).await?;
        }
        let mut named = BTreeSet::new();
        for row in self.store.all::<Image>(Key::all()).await? {
            named.insert(row.value.digest.clone());
        }
        self.drop_layers(&mut named, now).await?;
        let mut kept = BTreeSet::new();
        for digest in &named {
            kept.insert(blobs::Name::content(AREA, &manifest::digest(digest)?)?);
        }
        for name in self.blobs.names(AREA).await? {
            if !kept.contains(&name) {
                self.blobs.delete(&name).await?;
            }
        }
        Ok(())
    }

    /// Removes layers that no image of their repository holds; the digests of the others are `named`.
    async fn drop_layers(&self, named: &mut BTreeSet<String>, now: Timestamp) -> Result<()> {
        for row in self.store.all::<Layer>(Key::all()).await? {
            let key = Key::new(&row.key.account(), &row.key.region()).text(row.key.part(2));
            let young = now.as_second() - row.value.pushed.as_second() < limits::LAYER_AGE;
            let held = || async {
                let images = self.store.all::<Image>(&key).await?;
                crate::Result::Ok(images.iter().any(|image| image.value.blobs.contains(&row.value.digest)))
            };
            if young || held().await? {
                named.insert(row.value.digest.clone());
            } else {
                self.store.commit(Batch::new().remove(&row)).await?;
            }
        }
        Ok(())
    }

    async fn expire(&self, mut row: Row<Repository>, now: Timestamp) -> Result<()> {
        let Some(text) = &row.value.lifecycle else { return Ok(()) };
        let policy = Policy::read(text)?;
        let tags = self.store.all::<Tag>(&row.key).await?;
        let images = self.store.all::<Image>(&row.key).await?;
        let candidates: Vec<Candidate> = images
            .iter()
            .map(|image| {
                let own = tags
                    .iter()
                    .filter(|tag| tag.value.digest == image.value.digest)
                    .map(|tag| tag.key.last())
                    .collect();
                Candidate { digest: image.value.digest.clone(), tags: own, pushed: image.value.pushed }
            })
            .collect();
        let mut batch = Batch::new();
        for digest in policy.expired(&candidates, now) {
            // Part of an index: it goes when the index has gone.
            if images.iter().any(|image| image.value.images.contains(&digest)) {
                continue;
            }
            batch = batch.delete::<Image>(&row.key.clone().text(&digest));
            for tag in tags.iter().filter(|tag| tag.value.digest == digest) {
                batch = batch.delete::<Tag>(&tag.key);
            }
        }
        row.value.evaluated = Some(now);
        self.store.commit(batch.update(&row)).await?;
        Ok(())
    }
}
