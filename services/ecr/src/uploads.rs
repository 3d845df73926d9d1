//! Uploads under way: bytes on disk without a name, sessions in memory. A restart ends them cleanly; clients start the
//! layer again.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use blobs::Upload;
use kernel::Timestamp;
use store::Key;
use tokio::sync::Mutex as Turn;

use crate::limits::{UPLOAD_AGE, UPLOADS};
use crate::{Error, Result};

/// One upload. Its parts come one at a time; a second writer waits its turn.
pub type Session = Arc<Turn<Option<Upload>>>;

/// All of them.
#[derive(Default)]
pub struct Uploads(Mutex<HashMap<(Key, String), Held>>);

struct Held {
    session: Session,
    touched: Timestamp,
}

impl Uploads {
    fn held(&self) -> MutexGuard<'_, HashMap<(Key, String), Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new one in, under an id of its own. Errors: [`Error::Limit`].
    pub fn open(&self, repository: Key, id: String, upload: Upload, now: Timestamp) -> Result<()> {
        let mut held = self.held();
        held.retain(|_, one| now.as_second() - one.touched.as_second() < UPLOAD_AGE);
        if held.len() >= UPLOADS {
            return Err(Error::Limit(format!(
                "{UPLOADS} uploads are under way, the most at once; try again"
            )));
        }
        held.insert((repository, id), Held { session: Arc::new(Turn::new(Some(upload))), touched: now });
        Ok(())
    }

    /// The upload of that id in the repository.
    pub fn find(&self, repository: &Key, id: &str, now: Timestamp) -> Result<Session> {
        let mut held = self.held();
        let one = held
            .get_mut(&(repository.clone(), id.to_owned()))
            .ok_or_else(|| Error::UploadNotFound(id.to_owned()))?;
        one.touched = now;
        Ok(one.session.clone())
    }

    /// Forgets it; its bytes go with the last who holds it.
    pub fn close(&self, repository: &Key, id: &str) {
        self.held().remove(&(repository.clone(), id.to_owned()));
    }
}
