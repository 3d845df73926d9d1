//! What this crate bounds.
use std::time::Duration;

/// Batches that wait for the writer; further committers wait for a place.
pub const QUEUE: usize = 1024;
/// Batches that wait, and patient ones beside them, that go into one transaction: so many of each at most.
pub const GROUP: usize = 256;
/// Statements that the writer keeps prepared: more than there are.
pub const STATEMENTS: usize = 64;
/// Pages that the writer keeps in memory, in KiB: a group of the greatest batches that are ordinary fits.
pub const CACHE: i64 = 16 << 10;
/// Further pages of 4 KiB in the write-ahead log after which it is carried over to the database.
pub const CHECKPOINT: u32 = 1000;
/// Pages in the log after which it is to begin anew.
pub const LOG: u32 = 4000;
/// Pages in the log after which commits wait until it was carried over.
pub const LOG_MOST: u32 = 32_000;
/// How long a connection waits for another's lock.
pub const BUSY: Duration = Duration::from_secs(10);
/// How long a patient batch waits for another to share the commit with.
pub const PATIENCE: Duration = Duration::from_millis(20);
/// Operations of one batch at most.
pub const BATCH: usize = 20_000;
/// Bytes of one record, event or message as JSON.
pub const BODY: usize = 16 << 20;
/// Bytes of one encoded key.
pub const KEY: usize = 4096;
/// Messages of a topic that are kept in memory for those who listen, and bytes of their bodies together.
pub const TAIL: usize = 1024;
/// See [`TAIL`].
pub const TAIL_BYTES: usize = 1 << 20;
/// Rows of one read at most; a greater limit is cut to it.
pub const PAGE: usize = 10_000;
/// Rows that [`crate::Store::all`] answers at most; more is an error, never a silent cut.
pub const ALL: usize = 200_000;
/// Connections that are kept to read with.
pub const READERS: usize = 4;
/// Rows of a read after which other tasks have their turn.
pub const SHORT: usize = 500;
/// Tries of [`crate::Store::update`].
pub const TRIES: u32 = 16;
/// How much later each further try of it begins.
pub const TRY_DELAY: Duration = Duration::from_millis(1);
/// Bytes of a page token that are looked at.
pub const TOKEN: usize = 8192;
/// How long idempotency tokens are remembered: longer than anything tries again.
pub const REMEMBERED: Duration = Duration::from_secs(48 * 3600);
/// How often older ones are looked for.
pub const FORGETTING: Duration = Duration::from_secs(3600);
/// How often a data folder's lock is asked for before it counts as another's, a second in all.
pub const HOLD_TRIES: usize = 50;
/// Between two of them.
pub const HOLD_PAUSE: Duration = Duration::from_millis(20);
