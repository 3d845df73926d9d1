//! What the engine needs of a pipeline's declaration.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Millis;

/// The stages of one version of a pipeline, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// In the order of the declaration.
    pub stages: Vec<PlanStage>,
}

/// A stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanStage {
    /// Unique within the plan.
    pub name: String,
    /// In the order of the declaration.
    pub actions: Vec<PlanAction>,
    /// `onFailure: {result: RETRY}`: the stage is retried once by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_retry: Option<RetryMode>,
    /// `onFailure: {result: ROLLBACK}`: the stage is rolled back by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto_rollback: bool,
    /// Its conditions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub conditions: BTreeMap<Moment, PlanCondition>,
}

/// When a condition is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Moment {
    /// Once the stage is entered, before its first action.
    BeforeEntry,
    /// When all of its actions have succeeded.
    OnSuccess,
    /// When one of its actions has failed.
    OnFailure,
}

/// A condition of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanCondition {
    /// What follows: where it is not met, except for `OnFailure`, where it is.
    pub result: Consequence,
    /// All of them must be met.
    pub rules: Vec<PlanRule>,
}

/// What a condition has for a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Consequence {
    /// The stage fails.
    Fail,
    /// The stage is passed over.
    Skip,
    /// The stage fails, and is rolled back.
    Rollback,
}

/// A rule of a condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanRule {
    /// Unique within its condition.
    pub name: String,
    /// How long it may take.
    pub timeout: Millis,
}

/// An action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanAction {
    /// Unique within its stage.
    pub name: String,
    /// Actions of one order run together, lower ones first.
    pub order: i32,
    /// What carries it out.
    pub work: Work,
    /// How long it may run.
    pub timeout: Millis,
}

/// What carries an action out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// A provider, started by the driver.
    Provider,
    /// A person, who answers with PutApprovalResult.
    Approval,
}

/// Which actions of a failed stage run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetryMode {
    /// Those that failed; the others keep what they made, or keep running.
    FailedActions,
    /// All of them, from the first.
    AllActions,
}

impl Plan {
    /// The stage of this name and its place.
    pub fn stage(&self, name: &str) -> Option<(usize, &PlanStage)> {
        self.stages.iter().enumerate().find(|(_, stage)| stage.name == name)
    }
}

impl PlanStage {
    /// The action of this name.
    pub fn action(&self, name: &str) -> Option<&PlanAction> {
        self.actions.iter().find(|action| action.name == name)
    }

    /// Whether it can come to roll itself back.
    pub fn rolls_back(&self) -> bool {
        self.auto_rollback || self.conditions.values().any(|c| c.result == Consequence::Rollback)
    }
}
