//! Operations that only services call: AWS has them, or their permission, but no public model.
use kernel::{Operation, Stream};

/// A commit's files as a zip, for a pipeline's source: `codecommit:UploadArchive`.
#[derive(Clone, Debug)]
pub struct UploadArchive {
    /// The repository.
    pub repository_name: String,
    /// A full commit id.
    pub commit_id: String,
}

/// The archive.
pub struct UploadArchiveOutput {
    /// A zip without a top directory.
    pub archive: Stream,
}

impl Operation for UploadArchive {
    const SERVICE: &'static str = "codecommit";
    const NAME: &'static str = "UploadArchive";
    type Output = UploadArchiveOutput;
}

/// A certificate with its private key, for a listener: callers are services acting for themselves.
#[derive(Clone, Debug)]
pub struct ExportForListener {
    /// The certificate.
    pub certificate_arn: String,
}

/// PEM texts; never log them.
pub struct ExportForListenerOutput {
    /// The certificate, then its chain.
    pub certificate_chain: String,
    /// The private key.
    pub private_key: String,
}

impl Operation for ExportForListener {
    const SERVICE: &'static str = "acm";
    const NAME: &'static str = "ExportForListener";
    type Output = ExportForListenerOutput;
}
