//! Load balancers, their rules and their targets.
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What the elb service publishes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Balancing {
    /// Every load balancer that serves.
    pub load_balancers: Vec<LoadBalancer>,
    /// Every target group that some rule forwards to. Others have no health and need no edge.
    pub target_groups: Vec<TargetGroup>,
}

/// A load balancer and its listeners.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// Its ARN.
    pub arn: String,
    /// The name that DNS answers, without a trailing dot.
    pub dns_name: String,
    /// Its own address on the host, of `--lb-cidr`.
    pub address: IpAddr,
    /// How containers reach it, per container network.
    #[serde(default)]
    pub inside: Vec<Inside>,
    /// Attributes that change how requests are served.
    #[serde(default)]
    pub attributes: LbAttributes,
    /// Its listeners.
    pub listeners: Vec<Listener>,
}

/// A load balancer within a container network: its public address would be the container's own loopback.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inside {
    /// The network's gateway, on which the edge listens.
    pub gateway: IpAddr,
    /// The reserved address of the subnet that DNS answers there; the task's namespace maps it to the gateway's port.
    pub address: IpAddr,
    /// Listener port → port on the gateway.
    pub ports: BTreeMap<u16, u16>,
    /// Listener port → CIDR blocks that the load balancer's security groups admit; a port without any admits nobody.
    #[serde(default)]
    pub peers: BTreeMap<u16, Vec<String>>,
}

/// Load balancer attributes, with AWS's defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LbAttributes {
    /// `idle_timeout.timeout_seconds`, 1-4000.
    pub idle_timeout_s: u32,
    /// `client_keep_alive.seconds`, 60-604800.
    pub client_keep_alive_s: u32,
    /// `routing.http.drop_invalid_header_fields.enabled`.
    pub drop_invalid_header_fields: bool,
    /// `routing.http.preserve_host_header.enabled`: else the port that the client named is dropped from Host.
    pub preserve_host_header: bool,
    /// `routing.http.xff_client_port.enabled`.
    pub xff_client_port: bool,
    /// `routing.http.xff_header_processing.mode`.
    pub xff: XffMode,
    /// `routing.http.x_amzn_tls_version_and_cipher_suite.enabled`.
    pub tls_headers: bool,
    /// `routing.http2.enabled`.
    pub http2: bool,
}

impl Default for LbAttributes {
    fn default() -> Self {
        Self {
            idle_timeout_s: 60,
            client_keep_alive_s: 3600,
            drop_invalid_header_fields: false,
            preserve_host_header: false,
            xff_client_port: false,
            xff: XffMode::Append,
            tls_headers: false,
            http2: true,
        }
    }
}

/// What becomes of X-Forwarded-For.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum XffMode {
    /// The client's address is added at the end.
    Append,
    /// It passes as it came.
    Preserve,
    /// It is taken away.
    Remove,
}

/// How a listener or a target is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// Plain.
    Http,
    /// TLS. Targets' certificates are not verified, as ALB does not.
    Https,
}

/// A port of a load balancer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// Its ARN.
    pub arn: String,
    /// Where it listens.
    pub port: u16,
    /// HTTP or HTTPS.
    pub protocol: Protocol,
    /// For HTTPS at least one; the first answers names that none matches.
    #[serde(default)]
    pub certificates: Vec<Certificate>,
    /// The oldest TLS of its security policy.
    #[serde(default)]
    pub tls_min: TlsVersion,
    /// The newest TLS of its security policy.
    #[serde(default = "TlsVersion::newest")]
    pub tls_max: TlsVersion,
    /// In the order in which they are tried; the last one is the default, without conditions.
    pub rules: Vec<Rule>,
}

/// Versions of TLS that are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TlsVersion {
    /// 1.2.
    #[default]
    #[serde(rename = "1.2")]
    V12,
    /// 1.3.
    #[serde(rename = "1.3")]
    V13,
}

impl TlsVersion {
    fn newest() -> Self {
        Self::V13
    }
}

/// A certificate with its key. The edge seals the key where it writes it to disk.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its ARN.
    pub arn: String,
    /// The names it is valid for; `*.example.com` matches one label.
    pub names: Vec<String>,
    /// The certificate and its chain.
    pub chain_pem: String,
    /// The private key. Never log it.
    pub key_pem: String,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("arn", &self.arn)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// Conditions and what is done when all of them hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Its ARN.
    pub arn: String,
    /// All must hold.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// What is done.
    pub action: Action,
}

