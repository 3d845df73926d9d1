//! What a build's network namespace lets in and out. Load balancers come and go while builds run: they reach those of now.
use std::sync::Arc;

use engine::{Allow, Rules, TaskId};
use kernel::{Fault, Fut};
use store::{Key, Row};
use tokio::sync::{Mutex, Notify};
use work::{Next, Worker};

use crate::records::{BuildId, BuildRow};
use crate::{CodeBuild, names, vpc};

/// Nobody connects to a build; it connects to everybody.
pub async fn rules(service: &CodeBuild, network: &engine::Network) -> Rules {
    let redirects = service.config.doors.redirects(network.gateway).await;
    Rules { ingress: Vec::new(), egress: vec![Allow::anything()], redirects }
}

/// Brings running builds' rules to what they would start with now. It remembers what it applied last.
pub struct Applier {
    service: Arc<CodeBuild>,
    applied: Mutex<Option<Rules>>,
}

impl Applier {
    /// The worker of a service.
    pub fn new(service: Arc<CodeBuild>) -> Self {
        Self { service, applied: Mutex::default() }
    }

    async fn apply(&self, row: &Row<BuildRow>, rules: &Rules) -> Result<(), Fault> {
        let id: TaskId = names::task(&BuildId::of(&row.key)).parse().map_err(Fault::internal)?;
        match self.service.engine.update_rules(&id, rules).await {
            Ok(()) | Err(engine::Error::NoTask(_) | engine::Error::Stopped { .. }) => Ok(()),
            Err(error) => Err(Fault::internal(error)),
        }
    }
}

impl Worker for Applier {
    fn name(&self) -> String {
        "codebuild.rules".into()
    }

    fn wake(&self) -> Arc<Notify> {
        let wake = Arc::default();
        work::wake_on(&wake, self.service.config.doors.changes());
        wake
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async {
            let service = &self.service;
            let active =
                service.store.find::<BuildRow>(Key::all(), "active", "yes", 0, store::limits::PAGE).await?;
            if active.is_empty() {
                return Ok(Next::Idle);
            }
            let network = service.engine.ensure_network(service.config.network.clone()).await;
            let rules = rules(service, &network.map_err(Fault::internal)?).await;
            let mut applied = self.applied.lock().await;
            if applied.as_ref() == Some(&rules) {
                return Ok(Next::Idle);
            }
            // A build in a VPC keeps the rules that it started with: its groups', which these are not.
            let mut failed = None;
            for row in active.iter().filter(|row| vpc::wanted(&row.value.project).is_none()) {
                // One build's trouble is not the others'.
                failed = self.apply(row, &rules).await.err().or(failed);
            }
            if let Some(fault) = failed {
                return Err(fault);
            }
            *applied = Some(rules);
            Ok(Next::Idle)
        })
    }
}
