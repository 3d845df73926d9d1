//! DNS: Route 53's zones and load balancers for the host; for containers also the AWS names that Longshore serves,
//! and everything else by way of the host's resolvers.
//!
//! Messages are hickory-proto's; the loops are our own, because queries for the world are handed on as they came, byte
//! for byte, so that whatever a client and a resolver agree upon (EDNS, DNSSEC, new types) passes.

mod forward;
mod lookup;
mod server;
mod zone;

pub use forward::Upstreams;
pub use lookup::{View, Who};
pub use server::{Dns, serve_tcp, serve_udp};
