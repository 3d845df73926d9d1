//! Requests through a load balancer.
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use snapshot::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::backend::{Backend, head, saying, scripted};
use super::rig::*;

#[tokio::test]
async fn rules_decide_and_headers_say_where_a_request_came_from() {
    let (rig, ip) = (Rig::new(), address());
    let (a, b) = (Backend::new("a").await, Backend::new("b").await);
    let redirect = Action::Redirect {
        status: 301,
        protocol: "HTTPS".into(),
        host: "#{host}".into(),
        port: "443".into(),
        path: "/new/#{path}".into(),
        query: "#{query}&x=1".into(),
    };
    let fixed =
        Action::FixedResponse { status: 418, content_type: Some("text/css".into()), body: "tea".into() };
    let rules = vec![
        rule(path("/b/*"), forward("b")),
        rule(path("/old*"), redirect),
        rule(path("/tea"), fixed),
        rule(vec![], forward("a")),
    ];
    rig.serve_healthy(balancing(ip, rules, vec![group("a", &[a.at]), group("b", &[b.at])])).await;

    assert!(get(ip, "/b/x?q=1").await.1.starts_with("b GET /b/x?q=1\n"));
    assert_eq!(get(ip, "/tea").await, (418, "tea".into()));
    let moved =
        raw((ip, PORT).into(), "GET /old/p?q={host} HTTP/1.1\r\nHost: h:1\r\nConnection: close\r\n\r\n")
            .await;
    assert!(
        moved.starts_with("HTTP/1.1 301")
            && moved.contains("location: https://h:443/new/old/p?q={host}&x=1\r\n")
    );

    let request = "POST /a HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 9.9.9.9\r\nX-Amzn-Trace-Id: Root=1-67891233-abcdef012345678912345678\r\n\
        X-Forwarded-Proto: https\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let seen = raw((ip, PORT).into(), request).await;
    for line in [
        "a POST /a\n",
        "host: h:8080\n",
        "x-forwarded-for: 9.9.9.9, 127.0.0.1\n",
        "x-forwarded-proto: http\n",
        "x-forwarded-port: 8080\n",
        ";Root=1-67891233-abcdef012345678912345678\n",
        "\nabc",
    ] {
        assert!(seen.contains(line), "{line:?} is missing in {seen}");
    }
    assert!(!seen.contains("x-hop"), "{seen}");
    let report = rig.until(|report| report.traffic[0].requests == 4).await;
    assert_eq!((report.traffic[0].elb_4xx, report.traffic[0].elb_5xx), (0, 0), "{report:?}");
}

#[tokio::test]
async fn weights_and_turns() {
    let (rig, ip) = (Rig::new(), address());
    let (a, b) = (Backend::new("a").await, Backend::new("b").await);
    rig.serve_healthy(simple(ip, &[a.at, b.at])).await;
    for _ in 0..10 {
        assert_eq!(get(ip, "/").await.0, 200);
    }
    let served = |backend: &Backend| backend.served.load(Ordering::Relaxed);
    assert_eq!((served(&a), served(&b)), (5, 5));

    let groups = vec![Weighted { group: "a".into(), weight: 0 }, Weighted { group: "b".into(), weight: 3 }];
    let rules = vec![rule(vec![], Action::Forward { groups })];
    rig.serve_healthy(balancing(ip, rules, vec![group("a", &[a.at]), group("b", &[b.at])])).await;
    for _ in 0..4 {
        assert_eq!(get(ip, "/").await.0, 200);
    }
    assert_eq!((served(&a), served(&b)), (5, 9), "a weight of 0 takes nothing");
}

