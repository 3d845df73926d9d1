//! Operations of the ec2 service that only services call: what security groups mean for a task's namespace.
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use kernel::Operation;

use crate::{Cidr, Network, Rules};

/// Makes the container network of an interface's VPC, if no task needed it before, and answers what a task needs to
/// stand there. Idempotent.
#[derive(Clone, Debug)]
pub struct PrepareInterface {
    /// `eni-…`.
    pub network_interface_id: String,
}

/// What an interface's rules are now. Its network must be prepared; wake on the tables `ec2.group` and
/// `ec2.interface` to ask again.
#[derive(Clone, Debug)]
pub struct ResolveInterface {
    /// `eni-…`.
    pub network_interface_id: String,
}

/// An interface as the engine sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The container network.
    pub network: Network,
    /// The interface's address.
    pub address: Ipv4Addr,
    /// The subnet's range, really in use.
    pub subnet: Cidr,
    /// What its security groups admit, resolved to addresses. Load balancers reach tasks from the gateway: it is
    /// among the peers on ports to which some load balancer is admitted. Redirects are the caller's to add.
    pub rules: Rules,
}

/// Whether a load balancer's security groups, and the target's, let it reach an address.
#[derive(Clone, Debug)]
pub struct Admits {
    /// The load balancer's interfaces (`eni-…`), or their description (`ELB app/NAME/ID`).
    pub source: String,
    /// The target. An address that no interface has is admitted: nothing governs it.
    pub target: Ipv4Addr,
    /// The target's port, TCP.
    pub port: u16,
}

/// How a load balancer is reached inside its VPC, and by whom.
#[derive(Clone, Debug)]
pub struct Enter {
    /// The description of its interfaces (`ELB app/NAME/ID`).
    pub balancer: String,
    /// The ports of its listeners, TCP.
    pub ports: Vec<u16>,
}

/// A load balancer's side towards clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entrance {
    /// The address of its oldest interface; none as long as it has none.
    pub address: Option<Ipv4Addr>,
    /// Whom its security groups admit on each port.
    pub peers: BTreeMap<u16, Vec<Cidr>>,
}

macro_rules! operation {
    ($($name:ident => $output:ty),*) => {$(
        impl Operation for $name {
            const SERVICE: &'static str = "ec2";
            const NAME: &'static str = stringify!($name);
            type Output = $output;
        }
    )*};
}

operation!(PrepareInterface => Prepared, ResolveInterface => Prepared, Admits => bool,
    Enter => Entrance);
