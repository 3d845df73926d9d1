//! What can go wrong in IAM and STS.
use kernel::Fault;

use policy::Malformed;

/// An error of IAM or STS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none of that name.
    #[error("{0}")]
    NoSuchEntity(String),
    /// There is one of that name already.
    #[error("{0}")]
    EntityAlreadyExists(String),
    /// Something still hangs on it.
    #[error("{0}")]
    DeleteConflict(String),
    /// A quota.
    #[error("Cannot exceed quota for {0}: {1}")]
    LimitExceeded(&'static str, usize),
    /// A quota with its own words.
    #[error("{0}")]
    TooMany(String),
    /// A policy document that is none.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A value that does not fit.
    #[error("{0}")]
    InvalidInput(String),
    /// A value that breaks a constraint.
    #[error("{0}")]
    Validation(String),
    /// A role that only its service may change.
    #[error("Cannot perform the operation on the protected role '{0}' - this role is only modifiable by AWS")]
    Unmodifiable(String),
    /// Refused for a reason that no policy gives.
    #[error("{0}")]
    AccessDenied(String),
    /// A key or token that is nobody's.
    #[error("The security token included in the request is invalid.")]
    UnknownToken,
    /// A session that is over.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
    /// A role that the service may not assume.
    #[error("User: {service} is not authorized to perform: sts:AssumeRole on resource: {role}: {why}")]
    NotTrusted {
        /// The service principal.
        service: String,
        /// The role's ARN.
        role: String,
        /// What is to be mended.
        why: &'static str,
    },
    /// State.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A secret.
    #[error(transparent)]
    Seal(#[from] store::SealError),
}

impl Error {
    fn fault(&self) -> Fault {
        let (code, status) = match self {
            Self::NoSuchEntity(_) => ("NoSuchEntity", 404),
            Self::EntityAlreadyExists(_) => ("EntityAlreadyExists", 409),
            Self::DeleteConflict(_) => ("DeleteConflict", 409),
            Self::LimitExceeded(..) | Self::TooMany(_) => ("LimitExceeded", 409),
            Self::Malformed(_) => ("MalformedPolicyDocument", 400),
            Self::InvalidInput(_) => ("InvalidInput", 400),
            Self::Validation(_) => ("ValidationError", 400),
            Self::Unmodifiable(_) => ("UnmodifiableEntity", 400),
            Self::AccessDenied(_) | Self::NotTrusted { .. } => return Fault::access_denied(self.to_string()),
            Self::UnknownToken => ("InvalidClientTokenId", 403),
            Self::ExpiredToken => ("ExpiredToken", 403),
            Self::Store(error) => return Fault::internal(error),
            Self::Seal(error) => return Fault::internal(error),
        };
        Fault::new(code, status, self.to_string())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        error.fault()
    }
}
