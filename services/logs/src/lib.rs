//! CloudWatch Logs: groups and streams of log events, put, read by time, filtered, kept for as long as their group says.
//!
//! A put is one small row, so that it is as cheap as a commit; a worker gathers the rows of a stream into segments among
//! the blobs. Both are [`records::Chunk`]s, which [`scan`] reads by time. Deleting is a row too: what hung on a deleted
//! group or stream goes in the background.

pub mod error;
pub mod limits;
mod names;
mod ops;
pub mod pattern;
pub mod records;
mod scan;
mod sweep;
#[cfg(test)]
mod tests;
mod work;

use std::sync::Arc;

use api::logs::*;
use blobs::Blobs;
use kernel::{Clock, Entropy, Ops};
use store::Store;
use sweep::Sweep;
use tokio::sync::Mutex;
use work::{Compact, Purge, Retain};

/// Area of the blobs.
const AREA: &str = "logs";

/// The service.
pub struct Logs {
    store: Store,
    blobs: Blobs,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Held between putting a segment and committing the chunk that names it, and by the sweep.
    naming: Mutex<()>,
}

impl Logs {
    /// The service over a state.
    pub fn new(store: Store, blobs: Blobs, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Arc<Self> {
        Arc::new(Self { store, blobs, clock, entropy, naming: Mutex::default() })
    }

    /// What it serves.
    pub fn register(self: &Arc<Self>, ops: &mut Ops) {
        ops.op::<CreateLogGroup, _>(self);
        ops.op::<DeleteLogGroup, _>(self);
        ops.op::<DescribeLogGroups, _>(self);
        ops.op::<PutRetentionPolicy, _>(self);
        ops.op::<DeleteRetentionPolicy, _>(self);
        ops.op::<CreateLogStream, _>(self);
        ops.op::<DeleteLogStream, _>(self);
        ops.op::<DescribeLogStreams, _>(self);
        ops.op::<PutLogEvents, _>(self);
        ops.op::<GetLogEvents, _>(self);
        ops.op::<FilterLogEvents, _>(self);
        ops.op::<TagResource, _>(self);
        ops.op::<UntagResource, _>(self);
        ops.op::<ListTagsForResource, _>(self);
        ops.op::<TagLogGroup, _>(self);
        ops.op::<UntagLogGroup, _>(self);
        ops.op::<ListTagsLogGroup, _>(self);
    }

    /// Its background work: segments, retention, and what deletions and kills leave.
    pub fn workers(self: &Arc<Self>) -> Vec<Arc<dyn ::work::Worker>> {
        vec![
            Arc::new(Compact(self.clone())),
            Arc::new(Retain(self.clone())),
            Arc::new(Purge(self.clone())),
            Arc::new(Sweep(self.clone())),
        ]
    }

    /// Milliseconds since 1970: what all of the API counts in.
    fn now(&self) -> i64 {
        self.clock.now().as_millisecond()
    }
}
