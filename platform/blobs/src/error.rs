//! What can go wrong with blobs.
use kernel::Fault;

use crate::{Digest, Name};

/// Result of blobs.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of blobs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such blob.
    #[error("there is no blob {0}")]
    NotFound(String),
    /// More bytes than allowed.
    #[error("more than {limit} bytes")]
    TooLarge {
        /// The most that was allowed.
        limit: u64,
    },
    /// The range begins at or behind the end.
    #[error("the range begins behind the end of {size} bytes")]
    OutOfRange {
        /// The blob's size.
        size: u64,
    },
    /// The content is not what its digest says.
    #[error("the content is {found}, not {expected}")]
    Digest {
        /// What was promised.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// Not a name or digest of ours.
    #[error("'{0}' cannot name a blob")]
    BadName(String),
    /// The storage failed.
    #[error("storage: {0}")]
    Storage(String),
}

impl Error {
    pub(crate) fn of(error: object_store::Error, name: &Name) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::NotFound(name.to_string()),
            other => Self::Storage(other.to_string()),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::internal(error)
    }
}
