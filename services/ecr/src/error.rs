//! What ECR refuses, by API and by registry protocol.
use api::ecr::errors as e;
use http::StatusCode;
use kernel::Fault;

/// An error of ECR.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such repository.
    #[error("The repository with name '{0}' does not exist in the registry with id '{1}'")]
    RepositoryNotFound(String, String),
    /// The name is taken.
    #[error("The repository with name '{0}' already exists in the registry with id '{1}'")]
    RepositoryExists(String, String),
    /// It still holds images.
    #[error(
        "The repository with name '{0}' in registry with id '{1}' cannot be deleted because it still contains images; delete them or set force"
    )]
    RepositoryNotEmpty(String, String),
    /// No such image.
    #[error(
        "The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist within the repository with name '{repository}'"
    )]
    ImageNotFound {
        /// The digest asked for, or `null`.
        digest: String,
        /// The tag asked for, or `null`.
        tag: String,
        /// Where.
        repository: String,
    },
    /// The image is there under this tag already.
    #[error("Image with digest '{0}' and tag '{1}' already exists")]
    ImageExists(String, String),
    /// The tag is taken and may not move.
    #[error(
        "The image tag '{0}' already exists in the '{1}' repository and cannot be overwritten because the tag is immutable."
    )]
    TagImmutable(String, String),
    /// A manifest names layers that were not pushed.
    #[error("Layers with digests '{0}' required for pushing the image do not exist in the repository")]
    LayersNotFound(String),
    /// An index names images that were not pushed.
    #[error("Images with digests '{0}' required for pushing the index do not exist in the repository")]
    ImagesNotFound(String),
    /// A layer that is not there.
    #[error("The layer with digest '{0}' does not exist in the repository")]
    LayerNotFound(String),
    /// The layer is there already.
    #[error("Layer with digest '{0}' already exists in the repository")]
    LayerExists(String),
    /// Not what its digest says.
    #[error("The digest '{expected}' does not match the content, whose digest is '{found}'")]
    Digest {
        /// What the client said.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The manifest cannot be read or served.
    #[error("Invalid manifest: {0}")]
    Manifest(String),
    /// No such upload.
    #[error("The upload with id '{0}' does not exist; start the layer again")]
    UploadNotFound(String),
    /// A part that does not follow the last.
    #[error(
        "Part starts at byte {given} but the upload has {expected} bytes; send the part that starts there"
    )]
    Part {
        /// What it should start with.
        expected: u64,
        /// What it starts with.
        given: u64,
    },
    /// Nothing was uploaded.
    #[error("The upload with id '{0}' has no bytes")]
    EmptyUpload(String),
    /// A parameter's value cannot be used.
    #[error("Invalid parameter at '{0}': {1}")]
    InvalidParameter(&'static str, String),
    /// Served by AWS and not here.
    #[error("{0} is not supported by Longshore; leave it out")]
    Unsupported(&'static str),
    /// There is no such policy.
    #[error(
        "{what} does not exist for the repository with name '{repository}' in the registry with id '{registry}'"
    )]
    NoPolicy {
        /// `Repository policy` or `Lifecycle policy`.
        what: &'static str,
        /// Where.
        repository: String,
        /// In which registry.
        registry: String,
    },
    /// A quota.
    #[error("{0}")]
    Limit(String),
    /// The client's own stream broke off.
    #[error("The body could not be read: {0}")]
    Body(String),
    /// The caller may not.
    #[error("{0}")]
    Denied(Fault),
    /// The page token is not ours.
    #[error("Invalid parameter at 'nextToken': use the one of the previous answer")]
    NextToken,
    /// Blobs.
    #[error(transparent)]
    Blobs(#[from] blobs::Error),
    /// Sealing.
    #[error(transparent)]
    Seal(#[from] store::SealError),
    /// State.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Result of ECR.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// As the API answers.
    fn fault(&self) -> Fault {
        let coded = |(code, status): (&'static str, u16)| Fault::new(code, status, self.to_string());
        match self {
            Self::RepositoryNotFound(..) => coded(e::RepositoryNotFoundException),
            Self::RepositoryExists(..) => coded(e::RepositoryAlreadyExistsException),
            Self::RepositoryNotEmpty(..) => coded(e::RepositoryNotEmptyException),
            Self::ImageNotFound { .. } => coded(e::ImageNotFoundException),
            Self::ImageExists(..) => coded(e::ImageAlreadyExistsException),
            Self::TagImmutable(..) => coded(e::ImageTagAlreadyExistsException),
            Self::LayersNotFound(_) => coded(e::LayersNotFoundException),
            Self::ImagesNotFound(_) => coded(e::ReferencedImagesNotFoundException),
            Self::LayerNotFound(_) => coded(e::LayerInaccessibleException),
            Self::LayerExists(_) => coded(e::LayerAlreadyExistsException),
            Self::Digest { .. } => coded(e::InvalidLayerException),
            Self::UploadNotFound(_) => coded(e::UploadNotFoundException),
            Self::Part { .. } => coded(e::InvalidLayerPartException),
            Self::EmptyUpload(_) => coded(e::EmptyUploadException),
            Self::Manifest(_)
            | Self::InvalidParameter(..)
            | Self::Unsupported(_)
            | Self::NextToken
            | Self::Body(_) => coded(e::InvalidParameterException),
            Self::NoPolicy { what: "Lifecycle policy", .. } => coded(e::LifecyclePolicyNotFoundException),
            Self::NoPolicy { .. } => coded(e::RepositoryPolicyNotFoundException),
            Self::Limit(_) | Self::Blobs(blobs::Error::TooLarge { .. }) => coded(e::LimitExceededException),
            Self::Denied(fault) => fault.clone(),
            Self::Blobs(_) | Self::Seal(_) | Self::Store(_) => Fault::internal(self),
        }
    }

    /// As the registry protocol answers (OCI distribution specification, "Error codes"): code and status.
    pub fn registry(&self) -> (&'static str, StatusCode) {
        match self {
            Self::RepositoryNotFound(..) => ("NAME_UNKNOWN", StatusCode::NOT_FOUND),
            Self::ImageNotFound { .. } => ("MANIFEST_UNKNOWN", StatusCode::NOT_FOUND),
            Self::LayersNotFound(_) | Self::ImagesNotFound(_) => {
                ("MANIFEST_BLOB_UNKNOWN", StatusCode::NOT_FOUND)
            }
            Self::LayerNotFound(_) => ("BLOB_UNKNOWN", StatusCode::NOT_FOUND),
            Self::UploadNotFound(_) => ("BLOB_UPLOAD_UNKNOWN", StatusCode::NOT_FOUND),
            Self::Digest { .. } => ("DIGEST_INVALID", StatusCode::BAD_REQUEST),
            Self::Manifest(_) => ("MANIFEST_INVALID", StatusCode::BAD_REQUEST),
            Self::TagImmutable(..) => ("TAG_INVALID", StatusCode::BAD_REQUEST),
            Self::Part { .. } => ("BLOB_UPLOAD_INVALID", StatusCode::RANGE_NOT_SATISFIABLE),
            Self::Limit(_) | Self::Blobs(blobs::Error::TooLarge { .. }) => {
                ("SIZE_INVALID", StatusCode::PAYLOAD_TOO_LARGE)
            }
            Self::Denied(_) => ("DENIED", StatusCode::FORBIDDEN),
            Self::Unsupported(_) => ("UNSUPPORTED", StatusCode::METHOD_NOT_ALLOWED),
            Self::Body(_) => ("BLOB_UPLOAD_INVALID", StatusCode::BAD_REQUEST),
            Self::Blobs(_) | Self::Seal(_) | Self::Store(_) => ("UNKNOWN", StatusCode::INTERNAL_SERVER_ERROR),
            _ => ("NAME_INVALID", StatusCode::BAD_REQUEST),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        error.fault()
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Denied(fault)
    }
}
