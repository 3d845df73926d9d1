//! Events of other services, as running actions wait for them. An event is a nudge to look again, never the truth
//! itself: one who waits looks first, then listens, so that a missed event costs nothing.
use std::sync::Arc;

use store::Event;
use tokio::sync::broadcast::{self, error::RecvError};

/// Events that a slow listener may fall behind; past that it is told to look again.
const BEHIND: usize = 1024;

/// Passes events on to whoever listens.
pub struct Hub(broadcast::Sender<Arc<Event>>);

impl Default for Hub {
    fn default() -> Self {
        Self(broadcast::channel(BEHIND).0)
    }
}

impl Hub {
    /// Tells everyone who listens.
    pub fn tell(&self, event: Arc<Event>) {
        // Nobody listening is no error.
        let _ = self.0.send(event);
    }

    /// Listens from now on.
    pub fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

/// Someone who listens.
pub struct Listener(broadcast::Receiver<Arc<Event>>);

impl Listener {
    /// Waits for an event that is relevant, or for the news that some were missed.
    pub async fn next(&mut self, relevant: impl Fn(&Event) -> bool) {
        loop {
            match self.0.recv().await {
                Ok(event) if !relevant(&event) => {}
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                // The hub is gone with the service: whoever waits ends with it.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
