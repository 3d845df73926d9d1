//! Load balancers as containers reach them.
//!
//! Their addresses on the host would be a container's own loopback. In a container network DNS answers another address,
//! and a task's namespace sends what goes there to a port of the network's gateway, where the edge listens and lets in
//! whom the load balancer's security groups admit. In its VPC that is the address of its interface, whatever its scheme;
//! in other networks an internet-facing one has an address that stands for its public one.
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use engine::{Cidr, Enter, Network, Protocol, Redirect};
use kernel::{Cx, Fault, Fut};
use snapshot::Inside;
use store::{Batch, Key, Record, Row};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::error::Result;
use crate::interfaces::description;
use crate::records::{Listener, LoadBalancer};
use crate::{Elb, Range, limits};

/// Gives every listener its port on the gateways. The only one that does, so that none is given twice.
pub struct GatewayPorts(pub Arc<Elb>);

impl Worker for GatewayPorts {
    fn name(&self) -> String {
        "elb.gateway-ports".into()
    }

    fn wake(&self) -> Arc<Notify> {
        self.0.store.watch(&[Listener::TABLE])
    }

    fn run(&self) -> Fut<'_, std::result::Result<Next, Fault>> {
        Box::pin(async { Ok(self.0.give_ports().await?) })
    }
}

impl Elb {
    async fn give_ports(&self) -> Result<Next> {
        let listeners = self.every::<Listener>(Key::all()).await?;
        let mut taken: BTreeSet<u16> = listeners.iter().filter_map(|row| row.value.gateway_port).collect();
        for mut row in listeners.into_iter().filter(|row| row.value.gateway_port.is_none()) {
            let Some(port) = free(&row.value.id, &taken) else {
                tracing::error!(listener = row.value.id, "no port is left for containers to reach it by");
                return Ok(Next::Idle);
            };
            taken.insert(port);
            row.value.gateway_port = Some(port);
            match self.store.commit(Batch::new().update(&row)).await {
                // It was changed meanwhile, which woke us again.
                Err(error) if !error.is_conflict() => return Err(error.into()),
                _ => {}
            }
        }
        Ok(Next::Idle)
    }

    /// How the containers of each network reach a load balancer.
    pub async fn inside(
        &self,
        cx: &Cx,
        balancer: &LoadBalancer,
        listeners: &[Row<Listener>],
        networks: &[Network],
    ) -> Result<Vec<Inside>> {
        let given = listeners.iter().map(|row| &row.value);
        let ports: BTreeMap<u16, u16> = given.filter_map(|l| Some((l.port, l.gateway_port?))).collect();
        let enter = Enter { balancer: description(&balancer.path()), ports: ports.keys().copied().collect() };
        let entrance = cx.call(enter).await?;
        let texts = |peers: Vec<Cidr>| peers.iter().map(Cidr::to_string).collect();
        let peers: BTreeMap<u16, Vec<String>> =
            entrance.peers.into_iter().map(|(port, peers)| (port, texts(peers))).collect();
        let inside = networks.iter().filter_map(|network| {
            let address = match (network.name == balancer.vpc, &*balancer.scheme) {
                (true, _) => entrance.address?,
                (false, "internet-facing") => public(self.range, balancer.address),
                (false, _) => return None,
            };
            let (gateway, address) = (IpAddr::V4(network.gateway), IpAddr::V4(address));
            Some(Inside { gateway, address, ports: ports.clone(), peers: peers.clone() })
        });
        Ok(inside.collect())
    }
}

/// A port for a listener. Where it begins to look depends on the listener, so that a port is not soon another's: tasks
/// may still know it as the one before.
fn free(listener: &str, taken: &BTreeSet<u16>) -> Option<u16> {
    let count = limits::GATEWAY_PORTS.len();
    let start = u64::from_str_radix(listener, 16).unwrap_or(0) % count.max(1) as u64;
    let start = usize::try_from(start).unwrap_or(0);
    let mut all = limits::GATEWAY_PORTS.skip(start).chain(limits::GATEWAY_PORTS.take(start));
    all.find(|port| !taken.contains(port))
}

/// Stands for the public address of a load balancer: of the range that RFC 2544 keeps for benchmarks, for nobody on the
/// internet has an address there.
fn public(range: Range, address: Ipv4Addr) -> Ipv4Addr {
    let stand_ins = Cidr::of(Ipv4Addr::new(198, 18, 0, 0), 15);
    let offset = Cidr::of(range.network, range.bits).offset(address).unwrap_or(0);
    stand_ins.nth(offset % stand_ins.size()).unwrap_or(address)
}

/// What the tasks of each network have to redirect, by its gateway: nothing, where there is nothing.
pub fn redirects<'a>(
    networks: &[Network],
    inside: impl Iterator<Item = &'a Inside>,
) -> BTreeMap<Ipv4Addr, Vec<Redirect>> {
    let mut redirects: BTreeMap<Ipv4Addr, Vec<Redirect>> =
        networks.iter().map(|network| (network.gateway, Vec::new())).collect();
    for one in inside {
        let (IpAddr::V4(gateway), IpAddr::V4(address)) = (one.gateway, one.address) else { continue };
        let redirect = |(port, at): (&u16, &u16)| Redirect {
            protocol: Protocol::Tcp,
            from: SocketAddrV4::new(address, *port),
            to: SocketAddrV4::new(gateway, *at),
            governed: true,
        };
        redirects.entry(gateway).or_default().extend(one.ports.iter().map(redirect));
    }
    redirects
}
