//! What a pipeline's stream adds up to.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ConditionStatus, StageStatus};
use super::{
    Event, Execution, Kind, Moment, Place, Plan, PlanAction, PlanRule, PlanStage, Status, Visit, Work,
};
use super::{actions, conditions, locks, retry, rollback, starting, stop, transitions, update};

/// Milliseconds since 1970.
pub type Millis = i64;

/// The form of a stored [`State`]. A change that serde's defaults do not absorb raises it and adds a migration.
pub const FORMAT: u32 = 1;

/// A pipeline: its plans, its transitions, and the executions that still matter. One that ended matters while it is
/// the last to have entered some stage: the state of that stage is shown from it, and it may be retried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// See [`FORMAT`].
    pub format: u32,
    /// The pipeline's current version.
    pub version: i32,
    /// How executions share the stages.
    pub mode: Mode,
    /// The plan of the current version, and of older ones that executions still run.
    pub plans: BTreeMap<i32, Plan>,
    /// Transitions into stages that were ever changed, by stage.
    pub gates: BTreeMap<String, Gate>,
    /// The execution that last entered a stage, by stage.
    pub latest: BTreeMap<String, String>,
    /// What each action did last, by stage and action, where the stage has since been entered or retried and the action
    /// has not run again: it is still what is shown of it.
    #[serde(default)]
    pub before: BTreeMap<String, BTreeMap<String, ActionRun>>,
    /// What a stage that rolls itself back would go back to, by stage: the last execution that succeeded in it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<String, rollback::Target>,
    /// In the order in which they were started.
    pub executions: Vec<Execution>,
    /// Executions started so far.
    pub started: u64,
}

/// The execution modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// A stage holds one execution, one waits before it, and a newer one takes the place of that one.
    #[default]
    Superseded,
    /// A stage holds one execution, the others wait in order.
    Queued,
    /// Executions know nothing of one another.
    Parallel,
}

/// A transition that was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// Whether executions may enter.
    pub enabled: bool,
    /// The ARN of who changed it last.
    pub by: String,
    /// When.
    pub at: Millis,
    /// Why it is disabled.
    pub reason: Option<String>,
}

/// One run of an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionRun {
    /// The action execution's id, and the token of all that is done for it.
    pub id: String,
    /// How it stands.
    pub status: ActionStatus,
    /// When it started.
    pub begun: Millis,
    /// When its status last changed.
    pub updated: Millis,
    /// Who decided it, where a person did.
    pub by: Option<String>,
    /// What it last had to show.
    pub progress: Progress,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// What it made.
    pub output: Output,
    /// It has nothing to do before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<Millis>,
    /// How often it went on after a rest.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wakes: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// How a run of an action stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActionStatus {
    /// Running.
    InProgress,
    /// Did its work.
    Succeeded,
    /// Did not.
    Failed,
    /// No longer waited for.
    Abandoned,
}

/// What an action shows while it runs, and what it must remember over a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// The provider's id of what it runs: a build's, a commit's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Where it can be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_url: Option<String>,
    /// In the provider's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The ARN of its log stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_stream: Option<String>,
    /// How much of it is done, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<i32>,
    /// The action's own note to itself, opaque to the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// What an action made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Output {
    /// What it last had to show.
    pub progress: Progress,
    /// Output artifacts, by name.
    pub artifacts: BTreeMap<String, Artifact>,
    /// Output variables.
    pub variables: BTreeMap<String, String>,
    /// What a source action took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
}

/// Where an artifact lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
}

/// What a source action took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// A commit, an object's version, an image's digest.
    pub id: String,
    /// A job worker's own name for the change that made it.
    #[serde(default)]
    pub change: Option<String>,
    /// A commit's message and the like.
    pub summary: Option<String>,
    /// Where it can be looked at.
    pub url: Option<String>,
    /// When it was made.
    pub created: Option<Millis>,
}

/// Why an action failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// AWS's failure types: `JobFailed`, `ConfigurationError`, `PermissionError`, `RevisionUnavailable`…
    pub code: String,
    /// The provider's own reason.
    pub message: String,
}

