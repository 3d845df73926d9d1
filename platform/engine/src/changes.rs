//! How an engine tells that tasks changed.
use tokio::sync::broadcast;

use crate::{TaskId, limits};

/// What may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This task.
    Task(TaskId),
    /// Any task: the engine was away, or more changed than was read. Look at all.
    All,
}

/// A subscription to changes. It carries no state, so that whoever is woken looks at the truth.
#[derive(Debug)]
pub struct Changes(broadcast::Receiver<Change>);

impl Changes {
    /// The next change; none when the engine itself was dropped.
    pub async fn next(&mut self) -> Option<Change> {
        match self.0.recv().await {
            Ok(change) => Some(change),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Change::All),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// The sending side, for those who implement an engine.
#[derive(Clone, Debug)]
pub struct Notifier(broadcast::Sender<Change>);

impl Default for Notifier {
    fn default() -> Self {
        Self(broadcast::Sender::new(limits::CHANGES))
    }
}

impl Notifier {
    /// Tells every subscriber.
    pub fn notify(&self, change: Change) {
        // An error only says that nobody listens.
        let _ = self.0.send(change);
    }

    /// A subscription from now on.
    pub fn subscribe(&self) -> Changes {
        Changes(self.0.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_reader_is_told_to_look_at_everything() {
        let notifier = Notifier::default();
        let mut changes = notifier.subscribe();
        for _ in 0..=limits::CHANGES {
            notifier.notify(Change::Task("a".parse().unwrap()));
        }
        assert_eq!(changes.next().await, Some(Change::All));
        assert_eq!(changes.next().await, Some(Change::Task("a".parse().unwrap())));
        drop(notifier);
        while changes.next().await.is_some() {}
    }
}
