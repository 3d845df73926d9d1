//! CodeBuild: projects, and builds that really run.
//!
//! A build is one task of the engine with one container, in which [`agent`] runs the phases of the [`buildspec`] and
//! writes a journal onto the build's volume. The control plane follows that journal from the offset that it last
//! committed: it may be killed at any instant, and the build costs nothing of it.
pub mod agent;
mod build;
pub mod buildspec;
pub mod error;
mod events;
pub mod limits;
mod names;
mod ops;
mod phases;
pub mod records;
#[cfg(test)]
mod tests;
mod vpc;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::codebuild::*;
use api::internal::{GetActionBuild, StartActionBuild, StartPipelineBuild, StartTargetBuild};
use engine::{Doors, Engine, NetworkSpec, Trust};
use kernel::images::HostRegistry;
use kernel::{Clock, Entropy, Ops};
use store::Store;

/// What the composition root decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// This binary, static, as the engine's host finds it: it is the agent in the container.
    pub agent: PathBuf,
    /// The network of builds without a VPC.
    pub network: NetworkSpec,
    /// Image names that begin so (`aws/codebuild/`) are this image of the engine's own; of several, the longest decides.
    pub images: Vec<(String, String)>,
    /// The registry of ECR.
    pub registry: HostRegistry,
    /// What builds trust.
    pub trust: Option<Trust>,
    /// How builds reach load balancers.
    pub doors: Doors,
    /// How long after its end a build's containers and files are taken away. Nobody waits for that, and it keeps the
    /// engine busy just when a deployment of what was built starts its tasks.
    pub linger: Duration,
}

/// The service.
pub struct CodeBuild {
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) config: Config,
}

impl CodeBuild {
    /// The service over a state and an engine.
    pub fn new(
        store: Store,
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        config: Config,
    ) -> Arc<Self> {
        Arc::new(Self { store, engine, clock, entropy, config })
    }

    /// What it serves.
    pub fn register(self: &Arc<Self>, ops: &mut Ops) {
        ops.op::<CreateProject, _>(self);
        ops.op::<UpdateProject, _>(self);
        ops.op::<DeleteProject, _>(self);
        ops.op::<BatchGetProjects, _>(self);
        ops.op::<ListProjects, _>(self);
        ops.op::<InvalidateProjectCache, _>(self);
        ops.op::<StartBuild, _>(self);
        ops.internal::<StartPipelineBuild, _>(self);
        ops.internal::<StartTargetBuild, _>(self);
        ops.internal::<StartActionBuild, _>(self);
        ops.internal::<GetActionBuild, _>(self);
        ops.op::<RetryBuild, _>(self);
        ops.op::<StopBuild, _>(self);
        ops.op::<BatchGetBuilds, _>(self);
        ops.op::<BatchDeleteBuilds, _>(self);
        ops.op::<ListBuilds, _>(self);
        ops.op::<ListBuildsForProject, _>(self);
        ops.op::<ListCuratedEnvironmentImages, _>(self);
        ops.op::<ListSourceCredentials, _>(self);
    }

    /// Its background work: every build at work, the rules of those that run, and forgetting those that ended long ago.
    pub fn workers(self: &Arc<Self>, ops: &Arc<Ops>) -> Vec<Arc<dyn work::Worker>> {
        vec![
            Arc::new(build::Builds::new(self.clone(), ops)),
            Arc::new(build::Applier::new(self.clone())),
            Arc::new(build::History(self.clone())),
        ]
    }
}
