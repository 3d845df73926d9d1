//! CodePipeline: pipelines, their executions, and the actions that these run.
//!
//! - [`engine`]: how executions move. Pure, event-sourced; knows nothing of what follows.
//! - `structure`, `catalog`, `variables`: what a pipeline may be.
//! - `desk`: one batch for what came in, what follows, and all that reads show of it; then `runs` starts what is
//!   outstanding.
//! - `actions`: the providers, a file each. `rules`: those of conditions, likewise.
//! - `jobs`: actions that somebody outside carries out, and their types.
//! - `secrets`: sealed where a declaration is stored, masked where it is read.
//! - `topics`: who is told of approvals.
//! - `retention`: what is removed of the past; `verify`: whether the log adds up to what is stored.
//! - `triggers`: changes of repositories behind connections, and webhooks.
//! - `ops`: the operations. `workers`: deadlines, and the events that start pipelines and wake actions.

mod actions;
#[cfg(feature = "bench")]
mod bench;
mod catalog;
mod desk;
pub mod engine;
mod error;
mod hub;
mod job;
mod jobs;
mod limits;
mod notices;
mod ops;
mod projection;
mod records;
mod retention;
mod rules;
mod runs;
mod scope;
mod secrets;
mod start;
mod structure;
mod topics;
mod triggers;
mod variables;
mod verify;
mod workers;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use api::codepipeline as cp;
use api::longshore::GetPipelineWaits;
use kernel::{Clock, Cx, Entropy, Ops};
use outside::Outside;
use store::{Row, Sealer, Store};
use work::Worker;

pub use actions::lambda::{Function, Functions};
pub use error::Error;
pub use retention::Keep;
pub use topics::Topics;
pub use triggers::webhooks::{WebhookFace, Webhooks};
pub use verify::verify;

use desk::Desk;
use records::{Pipeline, Place};

/// What it stands on.
pub struct Deps {
    /// The state.
    pub store: Store,
    /// Seals secret configuration.
    pub sealer: Sealer,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// The functions that Invoke Lambda actions may call, by name.
    pub functions: Functions,
}

/// The service.
pub struct CodePipeline {
    desk: Arc<Desk>,
}

impl CodePipeline {
    /// On a store. Nothing runs before [`CodePipeline::workers`] do.
    pub fn new(deps: Deps) -> Arc<Self> {
        Arc::new(Self { desk: Desk::new(deps) })
    }

    /// Every operation that is served.
    pub fn register(self: &Arc<Self>, ops: &mut Ops) {
        ops.op::<cp::CreatePipeline, _>(self)
            .op::<cp::GetPipeline, _>(self)
            .op::<cp::UpdatePipeline, _>(self)
            .op::<cp::DeletePipeline, _>(self)
            .op::<cp::ListPipelines, _>(self)
            .op::<cp::GetPipelineState, _>(self)
            .op::<GetPipelineWaits, _>(self)
            .op::<cp::StartPipelineExecution, _>(self)
            .op::<cp::StopPipelineExecution, _>(self)
            .op::<cp::RetryStageExecution, _>(self)
            .op::<cp::RollbackStage, _>(self)
            .op::<cp::OverrideStageCondition, _>(self)
            .op::<cp::ListRuleExecutions, _>(self)
            .op::<cp::ListRuleTypes, _>(self)
            .op::<cp::GetPipelineExecution, _>(self)
            .op::<cp::ListPipelineExecutions, _>(self)
            .op::<cp::ListActionExecutions, _>(self)
            .op::<cp::CreateCustomActionType, _>(self)
            .op::<cp::DeleteCustomActionType, _>(self)
            .op::<cp::ListActionTypes, _>(self)
            .op::<cp::ListDeployActionExecutionTargets, _>(self)
            .op::<cp::GetActionType, _>(self)
            .op::<cp::UpdateActionType, _>(self)
            .op::<cp::PollForJobs, _>(self)
            .op::<cp::AcknowledgeJob, _>(self)
            .op::<cp::GetJobDetails, _>(self)
            .op::<cp::PutJobSuccessResult, _>(self)
            .op::<cp::PutJobFailureResult, _>(self)
            .op::<cp::PollForThirdPartyJobs, _>(self)
            .op::<cp::AcknowledgeThirdPartyJob, _>(self)
            .op::<cp::GetThirdPartyJobDetails, _>(self)
            .op::<cp::PutThirdPartyJobSuccessResult, _>(self)
            .op::<cp::PutThirdPartyJobFailureResult, _>(self)
            .op::<cp::PutActionRevision, _>(self)
            .op::<cp::PutApprovalResult, _>(self)
            .op::<cp::EnableStageTransition, _>(self)
            .op::<cp::DisableStageTransition, _>(self)
            .op::<cp::TagResource, _>(self)
            .op::<cp::UntagResource, _>(self)
            .op::<cp::ListTagsForResource, _>(self);
    }

    /// Its webhooks.
    pub fn webhooks(self: &Arc<Self>) -> Arc<Webhooks> {
        Webhooks::new(self)
    }

    /// Its background work; actions run from the first pass on, through these operations.
    pub fn workers(self: &Arc<Self>, ops: &Arc<Ops>) -> Vec<Arc<dyn Worker>> {
        self.desk.attach(ops);
        vec![
            Arc::new(workers::Executions::new(self.desk.clone())),
            Arc::new(workers::Events::new(self.desk.clone())),
            Arc::new(triggers::follow::Follow::new(self.desk.clone())),
        ]
    }

    /// The background work that tells endpoints of approvals.
    pub fn post(self: &Arc<Self>, ops: &Arc<Ops>, topics: Topics, outside: Outside) -> Arc<dyn Worker> {
        self.desk.attach(ops);
        Arc::new(topics::Post::new(self.desk.clone(), topics, outside))
    }

    /// The background work that removes what is older than it is to be kept.
    pub fn retention(self: &Arc<Self>, ops: &Arc<Ops>, keep: Keep) -> Arc<dyn Worker> {
        self.desk.attach(ops);
        Arc::new(retention::Retention::new(self.desk.clone(), keep))
    }

    /// Ends the actions that run in this process; another takes them up where they are.
    pub fn stop(&self) {
        self.desk.runs.end_all();
    }

    /// The pipeline of this name.
    async fn find(&self, cx: &Cx, name: &str) -> Result<(Place, Row<Pipeline>), Error> {
        let (account, region) = (cx.account(), &cx.region);
        let found = self.desk.store.get::<Pipeline>(&Place::row(account, region, name)).await?;
        let missing = || Error::PipelineNotFound { account: account.into(), name: name.into() };
        let row = found.ok_or_else(missing)?;
        let (account, region) = (account.to_owned(), region.clone());
        let place = Place { account, region, name: name.into(), uid: row.value.uid.clone() };
        Ok((place, row))
    }
}
