//! CodeConnections: connections to repositories elsewhere, their commits for pipelines, and what changes in them.
//!
//! - `ops`: AWS's operations. `connect`: what AWS leaves to its console, where a connection's repositories are.
//! - `remote`: which URLs are allowed. `git`: git as a client. `source`: commits for pipelines, clones for builds.
//! - [`hooks`]: what providers deliver. `changes`: deliveries, and looks at refs, become one kind of event.
//! - `background`: when they do, whatever other repositories do.

mod background;
mod changes;
mod connect;
mod error;
mod git;
pub mod hooks;
pub mod limits;
mod ops;
mod records;
mod remote;
mod source;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use api::codeconnections as cc;
use api::internal::{CloneConnectedRepository, FetchSource, FollowRepositories};
use kernel::{Clock, Entropy, Ops};
use store::{Key, Sealer, Store};
use tokio::sync::{Mutex, Semaphore};

pub use error::Error;
use hooks::face::ConnectionsFace;

/// The service.
pub struct CodeConnections {
    store: Store,
    sealer: Sealer,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    poll: Duration,
    /// One at a time works on a repository's cache.
    turns: Mutex<HashMap<Key, Arc<Mutex<()>>>>,
    gits: Semaphore,
}

impl CodeConnections {
    /// The service over a state; caches stand beside it, in `connections`. `poll`: how often repositories are looked at
    /// whose providers deliver nothing.
    pub fn new(
        store: Store,
        sealer: Sealer,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        poll: Duration,
    ) -> Arc<Self> {
        let (turns, gits) = (Mutex::default(), Semaphore::new(limits::GITS));
        Arc::new(Self { store, sealer, clock, entropy, poll, turns, gits })
    }

    /// What it serves.
    pub fn register(self: &Arc<Self>, ops: &mut Ops) {
        ops.op::<cc::CreateConnection, _>(self)
            .op::<cc::GetConnection, _>(self)
            .op::<cc::ListConnections, _>(self)
            .op::<cc::DeleteConnection, _>(self)
            .op::<cc::CreateHost, _>(self)
            .op::<cc::GetHost, _>(self)
            .op::<cc::ListHosts, _>(self)
            .op::<cc::DeleteHost, _>(self)
            .op::<cc::TagResource, _>(self)
            .op::<cc::UntagResource, _>(self)
            .op::<cc::ListTagsForResource, _>(self)
            .internal::<FetchSource, _>(self)
            .internal::<CloneConnectedRepository, _>(self)
            .internal::<FollowRepositories, _>(self);
    }

    /// Webhooks' URLs, and `longshore connect`'s.
    pub fn face(self: &Arc<Self>) -> Arc<ConnectionsFace> {
        Arc::new(ConnectionsFace::new(self.clone()))
    }

    /// Its background work.
    pub fn workers(self: &Arc<Self>) -> Vec<Arc<dyn work::Worker>> {
        vec![Arc::new(background::Deliveries(self.clone())), Arc::new(background::Looks(self.clone()))]
    }
}
