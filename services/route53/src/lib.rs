//! Route 53: hosted zones and their record sets, which the edge serves.
//!
//! Operations keep records; [`publish`] tells the edge whenever a commit changed a zone, and a change is `INSYNC` once
//! the edge serves it.

mod changes;
mod error;
mod limits;
mod names;
mod ops;
mod publish;
mod records;
#[cfg(test)]
mod tests;
mod value;

use std::sync::{Arc, atomic::AtomicU64};

use api::route53::*;
use kernel::{Clock, Cx, Entropy, Ops, ids};
use snapshot::Hub;
use store::{Row, Store};

pub use error::Error;
use error::Result;
use names::{bare, scope};
use records::{Change, Zone};

/// The service.
pub struct Route53 {
    store: Store,
    hub: Arc<Hub>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Changes up to this sequence of the store are in what was published.
    published: AtomicU64,
}

impl Route53 {
    /// The service over a state and the edge's hub.
    pub fn new(store: Store, hub: Arc<Hub>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Arc<Self> {
        Arc::new(Self { store, hub, clock, entropy, published: AtomicU64::new(0) })
    }

    /// What it serves.
    pub fn register(self: &Arc<Self>, ops: &mut Ops) {
        ops.op::<CreateHostedZone, _>(self);
        ops.op::<GetHostedZone, _>(self);
        ops.op::<DeleteHostedZone, _>(self);
        ops.op::<ListHostedZones, _>(self);
        ops.op::<ListHostedZonesByName, _>(self);
        ops.op::<GetHostedZoneCount, _>(self);
        ops.op::<UpdateHostedZoneComment, _>(self);
        ops.op::<ChangeResourceRecordSets, _>(self);
        ops.op::<ListResourceRecordSets, _>(self);
        ops.op::<GetChange, _>(self);
        ops.op::<ChangeTagsForResource, _>(self);
        ops.op::<ListTagsForResource, _>(self);
        ops.op::<ListTagsForResources, _>(self);
        ops.op::<GetDNSSEC, _>(self);
    }

    /// Its background work.
    pub fn workers(self: &Arc<Self>) -> Vec<Arc<dyn work::Worker>> {
        vec![Arc::new(publish::Publish(self.clone())), Arc::new(publish::Settle(self.clone()))]
    }

    async fn zone(&self, cx: &Cx, id: &str) -> Result<Row<Zone>> {
        let found = self.store.get::<Zone>(&scope(cx).text(bare(id))).await?;
        found.ok_or_else(|| Error::NoZone(bare(id).to_owned()))
    }

    /// A change to be kept in the batch that makes it.
    fn change(&self, comment: Option<&String>) -> Change {
        let id = format!("C{}", ids::upper(&*self.entropy, 20));
        Change { id, submitted: self.clock.now(), comment: comment.cloned(), synced: false }
    }
}

/// A change as it is read back.
fn shown_change(change: &Change) -> ChangeInfo {
    ChangeInfo {
        id: format!("/change/{}", change.id),
        status: if change.synced { "INSYNC" } else { "PENDING" }.into(),
        submitted_at: change.submitted,
        comment: change.comment.clone(),
    }
}
