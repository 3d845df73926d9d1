//! The control plane comes and goes; the edge stays, or is there again.
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{Pid, getsid};
use snapshot::*;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, UnixStream};
use tokio::time::timeout;

use super::backend::Backend;
use super::rig::*;
use super::tls::certificate;
use crate::control::{Launch, shut_down, supervise};
use crate::folder::Folder;
use crate::{Edge, Error, Options};

#[tokio::test]
async fn an_edge_resumes_before_anything_is_asked_of_it() {
    let (rig, ip) = (Rig::new(), address());
    let backend = Backend::new("a").await;
    let mut all = simple(ip, &[backend.at]);
    let listener = &mut all.load_balancers[0].listeners[0];
    listener.certificates = vec![certificate(&["kept.test"])];
    rig.serve_healthy(all).await;
    let again = Edge::start(Options::new(rig.data.path()));
    assert!(matches!(again, Err(Error::Held(_))), "one edge per folder");
    let applied = rig.edge.reports().borrow().applied;
    // Health is kept just after it is reported.
    let health = rig.data.path().join("edge/health.json");
    let kept = async {
        while !std::fs::read_to_string(&health).is_ok_and(|h| h.contains("healthy")) {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, kept).await.unwrap();
    let data = rig.end().await;
    assert!(tokio::net::TcpStream::connect((ip, PORT)).await.is_err());

    backend.health.store(500, std::sync::atomic::Ordering::Relaxed);
    let edge = Edge::start(Options { workers: Some(1), ..Options::new(data.path()) }).unwrap();
    assert_eq!(get(ip, "/").await.0, 200, "it serves without having checked anything");
    assert_eq!(edge.reports().borrow().applied, applied);
    // The next control plane starts counting from the beginning and is heard all the same.
    let hub = Hub::new();
    let launch = Launch { data: data.path().into(), program: "/nonexistent".into(), arguments: vec![] };
    let link = tokio::spawn(supervise(hub.clone(), launch));
    hub.publish(Naming::default());
    hub.publish(Platform::default());
    hub.publish(Balancing::default());
    let mut reports = hub.reports();
    let heard = reports.wait_for(|r| r.as_ref().is_some_and(|r| r.applied > applied && r.targets.is_empty()));
    timeout(LONG, heard).await.unwrap().unwrap();
    link.abort();
    edge.stop();
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_applied_changes_nothing() {
    let (rig, ip) = (Rig::new(), address());
    let backend = Backend::new("a").await;
    let good = simple(ip, &[backend.at]);
    rig.serve_healthy(good.clone()).await;
    type Spoil<'a> = &'a dyn Fn(&mut Balancing);
    let cases: [(&str, Spoil<'_>); 5] = [
        ("no target group gone", &|b| b.load_balancers[0].listeners[0].rules[0].action = forward("gone")),
        ("has no certificate", &|b| b.load_balancers[0].listeners[0].protocol = Protocol::Https),
        ("matches no status codes", &|b| b.target_groups[0].health.matcher = "2xx".into()),
        ("two listeners on", &|b| b.load_balancers.push(b.load_balancers[0].clone())),
        ("certificate broken", &|b| {
            let mut broken = certificate(&["x.test"]);
            (broken.arn, broken.key_pem) = ("broken".into(), "none".into());
            let listener = &mut b.load_balancers[0].listeners[0];
            (listener.protocol, listener.certificates) = (Protocol::Https, vec![broken]);
        }),
    ];
    for (reason, spoil) in cases {
        let mut bad = good.clone();
        spoil(&mut bad);
        let generation = rig.hub.publish(bad);
        let refused = |r: &Report| r.refused.as_ref().is_some_and(|r| r.generation == generation);
        let report = rig.until(refused).await;
        let told = &report.refused.as_ref().unwrap().reason;
        assert!(told.contains(reason), "{told:?} does not say {reason:?}");
        assert!(report.applied < generation);
        assert_eq!(get(ip, "/").await.0, 200, "the one before still serves");
    }
    let report = rig.serve(good).await;
    assert_eq!(report.refused, None, "forgotten once something newer is served");
    let mut stray = UnixStream::connect(Folder::socket(rig.data.path())).await.unwrap();
    let message = br#"{"version":99,"message":{}}"#;
    stray.write_all(&(message.len() as u32).to_be_bytes()).await.unwrap();
    stray.write_all(message).await.unwrap();
    let report = rig.until(|r| r.refused.is_some()).await;
    assert!(report.refused.as_ref().unwrap().reason.contains("protocol version 99"));
    assert_eq!(get(ip, "/").await.0, 200);
}

#[tokio::test]
async fn an_address_that_is_taken_costs_its_own_clients_alone_and_is_served_once_it_is_free() {
    let (rig, ip, taken) = (Rig::new(), address(), address());
    let backend = Backend::new("a").await;
    let blocker = TcpListener::bind((taken, PORT)).await.unwrap();
    let mut both = simple(ip, &[backend.at]);
    let mut other = both.load_balancers[0].clone();
    (other.arn, other.address) = ("other".into(), taken);
    other.listeners[0].arn = "other".into();
    both.load_balancers.push(other);
    rig.serve_healthy(both).await;
    assert_eq!(get(ip, "/").await.0, 200);
    let report = rig.until(|r| !r.unbound.is_empty()).await;
    assert_eq!(report.refused, None);
    let told: Vec<_> =
        report.unbound.iter().map(|u| (u.address, u.reason.contains("already in use"))).collect();
    assert_eq!(told, [(SocketAddr::from((taken, PORT)), true)]);
    drop(blocker);
    rig.until(|r| r.unbound.is_empty()).await;
    assert_eq!(get(taken, "/").await.0, 200);
}

const DATA: &str = "LONGSHORE_EDGE_TEST_DATA";

/// Not a test: the process that the next one starts.
#[test]
#[ignore = "the edge process of another test"]
fn edge_process() {
    if let Ok(data) = std::env::var(DATA) {
        crate::run(Options { workers: Some(1), ..Options::new(data) }).unwrap();
    }
}

#[tokio::test]
async fn an_edge_is_started_adopted_started_again_and_shut_down() {
    let outer = TempDir::new().unwrap();
    // Longer than a socket's address may be.
    let data = outer.path().join("d".repeat(100));
    let ip = address();
    let launch = Launch {
        data: data.clone(),
        program: "/usr/bin/env".into(),
        arguments: vec![
            format!("{DATA}={}", data.display()).into(),
            std::env::current_exe().unwrap().into(),
            "--ignored".into(),
            "--exact".into(),
            "tests::control::edge_process".into(),
        ],
    };
    let fixed = Action::FixedResponse { status: 200, content_type: None, body: "up".into() };
    let control = |launch: &Launch| {
        let hub = Hub::new();
        hub.publish(Naming::default());
        hub.publish(Platform::default());
        hub.publish(balancing(ip, vec![rule(vec![], fixed.clone())], vec![]));
        (hub.clone(), tokio::spawn(supervise(hub, launch.clone())))
    };
    let applied = async |hub: &Arc<Hub>, least: u64| {
        let mut reports = hub.reports();
        let wait = reports.wait_for(|r| r.as_ref().is_some_and(|r| r.applied >= least));
        timeout(LONG, wait).await.unwrap().unwrap().as_ref().unwrap().applied
    };
    let pid = |data: &std::path::Path| {
        let stream =
            crate::unix::short(&Folder::socket(data), |p| std::os::unix::net::UnixStream::connect(p)).ok()?;
        Some(Pid::from_raw(getsockopt(&stream, PeerCredentials).ok()?.pid()))
    };
    let (hub, link) = control(&launch);
    let first = applied(&hub, 1).await;
    assert_eq!(get(ip, "/").await, (200, "up".into()));
    let before = pid(&data).unwrap();
    assert_eq!(getsid(Some(before)).unwrap(), before, "a session of its own");
    assert_eq!(std::fs::metadata(data.join("edge/edge.log")).unwrap().permissions().mode() & 0o777, 0o600);

    link.abort();
    assert_eq!(get(ip, "/").await.0, 200, "it serves without a control plane");
    let (hub, link) = control(&launch);
    let second = applied(&hub, first + 1).await;
    assert_eq!(pid(&data), Some(before), "adopted, not started");

    kill(before, Signal::SIGKILL).unwrap();
    let died = std::time::Instant::now();
    let after = async {
        loop {
            match pid(&data) {
                Some(pid) if pid != before => break pid,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    let after = timeout(LONG, after).await.unwrap();
    assert_eq!(get(ip, "/").await.0, 200, "served from its last snapshot");
    assert!(died.elapsed().as_secs_f32() < 1.0, "{:?}", died.elapsed());
    applied(&hub, second).await;

    link.abort();
    assert!(shut_down(&data).await.unwrap());
    assert_ne!(after, before);
    assert_eq!(pid(&data), None, "it is gone once that is answered");
    assert!(!shut_down(&data).await.unwrap(), "none is left");
}
