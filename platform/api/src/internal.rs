//! Operations that only services call: AWS has them, or their permission, but no public model.
use std::path::PathBuf;

use kernel::{Operation, Stream};
use serde_json::{Value, json};

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

/// A clone of a CodeCommit repository for a build, checked out at a commit: `codecommit:GitPull`.
#[derive(Clone, Debug)]
pub struct CloneRepository {
    /// The repository.
    pub repository_name: String,
    /// A commit id, or a branch or tag by its name or full name; none is the default branch.
    pub version: Option<String>,
    /// How many commits of history; none is all of it.
    pub depth: Option<u32>,
    /// A folder of this machine, made by the clone, which nothing is in yet.
    pub into: PathBuf,
}

/// A clone of a repository that a connection of CodeConnections reaches, as [`CloneRepository`]'s, with the permission of
/// [`FetchSource`]. Nothing in it tells the connection's credential.
#[derive(Clone, Debug)]
pub struct CloneConnectedRepository {
    /// The connection, by either of its ARNs.
    pub connection_arn: String,
    /// The repository, as [`is_repository_id`] has it.
    pub full_repository_id: String,
    /// A full commit id.
    pub commit_id: String,
    /// How many commits of history; none is all of it.
    pub depth: Option<u32>,
    /// A folder of this machine, made by the clone, which nothing is in yet.
    pub into: PathBuf,
}

/// Whether a text can name a repository behind a connection, as `owner/name` or with more or fewer parts: it becomes the
/// path of a URL, and nothing else may come of it. At most 512 characters.
pub fn is_repository_id(text: &str) -> bool {
    let part = |part: &str| {
        let plain = |c: char| c.is_alphanumeric() || "._-~+".contains(c);
        !part.is_empty() && part != "." && part != ".." && !part.starts_with('-') && part.chars().all(plain)
    };
    text.len() <= 512 && text.split('/').all(part)
}

/// What was cloned.
pub struct CloneOutput {
    /// The commit that is checked out.
    pub commit_id: String,
}

impl Operation for CloneRepository {
    const SERVICE: &'static str = "codecommit";
    const NAME: &'static str = "CloneRepository";
    type Output = CloneOutput;
}

impl Operation for CloneConnectedRepository {
    const SERVICE: &'static str = "codeconnections";
    const NAME: &'static str = "CloneConnectedRepository";
    type Output = CloneOutput;
}

/// What a source action with the output format `CODEBUILD_CLONE_REF` leaves instead of a zip: the commit that builds
/// are to clone, each under its own role. As JSON it is the whole artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloneReference {
    /// Where the repository is.
    pub from: CloneFrom,
    /// The commit.
    pub commit_id: String,
}

/// A repository that builds can clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloneFrom {
    /// A CodeCommit repository of the account and Region, by its name.
    CodeCommit(String),
    /// A repository behind a connection.
    Connection {
        /// The connection.
        connection_arn: String,
        /// `owner/name`.
        full_repository_id: String,
    },
}

impl CloneReference {
    /// Bytes of a reference at most.
    pub const BYTES: u64 = 16 << 10;

    /// The artifact.
    pub fn to_json(&self) -> String {
        let mut value = match &self.from {
            CloneFrom::CodeCommit(name) => json!({"provider": "CodeCommit", "repositoryName": name}),
            CloneFrom::Connection { connection_arn, full_repository_id } => json!({
                "provider": "CodeStarSourceConnection",
                "connectionArn": connection_arn,
                "fullRepositoryId": full_repository_id,
            }),
        };
        value["cloneReference"] = json!(1);
        value["commitId"] = json!(self.commit_id);
        value.to_string()
    }

