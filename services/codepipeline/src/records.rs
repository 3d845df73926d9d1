//! What is stored, and under which keys. Every key begins with (account, region).
use std::collections::BTreeMap;

use api::codepipeline as cp;
use kernel::{Arn, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Key, Record, View};

use crate::actions;
use crate::engine::{
    self, ActionRun, Artifact, Event, Execution, FORMAT, Millis, Mode, Revision, State, Status, Stop, Trigger,
};

/// Where a pipeline is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The account.
    pub account: String,
    /// The Region.
    pub region: String,
    /// The pipeline's name.
    pub name: String,
    /// Its id: another pipeline of the same name, after a deletion, has another.
    pub uid: String,
}

impl Place {
    /// The key of a pipeline's own row.
    pub fn row(account: &str, region: &str, name: &str) -> Key {
        Key::new(account, region).text(name)
    }

    /// The key of its stream and state, and the prefix of its history's.
    pub fn key(&self) -> Key {
        Key::new(&self.account, &self.region).text(&self.uid)
    }

    /// The key of a version of its declaration.
    pub fn definition(&self, version: i32) -> Key {
        self.key().number(u64::try_from(version).unwrap_or(0))
    }

    /// The key of an execution.
    pub fn execution(&self, id: &str) -> Key {
        self.key().text(id)
    }

    /// The key of a run of an action, or of a rule.
    pub fn action(&self, execution: &str, run: &str) -> Key {
        self.key().text(execution).text(run)
    }

    /// The prefix of the marks of executions of a version that succeeded in a stage; the execution's number follows.
    pub fn succeeded(&self, version: i32, stage: &str) -> Key {
        self.definition(version).text(stage)
    }

    /// The key under which a request's token is remembered.
    pub fn token(&self, token: &str) -> Key {
        Key::new(&self.account, &self.region).text("StartPipelineExecution").text(&self.uid).text(token)
    }

    /// The key of what was last told of a source's revision.
    pub fn told(&self, stage: &str, action: &str) -> Key {
        self.key().text(stage).text(action)
    }

    /// The pipeline's ARN.
    pub fn arn(&self) -> String {
        arn(&self.region, &self.account, &self.name)
    }
}

/// The ARN of a pipeline, or of `pipeline/stage` and `pipeline/stage/action`.
pub fn arn(region: &str, account: &str, resource: &str) -> String {
    Arn::new("codepipeline", region, account, resource).to_string()
}

/// A pipeline: its current declaration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pipeline {
    /// See [`Place::uid`].
    pub uid: String,
    /// With its version, and with its secrets.
    #[serde(with = "kernel::json::stored")]
    pub declaration: cp::PipelineDeclaration,
    /// When it was created.
    pub created: Timestamp,
    /// When it was last updated.
    pub updated: Timestamp,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl Pipeline {
    /// Its version.
    pub fn version(&self) -> i32 {
        self.declaration.version.unwrap_or(1)
    }
}

/// The index of pipelines by the sources whose changes start them.
pub const BY_SOURCE: &str = "source";

impl Record for Pipeline {
    const TABLE: &'static str = "codepipeline.pipeline";
    const INDEXES: &'static [&'static str] = &[BY_SOURCE];

    fn indexes(&self) -> Vec<(&'static str, String)> {
        actions::watched(&self.declaration).into_iter().map(|source| (BY_SOURCE, source)).collect()
    }
}

/// A version of a pipeline's declaration: executions run the one that they were started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Definition {
    /// With its secrets.
    #[serde(with = "kernel::json::stored")]
    pub declaration: cp::PipelineDeclaration,
    /// When it was given.
    pub at: Timestamp,
}

impl Record for Definition {
    const TABLE: &'static str = "codepipeline.definition";
}

/// The engine's state, as far as the stream of events adds up to it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Saved {
    /// The number of the last event in it.
    pub seq: u64,
    /// The state.
    pub state: State,
}

impl Record for Saved {
    const TABLE: &'static str = "codepipeline.state";
    const VERSION: u32 = FORMAT;
}

impl Record for Event {
    const TABLE: &'static str = "codepipeline.event";
}

/// An execution, as lists and reads show it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecutionRow {
    /// With all of its stages.
    pub execution: Execution,
    /// What there is to say of how it ended.
    pub summary: Option<String>,
}

impl Record for ExecutionRow {
    const TABLE: &'static str = "codepipeline.execution";
    // Of a pipeline.
    const LISTED: &'static [usize] = &[3];
}

