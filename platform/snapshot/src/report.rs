//! What an edge says of itself: levels, never deltas.
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// The state of an edge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The generation that is served; 0 before the first.
    pub applied: u64,
    /// The last snapshot that could not be applied, if it is newer than the applied one.
    #[serde(default)]
    pub refused: Option<Refusal>,
    /// Where the applied snapshot wants to be reached and is not, in order of their addresses.
    #[serde(default)]
    pub unbound: Vec<Unbound>,
    /// Every target of the snapshot.
    pub targets: Vec<TargetReport>,
    /// Every load balancer of the snapshot.
    pub traffic: Vec<Traffic>,
}

/// A snapshot that was not applied; the one before it still serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Its generation; 0 where it could not be read.
    pub generation: u64,
    /// Why, for people.
    pub reason: String,
}

/// An address that cannot be listened on. The rest of the snapshot serves, and the edge tries this again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unbound {
    /// The address.
    pub address: SocketAddr,
    /// Why, for people.
    pub reason: String,
}

/// Which target.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TargetId {
    /// The ARN of its group.
    pub group: String,
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
}

/// A target's levels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetReport {
    /// Which.
    pub id: TargetId,
    /// What the checks say.
    pub health: Health,
    /// Requests that it is serving.
    pub in_flight: u64,
    /// It was told to leave, takes no requests and has none: its task may stop.
    pub drained: bool,
}

/// A target's health in AWS's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The state.
    pub state: HealthState,
    /// As in `Target.ResponseCodeMismatch`; none when healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For people; none when healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// What health checks know of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// Not known yet.
    Initial,
    /// Passing.
    Healthy,
    /// Failing.
    Unhealthy,
}

/// A load balancer's counts since the edge started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Its ARN.
    pub load_balancer: String,
    /// Requests answered.
    pub requests: u64,
    /// Those answered 4xx by the load balancer itself.
    pub elb_4xx: u64,
    /// Those answered 5xx by the load balancer itself.
    pub elb_5xx: u64,
    /// Client connections accepted.
    pub connections: u64,
}
