//! What the edge is told: every zone with its records; and which changes it serves.
use std::sync::{Arc, Mutex, PoisonError};

use kernel::{Fault, Fut, Timestamp};
use snapshot as s;
use store::{Batch, Key, Record, Row};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::error::{Error, Result};
use crate::records::{Change, Data, RecordSet, Zone};
use crate::{Route53, limits};

/// How far publication has come.
#[derive(Debug, Default)]
pub struct Published(Mutex<(u64, u64)>);

impl Published {
    fn set(&self, seq: u64, generation: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (seq, generation);
    }

    /// The generation that carries what was committed up to a sequence; `None` while none does. Published before the
    /// other parts were there, it is in the first whole snapshot.
    pub fn carrying(&self, seq: u64, hub: &s::Hub) -> Option<u64> {
        let (upto, generation) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = hub.snapshots().borrow().as_ref().map(|snapshot| snapshot.generation)?;
        (upto >= seq).then_some(if generation == 0 { whole } else { generation })
    }
}

/// Publishes to the hub whenever a zone changed.
pub struct Publish(pub Arc<Route53>);

impl Worker for Publish {
    fn name(&self) -> String {
        "route53.publish".into()
    }

    fn wake(&self) -> Arc<Notify> {
        self.0.store.watch(&[Zone::TABLE, RecordSet::TABLE, Change::TABLE])
    }

    fn run(&self) -> Fut<'_, std::result::Result<Next, Fault>> {
        Box::pin(async {
            // Read first: what is committed while the zones are read is the next pass's.
            let newest =
                self.0.store.list_newest::<Change>(Key::all(), None, 1).await.map_err(Error::from)?;
            let upto = newest.first().map_or(0, |row| row.version);
            let naming = self.compose().await?;
            let generation = self.0.hub.publish(naming);
            self.0.published.set(upto, generation);
            self.forget().await?;
            Ok(Next::Idle)
        })
    }
}

impl Publish {
    async fn compose(&self) -> Result<s::Naming> {
        let store = &self.0.store;
        let mut rows = store.all::<Zone>(Key::all()).await?;
        rows.sort_by_key(|row| row.created);
        let mut zones = Vec::with_capacity(rows.len());
        for row in rows {
            let sets = store.all::<RecordSet>(row.key.clone()).await?;
            let records = sets.into_iter().map(|set| record(set.value)).collect();
            zones.push(s::Zone { name: row.value.name, records });
        }
        Ok(s::Naming { zones })
    }

    /// Changes can be asked for during a day.
    async fn forget(&self) -> Result<()> {
        let now = self.0.clock.now();
        let rows = self.0.store.list_by_seq::<Change>(Key::all(), 0, 100).await?;
        let old = |row: &&Row<Change>| age_hours(row.value.submitted, now) >= limits::CHANGE_HOURS;
        let batch = rows.iter().filter(old).fold(Batch::new(), |batch, row| batch.delete::<Change>(&row.key));
        if !batch.is_empty() {
            self.0.store.commit(batch).await?;
        }
        Ok(())
    }
}

fn age_hours(then: Timestamp, now: Timestamp) -> i64 {
    (now.as_second() - then.as_second()) / 3600
}

fn record(set: RecordSet) -> s::Record {
    let data = match set.data {
        Data::Values { ttl, values } => s::Data::Values { ttl, values },
        Data::Alias { name, .. } => s::Data::Alias { target: name },
    };
    s::Record { name: set.name, kind: set.kind, data }
}