impl State {
    /// Folds one event in. Total: an event about something unknown or already over changes nothing.
    pub fn apply(&mut self, event: &Event) {
        // Only now, so that after an event its execution is still there for the rows that show it.
        self.forget();
        let at = event.at;
        match &event.kind {
            Kind::Defined { version, mode, plan } => update::apply(self, *version, *mode, plan),
            Kind::Started { execution, trigger, variables, overrides } => {
                starting::apply(self, execution, trigger, variables, overrides, at);
            }
            Kind::RolledBack { execution, trigger, variables, rollback } => {
                rollback::apply(self, execution, trigger, variables, rollback, at);
            }
            Kind::Superseded { execution, by } => locks::supersede(self, execution, by, at),
            Kind::Entered { execution, stage } => locks::enter(self, execution, stage, at),
            Kind::ActionStarted { .. }
            | Kind::ActionProgressed { .. }
            | Kind::ActionSucceeded { .. }
            | Kind::ActionFailed { .. }
            | Kind::ActionAbandoned { .. }
            | Kind::Rested { .. }
            | Kind::Woken { .. } => actions::apply(self, event),
            Kind::RuleStarted { .. } | Kind::ConditionEnded { .. } | Kind::ConditionOverridden { .. } => {
                conditions::apply(self, event)
            }
            Kind::StageEnded { execution, stage, status } => {
                locks::leave(self, execution, stage, *status, at)
            }
            Kind::Ended { execution, status } => locks::end(self, execution, *status, at),
            Kind::StopRequested { execution, abandon, reason } => {
                stop::apply(self, execution, *abandon, reason.as_deref(), at);
            }
            Kind::Retried { execution, stage, mode, automatic } => {
                retry::apply(self, execution, stage, *mode, *automatic, at);
            }
            Kind::TransitionDisabled { .. } | Kind::TransitionEnabled { .. } => {
                transitions::apply(self, event)
            }
        }
    }

    /// The actions that should be running: a driver starts those that are not.
    pub fn outstanding(&self) -> impl Iterator<Item = (&Execution, &Visit, &PlanAction, &ActionRun)> {
        self.running().filter(|(_, _, action, _)| action.work == Work::Provider)
    }

    /// The rules that should be running, likewise.
    pub fn outstanding_rules(
        &self,
    ) -> impl Iterator<Item = (&Execution, &Visit, Moment, &PlanRule, &ActionRun)> {
        self.running_rules().filter(|(.., run)| run.rest.is_none())
    }

    /// The next instant at which time alone changes something.
    pub fn deadline(&self) -> Option<Millis> {
        let actions = self.running().map(|(_, _, action, run)| run.begun.saturating_add(action.timeout));
        let rules = self.running_rules().map(|(.., rule, run)| {
            let timeout = run.begun.saturating_add(rule.timeout);
            run.rest.map_or(timeout, |rest| rest.min(timeout))
        });
        actions.chain(rules).min()
    }

    /// Actions in progress, approvals among them.
    pub(super) fn running(&self) -> impl Iterator<Item = (&Execution, &Visit, &PlanAction, &ActionRun)> {
        self.executions.iter().flat_map(move |execution| {
            let visit = execution.visits.last();
            let plan =
                visit.and_then(|v| self.plans.get(&execution.version)?.stage(&v.stage).map(|(_, s)| s));
            let runs = visit.into_iter().flat_map(|visit| visit.actions.iter().map(move |run| (visit, run)));
            runs.filter(|(_, (_, run))| run.status == ActionStatus::InProgress)
                .filter_map(move |(visit, (name, run))| Some((execution, visit, plan?.action(name)?, run)))
        })
    }

    /// Rules in progress, those that rest among them.
    pub(super) fn running_rules(
        &self,
    ) -> impl Iterator<Item = (&Execution, &Visit, Moment, &PlanRule, &ActionRun)> {
        self.executions.iter().flat_map(move |execution| {
            let visit = execution.visits.last().filter(|visit| !visit.conditions.is_empty());
            let plan = visit.and_then(|v| Some(self.plans.get(&execution.version)?.stage(&v.stage)?.1));
            let runs = visit.into_iter().flat_map(|visit| visit.rules().map(move |rule| (visit, rule)));
            runs.filter(|(_, (_, _, run))| run.status == ActionStatus::InProgress).filter_map(
                move |(visit, (moment, name, run))| {
                    let rules = &plan?.conditions.get(&moment)?.rules;
                    Some((execution, visit, moment, rules.iter().find(|rule| rule.name == name)?, run))
                },
            )
        })
    }

    /// The current plan.
    pub fn plan(&self) -> Option<&Plan> {
        self.plans.get(&self.version)
    }

    /// The execution of this id, if it still matters.
    pub fn execution(&self, id: &str) -> Option<&Execution> {
        self.executions.iter().find(|execution| execution.id == id)
    }

    pub(super) fn execution_mut(&mut self, id: &str) -> Option<&mut Execution> {
        self.executions.iter_mut().find(|execution| execution.id == id)
    }

    /// The run of this id, with where it stands.
    pub fn run(&self, id: &str) -> Option<(&Execution, &Visit, &str, &ActionRun)> {
        self.executions.iter().find_map(|execution| {
            execution.visits.iter().find_map(|visit| {
                let (name, run) = visit.actions.iter().find(|(_, run)| run.id == id)?;
                Some((execution, visit, name.as_str(), run))
            })
        })
    }

