//! From interfaces and security groups to addresses: what a task's namespace admits.
use std::net::Ipv4Addr;

use engine::{
    Admits, Allow, Cidr, Enter, Entrance, Network, NetworkSpec, PrepareInterface, Prepared, Protocol,
    ResolveInterface, Rules,
};
use kernel::{Access, Cx, Fault, Handle};
use store::{Batch, Row};

use crate::records::{Group, Interface, Peer, Rule, Subnet, Vpc};
use crate::{Ec2, Error, Result};

/// A load balancer's interfaces are described so, as in AWS.
const LOAD_BALANCER: &str = "ELB ";

/// The groups and interfaces of a VPC, and its range as wanted and as it is.
struct Surroundings {
    wanted: Cidr,
    actual: Cidr,
    gateway: Ipv4Addr,
    groups: Vec<Group>,
    interfaces: Vec<Interface>,
}

/// An interface's address: the offset in its subnet, in the range that the VPC really has.
pub fn address(vpc: &Vpc, subnet: &Subnet, offset: u64) -> Result<Ipv4Addr> {
    let wanted = range(&subnet.cidr)?
        .nth(offset)
        .ok_or_else(|| Error::InsufficientFreeAddresses(subnet.id.clone()))?;
    translate(vpc, wanted)
}

fn translate(vpc: &Vpc, wanted: Ipv4Addr) -> Result<Ipv4Addr> {
    match &vpc.actual {
        Some(actual) => Ok(range(&vpc.cidr)?.translate(wanted, range(actual)?).unwrap_or(wanted)),
        None => Ok(wanted),
    }
}

/// A stored range: it was checked when it was stored.
pub fn range(text: &str) -> Result<Cidr> {
    text.parse().map_err(|e: engine::cidr::NotACidr| Error::InvalidParameterValue(e.to_string()))
}

impl Ec2 {
    /// Makes the VPC's container network, or finds the one that is there, and keeps the range that it has.
    async fn ensure_network(&self, cx: &Cx, id: &str) -> Result<Network> {
        let vpc: Row<Vpc> = self.find(cx, id).await?;
        let wanted = range(vpc.value.actual.as_ref().unwrap_or(&vpc.value.cidr))?;
        let network = self.engine.ensure_network(NetworkSpec { name: id.to_owned(), wanted }).await?;
        self.store.update(|| self.keep_range(cx, id, network.cidr)).await?;
        Ok(network)
    }

    /// Interfaces made before the network was have their addresses moved to the range that it got.
    async fn keep_range(&self, cx: &Cx, id: &str, actual: Cidr) -> Result<(Batch, ())> {
        let mut vpc: Row<Vpc> = self.find(cx, id).await?;
        let actual = actual.to_string();
        if vpc.value.actual.as_ref() == Some(&actual) {
            return Ok((Batch::new(), ()));
        }
        vpc.value.actual = Some(actual);
        let mut batch = Batch::new().update(&vpc);
        for mut interface in self.every::<Interface>(cx).await?.into_iter().filter(|i| i.value.vpc == id) {
            let subnet: Row<Subnet> = self.find(cx, &interface.value.subnet).await?;
            interface.value.address = address(&vpc.value, &subnet.value, interface.value.offset)?.to_string();
            batch = batch.update(&interface);
        }
        Ok((batch, ()))
    }

    async fn prepared(&self, cx: &Cx, id: &str, network: Option<Network>) -> Result<Prepared> {
        let interface: Row<Interface> = self.find(cx, id).await?;
        let vpc: Row<Vpc> = self.find(cx, &interface.value.vpc).await?;
        let subnet: Row<Subnet> = self.find(cx, &interface.value.subnet).await?;
        let network = match network {
            Some(network) => network,
            None => self.ensure_network(cx, &vpc.value.id).await?,
        };
        let around = self.surroundings(cx, &vpc.value).await?;
        let first = translate(&vpc.value, range(&subnet.value.cidr)?.first())?;
        Ok(Prepared {
            address: address(&vpc.value, &subnet.value, interface.value.offset)?,
            subnet: Cidr::of(first, range(&subnet.value.cidr)?.prefix()),
            rules: around.rules(&interface.value),
            network,
        })
    }

