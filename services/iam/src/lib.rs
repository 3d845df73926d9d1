//! IAM and STS: who callers are, and what they may do.
//!
//! [`Iam`] serves the operations, is the [`kernel::Authority`] of every call, and answers containers that fetch the
//! credentials of their role. `directory` keeps at hand what a decision needs.

mod authority;
mod directory;
mod entities;
mod error;
mod grants;
pub mod limits;
mod managed;
mod ops;
mod records;
mod root;
mod session;
#[cfg(test)]
mod tests;
mod uses;

use std::sync::Arc;

use kernel::{Clock, Entropy, Face, Fault, Fut, Ops, Timestamp};
use store::{Sealer, Store};
use tokio::sync::Notify;
use work::{Next, Worker};

pub use error::Error;
pub use root::RootKey;

use directory::Directory;
use uses::Uses;

/// What IAM stands on.
pub struct Deps {
    /// The state.
    pub store: Store,
    /// Seals secrets and session tokens.
    pub sealer: Sealer,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

/// IAM and STS.
pub struct Iam {
    store: Store,
    sealer: Sealer,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    directory: Directory,
    uses: Uses,
}

impl Iam {
    /// The service. It is made before `Ops`, whose authority it is.
    pub fn new(deps: Deps) -> Arc<Self> {
        let Deps { store, sealer, clock, entropy } = deps;
        Arc::new(Self {
            store,
            sealer,
            clock,
            entropy,
            directory: Directory::default(),
            uses: Uses::default(),
        })
    }

    /// Serves the operations of IAM and STS.
    pub fn register(self: &Arc<Self>, ops: &mut Ops) {
        ops::register(self, ops);
    }

    /// `http://169.254.170.2/v2/credentials/…`: the credentials of containers, for the listeners on their gateways.
    pub fn face(self: &Arc<Self>) -> Arc<dyn Face> {
        Arc::new(grants::Credentials(self.clone()))
    }

    /// The background work: forgetting what another server has changed, and writing when keys were used.
    pub fn workers(self: &Arc<Self>) -> Vec<Arc<dyn Worker>> {
        vec![
            Arc::new(Forget { iam: self.clone(), wake: self.store.watch(records::DECISIVE) }),
            Arc::new(uses::Save { iam: self.clone() }),
        ]
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Our own commits forget at once, before they answer; this is for those of other servers on the same state.
struct Forget {
    iam: Arc<Iam>,
    wake: Arc<Notify>,
}

impl Worker for Forget {
    fn name(&self) -> String {
        "iam.directory".into()
    }

    fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        self.iam.directory.forget();
        Box::pin(async { Ok(Next::Idle) })
    }
}