#[tokio::test]
async fn errors_are_those_of_alb() {
    let (rig, ip) = (Rig::new(), address());
    let (garbage, _g) = saying("SSH-2.0-none\r\n\r\n").await;
    let (hangs_up, _h) = saying("").await;
    let (truncates, _t) = saying("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour").await;
    let (large, _l) = {
        let head: &'static str = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(40_000)).leak();
        saying(head).await
    };
    let slow = Backend::new("slow").await;
    let closed: SocketAddr = (address(), 9).into();
    let mut groups = vec![
        group("garbage", &[garbage]),
        group("hangup", &[hangs_up]),
        group("truncates", &[truncates]),
        group("large", &[large]),
        group("slow", &[slow.at]),
        group("empty", &[]),
    ];
    let mut rules: Vec<_> =
        groups.iter().map(|g| rule(path(&format!("/{}", g.arn)), forward(&g.arn))).collect();
    groups.push(group("closed", &[closed]));
    rules.push(rule(vec![], forward("closed")));
    let mut all = balancing(ip, rules, groups);
    all.load_balancers[0].attributes.idle_timeout_s = 1;
    rig.serve(all).await;
    let known = |report: &Report| report.targets.iter().all(|t| t.health.state != HealthState::Initial);
    rig.until(known).await;

    let long = "y".repeat(17_000);
    let many = "1.1.1.1, ".repeat(31);
    for (what, request, status) in [
        ("no host", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".into(), 400),
        ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n".into(), 400),
        ("not HTTP", "hello\r\n\r\n".into(), 400),
        ("trace", "TRACE / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".into(), 405),
        ("header", format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}\r\nConnection: close\r\n\r\n"), 400),
        ("target", format!("GET /{long} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), 414),
        (
            "xff",
            format!("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {many}1\r\nConnection: close\r\n\r\n"),
            463,
        ),
        ("refused", "GET /any HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".into(), 502),
        ("garbage", "GET /garbage HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".into(), 502),
        ("hang up", "GET /hangup HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".into(), 502),
        ("large head", "GET /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".into(), 502),
        ("no target", "GET /empty HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".into(), 503),
        ("too slow", "GET /slow HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".into(), 504),
        (
            "half a body",
            "POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\nConnection: close\r\n\r\nfour".into(),
            408,
        ),
    ] {
        let answer = raw((ip, PORT).into(), &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {answer}");
        if what != "not HTTP" {
            assert!(answer.contains("server: awselb/2.0\r\n"), "{what}: {answer}");
        }
    }
    let cut = raw((ip, PORT).into(), "GET /truncates HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(
        cut.starts_with("HTTP/1.1 200") && cut.ends_with("four"),
        "the client sees that it was cut: {cut}"
    );
}

/// Answers every request on a connection, health checks apart, until it has answered `most`; then it reads one more
/// and hangs up, as a server does whose keep-alive ends just then.
async fn forgetful(most: usize) -> (SocketAddr, crate::listeners::Task) {
    scripted(move |mut stream| async move {
        let mut left = most;
        while let Some(head) = head(&mut stream).await {
            if head.starts_with("GET /health ") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            } else if left == 0 {
                return;
            } else {
                left -= 1;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_request_is_repeated_only_where_it_does_no_harm() {
    let (rig, ip) = (Rig::new(), address());
    let (target, _t) = forgetful(1).await;
    rig.serve_healthy(simple(ip, &[target])).await;
    // One client connection, so one worker: its second request finds the pooled connection.
    let mut stream = TcpStream::connect((ip, PORT)).await.unwrap();
    let mut ask = async |request: &str| {
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = timeout(LONG, head(&mut stream)).await.unwrap().unwrap();
        let length = answer.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        answer[9..12].to_owned()
    };
    assert_eq!(ask("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n").await, "200");
    assert_eq!(ask("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n").await, "200", "sent again on a new connection");
    assert_eq!(
        ask("POST /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").await,
        "502",
        "may have been done"
    );
    assert_eq!(ask("POST /4 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").await, "200");
}

#[tokio::test]
async fn a_target_that_cannot_be_reached_costs_no_request() {
    let (rig, ip) = (Rig::new(), address());
    let (a, gone) = (Backend::new("a").await, Backend::new("gone").await);
    let mut all = simple(ip, &[a.at, gone.at]);
    // No check notices within this test.
    all.target_groups[0].health.interval_ms = 300_000;
    rig.serve_healthy(all).await;
    drop(gone);
    for _ in 0..10 {
        let (status, body) = get(ip, "/").await;
        assert_eq!(status, 200, "{body}");
    }
}

#[tokio::test]
async fn a_draining_target_finishes_what_it_serves_and_gets_nothing_new() {
    let (rig, ip) = (Rig::new(), address());
    let (a, b) = (Backend::new("a").await, Backend::new("b").await);
    rig.serve_healthy(simple(ip, &[a.at])).await;
    let waiting = a.waiting.notified();
    let slow = tokio::spawn(get(ip, "/slow"));
    waiting.await;

    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut all = simple(ip, &[a.at, b.at]);
    all.target_groups[0].targets[0].state = TargetState::Draining { since_ms: now.as_millis() as i64 };
    rig.serve(all.clone()).await;
    let of = |report: &Report, at: SocketAddr| {
        report.targets.iter().find(|t| t.id.port == at.port() && t.id.ip == at.ip()).cloned().unwrap()
    };
    let report = rig.until(|report| of(report, b.at).health.state == HealthState::Healthy).await;
    assert_eq!((of(&report, a.at).in_flight, of(&report, a.at).drained), (1, false));
    for _ in 0..5 {
        assert!(get(ip, "/").await.1.starts_with("b "));
    }
    a.gate.notify_one();
    assert!(slow.await.unwrap().1.starts_with("a GET /slow"));
    rig.until(|report| of(report, a.at).drained && of(report, a.at).in_flight == 0).await;

    // A delay that is over cuts: the request gets its 502.
    let waiting = b.waiting.notified();
    let slow = tokio::spawn(get(ip, "/slow"));
    waiting.await;
    all.target_groups[0].targets[1].state = TargetState::Draining { since_ms: 0 };
    rig.serve(all).await;
    assert_eq!(slow.await.unwrap().0, 502);
    rig.until(|report| of(report, b.at).drained).await;
}

#[tokio::test]
async fn changes_under_load_fail_no_request_and_drop_no_connection() {
    let (rig, ip) = (Rig::new(), address());
    let backends = [Backend::new("a").await, Backend::new("b").await, Backend::new("c").await];
    rig.serve_healthy(simple(ip, &[backends[0].at])).await;
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (stop, answered) = (stop.clone(), answered.clone());
            tokio::spawn(async move {
                let stream = TcpStream::connect((ip, PORT)).await.unwrap();
                let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
                tokio::spawn(connection);
                while !stop.load(Ordering::Relaxed) {
                    let request = Request::get("/").header("host", "h").body(Empty::<Bytes>::new()).unwrap();
                    let response = sender.send_request(request).await.expect("the connection was dropped");
                    assert_eq!(response.status(), StatusCode::OK);
                    response.into_body().collect().await.unwrap();
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..30 {
        let (old, new) = (&backends[round % 3], &backends[(round + 1) % 3]);
        let mut all = simple(ip, &[old.at, new.at]);
        all.target_groups[0].deregistration_delay_s = 5;
        rig.serve_healthy(all.clone()).await;
        all.target_groups[0].targets[0].state = TargetState::Draining { since_ms: i64::MAX };
        rig.serve(all.clone()).await;
        rig.until(|report| report.targets.iter().any(|t| t.drained)).await;
        all.target_groups[0].targets.remove(0);
        rig.serve(all).await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!(answered.load(Ordering::Relaxed) > 100, "the load was one");
}

#[tokio::test]
async fn an_upgraded_connection_carries_both_ways_and_counts_as_in_flight() {
    let (rig, ip) = (Rig::new(), address());
    let closed = Arc::new(Notify::new());
    let told = closed.clone();
    let (target, _t) = scripted(move |mut stream| {
        let told = told.clone();
        async move {
            let Some(head) = head(&mut stream).await else { return };
            if head.starts_with("GET /health ") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                return;
            }
            assert!(head.contains("upgrade: websocket\r\n") && head.contains("connection: upgrade\r\n"), "{head}");
            let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: k\r\n\r\n";
            stream.write_all(switch.as_bytes()).await.unwrap();
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await.unwrap();
            told.notify_one();
        }
    })
    .await;
    rig.serve_healthy(simple(ip, &[target])).await;
    let mut stream = TcpStream::connect((ip, PORT)).await.unwrap();
    let request =
        "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = head(&mut stream).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 101 ") && answer.contains("sec-websocket-accept: k\r\n"),
        "{answer}"
    );
    for _ in 0..3 {
        stream.write_all(b"ping").await.unwrap();
        let mut back = [0; 4];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"ping");
    }
    rig.until(|report| report.targets[0].in_flight == 1).await;
    drop(stream);
    timeout(LONG, closed.notified()).await.unwrap();
    rig.until(|report| report.targets[0].in_flight == 0).await;
}

#[tokio::test]
async fn a_listener_that_goes_ends_its_connections_and_leaves_the_others() {
    let (rig, one, two) = (Rig::new(), address(), address());
    let backend = Backend::new("a").await;
    let mut both = simple(one, &[backend.at]);
    both.load_balancers.extend(simple(two, &[]).load_balancers);
    rig.serve_healthy(both).await;
    let mut idle = TcpStream::connect((one, PORT)).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    assert!(head(&mut idle).await.unwrap().starts_with("HTTP/1.1 200"));
    let mut left = simple(two, &[backend.at]);
    let inside = |peers: &[&str]| Inside {
        gateway: one,
        address: one,
        ports: [(PORT, PORT)].into(),
        peers: [(PORT, peers.iter().map(|p| (*p).to_owned()).collect())].into(),
    };
    left.load_balancers[0].inside = vec![inside(&["192.0.2.0/24", "127.0.0.0/8"])];
    rig.serve(left.clone()).await;
    // The address went to another listener in the same snapshot: it serves on, and nothing was bound anew.
    assert_eq!(get(one, "/").await.0, 200);
    assert_eq!(get(two, "/").await.0, 200);
    let mut rest = Vec::new();
    timeout(LONG, idle.read_to_end(&mut rest)).await.expect("the old listener's connection ends").unwrap();
    // Whom its security groups do not admit gets nothing there, and all of it where nothing governs.
    left.load_balancers[0].inside = vec![inside(&["192.0.2.0/24"])];
    rig.serve(left).await;
    assert_eq!(get(one, "/").await.0, 0);
    assert_eq!(get(two, "/").await.0, 200);
    rig.serve(Balancing::default()).await;
    assert!(TcpStream::connect((two, PORT)).await.is_err(), "nobody listens");
}

#[tokio::test]
async fn a_listener_outlives_the_addresses_that_it_loses() {
    let (rig, ip, gateway) = (Rig::new(), address(), address());
    let a = Backend::new("a").await;
    let mut all = simple(ip, &[a.at]);
    let everybody = || BTreeMap::from([(PORT, vec!["0.0.0.0/0".to_owned()])]);
    let inside =
        |port| Inside { gateway, address: gateway, ports: [(PORT, port)].into(), peers: everybody() };
    all.load_balancers[0].inside = vec![inside(PORT)];
    rig.serve_healthy(all.clone()).await;
    assert_eq!((get(ip, "/").await.0, get(gateway, "/").await.0), (200, 200));

    // The container network goes, as all do for a control plane that has not seen the engine yet.
    all.load_balancers[0].inside.clear();
    rig.serve(all.clone()).await;
    assert_eq!(get(ip, "/").await.0, 200);
    assert!(TcpStream::connect((gateway, PORT)).await.is_err());

    // It comes back, and the listener moves.
    all.load_balancers[0].inside = vec![inside(PORT)];
    all.load_balancers[0].address = address();
    rig.serve(all.clone()).await;
    assert_eq!((get(all.load_balancers[0].address, "/").await.0, get(gateway, "/").await.0), (200, 200));
}
