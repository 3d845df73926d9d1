//! Where containers find Longshore: addresses that they use, and the ports of their network's gateway that answer.
//!
//! A task's rules redirect each address to the gateway of its network, where control plane and edge listen on every
//! network's gateway address. The ports are constants, since no two networks share a gateway.
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::{Protocol, Redirect};

/// The resolver in containers: the address at which AWS's own answers inside a VPC.
pub const RESOLVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(169, 254, 169, 253), 53);
/// Credentials and task metadata, as on AWS.
pub const CREDENTIALS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(169, 254, 170, 2), 80);
/// What the names of the served AWS endpoints resolve to inside containers.
pub const ENDPOINTS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(169, 254, 170, 4), 443);

/// On the gateway: DNS over UDP and TCP. The edge listens.
pub const DNS_PORT: u16 = 4653;
/// On the gateway: credentials and metadata over HTTP. The control plane listens.
pub const CREDENTIALS_PORT: u16 = 4680;
/// On the gateway: the served AWS names over TLS. The control plane listens.
pub const ENDPOINTS_PORT: u16 = 4643;

/// The redirects that every task has.
pub fn redirects(gateway: Ipv4Addr) -> Vec<Redirect> {
    let to = |port| SocketAddrV4::new(gateway, port);
    let always = |protocol, from, port| Redirect { protocol, from, to: to(port), governed: false };
    vec![
        always(Protocol::Udp, RESOLVER, DNS_PORT),
        always(Protocol::Tcp, RESOLVER, DNS_PORT),
        always(Protocol::Tcp, CREDENTIALS, CREDENTIALS_PORT),
        always(Protocol::Tcp, ENDPOINTS, ENDPOINTS_PORT),
    ]
}
