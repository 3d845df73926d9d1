//! ACM: certificates imported, or issued by Longshore's own authority once a zone of Route 53 proves the name.
//!
//! [`Ca`] is that authority. The server uses it too, for the AWS names that it serves inside containers.

mod ca;
mod error;
pub mod limits;
mod ops;
mod records;
#[cfg(test)]
mod tests;
mod validation;
mod x509;

use std::sync::Arc;

use api::acm::*;
use api::internal::ExportForListener;
use kernel::{Arn, Clock, Cx, Entropy, Ops, Timestamp};
use store::{Key, Row, Sealer, Store};
use work::Worker;

pub use ca::{Ca, CaError, Issued, KeyKind, Order};
pub use error::Error;

use records::Certificate;

/// What ACM stands on.
pub struct Deps {
    /// The state.
    pub store: Store,
    /// Seals private keys.
    pub sealer: Sealer,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Longshore's authority.
    pub ca: Arc<Ca>,
}

/// ACM.
pub struct Acm {
    store: Store,
    sealer: Sealer,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    ca: Arc<Ca>,
}

impl Acm {
    /// The service.
    pub fn new(deps: Deps) -> Arc<Self> {
        let Deps { store, sealer, clock, entropy, ca } = deps;
        Arc::new(Self { store, sealer, clock, entropy, ca })
    }

    /// Serves the operations of ACM.
    pub fn register(self: &Arc<Self>, ops: &mut Ops) {
        ops.op::<ImportCertificate, _>(self)
            .op::<RequestCertificate, _>(self)
            .op::<DescribeCertificate, _>(self)
            .op::<GetCertificate, _>(self)
            .op::<ListCertificates, _>(self)
            .op::<DeleteCertificate, _>(self)
            .op::<AddTagsToCertificate, _>(self)
            .op::<RemoveTagsFromCertificate, _>(self)
            .op::<ListTagsForCertificate, _>(self)
            .internal::<ExportForListener, _>(self);
    }

    /// The background work: issuing what has been proven. It asks Route 53 through `ops`.
    pub fn workers(self: &Arc<Self>, ops: &Arc<Ops>) -> Vec<Arc<dyn Worker>> {
        vec![Arc::new(validation::Validation::new(self.clone(), ops.clone()))]
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The certificate with this ARN, of the caller's account and region.
    async fn certificate(&self, cx: &Cx, arn: &str) -> Result<Row<Certificate>, Error> {
        let parsed: Arn = arn.parse().map_err(|_| Error::InvalidArn(arn.to_owned()))?;
        let id = parsed.resource.strip_prefix("certificate/").filter(|_| parsed.service == "acm");
        let id = id.ok_or_else(|| Error::InvalidArn(arn.to_owned()))?;
        let row = self.store.get::<Certificate>(&key(cx, id)).await?;
        row.filter(|_| parsed.account == cx.account() && parsed.region == cx.region)
            .ok_or_else(|| Error::NotFound(arn.to_owned()))
    }
}

fn key(cx: &Cx, id: &str) -> Key {
    Key::new(cx.account(), &cx.region).text(id)
}

/// The ARN of a certificate, by its key.
fn arn(key: &Key) -> String {
    Arn::new("acm", &key.region(), &key.account(), format!("certificate/{}", key.last())).to_string()
}
