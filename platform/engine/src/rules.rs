//! What a task's network namespace lets in and out.
use std::fmt;
use std::net::SocketAddrV4;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::Cidr;

/// A namespace's rules. What they do not allow is dropped; answers to what was allowed always pass, and so does
/// loopback. Group references are the caller's to resolve into addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Who may connect to the task. Connections of a load balancer come from the gateway's address.
    pub ingress: Vec<Allow>,
    /// To whom the task may connect.
    pub egress: Vec<Allow>,
    /// Destinations that are answered elsewhere; they hold for nested containers too.
    pub redirects: Vec<Redirect>,
}

impl Rules {
    /// Everything in and out.
    pub fn open() -> Self {
        Self { ingress: vec![Allow::anything()], egress: vec![Allow::anything()], redirects: Vec::new() }
    }
}

/// A protocol of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// All of them: AWS's `-1`.
    Any,
    /// Six.
    Tcp,
    /// Seventeen.
    Udp,
    /// One.
    Icmp,
    /// Any other, by number.
    Other(u8),
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Tcp => f.write_str("tcp"),
            Self::Udp => f.write_str("udp"),
            Self::Icmp => f.write_str("icmp"),
            Self::Other(number) => write!(f, "{number}"),
        }
    }
}

/// Traffic that may pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allow {
    /// The protocol.
    pub protocol: Protocol,
    /// Ports of the destination, for TCP and UDP; none: all.
    pub ports: Option<RangeInclusive<u16>>,
    /// The other side; an empty list allows nobody.
    pub peers: Vec<Cidr>,
}

impl Allow {
    /// Everything, from or to everyone.
    pub fn anything() -> Self {
        Self { protocol: Protocol::Any, ports: None, peers: vec![Cidr::ANY] }
    }
}

/// A destination that is answered elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// What the container connects to.
    pub from: SocketAddrV4,
    /// Who answers: a port of the network's gateway.
    pub to: SocketAddrV4,
    /// Whether `egress` must allow `from`: a load balancer's address, yes; credentials and DNS, no, as on AWS.
    pub governed: bool,
}