    /// The reference that an artifact is, unless it is something else.
    pub fn read(artifact: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(artifact).ok()?;
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let from = match (value["cloneReference"].as_u64()?, value["provider"].as_str()?) {
            (1, "CodeCommit") => CloneFrom::CodeCommit(text("repositoryName")?),
            (1, "CodeStarSourceConnection") => CloneFrom::Connection {
                connection_arn: text("connectionArn")?,
                full_repository_id: text("fullRepositoryId")?,
            },
            _ => return None,
        };
        Some(Self { from, commit_id: text("commitId")? })
    }
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

/// A build for a target of EventBridge: `codebuild:StartBuild`, whose token here starts one build however long after
/// it comes again. A delivery may have to be made again after hours without a server.
#[derive(Clone, Debug, Default)]
pub struct StartTargetBuild {
    /// Project and overrides, as a caller of StartBuild gives them.
    pub build: crate::codebuild::StartBuild,
    /// The delivery; an idempotency token in `build` does not count.
    pub token: String,
}

impl Operation for StartTargetBuild {
    const SERVICE: &'static str = "codebuild";
    const NAME: &'static str = "StartTargetBuild";
    type Output = crate::codebuild::StartBuildOutput;
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

/// A build without a project, for a pipeline's action that brings its own commands, in the curated Linux image. It acts
/// as its caller, which is the session of a role that CodePipeline took. The same token starts one build, ever.
///
/// On AWS such builds are CodePipeline's own: no permission of CodeBuild is asked for, and CodeBuild lists none.
#[derive(Clone, Debug, Default)]
pub struct StartActionBuild {
    /// The run of the action.
    pub token: String,
    /// The pipeline's name: logs go to `/aws/codepipeline/NAME`.
    pub pipeline: String,
    /// The role that took the caller's role; none: CodePipeline did itself.
    pub through: Option<String>,
    /// Commands, run one after the other in one shell.
    pub commands: Vec<String>,
    /// Environment variables.
    pub variables: Vec<(String, String)>,
    /// Environment variables whose values the build gives back.
    pub exported: Vec<String>,
    /// Patterns of the files in the output artifact.
    pub files: Vec<String>,
    /// As in `BUILD_GENERAL1_SMALL`.
    pub compute_type: String,
    /// Whether a Docker engine runs inside.
    pub privileged: bool,
    /// Where the build's network interface is; none: outside of any VPC.
    pub vpc: Option<crate::codebuild::VpcConfig>,
    /// After how many minutes it times out.
    pub minutes: i32,
    /// As of [`StartPipelineBuild`].
    pub inputs: Vec<PipelineArtifact>,
    /// As of [`StartPipelineBuild`].
    pub revision: Option<String>,
    /// As of [`StartPipelineBuild`].
    pub outputs: Vec<PipelineArtifact>,
}

impl Operation for StartActionBuild {
    const SERVICE: &'static str = "codebuild";
    const NAME: &'static str = "StartActionBuild";
    type Output = crate::codebuild::StartBuildOutput;
}

/// A build of [`StartActionBuild`] as it is now, if it is there.
#[derive(Clone, Debug)]
pub struct GetActionBuild {
    /// Its id.
    pub id: String,
}

impl Operation for GetActionBuild {
    const SERVICE: &'static str = "codebuild";
    const NAME: &'static str = "GetActionBuild";
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

/// A commit of a repository behind a connection, for a pipeline's source: `codeconnections:UseConnection`, or
/// `codestar-connections:UseConnection` where the ARN is of that name.
#[derive(Clone, Debug)]
pub struct FetchSource {
    /// The connection, by either of its ARNs.
    pub connection_arn: String,
    /// As the provider names it, and [`is_repository_id`] has it.
    pub repository: String,
    /// The branch whose head is meant, if no commit is.
    pub branch: String,
    /// A full commit id.
    pub commit: Option<String>,
    /// Whether its files are wanted too.
    pub archived: bool,
}

/// The commit and its files.
pub struct FetchSourceOutput {
    /// What is known of the commit.
    pub commit: FetchedCommit,
    /// If it is wanted, a zip without a top directory, from its beginning; it goes when it is closed.
    pub archive: Option<std::fs::File>,
}

/// A commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchedCommit {
    /// Its full id.
    pub id: String,
    /// Its whole message.
    pub message: String,
    /// ISO 8601, UTC.
    pub author_date: String,
    /// Seconds since 1970.
    pub committed: i64,
}

impl Operation for FetchSource {
    const SERVICE: &'static str = "codeconnections";
    const NAME: &'static str = "FetchSource";
    type Output = FetchSourceOutput;
}

/// Every repository behind a connection whose changes some pipeline wants to hear of: these are followed, and no others.
#[derive(Clone, Debug, Default)]
pub struct FollowRepositories {
    /// The repositories.
    pub repositories: Vec<FollowedRepository>,
}

/// A repository behind a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FollowedRepository {
    /// The connection's account.
    pub account: String,
    /// Its Region.
    pub region: String,
    /// Its id.
    pub connection: String,
    /// As the provider names it.
    pub repository: String,
}

/// They are followed.
#[derive(Debug)]
pub struct FollowRepositoriesOutput {}

impl Operation for FollowRepositories {
    const SERVICE: &'static str = "codeconnections";
    const NAME: &'static str = "FollowRepositories";
    type Output = FollowRepositoriesOutput;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repositorys_name_is_a_path_and_nothing_else() {
        for good in ["me/app", "group/sub/app.rs", "app", "o/a_b-c~d+e"] {
            assert!(is_repository_id(good), "{good}");
        }
        let long = "a".repeat(513);
        for bad in [
            "",
            "/app",
            "me/",
            "me//app",
            "../app",
            "me/..",
            "me/./app",
            "-u/app",
            "me/app?x",
            "me/app#x",
            "a b/c",
            "a@b",
            "http://h/x",
            "me/%2e",
            "me\\app",
            &long,
        ] {
            assert!(!is_repository_id(bad), "{bad}");
        }
    }

    #[test]
    fn a_clone_reference_is_read_back_and_nothing_else_is_one() {
        let connection = CloneFrom::Connection {
            connection_arn: "arn:aws:codeconnections:us-east-1:000000000000:connection/c".into(),
            full_repository_id: "o/r".into(),
        };
        for from in [CloneFrom::CodeCommit("app".into()), connection] {
            let reference = CloneReference { from, commit_id: "c0ffee".into() };
            assert_eq!(CloneReference::read(reference.to_json().as_bytes()), Some(reference));
        }
        for other in ["", "PK\u{3}\u{4}", "{}", r#"{"cloneReference":2,"provider":"CodeCommit"}"#] {
            assert_eq!(CloneReference::read(other.as_bytes()), None, "{other}");
        }
    }
}