    /// The run of a rule of this id, with where it stands.
    pub fn rule(&self, id: &str) -> Option<(&Execution, &Visit, Moment, &str, &ActionRun)> {
        self.executions.iter().find_map(|execution| {
            execution.visits.iter().find_map(|visit| {
                let (moment, name, run) = visit.rules().find(|(.., run)| run.id == id)?;
                Some((execution, visit, moment, name, run))
            })
        })
    }

    /// What is shown of a stage: the execution that last entered it, and its time in there.
    pub fn shown(&self, stage: &str) -> Option<(&Execution, &Visit)> {
        let execution = self.execution(self.latest.get(stage)?)?;
        Some((execution, execution.visits.iter().find(|visit| visit.stage == stage)?))
    }

    /// What is shown of an action: its run in the stage's latest visit, or the one before.
    pub fn last_run(&self, stage: &str, action: &str) -> Option<&ActionRun> {
        let current = self.shown(stage).and_then(|(_, visit)| visit.actions.get(action));
        current.or_else(|| self.before.get(stage)?.get(action))
    }

    /// Whether the run of this id is in progress.
    pub fn is_running(&self, id: &str) -> bool {
        let run = self.run(id).map(|(.., run)| run).or_else(|| self.rule(id).map(|(.., run)| run));
        run.is_some_and(|run| run.status == ActionStatus::InProgress)
    }

    /// The stage that an execution stands in or before.
    pub fn stage_of(&self, execution: &Execution) -> Option<&PlanStage> {
        let plan = self.plans.get(&execution.version)?;
        match execution.place {
            Place::Before(index) | Place::In(index) => plan.stages.get(index),
            Place::Done => None,
        }
    }

    /// Drops executions that no longer matter, and the plans that only they ran.
    fn forget(&mut self) {
        let retryable = |e: &Execution| matches!(e.status, Status::Failed | Status::Stopped);
        let mut parallel = crate::limits::RETRYABLE_PARALLEL;
        let latest = &self.latest;
        let mut kept: Vec<bool> = Vec::with_capacity(self.executions.len());
        for execution in self.executions.iter().rev() {
            let shown = latest.values().any(|id| *id == execution.id);
            let spared = execution.mode == Mode::Parallel && retryable(execution) && parallel > 0;
            parallel -= usize::from(spared);
            kept.push(execution.active() || execution.busy() || shown || spared);
        }
        let mut kept = kept.into_iter().rev();
        self.executions.retain(|_| kept.next().unwrap_or(true));
        let (executions, version) = (&self.executions, self.version);
        self.plans.retain(|v, _| *v == version || executions.iter().any(|e| e.version == *v));
    }
}

impl ActionRun {
    /// One that has just started.
    pub(super) fn new(id: &str, at: Millis) -> Self {
        Self {
            id: id.into(),
            status: ActionStatus::InProgress,
            begun: at,
            updated: at,
            by: None,
            progress: Progress::default(),
            failure: None,
            output: Output::default(),
            rest: None,
            wakes: 0,
        }
    }
}

impl Progress {
    /// Takes over what the newer one has.
    pub(super) fn merge(&mut self, newer: &Self) {
        self.percent = newer.percent.or(self.percent);
        let take = |mine: &mut Option<String>, theirs: &Option<String>| {
            if theirs.is_some() {
                mine.clone_from(theirs);
            }
        };
        take(&mut self.external_id, &newer.external_id);
        take(&mut self.external_url, &newer.external_url);
        take(&mut self.summary, &newer.summary);
        take(&mut self.log_stream, &newer.log_stream);
        take(&mut self.checkpoint, &newer.checkpoint);
    }
}

macro_rules! names {
    ($($ty:ident: $($variant:ident = $name:literal),*;)*) => {$(
        impl $ty {
            /// AWS's word for it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    )*};
}

names! {
    Mode: Superseded = "SUPERSEDED", Queued = "QUEUED", Parallel = "PARALLEL";
    Status: InProgress = "InProgress", Stopping = "Stopping", Stopped = "Stopped", Succeeded = "Succeeded",
        Failed = "Failed", Superseded = "Superseded", Cancelled = "Cancelled";
    StageStatus: InProgress = "InProgress", Succeeded = "Succeeded", Failed = "Failed", Stopped = "Stopped",
        Cancelled = "Cancelled", Skipped = "Skipped";
    ConditionStatus: InProgress = "InProgress", Failed = "Failed", Errored = "Errored", Succeeded = "Succeeded",
        Cancelled = "Cancelled", Abandoned = "Abandoned", Overridden = "Overridden";
    Moment: BeforeEntry = "beforeEntry", OnSuccess = "onSuccess", OnFailure = "onFailure";
    ActionStatus: InProgress = "InProgress", Succeeded = "Succeeded", Failed = "Failed", Abandoned = "Abandoned";
}
