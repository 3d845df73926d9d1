//! Idempotency: an operation called again with its token answers what it answered before.
use std::sync::Arc;
use std::time::Duration;

use kernel::{Clock, Fault, Fut, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::{Batch, Error, Key, Record, Result, Store, limits};

/// What an operation answered under a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Remembered {
    /// What identifies the parameters: the same token with another one is an error.
    pub fingerprint: String,
    /// The answer.
    pub output: Value,
    /// When.
    pub at: Timestamp,
}

impl Record for Remembered {
    const TABLE: &'static str = "store.remembered";
}

impl Batch {
    /// Remembers what this batch's operation answers under a token. `key`: (account, region, operation, token).
    /// Conflicts if the token was used meanwhile; decide again then, and [`Store::recall`] finds the answer.
    pub fn remember(self, key: &Key, fingerprint: &str, output: &Value, now: Timestamp) -> Self {
        let record = Remembered { fingerprint: fingerprint.to_owned(), output: output.clone(), at: now };
        self.create(key, &record)
    }
}

impl Store {
    /// What was answered under a token. Errors: [`Error::TokenReused`] if the parameters were others.
    pub async fn recall(&self, key: &Key, fingerprint: &str) -> Result<Option<Value>> {
        match self.get::<Remembered>(key).await? {
            Some(row) if row.value.fingerprint != fingerprint => Err(Error::TokenReused),
            found => Ok(found.map(|row| row.value.output)),
        }
    }

    /// Forgets tokens used before an instant, oldest first, a page at a time; answers how many.
    pub async fn forget(&self, before: Timestamp) -> Result<usize> {
        let page = self.list_by_seq::<Remembered>(Key::all(), 0, limits::PAGE).await?;
        let old = page.iter().take_while(|row| row.value.at < before);
        let (count, batch) = old
            .fold((0, Batch::new()), |(count, batch), row| (count + 1, batch.delete::<Remembered>(&row.key)));
        self.commit(batch).await.map(|_| count)
    }
}

/// Forgets tokens that nobody can still try again with.
pub struct Forget {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl Forget {
    /// For the state of a store.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

impl Worker for Forget {
    fn name(&self) -> String {
        "store.forget".into()
    }
    fn wake(&self) -> Arc<Notify> {
        // Only time makes a token old.
        Arc::new(Notify::new())
    }
    fn interval(&self) -> Duration {
        limits::FORGETTING
    }
    fn run(&self) -> Fut<'_, std::result::Result<Next, Fault>> {
        Box::pin(async {
            let before = self.clock.now().checked_sub(limits::REMEMBERED).unwrap_or(Timestamp::MIN);
            let forgotten = self.store.forget(before).await?;
            Ok(if forgotten == limits::PAGE { Next::Again } else { Next::Idle })
        })
    }
}