    async fn surroundings(&self, cx: &Cx, vpc: &Vpc) -> Result<Surroundings> {
        let wanted = range(&vpc.cidr)?;
        let actual = vpc.actual.as_ref().map_or(Ok(wanted), |actual| range(actual))?;
        let groups =
            self.every::<Group>(cx).await?.into_iter().map(|row| row.value).filter(|g| g.vpc == vpc.id);
        let interfaces =
            self.every::<Interface>(cx).await?.into_iter().map(|row| row.value).filter(|i| i.vpc == vpc.id);
        let gateway = actual.nth(1).unwrap_or(actual.first());
        Ok(Surroundings {
            wanted,
            actual,
            gateway,
            groups: groups.collect(),
            interfaces: interfaces.collect(),
        })
    }

    async fn admits(&self, cx: &Cx, question: &Admits) -> Result<bool> {
        let interfaces = self.every::<Interface>(cx).await?;
        let target = question.target.to_string();
        let Some(target) = interfaces.iter().map(|row| &row.value).find(|i| i.address == target) else {
            return Ok(true);
        };
        let ours = |i: &&Interface| i.id == question.source || i.description == question.source;
        let vpc: Row<Vpc> = self.find(cx, &target.vpc).await?;
        let around = self.surroundings(cx, &vpc.value).await?;
        let sources: Vec<&Interface> = interfaces.iter().map(|row| &row.value).filter(ours).collect();
        // Every node of a load balancer must get through, or requests would fail by chance.
        Ok(!sources.is_empty() && sources.iter().all(|source| around.lets(source, target, question.port)))
    }

    async fn entrance(&self, cx: &Cx, asked: &Enter) -> Result<Entrance> {
        let interfaces = self.every::<Interface>(cx).await?;
        let mut own = interfaces.iter().map(|row| &row.value);
        let Some(own) = own.find(|interface| interface.description == asked.balancer) else {
            return Ok(Entrance::default());
        };
        let vpc: Row<Vpc> = self.find(cx, &own.vpc).await?;
        let around = self.surroundings(cx, &vpc.value).await?;
        let peers = asked.ports.iter().map(|port| (*port, around.admitted(own, *port))).collect();
        Ok(Entrance { address: own.address.parse().ok(), peers })
    }
}

impl Surroundings {
    fn rules_of<'a>(&'a self, interface: &'a Interface, egress: bool) -> impl Iterator<Item = &'a Rule> {
        let groups = self.groups.iter().filter(|group| interface.groups.contains(&group.id));
        groups.flat_map(move |group| group.direction(egress))
    }

    /// The rules for an interface's namespace.
    fn rules(&self, interface: &Interface) -> Rules {
        let allows = |egress| self.rules_of(interface, egress).filter_map(|rule| self.allow(rule)).collect();
        Rules { ingress: allows(false), egress: allows(true), redirects: Vec::new() }
    }

    fn allow(&self, rule: &Rule) -> Option<Allow> {
        let protocol = protocol(rule)?;
        let ported = matches!(protocol, Protocol::Tcp | Protocol::Udp) && rule.from >= 0;
        let port = |value: i32| u16::try_from(value).unwrap_or(u16::MAX);
        let peers = self.peers(rule);
        (!peers.is_empty()).then(|| Allow {
            protocol,
            ports: ported.then(|| port(rule.from)..=port(rule.to)),
            peers,
        })
    }

    /// Who may connect to a port of an interface, TCP.
    fn admitted(&self, interface: &Interface, port: u16) -> Vec<Cidr> {
        let rules = self.rules_of(interface, false).filter(|rule| opens(rule, port));
        let mut peers: Vec<Cidr> = rules.flat_map(|rule| self.peers(rule)).collect();
        peers.sort_unstable();
        peers.dedup();
        peers
    }

    /// Addresses that a rule's peer means here. Load balancers send from the gateway; they are reached at their own.
    fn peers(&self, rule: &Rule) -> Vec<Cidr> {
        let peer = &rule.peer;
        let mut peers = match peer {
            Peer::Cidr(text) => range(text).map(|wanted| vec![self.moved(wanted)]).unwrap_or_default(),
            Peer::Group(_) | Peer::Cidr6(_) => Vec::new(),
        };
        for interface in self.interfaces.iter().filter(|interface| self.is_peer(peer, interface)) {
            let balancer = interface.description.starts_with(LOAD_BALANCER);
            let address =
                if balancer && !rule.egress { Some(self.gateway) } else { interface.address.parse().ok() };
            let host = address.map(Cidr::host).filter(|host| !peers.iter().any(|peer| peer.contains(*host)));
            peers.extend(host);
        }
        peers
    }

