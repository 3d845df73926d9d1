//! Leases: who may act for a stream or a piece of work, and for how long.
use kernel::Timestamp;

use crate::apply::unsigned;
use crate::{Batch, Key, Result, Store, sql};

/// A lease that is held. A later holder has a greater epoch, so that what an earlier one still sends is refused:
/// [`Batch::append`] and [`Batch::fence`] compare epochs, not clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What is leased: a stream's [`crate::Record::TABLE`], or a name of one's own.
    pub kind: &'static str,
    /// Which of them.
    pub key: Key,
    /// Who holds it.
    pub owner: String,
    /// How often it has changed hands, from 1.
    pub epoch: u64,
    /// Until when nobody else may take it.
    pub until: Timestamp,
}

impl Store {
    /// Takes or renews a lease until `until`. None while another holds it. Renewing keeps the epoch.
    pub async fn lease(
        &self,
        kind: &'static str,
        key: &Key,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Lease>> {
        let query = sqlx::query_as(sql::LEASE).bind(kind).bind(&key.0);
        let found: Option<(String, i64, i64)> = query.fetch_optional(self.reader()?).await?;
        let (was, epoch) = match found {
            None => (0, 1),
            Some((holder, epoch, _)) if holder == owner => (unsigned(epoch), unsigned(epoch)),
            Some((_, _, until)) if until > now.as_microsecond() => return Ok(None),
            Some((_, epoch, _)) => (unsigned(epoch), unsigned(epoch) + 1),
        };
        let lease = Lease { kind, key: key.clone(), owner: owner.to_owned(), epoch, until };
        match self.commit(Batch::new().lease(&lease, was)).await {
            Ok(_) => Ok(Some(lease)),
            // Somebody was faster.
            Err(error) if error.is_conflict() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
