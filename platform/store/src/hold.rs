//! A data folder belongs to one process at a time.
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::{Error, Result, limits};

/// The folder is this process's until this is dropped, or the process ends.
pub(crate) struct Hold(File);

impl Hold {
    /// Makes the folder (mode 0700) and locks it. Errors: [`Error::Held`] if another has it, [`Error::Folder`].
    ///
    /// A process that was killed while it started a child leaves the lock with that child until it has become the
    /// program that it is to be. Nothing tells when that is, so it is asked again for a moment.
    pub(crate) async fn take(dir: &Path) -> Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| unusable(dir, &e))?;
        let path = dir.join("lock");
        let file = open_private(&path)?;
        for _ in 0..limits::HOLD_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(limits::HOLD_PAUSE).await,
                Err(TryLockError::Error(e)) => return Err(unusable(&path, &e)),
            }
        }
        Err(Error::Held(dir.to_owned()))
    }
}

impl Drop for Hold {
    /// Closing the file is not enough: a child that another thread is just starting has a copy of it until it becomes
    /// the program it is to be, and with the copy the lock.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the data folder's lock was not given back");
        }
    }
}

/// Makes a file that only its owner may read; what SQLite makes beside it takes its mode.
pub(crate) fn open_private(path: &Path) -> Result<File> {
    let options = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    options.map_err(|e| unusable(path, &e))
}

pub(crate) fn unusable(path: &Path, error: &std::io::Error) -> Error {
    Error::Folder { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_that_is_being_started_does_not_keep_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let hold = Hold::take(dir.path()).await.unwrap();
        assert!(matches!(Hold::take(dir.path()).await, Err(Error::Held(_))));
        // What a child has between fork and exec.
        let copy = hold.0.try_clone().unwrap();
        drop(hold);
        let hold = Hold::take(dir.path()).await.unwrap();
        drop(copy);
        // Of a process that was killed, the copy alone is left.
        let copy = hold.0.try_clone().unwrap();
        std::mem::forget(hold);
        let (taken, ()) = tokio::join!(Hold::take(dir.path()), async { copy.unlock().unwrap() });
        taken.unwrap();
    }
}
