//! What callers are told.
use kernel::Fault;

/// An error of CloudWatch Logs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A parameter that the model's constraints let pass.
    #[error("{0}")]
    Invalid(String),
    /// The page token is not ours.
    #[error("The specified nextToken is invalid.")]
    BadToken,
    /// No such group.
    #[error("The specified log group does not exist.")]
    NoGroup,
    /// No such stream.
    #[error("The specified log stream does not exist.")]
    NoStream,
    /// No such resource, by its ARN.
    #[error("The specified resource does not exist.")]
    NoResource,
    /// The group's name is taken.
    #[error("The specified log group already exists")]
    GroupExists,
    /// The stream's name is taken.
    #[error("The specified log stream already exists")]
    StreamExists,
    /// Too many tags.
    #[error("A log group can have at most 50 tags: remove some first")]
    TooManyTags,
    /// Others changed the same thing over and over.
    #[error("Multiple concurrent requests to update the same resource were in conflict: try again.")]
    Aborted,
    /// The state failed.
    #[error(transparent)]
    Store(store::Error),
    /// A segment could not be read or written.
    #[error(transparent)]
    Blobs(#[from] blobs::Error),
}

impl Error {
    /// With AWS's wording for a parameter.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    fn fault(&self) -> Fault {
        let code = match self {
            Self::Invalid(_) | Self::BadToken => "InvalidParameterException",
            Self::NoGroup | Self::NoStream | Self::NoResource => "ResourceNotFoundException",
            Self::GroupExists | Self::StreamExists => "ResourceAlreadyExistsException",
            Self::TooManyTags => "TooManyTagsException",
            Self::Aborted => "OperationAbortedException",
            Self::Store(error) => return Fault::internal(error),
            Self::Blobs(error) => return Fault::internal(error),
        };
        Fault::client(code, self.to_string())
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        if error.is_conflict() { Self::Aborted } else { Self::Store(error) }
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
