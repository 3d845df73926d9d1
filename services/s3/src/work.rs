//! Bytes that no object needs any more.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ::work::{Next, Worker};
use kernel::{Fault, Fut};
use store::{Batch, Key, Record};
use tokio::sync::Notify;

use crate::error::Result;
use crate::objects::GARBAGE;
use crate::records::{Bucket, Part, Upload, Version};
use crate::{S3, limits};

/// Removes blobs whose timer is due.
pub struct Garbage(pub Arc<S3>);

impl Worker for Garbage {
    fn name(&self) -> String {
        "s3.garbage".into()
    }

    fn wake(&self) -> Arc<Notify> {
        self.0.store.watch(&[GARBAGE])
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async { Ok(self.0.collect().await?) })
    }
}

/// Sweeps up, once, what an earlier run of the process wrote and did not get to name.
pub struct Sweep(pub Arc<S3>);

impl Worker for Sweep {
    fn name(&self) -> String {
        "s3.sweep".into()
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(7 * 24 * 3600)
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async { Ok(self.0.sweep().await.map(|()| Next::Idle)?) })
    }
}

impl S3 {
    async fn collect(&self) -> Result<Next> {
        let due = self.store.due(GARBAGE, self.clock.now(), limits::PASS).await?;
        let mut batch = Batch::new();
        for timer in &due {
            let names: Vec<String> = serde_json::from_value(timer.payload.clone()).unwrap_or_default();
            for name in names {
                self.bodies.delete(&name).await?;
            }
            batch = batch.cancel(GARBAGE, &timer.key);
        }
        self.store.commit(batch).await?;
        match due.len() {
            limits::PASS => Ok(Next::Again),
            _ => Ok(self.store.next_due(GARBAGE).await?.into()),
        }
    }

    async fn sweep(&self) -> Result<()> {
        let mut orphans: BTreeSet<String> = self.bodies.of_earlier_runs().await?.into_iter().collect();
        let mut seen = BTreeSet::new();
        // Parts first: an upload that is completed meanwhile turns parts into a version, never the other way.
        self.each::<Part>(|row| {
            orphans.remove(&row.value.piece.blob);
            seen.insert(bucket_of(&row.key));
        })
        .await?;
        self.each::<Upload>(|row| {
            seen.insert(bucket_of(&row.key));
        })
        .await?;
        self.each::<Version>(|row| {
            for piece in row.value.content.iter().flat_map(|content| &content.pieces) {
                orphans.remove(&piece.blob);
            }
            seen.insert(bucket_of(&row.key));
        })
        .await?;
        for blob in &orphans {
            self.bodies.delete(blob).await?;
        }
        // Read after the rows: a bucket is there before anything in it. What is left belongs to a deletion cut short.
        for bucket in self.store.all::<Bucket>(Key::all()).await? {
            seen.remove(&bucket.value.objects());
        }
        for dead in &seen {
            self.purge(dead).await?;
        }
        Ok(())
    }

    async fn each<R: Record>(&self, mut look: impl FnMut(&store::Row<R>)) -> Result<()> {
        let mut after = None;
        loop {
            let page = self.store.list::<R>(Key::all(), after.as_ref(), limits::PASS).await?;
            page.iter().for_each(&mut look);
            match page.last() {
                Some(last) if page.len() == limits::PASS => after = Some(last.key.clone()),
                _ => return Ok(()),
            }
        }
    }
}

/// What the keys of everything in the same bucket begin with.
fn bucket_of(key: &Key) -> Key {
    Key::new(&key.account(), &key.region()).text(key.part(2))
}
