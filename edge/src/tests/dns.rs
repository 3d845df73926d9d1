//! DNS as dig and a container's resolver see it.
use std::net::{IpAddr, SocketAddr};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record as DnsRecord, RecordType};
use snapshot::*;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::rig::*;

const DNS: u16 = 5533;

fn record(name: &str, kind: &str, values: &[&str]) -> Record {
    let values = values.iter().map(|v| (*v).to_owned()).collect();
    Record { name: name.into(), kind: kind.into(), data: Data::Values { ttl: 300, values } }
}

fn alias(name: &str, target: &str) -> Record {
    Record { name: name.into(), kind: "A".into(), data: Data::Alias { target: target.into() } }
}

fn zone() -> Zone {
    let many: Vec<String> = (0..60).map(|i| format!("\"{i} {}\"", "t".repeat(40))).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let records = vec![
        record("example.test.", "SOA", &["ns-1.awsdns.test. host.awsdns.test. 1 7200 900 1209600 86400"]),
        record("example.test.", "NS", &["ns-1.awsdns.test."]),
        record("example.test.", "MX", &["10 mail.example.test."]),
        record("example.test.", "CAA", &["0 issue \"ca.test\""]),
        record("txt.example.test.", "TXT", &["\"a b\" \"c\"", "\"d\""]),
        record("many.example.test.", "TXT", &many),
        record("_s._tcp.example.test.", "SRV", &["1 2 443 www.example.test."]),
        record("www.example.test.", "A", &["192.0.2.1", "192.0.2.2"]),
        record("www.example.test.", "AAAA", &["2001:db8::1"]),
        record("*.wild.example.test.", "A", &["192.0.2.9"]),
        record("x.wild.example.test.", "TXT", &["\"no a here\""]),
        record("c.example.test.", "CNAME", &["www.example.test."]),
        record("dangling.example.test.", "CNAME", &["nothing.example.test."]),
        record("away.example.test.", "CNAME", &["www.elsewhere.test."]),
        record("loop.example.test.", "CNAME", &["loop.example.test."]),
        record("sub.example.test.", "NS", &["ns.sub.example.test."]),
        alias("app.example.test.", "dualstack.app-1.us-east-1.elb.amazonaws.com"),
        alias("same.example.test.", "www.example.test."),
    ];
    Zone { name: "example.test.".into(), records }
}

