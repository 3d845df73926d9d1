//! Telling connections to end, at no cost to those that are not told: each has its own flag and waker, because a
//! shared notification would be a lock that every wake of every connection takes.
use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use futures::task::AtomicWaker;

/// How a connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Not at all.
    Serve = 0,
    /// After what it is doing.
    Graceful = 1,
    /// Now.
    Abort = 2,
}

/// The connections of one door or target.
#[derive(Debug, Default)]
pub struct Signals {
    level: AtomicU8,
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Flag>>>,
}

#[derive(Debug, Default)]
struct Flag {
    level: AtomicU8,
    waker: AtomicWaker,
}

impl Signals {
    /// A new connection, which leaves when the value is dropped.
    pub fn join(self: &Arc<Self>) -> Signal {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let flag = Arc::new(Flag::default());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        flag.level.store(self.level.load(Ordering::Acquire), Ordering::Release);
        open.insert(number, flag.clone());
        drop(open);
        Signal { all: self.clone(), number, flag }
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Tells all of them, and those that join later.
    pub fn raise(&self, level: Level) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        self.level.fetch_max(level as u8, Ordering::AcqRel);
        for flag in open.values() {
            flag.level.fetch_max(level as u8, Ordering::AcqRel);
            flag.waker.wake();
        }
    }
}

/// One connection's ear.
#[derive(Debug)]
pub struct Signal {
    all: Arc<Signals>,
    number: u64,
    flag: Arc<Flag>,
}

impl Signal {
    /// What it was told; wakes `waker` when told more.
    pub fn poll(&self, waker: &Waker) -> Level {
        self.flag.waker.register(waker);
        match self.flag.level.load(Ordering::Acquire) {
            0 => Level::Serve,
            1 => Level::Graceful,
            _ => Level::Abort,
        }
    }

    /// Resolves when it was told at least this.
    pub async fn reaches(&self, level: Level) {
        std::future::poll_fn(|cx| match self.poll(cx.waker()) >= level {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        })
        .await;
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        self.all.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}
