//! What the edge is told, and when a change is known to be served.
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kernel::{Fault, Fut};
use snapshot::Naming;
use store::{Batch, Key, Record, Row};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::error::{Error, Result};
use crate::records::{Change, Data, RecordSet, Zone};
use crate::{Route53, limits, value};

/// Publishes all zones whenever one changed.
pub struct Publish(pub Arc<Route53>);
/// Marks the changes that the edge serves.
pub struct Settle(pub Arc<Route53>);

impl Worker for Publish {
    fn name(&self) -> String {
        "route53.publish".into()
    }

    fn wake(&self) -> Arc<Notify> {
        self.0.store.watch(&[Zone::TABLE, RecordSet::TABLE])
    }

    fn run(&self) -> Fut<'_, std::result::Result<Next, Fault>> {
        Box::pin(async {
            self.0.publish().await?;
            // Where nothing new is to be told, no report follows that would wake the other.
            self.0.settle().await?;
            Ok(self.0.forget().await?)
        })
    }
}

impl Worker for Settle {
    fn name(&self) -> String {
        "route53.settle".into()
    }

    fn wake(&self) -> Arc<Notify> {
        let wake = Arc::new(Notify::new());
        let (mut reports, waker) = (self.0.hub.reports(), wake.clone());
        // Ends with the hub.
        tokio::spawn(async move {
            let mut applied = 0;
            while reports.changed().await.is_ok() {
                // Most reports tell of health and traffic.
                let now = reports.borrow_and_update().as_ref().map_or(0, |report| report.applied);
                if now != applied {
                    applied = now;
                    waker.notify_one();
                }
            }
        });
        wake
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(3600)
    }

    fn run(&self) -> Fut<'_, std::result::Result<Next, Fault>> {
        Box::pin(async { Ok(self.0.settle().await?) })
    }
}

impl Route53 {
    async fn publish(&self) -> Result<()> {
        // Read before the records: whatever it made is then among them.
        let newest = self.store.list_newest::<Change>(Key::all(), None, 1).await?;
        self.hub.publish(self.naming().await?);
        let newest = newest.first().map_or(0, |change| change.created);
        self.published.fetch_max(newest, Ordering::SeqCst);
        Ok(())
    }

    async fn naming(&self) -> Result<Naming> {
        let mut rows = self.store.all::<Zone>(Key::all()).await?;
        rows.sort_by_key(|row| row.created);
        let mut zones = Vec::with_capacity(rows.len());
        for row in rows {
            let sets = self.store.all::<RecordSet>(row.key.clone()).await?;
            let records = sets.into_iter().map(|set| told(set.value)).collect();
            zones.push(snapshot::Zone { name: row.value.name, records });
        }
        Ok(Naming { zones })
    }

    /// Marks published changes as served, if the edge serves the newest snapshot.
    async fn settle(&self) -> Result<Next> {
        // Read before the snapshot's generation: that snapshot then holds them.
        let published = self.published.load(Ordering::SeqCst);
        let current = self.hub.snapshots().borrow().as_ref().map(|snapshot| snapshot.generation);
        let applied = self.hub.reports().borrow().as_ref().map(|report| report.applied);
        if current.is_none() || applied < current {
            return Ok(Next::Idle);
        }
        let pending = self.store.find::<Change>(Key::all(), Change::PENDING, "", 0, limits::PASS).await?;
        let mut served = pending.into_iter().filter(|row| row.created <= published).peekable();
        if served.peek().is_none() {
            return Ok(Next::Idle);
        }
        let batch = served.fold(Batch::new(), |batch, mut row| {
            row.value.synced = true;
            batch.update(&row)
        });
        match self.store.commit(batch).await {
            // Both workers settle: what the other did is done.
            Err(error) if !error.is_conflict() => Err(Error::from(error)),
            _ => Ok(Next::Again),
        }
    }

    /// Lets go of old changes, oldest first.
    async fn forget(&self) -> Result<Next> {
        let rows = self.store.list_by_seq::<Change>(Key::all(), 0, limits::PASS).await?;
        let now = self.clock.now().as_second();
        let age = |row: &Row<Change>| (now - row.value.submitted.as_second()) / 3600;
        let old = rows.iter().take_while(|row| row.value.synced && age(row) >= limits::CHANGE_HOURS);
        let batch = old.fold(Batch::new(), |batch, row| batch.delete::<Change>(&row.key));
        let more = batch.len() == limits::PASS;
        if !batch.is_empty() {
            self.store.commit(batch).await?;
        }
        Ok(if more { Next::Again } else { Next::Idle })
    }
}

fn told(set: RecordSet) -> snapshot::Record {
    let data = match set.data {
        Data::Values { ttl, values } => snapshot::Data::Values {
            ttl,
            values: values.iter().map(|value| value::absolute(&set.kind, value)).collect(),
        },
        Data::Alias { name, .. } => snapshot::Data::Alias { target: name },
    };
    snapshot::Record { name: set.name, kind: set.kind, data }
}