/// Code, then each answer's `TYPE data`, then `authority` types in brackets.
fn text(message: &Message) -> String {
    let mut words = vec![message.metadata.response_code.to_string().replace(' ', "")];
    words.extend(message.answers.iter().map(|r| format!("{} {}", r.record_type(), r.data)));
    words.extend(message.authorities.iter().map(|r| format!("[{}]", r.record_type())));
    words.join(" | ")
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

async fn udp(at: SocketAddr, query: &Message) -> Message {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
    socket.send_to(&query.to_vec().unwrap(), at).await.unwrap();
    let mut answer = [0; 4096];
    let length = timeout(LONG, socket.recv(&mut answer)).await.expect("an answer").unwrap();
    let answer = Message::from_vec(&answer[..length]).unwrap();
    assert_eq!((answer.metadata.id, &answer.queries), (query.metadata.id, &query.queries));
    answer
}

async fn tcp(stream: &mut TcpStream, query: &Message) -> Message {
    let bytes = query.to_vec().unwrap();
    stream.write_all(&[&(bytes.len() as u16).to_be_bytes(), bytes.as_slice()].concat()).await.unwrap();
    let length = timeout(LONG, stream.read_u16()).await.unwrap().unwrap();
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await.unwrap();
    Message::from_vec(&answer).unwrap()
}

async fn publish(rig: &Rig, lb: IpAddr, host: SocketAddr, gateway: SocketAddr) {
    let mut all = simple(lb, &[]);
    all.load_balancers[0].dns_name = "app-1.us-east-1.elb.amazonaws.com".into();
    all.load_balancers[0].inside = vec![Inside {
        gateway: gateway.ip(),
        address: "10.0.0.250".parse().unwrap(),
        ports: [(PORT, 31000)].into(),
        peers: Default::default(),
    }];
    rig.hub.publish(Naming { zones: vec![zone()] });
    let served = |name: &str, addresses: &[&str]| Served {
        name: name.into(),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
    };
    rig.hub.publish(Platform {
        dns: Some(host),
        gateways: vec![Gateway { dns: gateway }],
        served: vec![
            served("sts.us-east-1.amazonaws.com", &[]),
            served("*.s3.us-east-1.amazonaws.com", &["10.9.9.9"]),
        ],
    });
    rig.serve(all).await;
}

#[tokio::test]
async fn the_host_asks_zones_and_load_balancers() {
    let (rig, lb) = (Rig::new(), address());
    let host: SocketAddr = (address(), DNS).into();
    publish(&rig, lb, host, (address(), DNS).into()).await;
    use RecordType as T;
    let lb_text = format!("NoError | A {lb}");
    for (name, kind, expected) in [
        ("WWW.Example.test.", T::A, "NoError | A 192.0.2.1 | A 192.0.2.2"),
        ("www.example.test.", T::AAAA, "NoError | AAAA 2001:db8::1"),
        ("www.example.test.", T::TXT, "NoError | [SOA]"),
        ("_tcp.example.test.", T::A, "NoError | [SOA]"),
        ("nothing.example.test.", T::A, "Non-ExistentDomain | [SOA]"),
        ("example.test.", T::MX, "NoError | MX 10 mail.example.test."),
        ("example.test.", T::NS, "NoError | NS ns-1.awsdns.test."),
        ("example.test.", T::CAA, "NoError | CAA 0 issue \"ca.test\""),
        ("_s._tcp.example.test.", T::SRV, "NoError | SRV 1 2 443 www.example.test."),
        ("txt.example.test.", T::TXT, "NoError | TXT a bc | TXT d"),
        ("a.b.wild.example.test.", T::A, "NoError | A 192.0.2.9"),
        ("x.wild.example.test.", T::A, "NoError | [SOA]"),
        ("c.example.test.", T::A, "NoError | CNAME www.example.test. | A 192.0.2.1 | A 192.0.2.2"),
        ("c.example.test.", T::CNAME, "NoError | CNAME www.example.test."),
        ("dangling.example.test.", T::A, "Non-ExistentDomain | CNAME nothing.example.test. | [SOA]"),
        ("away.example.test.", T::A, "NoError | CNAME www.elsewhere.test."),
        ("a.sub.example.test.", T::A, "NoError | [NS]"),
        ("app.example.test.", T::A, &lb_text),
        ("app.example.test.", T::AAAA, "NoError | [SOA]"),
        ("same.example.test.", T::A, "NoError | A 192.0.2.1 | A 192.0.2.2"),
        ("app-1.us-east-1.elb.amazonaws.com.", T::A, &lb_text),
        ("sts.us-east-1.amazonaws.com.", T::A, "QueryRefused"),
        ("elsewhere.test.", T::A, "QueryRefused"),
    ] {
        let answer = udp(host, &query(name, kind)).await;
        let shown = text(&answer).replace("\"", "").replace("  ", " ");
        assert_eq!(shown, expected.replace('"', ""), "{name} {kind}");
        let owner = Name::from_ascii(name).unwrap();
        assert!(answer.answers.first().is_none_or(|r| r.name == owner), "the name asked owns the answer");
    }
    let looped = udp(host, &query("loop.example.test.", T::A)).await;
    assert_eq!(looped.metadata.response_code, ResponseCode::ServFail);

    let large = query("many.example.test.", T::TXT);
    let cut = udp(host, &large).await;
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    let mut stream = TcpStream::connect(host).await.unwrap();
    for _ in 0..2 {
        assert_eq!(tcp(&mut stream, &large).await.answers.len(), 60, "TCP carries it, twice");
    }
    let mut old = query("www.example.test.", T::A);
    old.set_edns(Edns::new());
    old.edns.as_mut().unwrap().set_version(1);
    let refused = udp(host, &old).await.metadata.response_code;
    assert_eq!(u16::from(refused), u16::from(ResponseCode::BADVERS));
}

#[tokio::test]
async fn containers_ask_for_aws_names_too_and_the_world_passes_through() {
    let data = TempDir::new().unwrap();
    let upstream = UdpSocket::bind((address(), 0)).await.unwrap();
    let resolv = data.path().join("resolv.conf");
    std::fs::write(&resolv, format!("# a comment\nnameserver {}\n", upstream.local_addr().unwrap())).unwrap();
    // Answers every query with one record, and with the client's own EDNS as it came.
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (length, peer) = upstream.recv_from(&mut buffer).await.unwrap();
            let asked = Message::from_vec(&buffer[..length]).unwrap();
            let mut answer = Message::response(asked.metadata.id, OpCode::Query);
            let name = asked.queries[0].name().clone();
            answer.add_queries(asked.queries.clone());
            answer.add_answer(DnsRecord::from_rdata(name, 5, RData::A("203.0.113.5".parse().unwrap())));
            if let Some(edns) = asked.edns {
                answer.set_edns(edns);
            }
            upstream.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
        }
    });
    let (rig, lb) = (Rig::on(data, &resolv), address());
    let gateway: SocketAddr = (address(), DNS).into();
    publish(&rig, lb, (address(), DNS).into(), gateway).await;
    let own = format!("NoError | A {}", gateway.ip());
    for (name, expected) in [
        ("sts.us-east-1.amazonaws.com.", &*own),
        ("bucket.s3.us-east-1.amazonaws.com.", "NoError | A 10.9.9.9"),
        ("a.b.s3.us-east-1.amazonaws.com.", "NoError | A 10.9.9.9"),
        ("app-1.us-east-1.elb.amazonaws.com.", "NoError | A 10.0.0.250"),
        ("app.example.test.", "NoError | A 10.0.0.250"),
        ("www.example.test.", "NoError | A 192.0.2.1 | A 192.0.2.2"),
        ("nothing.example.test.", "Non-ExistentDomain | [SOA]"),
        ("s3.eu-west-1.amazonaws.com.", "NoError | A 203.0.113.5"),
        ("debian.org.", "NoError | A 203.0.113.5"),
    ] {
        assert_eq!(text(&udp(gateway, &query(name, RecordType::A)).await), expected, "{name}");
    }
    let mut rich = query("debian.org.", RecordType::A);
    let mut edns = Edns::new();
    edns.set_max_payload(1400).set_dnssec_ok(true);
    rich.set_edns(edns);
    let passed = udp(gateway, &rich).await.edns.unwrap();
    assert!(passed.max_payload() == 1400 && passed.flags().dnssec_ok, "EDNS passed both ways");
}
