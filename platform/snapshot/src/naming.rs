//! Hosted zones, and what DNS answers to containers.
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// What the route53 service publishes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Naming {
    /// The hosted zones; of two with one name the first is served.
    pub zones: Vec<Zone>,
}

/// A hosted zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Zone {
    /// Its name, lower case, with the trailing dot.
    pub name: String,
    /// Its record sets, SOA and NS among them.
    pub records: Vec<Record>,
}

/// A record set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its full name, lower case, with the trailing dot; a first label `*` is a wildcard.
    pub name: String,
    /// `A`, `AAAA`, `CNAME`, `TXT`, …
    pub kind: String,
    /// What it holds.
    pub data: Data,
}

/// A record set's values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Data {
    /// As in a zone file.
    Values {
        /// Seconds.
        ttl: u32,
        /// One each.
        values: Vec<String>,
    },
    /// Answered with the records of another name: a load balancer's, or one of the zone's own.
    Alias {
        /// With or without the trailing dot.
        target: String,
    },
}

/// What the composition root publishes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Platform {
    /// Where zones and load balancers are answered to the host; absent: nowhere.
    #[serde(default)]
    pub dns: Option<SocketAddr>,
    /// Where containers ask.
    #[serde(default)]
    pub gateways: Vec<Gateway>,
    /// The AWS names that Longshore serves; all other names are asked of the host's resolvers.
    #[serde(default)]
    pub served: Vec<Served>,
}

/// A container network's gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// Where its containers' DNS queries arrive.
    pub dns: SocketAddr,
}

/// An AWS name that Longshore serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Without trailing dot; `*.s3.us-east-1.amazonaws.com` means every name below.
    pub name: String,
    /// What containers are told; empty: their gateway's own address.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}
