//! State: every write is a [`Batch`], a value, and is durable when [`Store::commit`] returns.
//!
//! - [`Record`]s in typed tables, read as [`Row`]s with a version for [`Batch::expect`].
//! - Streams of events ([`Batch::append`], [`Store::events`]) guarded by [`Lease`]s.
//! - Timers ([`Batch::timer`], [`Store::due`]) and the outbox ([`Batch::publish`], [`Store::messages`]).
//! - [`Store::watch`]: a wake after each commit that touched a table, stream, topic or timer kind.
//! - [`PageToken`]s, idempotency tokens ([`Batch::remember`], [`Store::recall`]) and the [`Sealer`].
//!
//! One SQLite connection writes: it takes every waiting batch, each done whole or not at all, commits them
//! together and answers after the fsync. A pool of read-only connections reads. SQL stands in `sql.rs` and in
//! `migrations/` alone.

mod apply;
mod batch;
mod checkpoint;
mod error;
mod event;
mod hold;
mod key;
mod lease;
pub mod limits;
mod migrate;
mod outbox;
mod page;
mod readers;
mod record;
mod remember;
mod rows;
mod seal;
mod sql;
mod store;
mod stream;
mod tail;
#[cfg(test)]
mod tests;
mod timer;
mod wake;
mod writer;

pub use batch::{Batch, Committed};
pub use error::{Error, Result};
pub use event::{EVENTS, Event};
pub use key::{Key, Part, Prefix};
pub use lease::{Claim, Lease};
pub use outbox::Message;
pub use page::{BadToken, PageToken};
pub use record::{Record, Row, View};
pub use remember::{Forget, Remembered};
pub use seal::{SealError, Sealed, Sealer};
pub use store::{Counts, Options, Store};
pub use stream::Appended;
pub use timer::Timer;
