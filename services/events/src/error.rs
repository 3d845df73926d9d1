//! What callers are told.
use kernel::Fault;

/// An error of EventBridge.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A parameter that the model's constraints let pass.
    #[error("{0}")]
    Invalid(String),
    /// The page token is not ours.
    #[error("NextToken is not valid: use the one of the previous answer, with the same parameters.")]
    BadToken,
    /// No such rule.
    #[error("Rule {0} does not exist on EventBus default.")]
    NoRule(String),
    /// Only the default bus exists.
    #[error("Event bus {0} does not exist: Longshore serves the default event bus.")]
    NoBus(String),
    /// No such connection or API destination.
    #[error("{0} does not exist.")]
    None(String),
    /// Its name is taken.
    #[error("{0} already exists.")]
    Exists(String),
    /// Something still stands on it.
    #[error("{0}")]
    InUse(String),
    /// A secret could not be sealed or read.
    #[error(transparent)]
    Seal(#[from] store::SealError),
    /// No rule with this ARN.
    #[error("Resource {0} does not exist.")]
    NoResource(String),
    /// The pattern is not one.
    #[error("Event pattern is not valid. Reason: {0}")]
    Pattern(String),
    /// Too many of something.
    #[error("{0}")]
    Limit(String),
    /// Others changed the same thing over and over.
    #[error("The rule was changed by another request: try again.")]
    Concurrent,
    /// The state failed.
    #[error(transparent)]
    Store(store::Error),
}

impl Error {
    /// With AWS's wording for a parameter.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    fn fault(&self) -> Fault {
        let code = match self {
            Self::Invalid(_) | Self::BadToken => "ValidationException",
            Self::NoRule(_) | Self::NoBus(_) | Self::NoResource(_) | Self::None(_) => {
                "ResourceNotFoundException"
            }
            Self::Exists(_) => "ResourceAlreadyExistsException",
            Self::InUse(_) => "ConflictException",
            Self::Seal(error) => return Fault::internal(error),
            Self::Pattern(_) => "InvalidEventPatternException",
            Self::Limit(_) => "LimitExceededException",
            Self::Concurrent => "ConcurrentModificationException",
            Self::Store(error) => return Fault::internal(error),
        };
        Fault::client(code, self.to_string())
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        if error.is_conflict() { Self::Concurrent } else { Self::Store(error) }
    }
}

impl From<store::BadToken> for Error {
    fn from(_: store::BadToken) -> Self {
        Self::BadToken
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        error.fault()
    }
}
