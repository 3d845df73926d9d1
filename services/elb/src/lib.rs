//! Elastic Load Balancing v2: application load balancers, their target groups, listeners and rules.
//!
//! Operations check and keep records; workers bring the rest there: [`publish`] what the edge serves, [`interfaces`] of
//! each load balancer in its subnets, by which security groups know it, [`inside`] how containers reach it, and [`drain`]
//! what leaves. Health is what the edge reports, asked of nobody.

mod attributes;
mod drain;
mod error;
mod inside;
mod interfaces;
mod limits;
mod names;
mod ops;
mod policies;
mod publish;
mod records;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use engine::{Doors, Networks, doors};
use kernel::{Clock, Cx, Entropy, Ops, ids};
use snapshot::{Action, Hub};
use store::{Batch, Key, PageToken, Record, Row, Store};
use tokio::sync::watch;

pub use error::Error;
use error::Result;
use names::{Named, own, scope};
use records::{Listener, LoadBalancer, Rule, TargetGroup};

/// The service's principal.
const SERVICE: &str = "elasticloadbalancing.amazonaws.com";

/// Where load balancers get their addresses on the host.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// As in `127.42.0.0`.
    pub network: Ipv4Addr,
    /// As in 16; 8 to 30.
    pub bits: u8,
}

impl Range {
    /// Its addresses, but the first and the last.
    fn addresses(self) -> impl Iterator<Item = Ipv4Addr> {
        let size = 1_u32 << (32 - u32::from(self.bits.clamp(8, 30)));
        let first = u32::from(self.network) & !(size - 1);
        (first + 1..first + size - 1).map(Ipv4Addr::from)
    }
}

/// The service.
pub struct Elb {
    store: Store,
    hub: Arc<Hub>,
    range: Range,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    doors: watch::Sender<doors::Known>,
}

