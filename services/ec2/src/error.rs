//! What EC2 refuses, under AWS's codes (EC2 API reference, "Error codes").
use kernel::Fault;

/// An error of EC2.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such resource: code and what it is called.
    #[error("The {what} ID '{id}' does not exist")]
    NotFound {
        /// `InvalidVpcID.NotFound` and the like.
        code: &'static str,
        /// As in `vpc`.
        what: &'static str,
        /// The id that was asked for.
        id: String,
    },
    /// Still used by something else.
    #[error("{0}")]
    DependencyViolation(String),
    /// A parameter's value cannot be used.
    #[error("{0}")]
    InvalidParameterValue(String),
    /// A parameter is missing.
    #[error("The request must contain the parameter {0}")]
    MissingParameter(&'static str),
    /// Parameters that do not go together.
    #[error("{0}")]
    InvalidParameterCombination(String),
    /// Something served in AWS and not here.
    #[error("{0} is not supported by Longshore; leave it out")]
    UnsupportedParameter(&'static str),
    /// A range is taken.
    #[error("The CIDR '{0}' conflicts with another subnet")]
    SubnetConflict(String),
    /// A range that cannot be one.
    #[error("{message}")]
    Range {
        /// `InvalidVpc.Range` or `InvalidSubnet.Range`.
        code: &'static str,
        /// Which and why.
        message: String,
    },
    /// A name is taken.
    #[error("{message}")]
    Duplicate {
        /// AWS's code.
        code: &'static str,
        /// Which.
        message: String,
    },
    /// A rule that is not there.
    #[error("{0}")]
    UnknownRule(String),
    /// No address left.
    #[error("The subnet '{0}' has no free addresses left")]
    InsufficientFreeAddresses(String),
    /// A quota.
    #[error("The maximum number of {0} has been reached")]
    LimitExceeded(&'static str),
    /// An association or attachment that cannot be changed so.
    #[error("{message}")]
    State {
        /// AWS's code.
        code: &'static str,
        /// Which and why.
        message: String,
    },
    /// `DryRun` was asked for and the call is allowed.
    #[error("Request would have succeeded, but DryRun flag is set.")]
    DryRun,
    /// The page token is not ours.
    #[error("The token is invalid; use the one of the previous answer")]
    InvalidNextToken,
    /// The container engine.
    #[error("the network could not be made: {0}")]
    Engine(#[from] engine::Error),
    /// State.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Result of EC2.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    fn fault(&self) -> Fault {
        let client = |code: &'static str| Fault::client(code, self.to_string());
        match self {
            Self::NotFound { code, .. }
            | Self::Range { code, .. }
            | Self::Duplicate { code, .. }
            | Self::State { code, .. } => client(code),
            Self::DependencyViolation(_) => client("DependencyViolation"),
            Self::InvalidParameterValue(_) => client("InvalidParameterValue"),
            Self::MissingParameter(_) => client("MissingParameter"),
            Self::InvalidParameterCombination(_) => client("InvalidParameterCombination"),
            Self::UnsupportedParameter(_) => client("UnsupportedOperation"),
            Self::SubnetConflict(_) => client("InvalidSubnet.Conflict"),
            Self::UnknownRule(_) => client("InvalidPermission.NotFound"),
            Self::InsufficientFreeAddresses(_) => client("InsufficientFreeAddressesInSubnet"),
            Self::LimitExceeded(_) => client("ResourceLimitExceeded"),
            Self::DryRun => Fault::new("DryRunOperation", 412, self.to_string()),
            Self::InvalidNextToken => client("InvalidPaginationToken"),
            Self::Engine(error) => Fault::new("ServiceUnavailable", 503, error.to_string()),
            Self::Store(error) => Fault::internal(error),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        error.fault()
    }
}
