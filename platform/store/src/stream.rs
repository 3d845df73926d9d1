//! Streams of events: append-only, numbered from 1, guarded by a lease's epoch.
use rusqlite::Row;

use crate::apply::{signed, unsigned};
use crate::readers::text;
use crate::record::decode;
use crate::rows::page;
use crate::{Key, Record, Result, Store, sql};

/// An event as it was read.
#[derive(Clone, Debug)]
pub struct Appended<E> {
    /// Its number, from 1.
    pub seq: u64,
    /// The epoch of the lease under which it was appended.
    pub epoch: u64,
    /// The event.
    pub event: E,
}

impl Store {
    /// Events behind number `after` (0: from the first), at most `limit`.
    pub async fn events<E: Record>(&self, key: &Key, after: u64, limit: usize) -> Result<Vec<Appended<E>>> {
        let params = (E::TABLE, &key.0, signed(after), page(limit));
        let event = |row: &Row<'_>| {
            let event = decode(key, row.get(2)?, text(row, 3)?)?;
            Ok(Appended { seq: unsigned(row.get(0)?), epoch: unsigned(row.get(1)?), event })
        };
        self.many(sql::EVENTS, params, event).await
    }

    /// Number of the stream's last event; 0 when it has none.
    pub async fn head<E: Record>(&self, key: &Key) -> Result<u64> {
        let head = self.one(sql::STREAM, (E::TABLE, &key.0), |row| Ok(unsigned(row.get(0)?))).await?;
        Ok(head.unwrap_or(0))
    }
}