impl Elb {
    /// The service over a state and the edge's hub.
    pub fn new(
        store: Store,
        hub: Arc<Hub>,
        range: Range,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Arc<Self> {
        Arc::new(Self { store, hub, range, clock, entropy, doors: watch::Sender::new(None) })
    }

    /// How tasks reach load balancers, for those who run tasks.
    pub fn doors(&self) -> Doors {
        Doors::of(&self.doors)
    }

    /// What it serves.
    pub fn register(self: &Arc<Self>, ops: &mut Ops) {
        ops::register(self, ops);
    }

    /// Its background work, with the engine's networks as they come and go. Needs a runtime: reports of the edge wake it.
    pub fn workers(
        self: &Arc<Self>,
        ops: &Arc<Ops>,
        networks: watch::Receiver<Networks>,
    ) -> Vec<Arc<dyn work::Worker>> {
        vec![
            Arc::new(interfaces::Interfaces(self.clone(), ops.clone())),
            Arc::new(inside::GatewayPorts(self.clone())),
            Arc::new(publish::Publish { elb: self.clone(), ops: ops.clone(), networks }),
            Arc::new(drain::Drain(self.clone())),
        ]
    }

    fn new_id(&self) -> String {
        ids::hex(&*self.entropy, 16)
    }

    async fn balancer(&self, cx: &Cx, arn: &str) -> Result<Row<LoadBalancer>> {
        let missing =
            || Error::NotFound { code: "LoadBalancerNotFound", what: "load balancers", id: arn.to_owned() };
        let Named::LoadBalancer { name, id } = Named::parse(cx, arn)? else {
            return Err(Error::validation(format!("'{arn}' is not a valid load balancer ARN")));
        };
        let row = self.store.get::<LoadBalancer>(&scope(cx).text(name)).await?;
        row.filter(|row| row.value.id == id).ok_or_else(missing)
    }

    async fn group(&self, cx: &Cx, arn: &str) -> Result<Row<TargetGroup>> {
        let missing =
            || Error::NotFound { code: "TargetGroupNotFound", what: "target groups", id: arn.to_owned() };
        let Named::TargetGroup { name, id } = Named::parse(cx, arn)? else {
            return Err(Error::validation(format!("'{arn}' is not a valid target group ARN")));
        };
        let row = self.store.get::<TargetGroup>(&scope(cx).text(name)).await?;
        row.filter(|row| row.value.id == id).ok_or_else(missing)
    }

    async fn listener(&self, cx: &Cx, arn: &str) -> Result<Row<Listener>> {
        let missing = || Error::NotFound { code: "ListenerNotFound", what: "listeners", id: arn.to_owned() };
        let Named::Listener { balancer, id } = Named::parse(cx, arn)? else {
            return Err(Error::validation(format!("'{arn}' is not a valid listener ARN")));
        };
        self.store.get::<Listener>(&scope(cx).text(balancer).text(id)).await?.ok_or_else(missing)
    }

    async fn rule(&self, cx: &Cx, arn: &str) -> Result<Row<Rule>> {
        let missing = || Error::NotFound { code: "RuleNotFound", what: "rules", id: arn.to_owned() };
        let Named::Rule { balancer, listener, id } = Named::parse(cx, arn)? else {
            return Err(Error::validation(format!("'{arn}' is not a valid rule ARN")));
        };
        if id == listener {
            return Err(Error::NotPermitted("Default rule cannot be modified: modify its listener".into()));
        }
        self.store.get::<Rule>(&scope(cx).text(balancer).text(listener).text(id)).await?.ok_or_else(missing)
    }

    /// Rows of a kind in the order they were made.
    async fn every<R: Record>(&self, prefix: Key) -> Result<Vec<Row<R>>> {
        let mut rows = self.store.all::<R>(prefix).await?;
        rows.sort_by_key(|row| row.created);
        Ok(rows)
    }

    /// Which load balancers (by path) forward to which target groups (by ARN).
    async fn uses(&self, scope: &Key) -> Result<BTreeMap<String, BTreeSet<String>>> {
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut note = |action: &Action, path: &str| {
            for group in rules::groups(action) {
                uses.entry(group.group.clone()).or_default().insert(path.to_owned());
            }
        };
        for row in self.store.all::<Listener>(scope.clone()).await? {
            note(&row.value.default, &row.value.balancer);
        }
        for row in self.store.all::<Rule>(scope.clone()).await? {
            let path = row.value.listener.rsplit_once('/').map_or("", |(path, _)| path);
            note(&row.value.action, path);
        }
        Ok(uses)
    }

    /// Checks that a load balancer may forward to an action's groups. The batch holds on to them, so that none is
    /// deleted meanwhile.
    async fn hold_groups(&self, cx: &Cx, path: &str, action: &Action) -> Result<Batch> {
        let groups = rules::groups(action);
        let mut batch = Batch::new();
        if groups.is_empty() {
            return Ok(batch);
        }
        let uses = self.uses(&scope(cx)).await?;
        let name = path.split('/').nth(1).unwrap_or_default();
        let balancer = self.store.get::<LoadBalancer>(&scope(cx).text(name)).await?;
        for weighted in groups {
            let arn = &weighted.group;
            let row = self.group(cx, arn).await?;
            if uses.get(arn).is_some_and(|used| used.iter().any(|other| other != path)) {
                return Err(Error::Association(arn.clone()));
            }
            if balancer.as_ref().is_some_and(|lb| lb.value.vpc != row.value.vpc) {
                return Err(Error::Configuration(format!(
                    "The target group '{arn}' is in another VPC than the load balancer"
                )));
            }
            batch = batch.update(&row);
        }
        Ok(batch)
    }
}

/// A page of rows in the order they were made, and the marker of the next.
fn page<R>(
    list: &str,
    mut rows: Vec<Row<R>>,
    marker: Option<&str>,
    size: Option<i32>,
) -> Result<(Vec<Row<R>>, Option<String>)> {
    let after = PageToken::<u64>::position(list, marker)
        .map_err(|e| Error::validation(format!("Marker: {e}")))?
        .unwrap_or(0);
    let size = size.and_then(|n| usize::try_from(n).ok()).unwrap_or(limits::PAGE).clamp(1, limits::PAGE);
    rows.sort_by_key(|row| row.created);
    rows.retain(|row| row.created > after);
    let more = rows.len() > size;
    rows.truncate(size);
    let next = rows.last().filter(|_| more).map(|row| PageToken::encode(list, row.created));
    Ok((rows, next))
}

/// The ARN of a target group.
fn group_arn(cx: &Cx, group: &TargetGroup) -> String {
    own(cx, format!("targetgroup/{}/{}", group.name, group.id))
}
