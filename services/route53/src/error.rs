//! What callers are told.
use kernel::Fault;

/// The result of the service's own functions.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of Route 53.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such zone.
    #[error("No hosted zone found with ID: {0}")]
    NoZone(String),
    /// No such change.
    #[error("A change with ID {0} does not exist or is too old")]
    NoChange(String),
    /// The caller reference is taken.
    #[error("A hosted zone has already been created with the specified caller reference.")]
    ZoneExists,
    /// It still has records.
    #[error("The specified hosted zone contains non-required resource record sets and so cannot be deleted.")]
    NotEmpty,
    /// No domain name.
    #[error("{0} is not a valid domain name")]
    Domain(String),
    /// A parameter is wrong.
    #[error("{0}")]
    Input(String),
    /// What is wrong with the changes, each in its own sentence.
    #[error("[{}]", .0.join(", "))]
    Batch(Vec<String>),
    /// A quota is reached.
    #[error("{0}")]
    TooMany(String),
    /// Others changed the same zone over and over.
    #[error("The request was rejected because Route 53 was still processing a prior request: try again.")]
    Busy,
    /// The state failed.
    #[error(transparent)]
    Store(store::Error),
}

impl Error {
    /// A parameter that AWS serves and Longshore does not.
    pub fn unserved(what: &str, instead: &str) -> Self {
        Self::Input(format!("{what} is not served by Longshore: {instead}."))
    }

    fn fault(&self) -> Fault {
        let (code, status) = match self {
            Self::NoZone(_) => ("NoSuchHostedZone", 404),
            Self::NoChange(_) => ("NoSuchChange", 404),
            Self::ZoneExists => ("HostedZoneAlreadyExists", 409),
            Self::NotEmpty => ("HostedZoneNotEmpty", 400),
            Self::Domain(_) => ("InvalidDomainName", 400),
            Self::Input(_) => ("InvalidInput", 400),
            Self::Batch(_) => ("InvalidChangeBatch", 400),
            Self::TooMany(_) => ("TooManyHostedZones", 400),
            Self::Busy => ("PriorRequestNotComplete", 400),
            Self::Store(error) => return Fault::internal(error),
        };
        Fault::new(code, status, self.to_string())
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        if error.is_conflict() { Self::Busy } else { Self::Store(error) }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        error.fault()
    }
}
