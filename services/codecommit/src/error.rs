//! What can go wrong with CodeCommit.
use kernel::Fault;

use crate::git;

/// Result of CodeCommit.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of CodeCommit.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// An error of the API: code and status, message.
    #[error("{1}")]
    Coded((&'static str, u16), String),
    /// Something AWS's CodeCommit does and this one does not.
    #[error("{0} Nothing was done.")]
    NotImplemented(String),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// The state failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Refused elsewhere.
    #[error("{0}")]
    Fault(Fault),
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Coded((code, status), message) => Self::new(code, status, message),
            Error::NotImplemented(_) => Self::new("NotImplemented", 501, error.to_string()),
            Error::Git(inner) => Self::internal(inner),
            Error::Store(inner) => Self::internal(inner),
            Error::Fault(fault) => fault,
        }
    }
}

/// Builds an error of the API.
macro_rules! coded {
    ($code:ident, $($message:tt)+) => {
        $crate::error::Error::Coded(api::codecommit::errors::$code, format!($($message)+))
    };
}
pub(crate) use coded;
