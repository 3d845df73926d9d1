//! The actions: a file each, with the type that lists and validation show and the code that carries it out.
//!
//! To add one: write a file with an [`ActionType`] and an [`Action`], and name the type in [`TYPES`].
pub mod approval;
mod builds;
mod clone_ref;
pub mod codebuild;
mod codecommit;
pub mod commands;
mod connection;
mod ecr;
mod ecr_publish;
mod ecs;
mod invoke_pipeline;
pub mod lambda;
#[cfg(feature = "bench")]
mod noop;
mod s3_deploy;
mod s3_source;
pub mod unserved;
mod zipped;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::codepipeline as cp;
use kernel::{Fault, Fut, Ops};
use store::Event;

use crate::catalog::{self, ActionType, Carrier};
use crate::desk::Desk;
use crate::engine::{Output, Progress};
use crate::job::{Job, Order};
use crate::limits;

/// Every action type that is served.
pub static TYPES: &[&ActionType] = &[
    &codecommit::TYPE,
    &s3_source::TYPE,
    &ecr::TYPE,
    &connection::TYPE,
    &codebuild::BUILD,
    &codebuild::TEST,
    &ecr_publish::TYPE,
    &commands::TYPE,
    &ecs::TYPE,
    &s3_deploy::TYPE,
    &lambda::TYPE,
    &invoke_pipeline::TYPE,
    &approval::TYPE,
    #[cfg(feature = "bench")]
    &noop::SOURCE,
    #[cfg(feature = "bench")]
    &noop::BUILD,
];

/// Whether only pipelines of type V2 may have actions of a type.
pub fn needs_v2(id: &cp::ActionTypeId) -> bool {
    let v2 = [&ecr_publish::TYPE, &commands::TYPE, &invoke_pipeline::TYPE];
    catalog::find(id).is_some_and(|kind| v2.iter().any(|only| std::ptr::eq(*only, kind)))
}

/// Carries out the actions of a type.
pub trait Action: Send + Sync {
    /// Does the work, and waits for it to be done. It may be ended at any await and made again, with what the last
    /// [`Job::progress`] kept: what it does elsewhere it does under the job's id, or finds done.
    fn run<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Output, Failed>>;

    /// The source whose changes start a pipeline with this configuration, if they do.
    fn watches(&self, _configuration: &BTreeMap<String, String>) -> Option<String> {
        None
    }

    /// The source, as [`Action::watches`] names it, that an event says has changed.
    fn changed(&self, _event: &Event) -> Option<String> {
        None
    }
}

/// Why an action failed.
#[derive(Debug)]
pub struct Failed {
    /// One of AWS's failure types.
    pub code: &'static str,
    /// The provider's own reason.
    pub message: String,
    /// What there was to show.
    pub progress: Box<Progress>,
}

impl Failed {
    /// A failure with nothing to show.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), progress: Box::default() }
    }

    /// With what there is to show.
    pub fn showing(self, progress: Progress) -> Self {
        Self { progress: Box::new(progress), ..self }
    }

    /// The role could not be taken.
    pub fn role(fault: Fault) -> Self {
        Self::new("PermissionError", fault.message)
    }
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        if ["AccessDenied", "UnauthorizedOperation"].iter().any(|code| fault.is(code)) {
            return Self::new("PermissionError", fault.message);
        }
        if fault.status >= 500 {
            tracing::warn!("an action failed because of the platform: {fault:?}");
            return Self::new("SystemUnavailable", fault.message);
        }
        Self::new("JobFailed", fault.to_string())
    }
}

/// Carries an order out.
pub async fn carry_out(desk: Arc<Desk>, ops: Arc<Ops>, order: Order) -> Result<Output, Failed> {
    let declared = order.pipeline.stages.iter().find(|stage| stage.name == order.stage);
    let action = declared.and_then(|stage| stage.actions.iter().find(|action| action.name == order.action));
    let carrier = action.and_then(|action| catalog::carrier(&action.action_type_id));
    let Some(Carrier::Provider(provider)) = carrier else {
        return Err(Failed::new(
            "ConfigurationError",
            "No provider carries out actions of this type any more",
        ));
    };
    let job = Job::prepare(desk, ops, order).await?;
    let output = provider.run(&job).await?;
    let size: usize = output.variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > limits::OUTPUT_VARIABLES {
        let most = limits::OUTPUT_VARIABLES;
        let message = format!("The action's output variables have {size} bytes, and {most} are allowed");
        return Err(Failed::new("JobFailed", message).showing(output.progress));
    }
    Ok(output)
}

/// The sources whose changes start a pipeline.
pub fn watched(pipeline: &cp::PipelineDeclaration) -> Vec<String> {
    let actions = pipeline.stages.iter().flat_map(|stage| &stage.actions);
    let mut sources: Vec<String> = actions
        .filter_map(|action| match catalog::find(&action.action_type_id)?.carrier {
            Carrier::Provider(provider) => provider.watches(action.configuration.as_ref()?),
            Carrier::Person => None,
        })
        .collect();
    sources.sort();
    sources.dedup();
    sources
}

/// The source that an event says has changed.
pub fn changed(event: &Event) -> Option<String> {
    TYPES.iter().find_map(|kind| match kind.carrier {
        Carrier::Provider(provider) => provider.changed(event),
        Carrier::Person => None,
    })
}

/// Whether changes start the pipeline: by default they do.
fn polls(configuration: &BTreeMap<String, String>) -> bool {
    configuration.get("PollForSourceChanges").is_none_or(|value| value != "false")
}
