//! Streams of events: append-only, numbered from 1, guarded by a lease's epoch.
use crate::apply::{signed, unsigned};
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
        let query =
            sqlx::query_as(sql::EVENTS).bind(E::TABLE).bind(&key.0).bind(signed(after)).bind(page(limit));
        let found: Vec<(i64, i64, i64, String)> = query.fetch_all(self.reader()?).await?;
        let event = |(seq, epoch, format, body): (i64, i64, i64, String)| {
            let event = decode(key, u32::try_from(format).unwrap_or(u32::MAX), &body)?;
            Ok(Appended { seq: unsigned(seq), epoch: unsigned(epoch), event })
        };
        found.into_iter().map(event).collect()
    }

    /// Number of the stream's last event; 0 when it has none.
    pub async fn head<E: Record>(&self, key: &Key) -> Result<u64> {
        let query = sqlx::query_as(sql::STREAM).bind(E::TABLE).bind(&key.0);
        let found: Option<(i64, i64)> = query.fetch_optional(self.reader()?).await?;
        Ok(found.map_or(0, |(seq, _)| unsigned(seq)))
    }
}
