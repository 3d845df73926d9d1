//! An edge with a control plane, and what the tests publish to it.
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use snapshot::*;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::control::{Launch, supervise};
use crate::{Edge, Options};

/// A test that waits longer has failed.
pub const LONG: Duration = Duration::from_secs(20);
pub const PORT: u16 = 8080;

/// A loopback address that no other test uses, of this process or another.
pub fn address() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 | (high & 63), low, NEXT.fetch_add(1, Ordering::Relaxed)).into()
}

pub struct Rig {
    pub data: TempDir,
    pub edge: Arc<Edge>,
    pub hub: Arc<Hub>,
    link: JoinHandle<()>,
}

impl Rig {
    pub fn new() -> Self {
        Self::on(TempDir::new().unwrap(), "/etc/resolv.conf".as_ref())
    }

    pub fn on(data: TempDir, resolv_conf: &std::path::Path) -> Self {
        let options =
            Options { workers: Some(2), resolv_conf: resolv_conf.into(), ..Options::new(data.path()) };
        let edge = Edge::start(options).unwrap();
        let hub = Hub::new();
        hub.publish(Naming::default());
        hub.publish(Platform::default());
        let launch = Launch { data: data.path().into(), program: "/nonexistent".into(), arguments: vec![] };
        let link = tokio::spawn(supervise(hub.clone(), launch));
        Self { data, edge, hub, link }
    }

    /// Ends control plane and edge, and waits until the folder is free.
    pub async fn end(self) -> TempDir {
        self.link.abort();
        self.edge.stop();
        let gone = Arc::downgrade(&self.edge);
        drop(self.edge);
        let wait = async {
            while gone.upgrade().is_some() {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, wait).await.expect("the edge is still held");
        self.data
    }

    /// Publishes and waits until the edge serves it.
    pub async fn serve(&self, balancing: Balancing) -> Arc<Report> {
        let generation = self.hub.publish(balancing);
        self.until(|report| report.applied >= generation).await
    }

    /// Publishes and waits until every target is healthy.
    pub async fn serve_healthy(&self, balancing: Balancing) {
        self.serve(balancing).await;
        self.until(|report| report.targets.iter().all(|t| t.health.state == HealthState::Healthy)).await;
    }

    pub async fn until(&self, condition: impl Fn(&Report) -> bool) -> Arc<Report> {
        let mut reports = self.hub.reports();
        let wait = reports.wait_for(|report| report.as_deref().is_some_and(&condition));
        let found = timeout(LONG, wait).await;
        match found {
            Ok(report) => report.unwrap().clone().unwrap(),
            Err(_) => panic!("never reported; last: {:#?}", self.hub.reports().borrow()),
        }
    }
}

pub fn group(arn: &str, targets: &[SocketAddr]) -> TargetGroup {
    TargetGroup {
        arn: arn.into(),
        protocol: Protocol::Http,
        algorithm: Algorithm::RoundRobin,
        deregistration_delay_s: 30,
        health: HealthCheck {
            protocol: Protocol::Http,
            port: None,
            path: "/health".into(),
            interval_ms: 20,
            timeout_ms: 2000,
            healthy_threshold: 2,
            unhealthy_threshold: 2,
            matcher: "200".into(),
        },
        targets: targets.iter().map(|at| target(*at)).collect(),
    }
}

pub fn target(at: SocketAddr) -> Target {
    Target { ip: at.ip(), port: at.port(), state: TargetState::Registered, admitted: true }
}

pub fn forward(group: &str) -> Action {
    Action::Forward { groups: vec![Weighted { group: group.into(), weight: 1 }] }
}

pub fn rule(conditions: Vec<Condition>, action: Action) -> Rule {
    Rule { arn: "rule".into(), conditions, action }
}

pub fn path(pattern: &str) -> Vec<Condition> {
    vec![Condition::PathPattern { values: vec![pattern.into()], regex: vec![] }]
}

pub fn listener(arn: &str, rules: Vec<Rule>) -> Listener {
    Listener {
        arn: arn.into(),
        port: PORT,
        protocol: Protocol::Http,
        certificates: vec![],
        tls_min: TlsVersion::V12,
        tls_max: TlsVersion::V13,
        rules,
    }
}

/// One load balancer with one listener.
pub fn balancing(address: IpAddr, rules: Vec<Rule>, groups: Vec<TargetGroup>) -> Balancing {
    let lb = LoadBalancer {
        arn: format!("lb/{address}"),
        dns_name: format!("lb-{address}.elb.amazonaws.com").replace("127.", ""),
        address,
        inside: vec![],
        attributes: LbAttributes::default(),
        listeners: vec![listener(&format!("listener/{address}"), rules)],
    };
    Balancing { load_balancers: vec![lb], target_groups: groups }
}

/// One load balancer that forwards everything to one group.
pub fn simple(address: IpAddr, targets: &[SocketAddr]) -> Balancing {
    balancing(address, vec![rule(vec![], forward("tg"))], vec![group("tg", targets)])
}

/// Sends bytes on a connection of their own and reads until the other side closes.
pub async fn raw(at: SocketAddr, request: &str) -> String {
    let talk = async {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is an end as well.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    timeout(LONG, talk).await.unwrap_or_else(|_| panic!("no answer to {request:?}"))
}

pub async fn get(ip: IpAddr, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    let answer = raw((ip, PORT).into(), &request).await;
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}
