//! What is answered to a question, without asking anybody.
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use snapshot::Snapshot;

use super::zone::{At, Set, Zone, name};
use crate::limits;

/// Seconds that answers about load balancers and served names hold, as AWS's do.
const TTL: u32 = 60;

/// Everything that DNS knows.
#[derive(Debug, Default)]
pub struct View {
    zones: HashMap<Name, Zone>,
    balancers: HashMap<Name, Balancer>,
    served: HashMap<Name, Vec<IpAddr>>,
    served_below: HashMap<Name, Vec<IpAddr>>,
    /// Our own listeners towards containers: never asked for the world's names.
    pub gateways: HashSet<IpAddr>,
}

#[derive(Clone, Debug)]
struct Balancer {
    address: IpAddr,
    inside: HashMap<IpAddr, IpAddr>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The host, or a resolver.
    Host,
    /// A container, of the network with this gateway.
    Container(IpAddr),
}

/// An answer.
#[derive(Debug, Default)]
pub struct Found {
    /// The answer section.
    pub answers: Vec<Record>,
    /// The authority section.
    pub authority: Vec<Record>,
    /// Whether it is ours to say.
    pub authoritative: bool,
    /// The response code.
    pub code: ResponseCode,
}

impl View {
    /// Compiles what a snapshot names; the error says what is wrong.
    pub fn compile(snapshot: &Snapshot) -> Result<Self, String> {
        let mut view = Self::default();
        for zone in &snapshot.naming.zones {
            let zone = Zone::compile(zone)?;
            view.zones.entry(zone.apex.clone()).or_insert(zone);
        }
        for lb in &snapshot.balancing.load_balancers {
            let inside = lb.inside.iter().map(|inside| (inside.gateway, inside.address)).collect();
            let balancer = Balancer { address: lb.address, inside };
            // The name that AWS's console writes into aliases.
            view.balancers.insert(name(&format!("dualstack.{}", lb.dns_name))?, balancer.clone());
            view.balancers.insert(name(&lb.dns_name)?, balancer);
        }
        for served in &snapshot.platform.served {
            match served.name.strip_prefix("*.") {
                Some(parent) => view.served_below.insert(name(parent)?, served.addresses.clone()),
                None => view.served.insert(name(&served.name)?, served.addresses.clone()),
            };
        }
        view.gateways = snapshot.platform.gateways.iter().map(|g| g.dns.ip()).collect();
        Ok(view)
    }

    /// Answers a question; `None` where it is not ours: a container's then goes to the host's resolvers.
    pub fn find(&self, asked: &Name, kind: RecordType, who: Who) -> Option<Found> {
        let mut found = Found { authoritative: true, ..Found::default() };
        let mut current = asked.to_lowercase();
        current.set_fqdn(true);
        for step in 0..limits::DNS_CHAIN {
            match self.step(&mut found, &current, kind, who) {
                Step::Done => return Some(found),
                Step::Follow(next) => current = next,
                // A chain that leaves what is ours: the host's own resolver goes on from here.
                Step::Foreign if step > 0 && who == Who::Host => return Some(found),
                Step::Foreign => return None,
            }
        }
        found.code = ResponseCode::ServFail;
        Some(found)
    }

    fn step(&self, found: &mut Found, asked: &Name, kind: RecordType, who: Who) -> Step {
        if let Some(addresses) = self.addresses(asked, who) {
            found.answers.extend(addresses.iter().filter_map(|ip| address(asked, *ip, kind)));
            return Step::Done;
        }
        let Some(zone) = self.zone(asked) else { return Step::Foreign };
        match zone.at(asked) {
            At::Delegated(servers) => {
                found.authoritative = !found.answers.is_empty();
                found.authority.extend_from_slice(servers);
            }
            At::Nothing => {
                // A chain's last name decides the code, RFC 6604.
                found.code = ResponseCode::NXDomain;
                found.authority.extend(zone.soa().cloned());
            }
            At::Hollow => found.authority.extend(zone.soa().cloned()),
            At::Node(node) if kind == RecordType::ANY => {
                for (_, set) in node.sets() {
                    if let Set::Records(records) = set {
                        found.answers.extend(owned(records, asked));
                    }
                }
            }
            At::Node(node) => match node.get(kind).or_else(|| node.get(RecordType::CNAME)) {
                Some(Set::Records(records)) => {
                    found.answers.extend(owned(records, asked));
                    if let (Some(RData::CNAME(cname)), false) =
                        (records.first().map(|r| &r.data), kind == RecordType::CNAME)
                    {
                        return Step::Follow(cname.0.to_lowercase());
                    }
                }
                Some(Set::Alias(target)) => self.alias(found, asked, target, kind, who),
                None => found.authority.extend(zone.soa().cloned()),
            },
        }
        Step::Done
    }

    /// An alias answers under the name that was asked.
    fn alias(&self, found: &mut Found, asked: &Name, target: &Name, kind: RecordType, who: Who) {
        if let Some(addresses) = self.addresses(target, who) {
            found.answers.extend(addresses.iter().filter_map(|ip| address(asked, *ip, kind)));
        } else if let Some(At::Node(node)) = self.zone(target).map(|zone| zone.at(target)) {
            match node.get(kind) {
                Some(Set::Records(records)) => found.answers.extend(owned(records, asked)),
                // Of an alias to an alias AWS answers the last; deeper chains are not made here.
                Some(Set::Alias(next)) => {
                    let addresses = self.addresses(next, who).unwrap_or_default();
                    found.answers.extend(addresses.iter().filter_map(|ip| address(asked, *ip, kind)));
                }
                None => {}
            }
        }
        if found.answers.is_empty() {
            found.authority.extend(self.zone(asked).and_then(Zone::soa).cloned());
        }
    }

    /// The addresses of a load balancer or a served name, as this asker reaches them.
    fn addresses(&self, asked: &Name, who: Who) -> Option<Vec<IpAddr>> {
        if let Some(balancer) = self.balancers.get(asked) {
            return Some(match who {
                Who::Host => vec![balancer.address],
                // Its public address would be the container's own loopback.
                Who::Container(gateway) => balancer.inside.get(&gateway).copied().into_iter().collect(),
            });
        }
        let Who::Container(gateway) = who else { return None };
        let below = || {
            let mut parents = (1..asked.num_labels()).map(|labels| asked.trim_to(labels.into()));
            parents.find_map(|parent| self.served_below.get(&parent))
        };
        let addresses = self.served.get(asked).or_else(below)?;
        Some(if addresses.is_empty() { vec![gateway] } else { addresses.clone() })
    }

    fn zone(&self, asked: &Name) -> Option<&Zone> {
        let mut labels = (1..=usize::from(asked.num_labels())).rev();
        labels.find_map(|labels| self.zones.get(&asked.trim_to(labels)))
    }
}

enum Step {
    Done,
    Follow(Name),
    Foreign,
}

/// A wildcard's records answer under the name that was asked.
fn owned<'a>(records: &'a [Record], asked: &'a Name) -> impl Iterator<Item = Record> + 'a {
    records.iter().map(|record| {
        let mut record = record.clone();
        record.name = asked.clone();
        record
    })
}

fn address(owner: &Name, ip: IpAddr, kind: RecordType) -> Option<Record> {
    let data = match (ip, kind) {
        (IpAddr::V4(ip), RecordType::A | RecordType::ANY) => RData::A(A(ip)),
        (IpAddr::V6(ip), RecordType::AAAA | RecordType::ANY) => RData::AAAA(AAAA(ip)),
        _ => return None,
    };
    Some(Record::from_rdata(owner.clone(), TTL, data))
}
