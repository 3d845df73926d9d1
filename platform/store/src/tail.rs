//! The newest messages of each topic, as they were committed, and how far its consumers are.
//!
//! All who listen hear a message right after its commit: from memory, as one value that they share. What has left it, or
//! was committed before the store was opened, is read from the database.
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::batch::Op;
use crate::{Message, limits};

#[derive(Default)]
pub(crate) struct Tails(Mutex<Topics>);

#[derive(Default)]
struct Topics {
    tails: HashMap<&'static str, Tail>,
    /// By topic and consumer, of those that have moved since the store was opened.
    cursors: HashMap<(&'static str, &'static str), u64>,
}

/// All messages of a topic behind a number.
struct Tail {
    /// The number.
    from: u64,
    messages: VecDeque<(Message, usize)>,
    /// What their bodies take together.
    bytes: usize,
}

impl Tails {
    fn all(&self) -> MutexGuard<'_, Topics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what was committed, in its order. `before`: the store's sequence before the first of them.
    pub(crate) fn committed<'a>(
        &self,
        before: u64,
        published: Vec<Published>,
        done: impl Iterator<Item = &'a Op>,
    ) {
        let mut all = self.all();
        for Published { topic, message, bytes } in published {
            let tail = all.tails.entry(topic).or_insert_with(|| Tail::behind(before));
            tail.push(message, bytes);
        }
        for op in done {
            if let Op::Advance { topic, consumer, to, .. } = op {
                all.cursors.insert((topic, consumer), *to);
            }
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.all() = Topics::default();
    }

    /// Where a consumer is; none if only the database knows.
    pub(crate) fn cursor(&self, topic: &'static str, consumer: &'static str) -> Option<u64> {
        self.all().cursors.get(&(topic, consumer)).copied()
    }

    /// The messages behind `after`, `limit` at most; none if some of them may only be in the database.
    pub(crate) fn messages(&self, topic: &str, after: u64, limit: usize) -> Option<Vec<Message>> {
        let all = self.all();
        let tail = all.tails.get(topic).filter(|tail| tail.from <= after)?;
        let first = tail.messages.partition_point(|(message, _)| message.seq <= after);
        Some(tail.messages.range(first..).take(limit).map(|(message, _)| message.clone()).collect())
    }
}

/// A message that was committed.
pub(crate) struct Published {
    pub topic: &'static str,
    pub message: Message,
    /// What its body takes.
    pub bytes: usize,
}

impl Tail {
    fn behind(from: u64) -> Self {
        Self { from, messages: VecDeque::new(), bytes: 0 }
    }

    fn push(&mut self, message: Message, bytes: usize) {
        self.bytes += bytes;
        self.messages.push_back((message, bytes));
        while self.messages.len() > limits::TAIL || self.bytes > limits::TAIL_BYTES {
            let Some((oldest, bytes)) = self.messages.pop_front() else { return };
            self.bytes -= bytes;
            self.from = oldest.seq;
        }
    }
}
