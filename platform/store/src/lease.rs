//! Leases: who may act for a stream or a piece of work, and for how long.
use kernel::Timestamp;
use rusqlite::Row;

use crate::apply::unsigned;
use crate::{Key, Result, Store, sql};

/// A lease that is held. A later holder has a greater epoch, so that what an earlier one still sends is refused:
/// [`crate::Batch::append`] and [`crate::Batch::fence`] compare epochs, not clocks.
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

/// A lease that may be taken: it is held once [`crate::Batch::claim`] of it is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The lease as it will be.
    pub lease: Lease,
    /// The epoch that it had: it must not have changed hands meanwhile. 0: nobody ever held it.
    pub(crate) was: u64,
}

impl Store {
    /// A claim to take or renew a lease until `until`. None while another holds it. Renewing keeps the epoch. It is
    /// committed together with the first thing done under the lease, so that taking one over costs no commit.
    pub async fn claim(
        &self,
        kind: &'static str,
        key: &Key,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Claim>> {
        let held = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let found: Option<(String, i64, i64)> = self.one(sql::LEASE, (kind, &key.0), held).await?;
        let (was, epoch) = match found {
            None => (0, 1),
            Some((holder, epoch, _)) if holder == owner => (unsigned(epoch), unsigned(epoch)),
            Some((_, _, until)) if until > now.as_microsecond() => return Ok(None),
            Some((_, epoch, _)) => (unsigned(epoch), unsigned(epoch) + 1),
        };
        let lease = Lease { kind, key: key.clone(), owner: owner.to_owned(), epoch, until };
        Ok(Some(Claim { lease, was }))
    }
}
