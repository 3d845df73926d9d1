//! What can go wrong in ACM.
use kernel::Fault;

/// An error of ACM.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none with this ARN.
    #[error("Could not find certificate {0}.")]
    NotFound(String),
    /// It is not the ARN of a certificate.
    #[error("{0} is not a valid certificate ARN: expected arn:aws:acm:REGION:ACCOUNT:certificate/ID")]
    InvalidArn(String),
    /// A member whose value cannot be.
    #[error("{0}")]
    Parameter(String),
    /// An option of validation that cannot be.
    #[error("{0}")]
    DomainValidation(String),
    /// Certificate, key or chain cannot be used.
    #[error("{0}")]
    Validation(String),
    /// It is not issued yet.
    #[error("The certificate request {0} is in progress: it is issued once its CNAME record is served")]
    InProgress(String),
    /// A listener has it.
    #[error("Certificate {0} is in use.")]
    InUse(String),
    /// A quota.
    #[error("Cannot have more than {1} {0}.")]
    Limit(&'static str, u64),
    /// Too many tags.
    #[error("A certificate can have at most {} tags.", crate::limits::TAGS)]
    Tags,
    /// Only services export keys.
    #[error("Private keys leave ACM for load balancers alone.")]
    Secret,
    /// State.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A secret.
    #[error(transparent)]
    Seal(#[from] store::SealError),
    /// The authority.
    #[error(transparent)]
    Ca(#[from] crate::CaError),
    /// Another service's.
    #[error("{0}")]
    Other(#[from] Fault),
}

impl Error {
    fn fault(self) -> Fault {
        let code = match &self {
            Self::NotFound(_) => "ResourceNotFoundException",
            Self::InvalidArn(_) => "InvalidArnException",
            Self::Parameter(_) => "InvalidParameterException",
            Self::DomainValidation(_) => "InvalidDomainValidationOptionsException",
            Self::Validation(_) => "ValidationException",
            Self::InProgress(_) => "RequestInProgressException",
            Self::InUse(_) => "ResourceInUseException",
            Self::Limit(..) => "LimitExceededException",
            Self::Tags => "TooManyTagsException",
            Self::Secret => return Fault::access_denied(self.to_string()),
            Self::Store(_) | Self::Seal(_) | Self::Ca(_) => return Fault::internal(self),
            Self::Other(fault) => return fault.clone(),
        };
        Fault::client(code, self.to_string())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        error.fault()
    }
}
