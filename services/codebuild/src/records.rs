//! What is stored: projects and builds as the API shows them, and beside a build how far it is.
use api::codebuild::{Build, Project};
use api::internal::PipelineArtifact;
use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Key, Record};

use crate::agent::journal::{Packed, Status};

/// A project; key (account, region, name).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProjectRow {
    /// As the API shows it.
    #[serde(with = "kernel::json::stored")]
    pub project: Project,
    /// Whether a badge was asked for.
    #[serde(default)]
    pub badge: bool,
}

impl Record for ProjectRow {
    const TABLE: &'static str = "codebuild.project";
}

/// The number of a project's latest build; key (account, region, project). It outlives the project.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Counter {
    /// The number.
    pub last: i64,
}

impl Record for Counter {
    const TABLE: &'static str = "codebuild.counter";
}

/// A build; key (account, region, project, uuid).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BuildRow {
    /// As the API shows it.
    #[serde(with = "kernel::json::stored")]
    pub build: Build,
    /// The project with the start's overrides: what the build really does.
    #[serde(with = "kernel::json::stored")]
    pub project: Project,
    /// How far it is.
    pub run: Run,
}

impl Record for BuildRow {
    const TABLE: &'static str = "codebuild.build";
    const INDEXES: &'static [&'static str] = &["active"];

    fn indexes(&self) -> Vec<(&'static str, String)> {
        if self.run.stage == Stage::Done { Vec::new() } else { vec![("active", "yes".into())] }
    }
}

/// What remains to be done for a build, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// A container is to be started and given its sources and its plan.
    Provision,
    /// The agent is at work: its journal is followed.
    Follow,
    /// Packed artifacts go to their places.
    Upload,
    /// The build has ended; container, grant and volume are to go.
    Clean,
    /// Nothing.
    Done,
}

/// A build's progress, beside what the API shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// See [`Stage`].
    pub stage: Stage,
    /// A stop was asked for.
    #[serde(default)]
    pub stop: bool,
    /// Bytes of the journal that were taken in.
    #[serde(default)]
    pub offset: u64,
    /// Events that the log stream holds, as far as we know.
    #[serde(default)]
    pub logged: u64,
    /// Logs are lost from here on: nobody may write them.
    #[serde(default)]
    pub unlogged: bool,
    /// What the agent packed.
    #[serde(default)]
    pub packed: Vec<Packed>,
    /// How many of them are in their places.
    #[serde(default)]
    pub uploaded: usize,
    /// How the agent's part ended.
    #[serde(default)]
    pub ended: Option<Status>,
    /// `on-failure: RETRY`: as many builds in a row at most.
    #[serde(default)]
    pub retry: Option<u32>,
    /// When the build times out.
    pub deadline: Timestamp,
    /// A pipeline's artifacts, if a pipeline started it.
    #[serde(default)]
    pub pipeline: Option<Pipeline>,
    /// How the role is taken, if the build is a pipeline's action of its own, without a project.
    #[serde(default)]
    pub action: Option<Action>,
}

/// A build that is a pipeline's action of its own: CodePipeline takes its role, as it took the role of the action.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Action {
    /// The role by which it takes the build's; none: it does itself.
    pub through: Option<String>,
}

impl Run {
    /// A build that has just been asked for.
    pub fn new(deadline: Timestamp, pipeline: Option<Pipeline>, action: Option<Action>) -> Self {
        Self {
            stage: Stage::Provision,
            stop: false,
            offset: 0,
            logged: 0,
            unlogged: false,
            packed: Vec::new(),
            uploaded: 0,
            ended: None,
            retry: None,
            deadline,
            pipeline,
            action,
        }
    }
}

/// What a pipeline gave to a build.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Pipeline {
    /// Sources, the primary first.
    pub inputs: Vec<Artifact>,
    /// The primary source's revision.
    #[serde(default)]
    pub revision: Option<String>,
    /// Where artifacts go.
    pub outputs: Vec<Artifact>,
}

/// An artifact in a pipeline's store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The pipeline's name for it.
    pub name: String,
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
}

impl From<PipelineArtifact> for Artifact {
    fn from(PipelineArtifact { name, bucket, key }: PipelineArtifact) -> Self {
        Self { name, bucket, key }
    }
}

/// A build's id in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildId {
    /// The project.
    pub project: String,
    /// The UUID.
    pub uuid: String,
}

impl BuildId {
    /// Reads `project:uuid`, or the ARN that ends in it.
    pub fn parse(id: &str) -> Option<Self> {
        let id = if id.starts_with("arn:") { id.split_once(":build/")?.1 } else { id };
        let (project, uuid) = id.split_once(':')?;
        let fine = !project.is_empty() && !uuid.is_empty() && !uuid.contains(':');
        fine.then(|| Self { project: project.to_owned(), uuid: uuid.to_owned() })
    }

    /// What stands in the place of a project's name in builds of a pipeline's actions: no project is named so.
    pub fn action(pipeline: &str) -> String {
        format!("codepipeline/{pipeline}")
    }

    /// Whether it is a build of a pipeline's action, which only CodePipeline sees.
    pub fn is_action(&self) -> bool {
        self.project.contains('/')
    }

    /// The row's key within an account and region.
    pub fn key(&self, scope: Key) -> Key {
        scope.text(&self.project).text(&self.uuid)
    }

    /// Of a row.
    pub fn of(key: &Key) -> Self {
        Self { project: key.part(2), uuid: key.part(3) }
    }
}

impl std::fmt::Display for BuildId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.project, self.uuid)
    }
}
