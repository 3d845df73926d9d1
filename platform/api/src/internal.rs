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

/// A build for a pipeline's action, of a project whose source and artifacts are `CODEPIPELINE`: `codebuild:StartBuild`
/// with what AWS's services tell each other besides.
#[derive(Clone, Debug, Default)]
pub struct StartPipelineBuild {
    /// Project, idempotency token and overrides, as a caller of StartBuild gives them.
    pub build: crate::codebuild::StartBuild,
    /// The pipeline's name: the build's initiator is `codepipeline/NAME`.
    pub pipeline: String,
    /// Input artifacts, zips, the primary source first; the others are secondary sources by their names.
    pub inputs: Vec<PipelineArtifact>,
    /// The revision of the primary source, where the pipeline knows one: the build's resolved source version.
    pub revision: Option<String>,
    /// Where the build puts its output artifacts, as zips: a single one is the buildspec's own `artifacts`, several
    /// are its `secondary-artifacts` of the same names.
    pub outputs: Vec<PipelineArtifact>,
}

/// An artifact in a pipeline's artifact store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipelineArtifact {
    /// As the pipeline names it.
    pub name: String,
    /// The store's bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
}

impl Operation for StartPipelineBuild {
    const SERVICE: &'static str = "codebuild";
    const NAME: &'static str = "StartPipelineBuild";
    type Output = crate::codebuild::StartBuildOutput;
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
