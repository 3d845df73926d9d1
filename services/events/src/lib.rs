//! EventBridge: rules on the default bus, and the delivery of events to their targets.
//!
//! Services publish events with the batch of the deed ([`store::Batch::event`]). [`route`] reads them in order and, in
//! one batch with its cursor, makes a [`records::Delivery`] for each target of each rule that matches; [`deliver`] does
//! each, tries again what may be tried again, and is done once in effect, since what it calls is told a token.

mod deliver;
pub mod error;
mod input;
pub mod limits;
mod ops;
pub mod pattern;
pub mod records;
mod route;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use api::events::*;
use kernel::{Clock, Entropy, Ops};
use store::Store;

/// The service principal under which targets are called.
pub const PRINCIPAL: &str = "events.amazonaws.com";

/// The service.
pub struct Events {
    store: Store,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Events {
    /// The service over a state.
    pub fn new(store: Store, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Arc<Self> {
        Arc::new(Self { store, clock, entropy })
    }

    /// What it serves.
    pub fn register(self: &Arc<Self>, ops: &mut Ops) {
        ops.op::<PutRule, _>(self);
        ops.op::<DescribeRule, _>(self);
        ops.op::<DeleteRule, _>(self);
        ops.op::<EnableRule, _>(self);
        ops.op::<DisableRule, _>(self);
        ops.op::<ListRules, _>(self);
        ops.op::<PutTargets, _>(self);
        ops.op::<RemoveTargets, _>(self);
        ops.op::<ListTargetsByRule, _>(self);
        ops.op::<ListRuleNamesByTarget, _>(self);
        ops.op::<PutEvents, _>(self);
        ops.op::<TestEventPattern, _>(self);
        ops.op::<DescribeEventBus, _>(self);
        ops.op::<ListEventBuses, _>(self);
        ops.op::<TagResource, _>(self);
        ops.op::<UntagResource, _>(self);
        ops.op::<ListTagsForResource, _>(self);
    }

    /// Its background work: routing and delivery. Targets are called through `ops`.
    pub fn workers(self: &Arc<Self>, ops: &Arc<Ops>) -> Vec<Arc<dyn work::Worker>> {
        vec![
            Arc::new(route::Route(self.clone())),
            Arc::new(deliver::Deliver { events: self.clone(), ops: ops.clone() }),
        ]
    }
}