/// One condition of a rule; any of its values suffices. Wildcards are `*` and `?`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "field", rename_all = "kebab-case")]
pub enum Condition {
    /// The path alone, case sensitive.
    PathPattern {
        /// Wildcard patterns.
        #[serde(default)]
        values: Vec<String>,
        /// Regular expressions.
        #[serde(default)]
        regex: Vec<String>,
    },
    /// The host without its port, case insensitive.
    HostHeader {
        /// Wildcard patterns.
        #[serde(default)]
        values: Vec<String>,
        /// Regular expressions.
        #[serde(default)]
        regex: Vec<String>,
    },
    /// A header's values, case insensitive.
    HttpHeader {
        /// The header.
        name: String,
        /// Wildcard patterns.
        #[serde(default)]
        values: Vec<String>,
        /// Regular expressions.
        #[serde(default)]
        regex: Vec<String>,
    },
    /// The method, exactly.
    HttpRequestMethod {
        /// The methods.
        values: Vec<String>,
    },
    /// A parameter of the query, case insensitive.
    QueryString {
        /// (key, value) patterns; without a key, any parameter's value.
        values: Vec<(Option<String>, String)>,
    },
    /// The peer's address; X-Forwarded-For does not count.
    SourceIp {
        /// CIDR blocks.
        values: Vec<String>,
    },
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Action {
    /// To a target of one of these groups, chosen by weight.
    Forward {
        /// At least one.
        groups: Vec<Weighted>,
    },
    /// Elsewhere; the members may hold `#{protocol}`, `#{host}`, `#{port}`, `#{path}` and `#{query}`.
    Redirect {
        /// 301 or 302.
        status: u16,
        /// Lower or upper case.
        protocol: String,
        /// The host.
        host: String,
        /// The port.
        port: String,
        /// Begins with a slash.
        path: String,
        /// Without its question mark.
        query: String,
    },
    /// An answer of its own.
    FixedResponse {
        /// 2xx, 4xx or 5xx.
        status: u16,
        /// The media type.
        #[serde(default)]
        content_type: Option<String>,
        /// The text.
        #[serde(default)]
        body: String,
    },
}

/// A target group of a forward action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weighted {
    /// The group's ARN.
    pub group: String,
    /// 0-999.
    pub weight: u16,
}

/// Targets that serve the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// Its ARN.
    pub arn: String,
    /// How its targets are spoken to.
    pub protocol: Protocol,
    /// `load_balancing.algorithm.type`.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// `deregistration_delay.timeout_seconds`, 0-3600: how long requests in flight may take once a target leaves.
    pub deregistration_delay_s: u32,
    /// How targets are checked.
    pub health: HealthCheck,
    /// Its targets, those that are leaving included until the edge says `drained`.
    pub targets: Vec<Target>,
}

/// How the next target is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Each in turn.
    #[default]
    RoundRobin,
    /// The one with the fewest requests in flight.
    LeastOutstandingRequests,
    /// By chance.
    WeightedRandom,
}

/// Health check settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// HTTP or HTTPS.
    pub protocol: Protocol,
    /// Absent: the port of the target (`traffic-port`).
    #[serde(default)]
    pub port: Option<u16>,
    /// The path that is asked.
    pub path: String,
    /// Between checks, in milliseconds.
    pub interval_ms: u64,
    /// How long one may take, in milliseconds.
    pub timeout_ms: u64,
    /// Successes in a row that make an unhealthy target healthy; one suffices at first.
    pub healthy_threshold: u32,
    /// Failures in a row that make a target unhealthy.
    pub unhealthy_threshold: u32,
    /// Status codes that are healthy: `200`, `200,202`, `200-299`.
    pub matcher: String,
}

/// A target of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// Whether it takes new requests.
    pub state: TargetState,
    /// Whether the target's security groups let the load balancer's in on this port. The edge checks it because all
    /// its connections come from the gateway's address.
    pub admitted: bool,
}

/// Where a target is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum TargetState {
    /// It takes requests while healthy.
    Registered,
    /// It takes no new requests.
    Draining {
        /// Since when, in milliseconds of the Unix epoch: the delay survives a restart of the edge.
        since_ms: i64,
    },
}
