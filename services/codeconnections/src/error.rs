//! What can go wrong with connections.
use kernel::Fault;

/// Result of CodeConnections.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of CodeConnections.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none with this ARN.
    #[error("{0} does not exist in this account and Region")]
    NotFound(String),
    /// The connection has no repositories yet.
    #[error(
        "The connection {0} is PENDING: say where its repositories are with `longshore connect CONNECTION --url URL`"
    )]
    Pending(String),
    /// A value that cannot be.
    #[error("{0}")]
    Invalid(String),
    /// Something depends on it.
    #[error("{0}")]
    InUse(String),
    /// A quota.
    #[error("The account has {1} {0} in this Region, the most allowed")]
    Limit(&'static str, usize),
    /// The repository has no such branch or commit.
    #[error("{0}")]
    Revision(String),
    /// The repository cannot be reached, or git failed.
    #[error("{0}")]
    Git(String),
    /// State.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A secret.
    #[error(transparent)]
    Seal(#[from] store::SealError),
    /// Refused elsewhere.
    #[error("{0}")]
    Fault(#[from] Fault),
}

impl From<git_client::Error> for Error {
    fn from(error: git_client::Error) -> Self {
        Self::Git(error.to_string())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::NotFound(_) => "ResourceNotFoundException",
            Error::Pending(_) | Error::InUse(_) => "ResourceUnavailableException",
            Error::Invalid(_) => "InvalidInputException",
            Error::Limit(..) => "LimitExceededException",
            // Of operations that services alone call.
            Error::Revision(_) => "RevisionUnavailable",
            Error::Git(_) => "RepositoryUnavailable",
            Error::Store(_) | Error::Seal(_) => return Self::internal(error),
            Error::Fault(fault) => return fault.clone(),
        };
        Self::client(code, error.to_string())
    }
}
