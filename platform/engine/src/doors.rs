//! Load balancers as the containers of each network reach them.
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::sync::watch;

use crate::{Redirect, gateway};

/// The redirects to load balancers, by the gateway of the network; none until they are known.
pub type Known = Option<Arc<BTreeMap<Ipv4Addr, Vec<Redirect>>>>;

/// Tells which redirects tasks have. Whoever makes tasks reads it; the elb service fills it.
#[derive(Clone, Debug)]
pub struct Doors(watch::Receiver<Known>);

impl Doors {
    /// What a sender tells.
    pub fn of(sender: &watch::Sender<Known>) -> Self {
        Self(sender.subscribe())
    }

    /// Known to be none.
    pub fn none() -> Self {
        Self(watch::Sender::new(Some(Arc::default())).subscribe())
    }

    /// All redirects of a task on the network with this gateway. Waits until the load balancers are known: else a
    /// control plane that starts would take them from the tasks that it adopts.
    pub async fn redirects(&self, gateway: Ipv4Addr) -> Vec<Redirect> {
        let mut redirects = gateway::redirects(gateway);
        let mut known = self.0.clone();
        if let Ok(known) = known.wait_for(Option::is_some).await {
            redirects.extend(known.iter().filter_map(|all| all.get(&gateway)).flatten().cloned());
        }
        redirects
    }

    /// Changes whenever they do.
    pub fn changes(&self) -> watch::Receiver<Known> {
        self.0.clone()
    }
}
