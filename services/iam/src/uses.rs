//! When, where and for what each access key was last used, for `GetAccessKeyLastUsed`.
//!
//! A request costs a look into a map. What the map holds is written every [`SAVED`] and when the server ends, so a kill
//! loses the uses of that time at most, and the answer is then the use before them: it is for finding keys that nobody
//! needs any more, and AWS's own is hours late.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kernel::{Fault, Fut, Timestamp};
use store::{Batch, Key};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::records::{AccessKey, KeyUse};
use crate::root::access_key;
use crate::{Error, Iam, limits};

/// How often uses are written.
const SAVED: Duration = Duration::from_secs(10 * 60);

/// The uses that are not written yet, by the key's id: of the keys that were used in the last [`SAVED`].
#[derive(Default)]
pub struct Uses(Mutex<HashMap<String, KeyUse>>);

impl Uses {
    /// Notes a use. The keys of sessions are not kept: nobody can ask for them.
    pub fn note(&self, id: &str, service: &str, region: &str, at: Timestamp) {
        let made_up = service.len() > limits::USED_NAME || region.len() > limits::USED_NAME;
        if made_up || !id.starts_with("AKIA") {
            return;
        }
        let mut uses = self.all();
        match uses.get_mut(id) {
            Some(last) => last.become_of(service, region, at),
            None => {
                let last = KeyUse { at, service: service.to_owned(), region: region.to_owned() };
                uses.insert(id.to_owned(), last);
            }
        }
    }

    fn get(&self, id: &str) -> Option<KeyUse> {
        self.all().get(id).cloned()
    }

    /// A use is written: a later one is not.
    fn written(&self, id: &str, at: Timestamp) {
        let mut uses = self.all();
        if uses.get(id).is_some_and(|last| last.at == at) {
            uses.remove(id);
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, KeyUse>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyUse {
    fn become_of(&mut self, service: &str, region: &str, at: Timestamp) {
        self.at = at;
        if self.service != service {
            service.clone_into(&mut self.service);
        }
        if self.region != region {
            region.clone_into(&mut self.region);
        }
    }
}

impl Iam {
    /// The last use of a key that is there.
    pub(crate) async fn last_use(&self, account: &str, id: &str) -> Result<Option<KeyUse>, Error> {
        let stored = self.store.get::<KeyUse>(&access_key(account, id)).await?.map(|row| row.value);
        Ok(stored.into_iter().chain(self.uses.get(id)).max_by_key(|last| last.at))
    }

    /// Writes what is not written yet; also for the end of the server, behind the last request.
    pub async fn save_uses(&self) -> Result<(), Error> {
        let unwritten: Vec<_> = self.uses.all().iter().map(|(id, last)| (id.clone(), last.clone())).collect();
        // Beside one another, so that they share commits.
        let saves = unwritten.iter().map(|(id, last)| self.save_use(id, last));
        futures::future::try_join_all(saves).await.map(|_| ())
    }

    async fn save_use(&self, id: &str, last: &KeyUse) -> Result<(), Error> {
        if let Some(key) = self.store.find::<AccessKey>(Key::all(), "id", id, 0, 1).await?.pop() {
            // A key that is deleted takes its last use with it; one that was changed meanwhile waits for the next time.
            let batch = Batch::new().expect(&key).put(&key.key, last).patient();
            match self.store.commit(batch).await {
                Err(error) if error.is_conflict() => return Ok(()),
                done => done?,
            };
        }
        self.uses.written(id, last.at);
        Ok(())
    }
}

/// Writes the uses.
pub struct Save {
    /// Whose.
    pub iam: Arc<Iam>,
}

impl Worker for Save {
    fn name(&self) -> String {
        "iam.uses".into()
    }

    /// Only the time: a use is no reason to write at once.
    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }

    fn interval(&self) -> Duration {
        SAVED
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async {
            self.iam.save_uses().await?;
            Ok(Next::Idle)
        })
    }
}
