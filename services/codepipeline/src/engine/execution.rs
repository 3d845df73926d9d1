//! One run through a pipeline: where it stands, what it has been through, and what others made for it.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ActionRun, ActionStatus, Condition, Millis, Mode, Moment, Output, Rollback};

/// One run through the pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// A UUID.
    pub id: String,
    /// Its number within the pipeline: later ones are greater.
    pub number: u64,
    /// The version of the pipeline that it runs.
    pub version: i32,
    /// The mode that it was started in, which it keeps.
    pub mode: Mode,
    /// What started it.
    pub trigger: Trigger,
    /// Pipeline variables.
    pub variables: BTreeMap<String, String>,
    /// Revisions asked for at the start.
    pub overrides: Vec<Override>,
    /// How it stands.
    pub status: Status,
    /// Where it stands.
    pub place: Place,
    /// When it started.
    pub begun: Millis,
    /// When it last changed.
    pub updated: Millis,
    /// Somebody asked it to stop.
    pub stop: Option<Stop>,
    /// The newer execution that took its place.
    pub superseded_by: Option<String>,
    /// Retries of its stages: AWS's execution attempt is one more.
    pub retries: u32,
    /// What it rolls back to; absent for one of type STANDARD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Box<Rollback>>,
    /// The stages that it entered, in order.
    pub visits: Vec<Visit>,
}

/// Why an execution started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// AWS's trigger type, as in `StartPipelineExecution`.
    pub kind: String,
    /// An ARN mostly.
    pub detail: String,
}

/// A source revision that was asked for at the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The source action.
    pub action: String,
    /// AWS's revision type, as in `COMMIT_ID`.
    pub kind: String,
    /// The revision.
    pub value: String,
}

/// A request to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Running actions are not waited for.
    pub abandon: bool,
    /// In the caller's words.
    pub reason: Option<String>,
}

/// How an execution stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Moving or waiting.
    InProgress,
    /// Its running actions are the last.
    Stopping,
    /// Stopped on request.
    Stopped,
    /// Through the last stage.
    Succeeded,
    /// An action failed.
    Failed,
    /// A newer one took its place.
    Superseded,
    /// The pipeline was updated under it.
    Cancelled,
}

/// Where an execution stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// Before a stage, by its index.
    Before(usize),
    /// In a stage, by its index.
    In(usize),
    /// Past the last.
    Done,
}

/// An execution's time in a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    /// The stage.
    pub stage: String,
    /// How it stands.
    pub status: StageStatus,
    /// Retries that somebody asked for.
    pub manual_retries: u32,
    /// Retries by the stage's configuration.
    pub auto_retries: u32,
    /// The last retry was automatic.
    pub last_retry_automatic: bool,
    /// When the stage was entered or last retried.
    pub since: Millis,
    /// The last run of each action that has started, by name.
    pub actions: BTreeMap<String, ActionRun>,
    /// The conditions that were evaluated since the stage was entered or retried.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub conditions: BTreeMap<Moment, Condition>,
}

/// How a stage stands for an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StageStatus {
    /// Actions run or are about to.
    InProgress,
    /// All succeeded.
    Succeeded,
    /// One failed.
    Failed,
    /// Stopped on request.
    Stopped,
    /// The pipeline was updated under it.
    Cancelled,
    /// Its entry condition was not met, and says to go on without it.
    Skipped,
}

/// AWS's name of the type of an execution.
pub fn type_name(rolls_back: bool) -> &'static str {
    if rolls_back { "ROLLBACK" } else { "STANDARD" }
}

impl Execution {
    /// Not ended.
    pub fn active(&self) -> bool {
        matches!(self.status, Status::InProgress | Status::Stopping)
    }

    /// Some action of it runs. Outlives [`Execution::active`] where one of several parallel actions failed.
    pub fn busy(&self) -> bool {
        self.visits.last().is_some_and(Visit::busy)
    }

    /// AWS's name of its type.
    pub fn kind(&self) -> &'static str {
        type_name(self.rollback.is_some())
    }

    /// What the actions of a stage made for it: by themselves, or for the execution that it rolls back to.
    pub fn made(&self, stage: &str, action: &str) -> Option<&Output> {
        let own = self.visits.iter().find(|visit| visit.stage == stage).and_then(|v| v.actions.get(action));
        let given = || self.rollback.as_ref()?.given.get(stage)?.get(action);
        own.map(|run| &run.output).or_else(given)
    }

    /// All of [`Execution::made`], with the action's stage and name.
    pub fn outputs(&self) -> impl Iterator<Item = (&str, &str, &Output)> {
        let given = self.rollback.iter().flat_map(|rollback| &rollback.given);
        let given = given.flat_map(|(stage, made)| {
            made.iter().map(move |(action, output)| (stage.as_str(), action.as_str(), output))
        });
        let own = self.visits.iter().flat_map(|visit| {
            let made = visit.actions.iter();
            made.map(move |(action, run)| (visit.stage.as_str(), action.as_str(), &run.output))
        });
        given.chain(own)
    }

    /// The visit of the stage that it stands in.
    pub(super) fn visit(&self) -> Option<&Visit> {
        matches!(self.place, Place::In(_)).then(|| self.visits.last()).flatten()
    }
}

impl Visit {
    /// Some action of it runs.
    pub fn busy(&self) -> bool {
        self.actions.values().any(|run| run.status == ActionStatus::InProgress)
    }

    /// Runs of rules, with what they are runs of.
    pub fn rules(&self) -> impl Iterator<Item = (Moment, &str, &ActionRun)> {
        let conditions = self.conditions.iter();
        conditions.flat_map(|(moment, condition)| {
            condition.rules.iter().map(move |(name, run)| (*moment, name.as_str(), run))
        })
    }

    /// The run of this id, of an action or of a rule.
    pub(super) fn run_mut(&mut self, id: &str) -> Option<&mut ActionRun> {
        let rules = self.conditions.values_mut().flat_map(|condition| condition.rules.values_mut());
        self.actions.values_mut().chain(rules).find(|run| run.id == id)
    }
}
