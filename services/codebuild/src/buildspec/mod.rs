//! The buildspec: what a build is asked to do, as its author wrote it.
//!
//! [`parse`] accepts version 0.1 and 0.2, keeps every value as the string it was written as, and names
//! field, line and column in each refusal. Keys that AWS knows and Longshore does not serve yet are
//! refused where leaving them out would change what the build does; unknown keys become warnings,
//! because AWS ignores them and teams keep anchors under keys of their own.
mod read;
pub mod runtimes;
mod yaml;

#[cfg(test)]
mod tests;

pub(crate) use read::is_variable;
pub use read::parse;
pub use yaml::At;

mod limits {
    /// Bytes of a buildspec.
    pub const BUILDSPEC_BYTES: usize = 512 * 1024;
    /// How deep values nest.
    pub const YAML_DEPTH: usize = 32;
    /// Values in the whole file, aliases counted as what they stand for.
    pub const YAML_NODES: usize = 20_000;
}

/// Why a buildspec is refused. It becomes the context `YAML_FILE_ERROR` of phase DOWNLOAD_SOURCE.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct YamlError {
    /// Where, unless the whole file is meant.
    pub at: Option<At>,
    /// What is wrong, naming the field.
    pub message: String,
}

impl YamlError {
    pub(crate) fn at(at: At, message: impl Into<String>) -> Self {
        Self { at: Some(at), message: message.into() }
    }

    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self { at: None, message: message.into() }
    }

    fn text(&self) -> String {
        match self.at {
            Some(at) => format!("{} at {at}", self.message),
            None => self.message.clone(),
        }
    }
}

/// The version, which decides how commands share a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A new shell for every command.
    V01,
    /// One shell for all commands.
    V02,
}

/// The shell that runs the commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shell {
    /// `/bin/sh`.
    #[default]
    Sh,
    /// `bash`, found in PATH.
    Bash,
}

/// A phase that runs commands, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PhaseName {
    /// `install`
    Install,
    /// `pre_build`
    PreBuild,
    /// `build`
    Build,
    /// `post_build`
    PostBuild,
}

impl PhaseName {
    /// In the order in which they run.
    pub const ALL: [PhaseName; 4] = [Self::Install, Self::PreBuild, Self::Build, Self::PostBuild];

    /// The key in the file.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::PreBuild => "pre_build",
            Self::Build => "build",
            Self::PostBuild => "post_build",
        }
    }

    /// The phase type in the API and in the log.
    #[must_use]
    pub fn api(self) -> &'static str {
        match self {
            Self::Install => "INSTALL",
            Self::PreBuild => "PRE_BUILD",
            Self::Build => "BUILD",
            Self::PostBuild => "POST_BUILD",
        }
    }
}

/// What follows a failed phase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// Not said: the transitions that CodeBuild documents.
    #[default]
    Default,
    /// No later phase runs.
    Abort,
    /// The next phase runs.
    Continue,
    /// The build ends, and is built again as a new build.
    Retry {
        /// How many times at most.
        count: u32,
        /// Only when a line of the phase's output, or its context message, matches.
        pattern: String,
    },
}

/// One phase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phase {
    /// The user who runs its commands.
    pub run_as: Option<String>,
    /// What follows its failure.
    pub on_failure: OnFailure,
    /// `runtime-versions`, of install alone.
    pub runtime_versions: Vec<(String, String)>,
    /// Commands; the first that fails skips the rest.
    pub commands: Vec<String>,
    /// Commands that always run after them.
    pub finally: Vec<String>,
}

/// The `env` block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env {
    /// The shell.
    pub shell: Shell,
    /// Variables, literally.
    pub variables: Vec<(String, String)>,
    /// Names whose values leave the build after post_build.
    pub exported: Vec<String>,
    /// Whether git asks the `aws codecommit credential-helper`.
    pub git_credential_helper: bool,
}

/// The files of one artifact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArtifactSet {
    /// Patterns relative to the base directory.
    pub files: Vec<String>,
    /// Where they are looked for; may be a pattern.
    pub base_directory: Option<String>,
    /// Whether folders are dropped from the names.
    pub discard_paths: bool,
    /// Patterns of files left out, relative to the base directory.
    pub exclude_paths: Vec<String>,
    /// The artifact's name; may hold shell expressions.
    pub name: Option<String>,
    /// Whether links inside stay links (in a ZIP).
    pub enable_symlinks: bool,
    /// `s3-prefix`: put before the key in S3.
    pub s3_prefix: Option<String>,
}

/// The `artifacts` block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Artifacts {
    /// The primary artifact.
    pub primary: Option<ArtifactSet>,
    /// The further ones by identifier.
    pub secondary: Vec<(String, ArtifactSet)>,
}

/// A whole buildspec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buildspec {
    /// The version.
    pub version: Version,
    /// The user who runs commands, unless a phase says otherwise.
    pub run_as: Option<String>,
    /// The environment.
    pub env: Env,
    /// The phases that are there, in running order.
    pub phases: Vec<(PhaseName, Phase)>,
    /// The artifacts.
    pub artifacts: Artifacts,
    /// Keys that were ignored, one sentence each, for the build's log.
    pub warnings: Vec<String>,
}

impl Buildspec {
    /// The phase of that name, if the file has it.
    #[must_use]
    pub fn phase(&self, name: PhaseName) -> Option<&Phase> {
        self.phases.iter().find(|(n, _)| *n == name).map(|(_, phase)| phase)
    }
}
