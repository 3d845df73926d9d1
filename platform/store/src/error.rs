//! What can go wrong with state.
use std::path::PathBuf;

use kernel::Fault;

/// Result of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// An expectation did not hold: read again, decide again (see [`crate::Store::update`]).
    #[error("conflict: {0} changed since it was read")]
    Conflict(String),
    /// Another process holds the data folder.
    #[error("{0} is held by another process: stop it, or choose another data folder")]
    Held(PathBuf),
    /// The folder cannot be used.
    #[error("cannot use {path}: {reason}")]
    Folder {
        /// The folder or the file in it.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Written by a newer Longshore, or not by Longshore.
    #[error("{0}")]
    Schema(String),
    /// Something stored cannot be read as its type.
    #[error("stored {kind} {key} cannot be read: {reason}")]
    Unreadable {
        /// Table or stream.
        kind: &'static str,
        /// Its key.
        key: String,
        /// Why.
        reason: String,
    },
    /// Something given cannot be stored.
    #[error("cannot store: {0}")]
    Refused(String),
    /// The same idempotency token with other parameters.
    #[error("the token was used before with other parameters")]
    TokenReused,
    /// The store is closed (or stopped by a test).
    #[error("the store is closed")]
    Closed,
    /// The database failed.
    #[error("database: {0}")]
    Database(String),
}

impl Error {
    /// Whether reading again and deciding again may help.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::internal(error)
    }
}