/// What [`ExecutionRow`] says of an execution in a list: not what its actions did, which is most of it.
#[derive(Clone, Debug, Deserialize)]
pub struct Listed {
    /// The execution.
    pub execution: ListedExecution,
    /// See [`ExecutionRow::summary`].
    pub summary: Option<String>,
}

impl View for Listed {
    type Of = ExecutionRow;
}

/// Of [`Execution`], what lists show: the same fields.
#[derive(Clone, Debug, Deserialize)]
pub struct ListedExecution {
    pub id: String,
    pub number: u64,
    pub mode: Mode,
    pub trigger: Trigger,
    pub status: Status,
    pub begun: Millis,
    pub updated: Millis,
    pub stop: Option<Stop>,
    pub rollback: Option<ListedRollback>,
    visits: Vec<ListedVisit>,
}

/// Of [`crate::engine::Rollback`].
#[derive(Clone, Debug, Deserialize)]
pub struct ListedRollback {
    /// The execution.
    pub target: String,
    given: BTreeMap<String, BTreeMap<String, ListedOutput>>,
}

#[derive(Clone, Debug, Deserialize)]
struct ListedVisit {
    actions: BTreeMap<String, ListedRun>,
}

#[derive(Clone, Debug, Deserialize)]
struct ListedRun {
    output: ListedOutput,
}

#[derive(Clone, Debug, Deserialize)]
struct ListedOutput {
    revision: Option<Revision>,
}

impl ListedExecution {
    /// AWS's name of its type.
    pub fn kind(&self) -> &'static str {
        engine::type_name(self.rollback.is_some())
    }

    /// What its source actions took, by their names: by themselves, or for the execution that it rolls back to.
    pub fn revisions(&self) -> impl Iterator<Item = (&str, &Revision)> {
        let given = self.rollback.iter().flat_map(|rollback| rollback.given.values().flatten());
        let own = self.visits.iter().flat_map(|visit| &visit.actions).map(|(name, run)| (name, &run.output));
        given.chain(own).filter_map(|(name, made)| Some((name.as_str(), made.revision.as_ref()?)))
    }
}

/// An execution succeeded in a stage. Keyed as [`Place::succeeded`] and the execution's number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Succeeded {
    /// Its id.
    pub execution: String,
}

impl Record for Succeeded {
    const TABLE: &'static str = "codepipeline.succeeded";
}

/// A run of an action, as lists show it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ActionRow {
    /// The execution.
    pub execution: String,
    /// The version of the pipeline that it runs.
    pub version: i32,
    /// The stage.
    pub stage: String,
    /// The declaration, its secrets masked.
    #[serde(with = "kernel::json::stored")]
    pub action: cp::ActionDeclaration,
    /// The configuration with its variables replaced; absent where one had no value.
    pub resolved: Option<BTreeMap<String, String>>,
    /// Where its input artifacts lie.
    pub inputs: BTreeMap<String, Artifact>,
    /// The run.
    pub run: ActionRun,
}

impl Record for ActionRow {
    const TABLE: &'static str = "codepipeline.action";
    // Of a pipeline; those of an execution are few.
    const LISTED: &'static [usize] = &[3];
}

/// What the events add up to that retention has removed: those that are left go on from here. Keyed as [`Place::key`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Base(pub Saved);

impl Record for Base {
    const TABLE: &'static str = "codepipeline.base";
    const VERSION: u32 = FORMAT;
}

/// How far the artifacts of old executions are removed. Keyed as [`Place::key`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cleared {
    /// The store's number of the last execution that was looked at.
    pub through: u64,
}

impl Record for Cleared {
    const TABLE: &'static str = "codepipeline.cleared";
}

/// A run of a rule, as lists show it: the same as of an action.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleRow(pub ActionRow);

impl Record for RuleRow {
    const TABLE: &'static str = "codepipeline.rule";
    const LISTED: &'static [usize] = &[3];
}

/// What PutActionRevision was last told of a source.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    /// The change that made the revision.
    pub change: String,
    /// The execution that it started.
    pub execution: String,
    /// Revisions so far.
    pub number: u64,
}

impl Record for Told {
    const TABLE: &'static str = "codepipeline.told-revision";
}

/// A deleted pipeline whose history is still to be removed. Keyed as [`Place::key`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Remains {
    /// When it was deleted.
    pub at: Timestamp,
}

impl Record for Remains {
    const TABLE: &'static str = "codepipeline.remains";
}

/// The kind of the timers of pipelines whose executions have a deadline; the payload is [`Alarm`].
pub const DEADLINE: &str = "codepipeline.deadline";

/// Which pipeline a timer is for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Alarm {
    /// Its name.
    pub name: String,
}
