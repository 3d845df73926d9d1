//! What S3 refuses, in its own words.
use kernel::Fault;

/// Result of S3.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of S3.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// There is no such bucket.
    #[error("The specified bucket does not exist: {0}")]
    NoSuchBucket(String),
    /// There is no such object; `marker` is the id of the delete marker that hides it.
    #[error("The specified key does not exist: {key}")]
    NoSuchKey {
        /// The key.
        key: String,
        /// The delete marker that hides it.
        marker: Option<String>,
    },
    /// There is no such version of the object.
    #[error("The specified version does not exist: {0}")]
    NoSuchVersion(String),
    /// The upload was ended, or never was.
    #[error(
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
    )]
    NoSuchUpload,
    /// The bucket is the caller's already.
    #[error("Your previous request to create the named bucket succeeded and you already own it: {0}")]
    OwnedByYou(String),
    /// The bucket is another account's.
    #[error(
        "The requested bucket name is not available. Bucket names are shared by all users of the system: {0}"
    )]
    Exists(String),
    /// Objects are left in it.
    #[error("The bucket you tried to delete is not empty. You must delete all versions in the bucket: {0}")]
    NotEmpty(String),
    /// A condition of the request does not hold.
    #[error("At least one of the pre-conditions you specified did not hold: {0}")]
    Precondition(&'static str),
    /// The caller has it already.
    #[error("Not Modified")]
    NotModified,
    /// The range is beyond the object.
    #[error("The requested range is not satisfiable: the object has {0} bytes")]
    Range(u64),
    /// The version is a delete marker, which has no content.
    #[error("The specified method is not allowed against this resource: the version is a delete marker")]
    DeleteMarker(String),
    /// What came is not what was promised.
    #[error("The {0} you specified did not match the calculated checksum.")]
    BadDigest(String),
    /// Fewer bytes than promised.
    #[error("You did not provide the number of bytes specified by the Content-Length HTTP header: {0}")]
    Incomplete(String),
    /// A part that was not uploaded, or is another.
    #[error(
        "One or more of the specified parts could not be found: part {0}. Upload it again, or use its ETag."
    )]
    InvalidPart(i32),
    /// Parts are not in ascending order.
    #[error(
        "The list of parts was not in ascending order. The parts list must be specified in order by part number."
    )]
    PartOrder,
    /// A part that is not the last is too small.
    #[error(
        "Your proposed upload is smaller than the minimum allowed size: part {0} has fewer than 5242880 bytes"
    )]
    TooSmall(u32),
    /// More bytes than allowed.
    #[error("Your proposed upload exceeds the maximum allowed object size of {0} bytes")]
    TooLarge(u64),
    /// An argument that cannot be.
    #[error("{0}")]
    Argument(String),
    /// A request that cannot be.
    #[error("{0}")]
    Request(String),
    /// The policy cannot be read.
    #[error("{0}")]
    Policy(String),
    /// Something AWS's S3 does and this one does not.
    #[error("{0} Nothing was done.")]
    NotImplemented(String),
    /// A thing with a code of its own.
    #[error("{message}")]
    Coded {
        /// The code.
        code: &'static str,
        /// The status.
        status: u16,
        /// The message.
        message: String,
    },
    /// Refused elsewhere: authorization, the body's signature.
    #[error("{0}")]
    Fault(Fault),
    /// The state failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The blobs failed.
    #[error(transparent)]
    Blobs(#[from] blobs::Error),
}

impl Error {
    /// An error with a code of its own.
    pub fn coded(code: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self::Coded { code, status, message: message.into() }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let (code, status) = match &error {
            Error::NoSuchBucket(_) => ("NoSuchBucket", 404),
            Error::NoSuchKey { .. } => ("NoSuchKey", 404),
            Error::NoSuchVersion(_) => ("NoSuchVersion", 404),
            Error::NoSuchUpload => ("NoSuchUpload", 404),
            Error::OwnedByYou(_) => ("BucketAlreadyOwnedByYou", 409),
            Error::Exists(_) => ("BucketAlreadyExists", 409),
            Error::NotEmpty(_) => ("BucketNotEmpty", 409),
            Error::Precondition(_) => ("PreconditionFailed", 412),
            Error::NotModified => ("NotModified", 304),
            Error::Range(_) => ("InvalidRange", 416),
            Error::DeleteMarker(_) => ("MethodNotAllowed", 405),
            Error::BadDigest(_) => ("BadDigest", 400),
            Error::Incomplete(_) => ("IncompleteBody", 400),
            Error::InvalidPart(_) => ("InvalidPart", 400),
            Error::PartOrder => ("InvalidPartOrder", 400),
            Error::TooSmall(_) => ("EntityTooSmall", 400),
            Error::TooLarge(_) => ("EntityTooLarge", 400),
            Error::Argument(_) => ("InvalidArgument", 400),
            Error::Request(_) => ("InvalidRequest", 400),
            Error::Policy(_) => ("MalformedPolicy", 400),
            Error::NotImplemented(_) => ("NotImplemented", 501),
            Error::Coded { code, status, .. } => (*code, *status),
            Error::Fault(fault) => return fault.clone(),
            Error::Store(inner) => return Fault::internal(inner),
            Error::Blobs(inner) => return Fault::internal(inner),
        };
        Fault::new(code, status, error.to_string())
    }
}
