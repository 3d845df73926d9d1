//! A write, as a value.
use std::sync::Arc;

use kernel::Timestamp;
use serde::Serialize;

use crate::record::encode;
use crate::{Claim, Error, Event, Key, Lease, Record, Row, limits};

/// Everything that one commit does, or none of it. Built by chaining; [`crate::Store::commit`] applies it.
///
/// Expectations are checked first, then the rest is done in order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(crate) expects: Vec<Expect>,
    pub(crate) ops: Vec<Op>,
    /// The first thing that could not be encoded: the commit fails with it.
    pub(crate) refused: Option<Error>,
    /// See [`Batch::patient`].
    pub(crate) patient: bool,
}

/// What a commit tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The store's sequence after it: all that the batch wrote is at or below.
    pub seq: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum Expect {
    /// The row has this version; none: there is no such row.
    Row { kind: &'static str, key: Key, version: Option<u64> },
    /// The lease is still held in this epoch.
    Lease { kind: &'static str, key: Key, epoch: u64 },
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Put {
        kind: &'static str,
        key: Key,
        format: u32,
        body: String,
        index: Option<Vec<(&'static str, String)>>,
        listed: &'static [usize],
    },
    Delete {
        kind: &'static str,
        key: Key,
        indexed: bool,
        listed: &'static [usize],
    },
    Append {
        kind: &'static str,
        key: Key,
        after: u64,
        epoch: u64,
        format: u32,
        bodies: Vec<String>,
    },
    Truncate {
        kind: &'static str,
        key: Key,
        /// The last event that goes; none: all, and the stream with them.
        through: Option<u64>,
    },
    Lease {
        kind: &'static str,
        key: Key,
        was: u64,
        owner: String,
        epoch: u64,
        until: Timestamp,
    },
    Timer {
        kind: &'static str,
        key: Key,
        at: Timestamp,
        body: String,
    },
    Cancel {
        kind: &'static str,
        key: Key,
    },
    Publish {
        topic: &'static str,
        body: String,
        event: Arc<Event>,
    },
    Advance {
        topic: &'static str,
        consumer: &'static str,
        from: u64,
        to: u64,
    },
}

impl Op {
    /// The name that [`crate::Store::watch`] wakes for. A cursor that moves is no news to those who wait for messages.
    pub(crate) fn touches(&self) -> Option<&'static str> {
        match self {
            Self::Put { kind, .. }
            | Self::Delete { kind, .. }
            | Self::Append { kind, .. }
            | Self::Truncate { kind, .. }
            | Self::Lease { kind, .. }
            | Self::Timer { kind, .. }
            | Self::Cancel { kind, .. } => Some(kind),
            Self::Publish { topic, .. } => Some(topic),
            Self::Advance { .. } => None,
        }
    }
}

impl Batch {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it would do nothing.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.refused.is_none()
    }

    /// How many operations it has; [`limits::BATCH`] at most.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Everything of another batch too.
    pub fn and(mut self, other: Self) -> Self {
        self.expects.extend(other.expects);
        self.ops.extend(other.ops);
        self.refused = self.refused.or(other.refused);
        self.patient &= other.patient;
        self
    }

    /// The row must be as it was read.
    pub fn expect<R: Record>(mut self, row: &Row<R>) -> Self {
        self.expects.push(Expect::Row { kind: R::TABLE, key: row.key.clone(), version: Some(row.version) });
        self
    }

    /// There must be no such row.
    pub fn expect_absent<R: Record>(mut self, key: &Key) -> Self {
        self.expects.push(Expect::Row { kind: R::TABLE, key: key.clone(), version: None });
        self
    }

    /// What was read must still hold: the row as it was, or its absence.
    pub fn expect_same<R: Record>(self, key: &Key, row: Option<&Row<R>>) -> Self {
        match row {
            Some(row) => self.expect(row),
            None => self.expect_absent::<R>(key),
        }
    }

    /// The lease must still be ours.
    pub fn fence(mut self, lease: &Lease) -> Self {
        self.expects.push(Expect::Lease { kind: lease.kind, key: lease.key.clone(), epoch: lease.epoch });
        self
    }

    /// Takes a lease, before what the batch does under it. Conflicts when somebody was faster.
    pub fn claim(mut self, claim: &Claim) -> Self {
        let Lease { kind, key, owner, epoch, until } = claim.lease.clone();
        self.push(Op::Lease { kind, key, was: claim.was, owner, epoch, until });
        self
    }

    /// Writes a row, new or not.
    pub fn put<R: Record>(mut self, key: &Key, record: &R) -> Self {
        if let Some(body) = self.encoded(R::TABLE, key, record) {
            let index = (!R::INDEXES.is_empty()).then(|| record.indexes());
            let undeclared = index.iter().flatten().find(|(name, _)| !R::INDEXES.contains(name));
            if let Some((name, _)) = undeclared {
                self.refuse(Error::Refused(format!("{}: index {name} is not declared", R::TABLE)));
            }
            let (kind, format, listed) = (R::TABLE, R::VERSION, R::LISTED);
            self.push(Op::Put { kind, key: key.clone(), format, body, index, listed });
        }
        self
    }

    /// Writes a row that must not exist yet.
    pub fn create<R: Record>(self, key: &Key, record: &R) -> Self {
        self.expect_absent::<R>(key).put(key, record)
    }

    /// Writes a row that must be as it was read; its value is the row's own, changed in place.
    pub fn update<R: Record>(self, row: &Row<R>) -> Self {
        self.expect(row).put(&row.key, &row.value)
    }

    /// Removes a row; a missing one is fine.
    pub fn delete<R: Record>(mut self, key: &Key) -> Self {
        let (kind, indexed, listed) = (R::TABLE, !R::INDEXES.is_empty(), R::LISTED);
        self.push(Op::Delete { kind, key: key.clone(), indexed, listed });
        self
    }

    /// Removes a row that must be as it was read.
    pub fn remove<R: Record>(self, row: &Row<R>) -> Self {
        self.expect(row).delete::<R>(&row.key)
    }

    /// Appends events behind event `after` (0: the stream is new or empty), under the epoch of the stream's lease.
    /// Conflicts when the stream has moved on, or when a later epoch owns it.
    pub fn append<E: Record>(mut self, key: &Key, after: u64, epoch: u64, events: &[E]) -> Self {
        let bodies: Option<Vec<String>> =
            events.iter().map(|event| self.encoded(E::TABLE, key, event)).collect();
        if let Some(bodies) = bodies.filter(|bodies| !bodies.is_empty()) {
            let format = E::VERSION;
            self.push(Op::Append { kind: E::TABLE, key: key.clone(), after, epoch, format, bodies });
        }
        self
    }

    /// Removes a stream with its events.
    pub fn truncate<E: Record>(mut self, key: &Key) -> Self {
        self.push(Op::Truncate { kind: E::TABLE, key: key.clone(), through: None });
        self
    }

    /// Removes the events of a stream up to this number; the stream goes on behind those that stay.
    pub fn trim<E: Record>(mut self, key: &Key, through: u64) -> Self {
        self.push(Op::Truncate { kind: E::TABLE, key: key.clone(), through: Some(through) });
        self
    }

    /// What it does may wait for the next commit, at most [`limits::PATIENCE`]: for what only saves work after a
    /// crash, as a cursor does whose messages may be heard twice. It is durable when its commit answers, as any.
    pub fn patient(mut self) -> Self {
        self.patient = true;
        self
    }

    /// Sets the timer (kind, key), replacing it if it is set. It stays due until it is cancelled or set anew.
    pub fn timer(mut self, kind: &'static str, key: &Key, at: Timestamp, payload: &impl Serialize) -> Self {
        if let Some(body) = self.encoded(kind, key, payload) {
            self.push(Op::Timer { kind, key: key.clone(), at, body });
        }
        self
    }

    /// Removes a timer; a missing one is fine.
    pub fn cancel(mut self, kind: &'static str, key: &Key) -> Self {
        self.push(Op::Cancel { kind, key: key.clone() });
        self
    }

    /// Puts an event in the outbox, under a topic.
    pub fn publish(mut self, topic: &'static str, event: Event) -> Self {
        if let Some(body) = self.encoded(topic, &Key::all(), &event) {
            self.push(Op::Publish { topic, body, event: Arc::new(event) });
        }
        self
    }

    /// Moves a consumer's cursor: the messages up to `to` are dealt with. Conflicts when it is not at `from`.
    /// Messages that every consumer of the topic has passed are removed.
    pub fn advance(mut self, topic: &'static str, consumer: &'static str, from: u64, to: u64) -> Self {
        self.push(Op::Advance { topic, consumer, from, to });
        self
    }

    fn push(&mut self, op: Op) {
        if self.ops.len() == limits::BATCH {
            self.refuse(Error::Refused(format!("a batch holds at most {} operations", limits::BATCH)));
        } else {
            self.ops.push(op);
        }
    }

    fn refuse(&mut self, error: Error) {
        self.refused.get_or_insert(error);
    }

    fn encoded(&mut self, what: &str, key: &Key, value: &impl Serialize) -> Option<String> {
        if key.0.len() > limits::KEY {
            self.refuse(Error::Refused(format!("{what}: the key exceeds {} bytes", limits::KEY)));
            return None;
        }
        encode(what, value).map_err(|error| self.refuse(error)).ok()
    }
}
