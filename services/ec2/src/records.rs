//! What EC2 keeps: a table a kind, tags in one of their own.
use std::collections::BTreeMap;

use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use store::Record;

/// A kind of resource, found by its id.
pub trait Kind: Record + Clone {
    /// As in `vpc-`.
    const PREFIX: &'static str;
    /// As in `vpc`: for messages, ARNs and tags.
    const WHAT: &'static str;
    /// As in `InvalidVpcID.NotFound`.
    const NOT_FOUND: &'static str;
    /// Its filters, tags aside.
    const FILTERS: &'static [&'static str];
    /// Its id.
    fn id(&self) -> &str;
    /// Name and value of everything that a filter may ask; several values of a name are alternatives.
    fn facts(&self) -> Vec<(&'static str, String)>;
}

/// A virtual network. A container network stands for it once a task needs one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Vpc {
    /// `vpc-…`.
    pub id: String,
    /// The range the user asked for.
    pub cidr: String,
    /// The range that the container network has, once it is made: another where the wanted one is taken on the host.
    pub actual: Option<String>,
    /// The account's default VPC.
    pub default: bool,
    /// `enableDnsHostnames`.
    pub dns_hostnames: bool,
    /// `enableDnsSupport`.
    pub dns_support: bool,
}

/// A part of a VPC's range.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subnet {
    /// `subnet-…`.
    pub id: String,
    /// Its VPC.
    pub vpc: String,
    /// Its range, within the VPC's.
    pub cidr: String,
    /// As in `us-east-1a`.
    pub zone: String,
    /// The default subnet of its zone.
    pub default: bool,
    /// `mapPublicIpOnLaunch`.
    pub public: bool,
}

/// A security group with its rules.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// `sg-…`.
    pub id: String,
    /// Its VPC.
    pub vpc: String,
    /// Unique in its VPC.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Both directions.
    pub rules: Vec<Rule>,
}

/// A rule of a security group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// `sgr-…`.
    pub id: String,
    /// Outbound.
    pub egress: bool,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, a number, or `-1` for all.
    pub protocol: String,
    /// First port, or ICMP type; -1 for all.
    pub from: i32,
    /// Last port, or ICMP code; -1 for all.
    pub to: i32,
    /// The other side.
    pub peer: Peer,
    /// What it is for.
    pub description: Option<String>,
}

/// The other side of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Peer {
    /// An IPv4 range.
    Cidr(String),
    /// An IPv6 range; containers have no IPv6, so it admits nothing.
    Cidr6(String),
    /// All interfaces of a security group.
    Group(String),
}

/// An internet gateway. Containers reach the internet through the host with or without one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InternetGateway {
    /// `igw-…`.
    pub id: String,
    /// The VPC it is attached to.
    pub vpc: Option<String>,
}

/// A route table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RouteTable {
    /// `rtb-…`.
    pub id: String,
    /// Its VPC.
    pub vpc: String,
    /// Association id of the VPC's main table.
    pub main: Option<String>,
    /// Routes beyond the local one: range to gateway or NAT gateway.
    pub routes: BTreeMap<String, String>,
    /// Association id to subnet.
    pub associations: BTreeMap<String, String>,
}

/// A NAT gateway. Kept for what reads it; containers reach the internet through the host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NatGateway {
    /// `nat-…`.
    pub id: String,
    /// Its subnet.
    pub subnet: String,
    /// The VPC of the subnet.
    pub vpc: String,
    /// Elastic address of a public one.
    pub allocation: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Deleted ones stay visible.
    pub deleted: Option<Timestamp>,
}

/// An elastic address, out of the documentation ranges: nothing routes to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Address {
    /// `eipalloc-…`.
    pub id: String,
    /// The address.
    pub ip: String,
}

/// A network interface: a task's or a load balancer's place in a subnet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Interface {
    /// `eni-…`.
    pub id: String,
    /// Its subnet.
    pub subnet: String,
    /// The VPC of the subnet.
    pub vpc: String,
    /// As in `us-east-1a`.
    pub zone: String,
    /// Its security groups.
    pub groups: Vec<String>,
    /// Load balancers' begin with `ELB `, as in AWS.
    pub description: String,
    /// Its address as an offset in the subnet: what stays when the range really in use turns out to be another.
    pub offset: u64,
    /// Its address in the range really in use.
    pub address: String,
    /// Made by a service for itself.
    pub managed: bool,
    /// When it was made.
    pub created: Timestamp,
}

/// Tags of a resource.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tags {
    /// As in `vpc`.
    pub what: String,
    /// Key to value.
    pub tags: BTreeMap<String, String>,
}

/// That a region has got its default VPC once: a deleted one does not come back by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Defaults {}

