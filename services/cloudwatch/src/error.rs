//! What callers are told. Codes are the names of the model's shapes; the wire translates them for Query.
use kernel::Fault;

/// An error of CloudWatch.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A parameter that the model's constraints let pass.
    #[error("{0}")]
    Invalid(String),
    /// Parameters that do not go together.
    #[error("{0}")]
    Combination(String),
    /// A parameter that is needed.
    #[error("The parameter {0} is required.")]
    Missing(&'static str),
    /// A part of CloudWatch that is not served.
    #[error("{0} is not served by Longshore: {1}")]
    Unserved(&'static str, &'static str),
    /// The page token is not ours.
    #[error("NextToken is not valid: use the one of the previous answer, with the same parameters.")]
    BadToken,
    /// No such alarm.
    #[error("Alarm {0} does not exist.")]
    NoAlarm(String),
    /// No such resource, by its ARN.
    #[error("Resource {0} does not exist.")]
    NoResource(String),
    /// StateReasonData is not JSON.
    #[error("StateReasonData is not JSON: {0}")]
    Format(String),
    /// Too many of something.
    #[error("{0}")]
    Limit(String),
    /// Others changed the same thing over and over.
    #[error("The alarm was changed by another request: try again.")]
    Concurrent,
    /// The state failed.
    #[error(transparent)]
    Store(store::Error),
}

impl Error {
    /// A parameter with what is wrong with it.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    fn fault(&self) -> Fault {
        let (code, status) = match self {
            Self::Invalid(_) | Self::Unserved(..) => ("InvalidParameterValueException", 400),
            Self::Combination(_) => ("InvalidParameterCombinationException", 400),
            Self::Missing(_) => ("MissingRequiredParameterException", 400),
            Self::BadToken => ("InvalidNextToken", 400),
            Self::NoAlarm(_) => ("ResourceNotFound", 404),
            Self::NoResource(_) => ("ResourceNotFoundException", 404),
            Self::Format(_) => ("InvalidFormatFault", 400),
            Self::Limit(_) => ("LimitExceededFault", 400),
            Self::Concurrent => ("ConcurrentModificationException", 429),
            Self::Store(error) => return Fault::internal(error),
        };
        Fault::new(code, status, self.to_string())
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
