//! What callers are told.
use kernel::Fault;

/// An error of the service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request asks for what cannot be.
    #[error("{0}")]
    Invalid(String),
    /// There is no such project or build.
    #[error("{0}")]
    NotFound(String),
    /// The name is taken.
    #[error("{0}")]
    Exists(String),
    /// A limit of the project or the account.
    #[error("{0}")]
    Limit(String),
    /// The state failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Another service refused, or we did.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Error {
    /// A wrong or unserved input, in a sentence that names the field.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    fn fault(self) -> Fault {
        let code = match &self {
            Self::Invalid(_) => "InvalidInputException",
            Self::NotFound(_) => "ResourceNotFoundException",
            Self::Exists(_) => "ResourceAlreadyExistsException",
            Self::Limit(_) => "AccountLimitExceededException",
            Self::Store(store::Error::TokenReused) => {
                return Fault::client(
                    "InvalidInputException",
                    "The idempotencyToken was used before with other parameters",
                );
            }
            Self::Store(error) => return Fault::internal(error),
            Self::Fault(fault) => return fault.clone(),
        };
        Fault::client(code, self.to_string())
    }
}

impl From<store::BadToken> for Error {
    fn from(bad: store::BadToken) -> Self {
        Self::Invalid(bad.to_string())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        error.fault()
    }
}
