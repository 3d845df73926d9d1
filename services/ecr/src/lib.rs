//! ECR: repositories, images, and the registry that docker pushes to and pulls from.
//!
//! The API's operations and the registry protocol ([`RegistryFace`]) are two doors to one [`Ecr`]. Layers are blobs
//! named by digest, shared among repositories; rows say which repository holds which.

mod error;
mod face;
mod lifecycle;
mod limits;
mod manifest;
mod ops;
mod records;
mod registry;
mod sweep;
#[cfg(test)]
mod tests;
mod token;
mod uploads;

use std::sync::Arc;

use blobs::Blobs;
use kernel::images::registry_host;
use kernel::{Access, Arn, Clock, Cx, Entropy, Ops, ResourcePolicy};
use store::{Key, Row, Sealer, Store};
use tokio::sync::RwLock;
use work::Worker;

pub use error::{Error, Result};
pub use face::RegistryFace;
use records::Repository;
use uploads::Uploads;

/// Area of the blobs.
const AREA: &str = "ecr";

/// The service.
pub struct Ecr {
    store: Store,
    blobs: Blobs,
    sealer: Sealer,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    uploads: Uploads,
    /// Held for reading between keeping a blob and committing the row that names it; the sweep holds it for writing.
    naming: RwLock<()>,
}

impl Ecr {
    /// On a store and its blobs.
    pub fn new(
        store: Store,
        blobs: Blobs,
        sealer: Sealer,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            blobs,
            sealer,
            clock,
            entropy,
            uploads: Uploads::default(),
            naming: RwLock::default(),
        })
    }

    /// Serves its operations.
    pub fn register(self: &Arc<Self>, ops: &mut Ops) {
        ops::register(self, ops);
    }

    /// Its background work: expiring images by policy, removing layers that nothing holds.
    pub fn workers(self: &Arc<Self>) -> Vec<Arc<dyn Worker>> {
        vec![Arc::new(sweep::Sweep::new(self.clone()))]
    }

    /// The registry protocol.
    pub fn face(self: &Arc<Self>) -> RegistryFace {
        RegistryFace::new(self.clone())
    }

    fn key(cx: &Cx, repository: &str) -> Key {
        Key::new(cx.account(), &cx.region).text(repository)
    }

    fn arn(cx: &Cx, repository: &str) -> String {
        Arn::new("ecr", &cx.region, cx.account(), format!("repository/{repository}")).to_string()
    }

    async fn repository(&self, cx: &Cx, name: &str) -> Result<Row<Repository>> {
        let missing = || Error::RepositoryNotFound(name.to_owned(), cx.account().to_owned());
        self.store.get(&Self::key(cx, name)).await?.ok_or_else(missing)
    }

    /// Access to a repository, with its own policy.
    async fn access(&self, cx: &Cx, action: &'static str, repository: &str) -> Result<Access> {
        let mut access = Access::new(action, Self::arn(cx, repository));
        let row: Option<Row<Repository>> = self.store.get(&Self::key(cx, repository)).await?;
        let policy = row.and_then(|row| row.value.policy);
        access.policy = Some(ResourcePolicy { document: policy, account: cx.account().to_owned() });
        Ok(access)
    }

    /// Host by which this caller reaches the registry: the endpoint's own, or AWS's name where AWS's names work.
    fn host(cx: &Cx) -> String {
        let host = cx.base.split_once("://").map_or("", |(_, host)| host);
        let local = !host.is_empty() && !host.ends_with(".amazonaws.com");
        if local { host.to_owned() } else { registry_host(cx.account(), &cx.region) }
    }

    /// URL of the registry for this caller.
    fn proxy_endpoint(cx: &Cx) -> String {
        let scheme = if cx.base.starts_with("http://") { "http" } else { "https" };
        format!("{scheme}://{}", Self::host(cx))
    }

    /// The registry that a call names: the caller's own, or another account's, where repositories' policies decide.
    fn registry(cx: &Cx, id: Option<&str>) -> Cx {
        id.map_or_else(|| cx.clone(), |account| cx.of_account(account))
    }
}