    /// Interfaces that a peer names; of those in a range, the range stands for all but the load balancers' senders.
    fn is_peer(&self, peer: &Peer, interface: &Interface) -> bool {
        match peer {
            Peer::Group(id) => interface.groups.contains(id),
            Peer::Cidr(_) => interface.description.starts_with(LOAD_BALANCER) && self.covers(peer, interface),
            Peer::Cidr6(_) => false,
        }
    }

    fn covers(&self, peer: &Peer, interface: &Interface) -> bool {
        let Peer::Cidr(text) = peer else {
            return matches!(peer, Peer::Group(id) if interface.groups.contains(id));
        };
        let address = interface.address.parse::<Ipv4Addr>();
        range(text).is_ok_and(|wanted| address.is_ok_and(|address| self.moved(wanted).holds(address)))
    }

    /// A range of the VPC as the user wrote it, in the range that the VPC really has; any other as it is.
    fn moved(&self, wanted: Cidr) -> Cidr {
        if !self.wanted.contains(wanted) {
            return wanted;
        }
        self.wanted
            .translate(wanted.first(), self.actual)
            .map_or(wanted, |first| Cidr::of(first, wanted.prefix()))
    }

    /// Whether both sides let TCP to a port through.
    fn lets(&self, source: &Interface, target: &Interface, port: u16) -> bool {
        let open = |from: &Interface, egress: bool, to: &Interface| {
            self.rules_of(from, egress).any(|rule| opens(rule, port) && self.covers(&rule.peer, to))
        };
        open(source, true, target) && open(target, false, source)
    }
}

/// Whether a rule is about TCP to a port.
fn opens(rule: &Rule, port: u16) -> bool {
    let tcp = matches!(protocol(rule), Some(Protocol::Any | Protocol::Tcp));
    tcp && (rule.from < 0 || (rule.from..=rule.to).contains(&i32::from(port)))
}

fn protocol(rule: &Rule) -> Option<Protocol> {
    Some(match rule.protocol.as_str() {
        "-1" => Protocol::Any,
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "icmp" => Protocol::Icmp,
        // Containers have no IPv6.
        "icmpv6" => return None,
        number => Protocol::Other(number.parse().ok()?),
    })
}

impl Handle<PrepareInterface> for Ec2 {
    async fn access(&self, _: &Cx, _: &PrepareInterface) -> std::result::Result<Vec<Access>, Fault> {
        // Only services call it, in process: the interface's creator was authorized.
        Ok(Vec::new())
    }
    async fn handle(&self, cx: &Cx, input: PrepareInterface) -> std::result::Result<Prepared, Fault> {
        let interface: Row<Interface> = self.find(cx, &input.network_interface_id).await?;
        let network = self.ensure_network(cx, &interface.value.vpc).await?;
        Ok(self.prepared(cx, &input.network_interface_id, Some(network)).await?)
    }
}

impl Handle<ResolveInterface> for Ec2 {
    async fn access(&self, _: &Cx, _: &ResolveInterface) -> std::result::Result<Vec<Access>, Fault> {
        Ok(Vec::new())
    }
    async fn handle(&self, cx: &Cx, input: ResolveInterface) -> std::result::Result<Prepared, Fault> {
        Ok(self.prepared(cx, &input.network_interface_id, None).await?)
    }
}

impl Handle<Admits> for Ec2 {
    async fn access(&self, _: &Cx, _: &Admits) -> std::result::Result<Vec<Access>, Fault> {
        Ok(Vec::new())
    }
    async fn handle(&self, cx: &Cx, input: Admits) -> std::result::Result<bool, Fault> {
        Ok(self.admits(cx, &input).await?)
    }
}

impl Handle<Enter> for Ec2 {
    async fn access(&self, _: &Cx, _: &Enter) -> std::result::Result<Vec<Access>, Fault> {
        Ok(Vec::new())
    }
    async fn handle(&self, cx: &Cx, input: Enter) -> std::result::Result<Entrance, Fault> {
        Ok(self.entrance(cx, &input).await?)
    }
}
