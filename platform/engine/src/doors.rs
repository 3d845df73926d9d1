//! Load balancers as the containers of each network reach them.
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::{Redirect, gateway};

/// How long a task's start waits for the load balancers of its network to be told.
const PATIENCE: Duration = Duration::from_secs(10);

/// The redirects to load balancers, for each network by its gateway; none until they are known.
pub type Known = Option<Arc<BTreeMap<Ipv4Addr, Vec<Redirect>>>>;

/// Tells which redirects tasks have. Whoever makes tasks reads it; the elb service fills it.
#[derive(Clone, Debug)]
pub struct Doors(Option<watch::Receiver<Known>>);

impl Doors {
    /// What a sender tells.
    pub fn of(sender: &watch::Sender<Known>) -> Self {
        Self(Some(sender.subscribe()))
    }

    /// Where nobody serves load balancers.
    pub fn none() -> Self {
        Self(None)
    }

    /// All redirects of a task on the network with this gateway. Waits until those of the network are known: else a
    /// control plane that starts would take them from the tasks that it adopts, and the first task of a network would
    /// look for load balancers outside.
    pub async fn redirects(&self, gateway: Ipv4Addr) -> Vec<Redirect> {
        let mut redirects = gateway::redirects(gateway);
        let Some(mut known) = self.0.clone() else { return redirects };
        let told = known.wait_for(|known| known.as_ref().is_some_and(|all| all.contains_key(&gateway)));
        // Who still does not know them gets them with the next change: a task is worth more than its load balancers.
        if let Ok(Ok(all)) = timeout(PATIENCE, told).await {
            redirects.extend(all.iter().filter_map(|all| all.get(&gateway)).flatten().cloned());
        }
        redirects
    }

    /// Changes whenever they do.
    pub fn changes(&self) -> watch::Receiver<Known> {
        self.0.clone().unwrap_or_else(|| watch::Sender::new(None).subscribe())
    }
}