macro_rules! kinds {
    ($($ty:ident $table:literal $prefix:literal $what:literal $missing:literal {$($name:literal: $fact:expr),* $(,)?})*) => {$(
        impl Record for $ty {
            const TABLE: &'static str = $table;
        }
        impl Kind for $ty {
            const PREFIX: &'static str = $prefix;
            const WHAT: &'static str = $what;
            const NOT_FOUND: &'static str = $missing;
            const FILTERS: &'static [&'static str] = &[$($name),*];
            fn id(&self) -> &str {
                &self.id
            }
            fn facts(&self) -> Vec<(&'static str, String)> {
                let mut facts = Vec::new();
                $({
                    let values: fn(&$ty) -> Vec<String> = $fact;
                    facts.extend(values(self).into_iter().map(|value| ($name, value)));
                })*
                facts
            }
        }
    )*};
}

fn one(value: impl ToString) -> Vec<String> {
    vec![value.to_string()]
}

impl Group {
    /// Rules of one direction.
    pub fn direction(&self, egress: bool) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.egress == egress)
    }

    fn peers(&self, egress: bool, of: fn(&Peer) -> Option<&String>) -> Vec<String> {
        self.direction(egress).filter_map(|rule| of(&rule.peer)).cloned().collect()
    }
}

fn range(peer: &Peer) -> Option<&String> {
    if let Peer::Cidr(cidr) = peer { Some(cidr) } else { None }
}

fn group(peer: &Peer) -> Option<&String> {
    if let Peer::Group(id) = peer { Some(id) } else { None }
}

kinds! {
    Vpc "ec2.vpc" "vpc-" "vpc" "InvalidVpcID.NotFound" {
        "vpc-id": |v| one(&v.id), "cidr": |v| one(&v.cidr), "cidr-block-association.cidr-block": |v| one(&v.cidr),
        "is-default": |v| one(v.default), "isDefault": |v| one(v.default), "state": |_| one("available"),
    }
    Subnet "ec2.subnet" "subnet-" "subnet" "InvalidSubnetID.NotFound" {
        "subnet-id": |s| one(&s.id), "vpc-id": |s| one(&s.vpc), "availability-zone": |s| one(&s.zone),
        "availabilityZone": |s| one(&s.zone), "cidr-block": |s| one(&s.cidr), "default-for-az": |s| one(s.default),
        "map-public-ip-on-launch": |s| one(s.public), "state": |_| one("available"),
    }
    Group "ec2.group" "sg-" "security group" "InvalidGroup.NotFound" {
        "group-id": |g| one(&g.id), "group-name": |g| one(&g.name), "vpc-id": |g| one(&g.vpc),
        "description": |g| one(&g.description),
        "ip-permission.cidr": |g| g.peers(false, range), "ip-permission.group-id": |g| g.peers(false, group),
        "egress.ip-permission.cidr": |g| g.peers(true, range), "egress.ip-permission.group-id": |g| g.peers(true, group),
    }
    InternetGateway "ec2.internet-gateway" "igw-" "internetGateway" "InvalidInternetGatewayID.NotFound" {
        "internet-gateway-id": |g| one(&g.id), "attachment.vpc-id": |g| g.vpc.iter().cloned().collect(),
        "attachment.state": |g| g.vpc.iter().map(|_| "available".to_owned()).collect(),
    }
    RouteTable "ec2.route-table" "rtb-" "routeTable" "InvalidRouteTableID.NotFound" {
        "route-table-id": |t| one(&t.id), "vpc-id": |t| one(&t.vpc),
        "association.main": |t| one(t.main.is_some()),
        "association.route-table-association-id": |t| t.associations.keys().chain(&t.main).cloned().collect(),
        "association.subnet-id": |t| t.associations.values().cloned().collect(),
        "route.destination-cidr-block": |t| t.routes.keys().cloned().collect(),
        "route.gateway-id": |t| t.routes.values().cloned().collect(),
    }
    NatGateway "ec2.nat-gateway" "nat-" "NatGateway" "NatGatewayNotFound" {
        "nat-gateway-id": |n| one(&n.id), "subnet-id": |n| one(&n.subnet), "vpc-id": |n| one(&n.vpc),
        "state": |n| one(n.state()),
    }
    Address "ec2.address" "eipalloc-" "allocation" "InvalidAllocationID.NotFound" {
        "allocation-id": |a| one(&a.id), "public-ip": |a| one(&a.ip), "domain": |_| one("vpc"),
    }
    Interface "ec2.interface" "eni-" "networkInterface" "InvalidNetworkInterfaceID.NotFound" {
        "network-interface-id": |i| one(&i.id), "subnet-id": |i| one(&i.subnet), "vpc-id": |i| one(&i.vpc),
        "availability-zone": |i| one(&i.zone), "group-id": |i| i.groups.clone(), "description": |i| one(&i.description),
        "private-ip-address": |i| one(&i.address), "addresses.private-ip-address": |i| one(&i.address),
        "requester-managed": |i| one(i.managed), "status": |_| one("in-use"),
    }
}

impl NatGateway {
    /// `available` or `deleted`: there is nothing to wait for.
    pub fn state(&self) -> &'static str {
        if self.deleted.is_some() { "deleted" } else { "available" }
    }
}

impl Record for Tags {
    const TABLE: &'static str = "ec2.tags";
}

impl Record for Defaults {
    const TABLE: &'static str = "ec2.defaults";
}
