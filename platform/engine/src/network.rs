//! Container networks.
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::Cidr;

/// A network to be made: a VPC, or the one that bridge-mode tasks and builds without a VPC share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Unique to the owner: `vpc-…`, `default`.
    pub name: String,
    /// The range it should have.
    pub wanted: Cidr,
}

/// A network as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// As it was asked for.
    pub name: String,
    /// The engine's id of it.
    pub id: String,
    /// The range really in use.
    pub cidr: Cidr,
    /// The host's own address in it: the first after the network's. Listeners for containers bind to it.
    pub gateway: Ipv4Addr,
}

/// An owner's networks; none before the engine was asked for the first time, whether it answered or not. Until then
/// whoever serves on them leaves everything as it is.
pub type Networks = Option<Arc<Vec<Network>>>;
