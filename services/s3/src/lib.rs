//! S3: buckets and objects, over the state and the blobs.
//!
//! A version of an object is one row, newest first under its key; its bytes are blobs that are never changed. What
//! others call in process ([`api::s3`]) and what clients call over the network (the [`Face`], REST-XML through s3s) are
//! the same functions here, authorized alike. What a replaced version held is removed by a timer an hour later, so that
//! whoever reads it can end; what an interrupted run of the process left is swept at the next start.

mod bodies;
mod buckets;
mod conditions;
mod error;
mod events;
mod face;
pub mod limits;
mod listing;
mod multipart;
mod objects;
mod ops;
mod records;
#[cfg(test)]
mod tests;
mod work;

use std::sync::Arc;

use api::s3::{DeleteObject, GetObject, HeadObject, PutObject, PutObjectOnce};
use blobs::Blobs;
use kernel::{Clock, Entropy, Ops};
use store::Store;

use crate::bodies::Bodies;
pub use crate::error::Error;
pub use crate::face::Face;
use crate::work::{Garbage, Sweep};

/// The service.
pub struct S3 {
    store: Store,
    bodies: Bodies,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl S3 {
    /// The service over a state.
    pub fn new(store: Store, blobs: Blobs, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Arc<Self> {
        let bodies = Bodies::new(blobs, &*entropy);
        Arc::new(Self { store, bodies, clock, entropy })
    }

    /// What it serves in process.
    pub fn register(self: &Arc<Self>, ops: &mut Ops) {
        ops.internal::<GetObject, _>(self);
        ops.internal::<HeadObject, _>(self);
        ops.internal::<PutObject, _>(self);
        ops.internal::<PutObjectOnce, _>(self);
        ops.internal::<DeleteObject, _>(self);
    }

    /// What it serves over the network. It claims whatever no other face does: it stands last.
    pub fn face(self: &Arc<Self>) -> Arc<Face> {
        Arc::new(Face::new(self.clone()))
    }

    /// Its background work: bytes that no object needs any more.
    pub fn workers(self: &Arc<Self>) -> Vec<Arc<dyn ::work::Worker>> {
        vec![Arc::new(Garbage(self.clone())), Arc::new(Sweep(self.clone()))]
    }
}
