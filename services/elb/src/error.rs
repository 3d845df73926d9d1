//! What callers are told.
use kernel::Fault;

/// The result of the service's own functions.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of Elastic Load Balancing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A parameter is wrong by itself.
    #[error("{0}")]
    Validation(String),
    /// Parameters do not go together.
    #[error("{0}")]
    Configuration(String),
    /// A thing that is not there: its code, and which.
    #[error("One or more {what} not found: {id}")]
    NotFound {
        /// As in `LoadBalancerNotFound`.
        code: &'static str,
        /// As in `load balancers`.
        what: &'static str,
        /// The ARN or name.
        id: String,
    },
    /// A name or port that is taken by another thing with other settings.
    #[error("{message}")]
    Duplicate {
        /// As in `DuplicateListener`.
        code: &'static str,
        /// For people.
        message: String,
    },
    /// A quota is reached.
    #[error("The maximum number of {what} has been reached: {most}")]
    TooMany {
        /// As in `TooManyRules`.
        code: &'static str,
        /// As in `rules on the load balancer`.
        what: &'static str,
        /// The quota.
        most: usize,
    },
    /// Something of another service is missing or does not fit.
    #[error("{message}")]
    Foreign {
        /// As in `SubnetNotFound`.
        code: &'static str,
        /// For people.
        message: String,
    },
    /// Something else still needs it.
    #[error("{0}")]
    InUse(String),
    /// An attribute forbids it.
    #[error("{0}")]
    NotPermitted(String),
    /// A target that cannot be one.
    #[error("{0}")]
    InvalidTarget(String),
    /// Two load balancers for a target group.
    #[error("The following target groups cannot be associated with more than one load balancer: {0}")]
    Association(String),
    /// Another service's fault, handed on.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The state failed.
    #[error(transparent)]
    Store(store::Error),
}

impl Error {
    /// A parameter that is wrong by itself.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::Validation(message.into())
    }

    /// A parameter that AWS serves and Longshore does not.
    pub fn unserved(what: &str, instead: &str) -> Self {
        Self::Validation(format!("{what} is not served by Longshore: {instead}."))
    }

    fn fault(self) -> Fault {
        let code = match &self {
            Self::Validation(_) => "ValidationError",
            Self::Configuration(_) => "InvalidConfigurationRequest",
            Self::NotFound { code, .. }
            | Self::Duplicate { code, .. }
            | Self::TooMany { code, .. }
            | Self::Foreign { code, .. } => code,
            Self::InUse(_) => "ResourceInUse",
            Self::NotPermitted(_) => "OperationNotPermitted",
            Self::InvalidTarget(_) => "InvalidTarget",
            Self::Association(_) => "TargetGroupAssociationLimit",
            Self::Fault(fault) => return fault.clone(),
            Self::Store(error) => return Fault::internal(error),
        };
        Fault::client(code, self.to_string())
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        if error.is_conflict() {
            Self::InUse("Others are changing the same resource: try again.".into())
        } else {
            Self::Store(error)
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        error.fault()
    }
}
