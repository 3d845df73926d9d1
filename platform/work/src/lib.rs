//! The one driver of everything that runs in the background.
//!
//! A [`Worker`] does one pass when it is woken, when it said it would be due, and at least once per interval; what it
//! does it reads from the state, never from its wake. A failed pass is tried again with a growing delay.
//! [`Driver`] runs workers, tells their [`Status`], and stops them.

mod driver;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use kernel::{Fault, Fut, Timestamp};
use tokio::sync::{Notify, watch};

pub use driver::{Driver, Options};
pub use status::{Phase, Status};

/// Background work of a service.
pub trait Worker: Send + Sync + 'static {
    /// As in `logs.retention`: unique.
    fn name(&self) -> String;

    /// What wakes it, `store.watch(..)` mostly. Asked once, before the first pass, so that nothing between is lost.
    fn wake(&self) -> Arc<Notify>;

    /// A pass is made at least this often, for what no wake tells.
    fn interval(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// One pass: looks at the state and brings it forward. It must be safe to be ended at any await and made again.
    fn run(&self) -> Fut<'_, Result<Next, Fault>>;
}

/// Lets changes of a watched value wake as well. Ends with its sender. Needs a runtime.
pub fn wake_on<T: Send + Sync + 'static>(wake: &Arc<Notify>, mut changes: watch::Receiver<T>) {
    let wake = wake.clone();
    tokio::spawn(async move {
        while changes.changed().await.is_ok() {
            wake.notify_one();
        }
    });
}

/// When the next pass is due, unless a wake comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// At once: more is known to be waiting.
    Again,
    /// At this time.
    At(Timestamp),
    /// At the interval's end.
    Idle,
}

impl From<Option<Timestamp>> for Next {
    /// The next due timer, if any.
    fn from(due: Option<Timestamp>) -> Self {
        due.map_or(Self::Idle, Self::At)
    }
}
