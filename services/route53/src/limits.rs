//! Every limit of the service, AWS's own quotas where it has them.

/// Hosted zones of an account.
pub const ZONES: u64 = 500;
/// Record sets of a zone.
pub const RECORD_SETS: usize = 10_000;
/// Values of a record set.
pub const VALUES: usize = 400;
/// Values of a change batch; those of an UPSERT count twice.
pub const BATCH_VALUES: usize = 1000;
/// Characters of all values of a change batch, counted alike.
pub const BATCH_CHARACTERS: usize = 32_000;
/// Items of a page of zones.
pub const ZONES_PAGE: usize = 100;
/// Items of a page of record sets.
pub const RECORDS_PAGE: usize = 300;
/// Tags of a zone.
pub const TAGS: usize = 10;
/// How long a change can be asked for, in hours.
pub const CHANGE_HOURS: i64 = 24;
/// Changes that one pass of a worker looks at.
pub const PASS: usize = 200;
