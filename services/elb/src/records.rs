//! What is stored.
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use snapshot::{Action, Condition};
use store::Record;

/// Key and value.
pub type Tags = BTreeMap<String, String>;
/// Attributes that were set; those that were not have their defaults.
pub type Attributes = BTreeMap<String, String>;

/// A load balancer; key (account, region, name).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// 16 hexadecimal digits.
    pub id: String,
    /// Unique in the account and region.
    pub name: String,
    /// Without trailing dot.
    pub dns_name: String,
    /// `internet-facing` or `internal`.
    pub scheme: String,
    /// Its VPC.
    pub vpc: String,
    /// Zone to subnet.
    pub subnets: BTreeMap<String, String>,
    /// Its security groups.
    pub groups: Vec<String>,
    /// Its own address on the host.
    pub address: Ipv4Addr,
    /// See [`Attributes`].
    pub attributes: Attributes,
    /// Its tags.
    pub tags: Tags,
    /// When it was made.
    pub created: Timestamp,
    /// Its interfaces are there.
    pub active: bool,
}

impl Record for LoadBalancer {
    const TABLE: &'static str = "elb.load-balancer";
}

impl LoadBalancer {
    /// As in `app/NAME/ID`: what its ARN, and those of all below it, hold.
    pub fn path(&self) -> String {
        format!("app/{}/{}", self.name, self.id)
    }
}

/// That an address is a load balancer's; key ("", "", address), for all accounts share the host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Address {}

impl Record for Address {
    const TABLE: &'static str = "elb.address";
}

/// Interfaces that are to go, of a load balancer that went; key (account, region, path).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Departed {
    /// As in `app/NAME/ID`.
    pub path: String,
}

impl Record for Departed {
    const TABLE: &'static str = "elb.departed";
}

/// A target group; key (account, region, name).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TargetGroup {
    /// 16 hexadecimal digits.
    pub id: String,
    /// Unique in the account and region.
    pub name: String,
    /// `HTTP` or `HTTPS`.
    pub protocol: String,
    /// Of targets that name none.
    pub port: u16,
    /// Its VPC.
    pub vpc: String,
    /// `ip` or `instance`.
    pub target_type: String,
    /// How its targets are checked.
    pub health: HealthCheck,
    /// See [`Attributes`].
    pub attributes: Attributes,
    /// Its tags.
    pub tags: Tags,
    /// Its targets, those that leave included.
    pub targets: Vec<Target>,
}

impl Record for TargetGroup {
    const TABLE: &'static str = "elb.target-group";
}

/// Health check settings, as AWS names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// `HTTP` or `HTTPS`.
    pub protocol: String,
    /// A number or `traffic-port`.
    pub port: String,
    /// Begins with a slash.
    pub path: String,
    /// Seconds.
    pub interval: u32,
    /// Seconds.
    pub timeout: u32,
    /// In a row.
    pub healthy: u32,
    /// In a row.
    pub unhealthy: u32,
    /// As in `200-299`.
    pub matcher: String,
}

/// A target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// An address, or an instance's id.
    pub id: String,
    /// Its port.
    pub port: u16,
    /// As it was registered with: a zone or `all`.
    pub zone: Option<String>,
    /// Since when it leaves.
    pub draining: Option<Timestamp>,
}

impl Target {
    /// Where it is. The engine stands for the one instance, and its published ports are the host's.
    pub fn address(&self) -> Ipv4Addr {
        self.id.parse().unwrap_or(Ipv4Addr::LOCALHOST)
    }
}

/// A listener; key (account, region, id of the load balancer, id).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listener {
    /// 16 hexadecimal digits.
    pub id: String,
    /// As in `app/NAME/ID`.
    pub balancer: String,
    /// Unique in the load balancer.
    pub port: u16,
    /// `HTTP` or `HTTPS`.
    pub protocol: String,
    /// Its port on the gateways of container networks, unique on the host; none until it is given one.
    #[serde(default)]
    pub gateway_port: Option<u16>,
    /// ARNs, the default certificate first.
    pub certificates: Vec<String>,
    /// For HTTPS.
    pub ssl_policy: Option<String>,
    /// What happens where no rule matches.
    pub default: Action,
    /// See [`Attributes`].
    #[serde(default)]
    pub attributes: Attributes,
    /// Its tags.
    pub tags: Tags,
}

impl Record for Listener {
    const TABLE: &'static str = "elb.listener";
}

/// A rule; key (account, region, id of the load balancer, id of the listener, id).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// 16 hexadecimal digits.
    pub id: String,
    /// As in `app/NAME/ID/LISTENER`.
    pub listener: String,
    /// 1-50000, unique in the listener.
    pub priority: i32,
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// What happens.
    pub action: Action,
    /// Its tags.
    pub tags: Tags,
}

impl Record for Rule {
    const TABLE: &'static str = "elb.rule";
}
