//! What happened to a pipeline.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    ConditionStatus, Failure, Millis, Mode, Moment, Output, Override, Plan, Progress, RetryMode, Rollback,
    StageStatus, Status, Trigger,
};

/// One entry of a pipeline's stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Millis,
    /// The request that asked for it; absent for what the engine decided by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What.
    pub kind: Kind,
}

/// The kinds of events. Stored: a kind is never removed, a member is added with a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event")]
pub enum Kind {
    /// The pipeline was created or updated.
    Defined {
        /// Its new version.
        version: i32,
        /// Its execution mode.
        mode: Mode,
        /// Its stages.
        plan: Plan,
    },
    /// An execution was started; it stands before the first stage.
    Started {
        /// Its id.
        execution: String,
        /// By what.
        trigger: Trigger,
        /// Pipeline variables with the values that hold for it.
        variables: BTreeMap<String, String>,
        /// Revisions to take instead of the sources' own.
        overrides: Vec<Override>,
    },
    /// A stage is rolled back: an execution was started that stands before it, with what another had there.
    RolledBack {
        /// Its id.
        execution: String,
        /// By what.
        trigger: Trigger,
        /// The pipeline variables of the other.
        variables: BTreeMap<String, String>,
        /// Which stage, to what.
        rollback: Box<Rollback>,
    },
    /// A newer execution arrived at the same entry.
    Superseded {
        /// The one that ends.
        execution: String,
        /// The newer one.
        by: String,
    },
    /// An execution took a stage's lock.
    Entered {
        /// Which.
        execution: String,
        /// The stage.
        stage: String,
    },
    /// An action is to run: the intent, committed before anything is done.
    ActionStarted {
        /// Of which execution.
        execution: String,
        /// In which stage.
        stage: String,
        /// Its name.
        action: String,
        /// The id of this run of it: the token of everything done for it.
        id: String,
    },
    /// A rule is to run: the intent, as for an action. The events of the run's course are those of an action's.
    RuleStarted {
        /// Of which execution.
        execution: String,
        /// In which stage.
        stage: String,
        /// Of which of its conditions.
        moment: Moment,
        /// Its name.
        rule: String,
        /// The id of this run of it.
        id: String,
    },
    /// A running rule has nothing to do before an instant.
    Rested {
        /// The run's id.
        id: String,
        /// The instant.
        until: Millis,
        /// What it shows meanwhile.
        progress: Progress,
    },
    /// The instant has come: the rule runs on.
    Woken {
        /// The run's id.
        id: String,
    },
    /// A condition was decided.
    ConditionEnded {
        /// Of which execution.
        execution: String,
        /// In which stage.
        stage: String,
        /// Which condition.
        moment: Moment,
        /// How.
        status: ConditionStatus,
    },
    /// Somebody let an execution pass a condition.
    ConditionOverridden {
        /// Which.
        execution: String,
        /// In which stage.
        stage: String,
        /// Which condition.
        moment: Moment,
        /// By whom: an ARN.
        by: String,
        /// The condition had failed, and the execution with it: it goes on.
        resumes: bool,
    },
    /// A running action has something to show or to remember.
    ActionProgressed {
        /// The run's id.
        id: String,
        /// What is new; absent members stay as they were.
        progress: Progress,
    },
    /// An action did its work.
    ActionSucceeded {
        /// The run's id.
        id: String,
        /// What it made.
        output: Output,
        /// Who did it, where a person did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// An action failed.
    ActionFailed {
        /// The run's id.
        id: String,
        /// Why.
        failure: Failure,
        /// What it last had to show.
        progress: Progress,
        /// Who did it, where a person did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// An action is no longer waited for; what it started goes on.
    ActionAbandoned {
        /// The run's id.
        id: String,
    },
    /// A stage ended for an execution, which leaves it when it succeeded.
    StageEnded {
        /// The execution.
        execution: String,
        /// The stage.
        stage: String,
        /// How.
        status: StageStatus,
    },
    /// An execution ended.
    Ended {
        /// Which.
        execution: String,
        /// How.
        status: Status,
    },
    /// Somebody asked an execution to stop.
    StopRequested {
        /// Which.
        execution: String,
        /// Whether running actions are abandoned.
        abandon: bool,
        /// Why, in the caller's words.
        reason: Option<String>,
    },
    /// A stage runs again for the execution that failed in it.
    Retried {
        /// Which.
        execution: String,
        /// The stage.
        stage: String,
        /// What of it.
        mode: RetryMode,
        /// By the stage's own configuration rather than by a caller.
        automatic: bool,
    },
    /// The transition into a stage was disabled.
    TransitionDisabled {
        /// The stage that is no longer entered.
        stage: String,
        /// Why, in the caller's words.
        reason: String,
        /// By whom: an ARN.
        by: String,
    },
    /// The transition into a stage was enabled.
    TransitionEnabled {
        /// The stage.
        stage: String,
        /// By whom: an ARN.
        by: String,
    },
}
