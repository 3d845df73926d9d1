//! ECS: clusters, task definitions, tasks and services on the engine, which stands for one container instance.
//!
//! - A task's life is one [`actor`]: it looks at the record and at the engine, takes one step, and commits it. A new
//!   control plane goes on from the record; the engine knows the task by its id, so nothing is started twice.
//! - A service is a reconciler: [`plan`] is pure, [`reconcile`] looks, plans and does.
//! - Containers' output is followed into CloudWatch Logs from a stored position.

mod actor;
mod error;
mod events;
mod follow;
mod health;
mod image;
mod launch;
mod limits;
mod metadata;
mod names;
mod ops;
mod orphans;
mod plan;
mod prepare;
mod reconcile;
mod records;
mod rules;
mod start;
mod steps;
mod supervise;
#[cfg(test)]
mod tests;
mod validate;
mod view;

use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use api::ecs::*;
use engine::{Doors, Engine, NetworkSpec, Trust};
use kernel::images::HostRegistry;
use kernel::{Clock, Cx, Entropy, Fault, Ops, ids};
use store::Store;
use tokio::sync::{Notify, watch};

pub use error::Error;
pub use image::Registry;
pub use metadata::Metadata;
use names::Scope;

/// The service principal that tasks assume roles by.
pub(crate) const TASKS: &str = "ecs-tasks.amazonaws.com";
/// The service principal that ECS itself acts as.
pub(crate) const ECS: &str = "ecs.amazonaws.com";

/// What a deployment of Longshore decides.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its registry.
    pub registry: Registry,
    /// What tasks are to trust; none: nothing but what their images bring.
    pub trust: Option<Trust>,
    /// How long a task without any check must run before it counts as healthy: 40 seconds on AWS.
    pub settle: Duration,
    /// The network that tasks in bridge mode share.
    pub bridge: NetworkSpec,
    /// How tasks reach load balancers.
    pub doors: Doors,
    /// The host's address at which tasks in bridge mode publish their ports: all of its addresses by 0.0.0.0.
    pub ports: Ipv4Addr,
}

impl Options {
    /// AWS's ways, with ports for this host alone, with this registry, this network for bridge mode and these load balancers.
    pub fn new(host: HostRegistry, bridge: NetworkSpec, doors: Doors) -> Self {
        let registry = Registry { host, pull: engine::PullPolicy::Default };
        Self {
            registry,
            trust: None,
            settle: Duration::from_secs(40),
            bridge,
            doors,
            ports: Ipv4Addr::LOCALHOST,
        }
    }
}

/// The service.
pub struct Ecs {
    store: Store,
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    options: Options,
    ops: OnceLock<Arc<Ops>>,
    /// Counts what may have changed the health of targets: draining tasks wait for it.
    health: watch::Sender<u64>,
    /// Wakes the reconciler for the same.
    nudged: Arc<Notify>,
    /// Addresses on the shared network are given out one at a time.
    placing: tokio::sync::Mutex<()>,
}

impl Ecs {
    /// The service over a state and an engine.
    pub fn new(
        store: Store,
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        options: Options,
    ) -> Arc<Self> {
        let nudged = store.watch(&["ecs.service", "ecs.task"]);
        Arc::new(Self {
            store,
            engine,
            clock,
            entropy,
            options,
            ops: OnceLock::new(),
            health: watch::Sender::new(0),
            nudged,
            placing: tokio::sync::Mutex::default(),
        })
    }

    /// What it serves.
    pub fn register(self: &Arc<Self>, ops: &mut Ops) {
        ops.op::<CreateCluster, _>(self);
        ops.op::<DescribeClusters, _>(self);
        ops.op::<DeleteCluster, _>(self);
        ops.op::<ListClusters, _>(self);
        ops.op::<UpdateCluster, _>(self);
        ops.op::<UpdateClusterSettings, _>(self);
        ops.op::<PutClusterCapacityProviders, _>(self);
        ops.op::<DescribeCapacityProviders, _>(self);
        ops.op::<RegisterTaskDefinition, _>(self);
        ops.op::<DescribeTaskDefinition, _>(self);
        ops.op::<DeregisterTaskDefinition, _>(self);
        ops.op::<DeleteTaskDefinitions, _>(self);
        ops.op::<ListTaskDefinitions, _>(self);
        ops.op::<ListTaskDefinitionFamilies, _>(self);
        ops.op::<RunTask, _>(self);
        ops.op::<StartTask, _>(self);
        ops.op::<StopTask, _>(self);
        ops.op::<DescribeTasks, _>(self);
        ops.op::<ListTasks, _>(self);
        ops.op::<ExecuteCommand, _>(self);
        ops.op::<GetTaskProtection, _>(self);
        ops.op::<UpdateTaskProtection, _>(self);
        ops.op::<CreateService, _>(self);
        ops.op::<UpdateService, _>(self);
        ops.op::<DeleteService, _>(self);
        ops.op::<DescribeServices, _>(self);
        ops.op::<ListServices, _>(self);
        ops.op::<ListServiceDeployments, _>(self);
        ops.op::<DescribeServiceDeployments, _>(self);
        ops.op::<DescribeServiceRevisions, _>(self);
        ops.op::<StopServiceDeployment, _>(self);
        ops.op::<ListContainerInstances, _>(self);
        ops.op::<DescribeContainerInstances, _>(self);
        ops.op::<ListAccountSettings, _>(self);
        ops.op::<PutAccountSetting, _>(self);
        ops.op::<PutAccountSettingDefault, _>(self);
        ops.op::<TagResource, _>(self);
        ops.op::<UntagResource, _>(self);
        ops.op::<ListTagsForResource, _>(self);
    }

    /// Its background work: tasks, services, security groups' changes. `ops` is what it calls other services by;
    /// `health` changes whenever the edge reports, for targets' health and draining are read from that.
    pub fn workers<T: Send + Sync + 'static>(
        self: &Arc<Self>,
        ops: &Arc<Ops>,
        mut health: watch::Receiver<T>,
    ) -> Vec<Arc<dyn work::Worker>> {
        let _ = self.ops.set(ops.clone());
        let this = Arc::downgrade(self);
        // A target that is drained is removed from its group: that is a commit.
        let groups = self.store.watch(&["elb.target-group"]);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    changed = health.changed() => if changed.is_err() { return },
                    () = groups.notified() => {}
                }
                let Some(this) = this.upgrade() else { return };
                this.health.send_modify(|count| *count += 1);
                this.nudged.notify_one();
            }
        });
        vec![
            Arc::new(supervise::Supervisor::new(self.clone())),
            Arc::new(orphans::Sweeper::new(self.clone())),
            Arc::new(reconcile::Reconciler(self.clone())),
            Arc::new(rules::Applier::new(self.clone())),
        ]
    }

    /// The face that answers containers about their task.
    pub fn metadata(self: &Arc<Self>) -> Metadata {
        Metadata(self.clone())
    }

    /// ECS acting for itself. Errors: its background work was not started.
    pub(crate) fn own_cx(&self, scope: &Scope) -> Result<Cx, Fault> {
        let ops = self.ops.get().ok_or_else(|| Fault::internal("ecs has no way to call others yet"))?;
        let request = ids::uuid(&*self.entropy);
        Ok(ops.as_service(ECS, &scope.account, &scope.region, &request))
    }
}
