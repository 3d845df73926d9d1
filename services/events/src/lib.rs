//! EventBridge: rules on the default bus, and the delivery of events to their targets.
//!
//! Services publish events with the batch of the deed ([`store::Batch::event`]). [`route`] reads them in order and, in
//! one batch with its cursor, makes a [`records::Delivery`] for each target of each rule that matches; [`deliver`] does
//! each, tries again what may be tried again, and is done once in effect, since what it calls is told a token. What is given
//! up leaves a dead letter in a log group, where the target asks for one: Longshore has no queues.

mod deliver;
pub mod error;
mod form;
mod input;
pub mod limits;
mod oauth;
mod ops;
pub mod pattern;
pub mod records;
mod route;
mod targets;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use api::events::*;
use kernel::{Clock, Entropy, Ops};
use outside::Outside;
use store::{Sealer, Store};

/// The service principal under which targets are called.
pub const PRINCIPAL: &str = "events.amazonaws.com";

/// How API destinations and authorization endpoints know the caller.
const USER_AGENT: &str = "Amazon/EventBridge/ApiDestinations";

/// What EventBridge stands on.
pub struct Deps {
    /// The state.
    pub store: Store,
    /// Seals the secrets of connections.
    pub sealer: Sealer,
    /// Calls API destinations.
    pub outside: Outside,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

/// The service.
pub struct Events {
    store: Store,
    sealer: Sealer,
    outside: Outside,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    tokens: oauth::Tokens,
}

impl Events {
    /// The service over a state.
    pub fn new(deps: Deps) -> Arc<Self> {
        let Deps { store, sealer, outside, clock, entropy } = deps;
        Arc::new(Self { store, sealer, outside, clock, entropy, tokens: oauth::Tokens::default() })
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
        ops.op::<CreateConnection, _>(self);
        ops.op::<DescribeConnection, _>(self);
        ops.op::<ListConnections, _>(self);
        ops.op::<UpdateConnection, _>(self);
        ops.op::<DeleteConnection, _>(self);
        ops.op::<DeauthorizeConnection, _>(self);
        ops.op::<CreateApiDestination, _>(self);
        ops.op::<DescribeApiDestination, _>(self);
        ops.op::<ListApiDestinations, _>(self);
        ops.op::<UpdateApiDestination, _>(self);
        ops.op::<DeleteApiDestination, _>(self);
        ops.op::<DescribeEventBus, _>(self);
        ops.op::<ListEventBuses, _>(self);
        ops.op::<TagResource, _>(self);
        ops.op::<UntagResource, _>(self);
        ops.op::<ListTagsForResource, _>(self);
    }

    /// Its background work: authorizing connections, routing and delivery. Targets are called through `ops`.
    pub fn workers(self: &Arc<Self>, ops: &Arc<Ops>) -> Vec<Arc<dyn work::Worker>> {
        vec![
            Arc::new(oauth::Authorize(self.clone())),
            Arc::new(route::Route::new(self.clone())),
            Arc::new(deliver::Deliver { events: self.clone(), ops: ops.clone(), rates: Default::default() }),
        ]
    }
}
