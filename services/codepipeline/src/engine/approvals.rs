//! PutApprovalResult: a person decides an action. Its token is the id of the action's run, so that a decision meant
//! for one run never decides a later one.
use super::{ActionStatus, Failure, Kind, Output, PlanAction, Progress, State, Work};
use crate::error::Error;

/// A person's decision.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The stage.
    pub stage: String,
    /// The action.
    pub action: String,
    /// Of the run that it decides.
    pub token: String,
    /// Approved, or rejected.
    pub approved: bool,
    /// In the person's words.
    pub summary: String,
    /// The person's ARN.
    pub by: String,
}

/// Decides an approval.
pub fn request(state: &State, verdict: Verdict) -> Result<Kind, Error> {
    known(state, &verdict)?;
    let Verdict { stage, action, token, approved, summary, by } = verdict;
    let run = state.run(&token).filter(|(_, visit, name, _)| visit.stage == stage && *name == action);
    let Some((.., run)) = run else { return Err(Error::InvalidApprovalToken) };
    if run.status != ActionStatus::InProgress {
        return Err(Error::ApprovalAlreadyCompleted(action));
    }
    let (id, by) = (run.id.clone(), Some(by));
    let summary = Some(summary).filter(|s| !s.is_empty());
    let progress = Progress { summary: summary.clone(), ..Progress::default() };
    Ok(if approved {
        Kind::ActionSucceeded { id, output: Output { progress, ..Output::default() }, by }
    } else {
        let words = summary.map(|summary| format!(": {summary}")).unwrap_or_default();
        let message = format!("Rejected by {}{words}", by.as_deref().unwrap_or_default());
        Kind::ActionFailed { id, failure: Failure { code: "JobFailed".into(), message }, progress, by }
    })
}

/// The stage and the approval exist, in the current plan or in one that still runs.
fn known(state: &State, verdict: &Verdict) -> Result<(), Error> {
    let mut stages =
        state.plans.values().rev().filter_map(|plan| plan.stage(&verdict.stage)).map(|s| s.1).peekable();
    if stages.peek().is_none() {
        return Err(Error::StageNotFound(verdict.stage.clone()));
    }
    let approval = |action: &PlanAction| action.name == verdict.action && action.work == Work::Approval;
    match stages.any(|stage| stage.actions.iter().any(approval)) {
        true => Ok(()),
        false => Err(Error::ActionNotFound {
            stage: verdict.stage.clone(),
            what: "approval action",
            action: verdict.action.clone(),
        }),
    }
}
