//! The load balancer beside nginx: the same backend, the same load, the same number of threads, one after the other.
use std::net::SocketAddr;
use std::path::Path;
use std::thread::available_parallelism;

use serde_json::Value;

use super::nginx::{self, BODY};
use super::process::{Patient, cpu, until};
use super::server::{Server, free_ports};
use super::table::Table;
use super::{Bench, median};

/// Connections that are kept alive.
const CONNECTIONS: u32 = 64;

/// What wrk saw.
struct Seen {
    requests: f64,
    /// Milliseconds.
    p99: f64,
    /// Microseconds of processor time that one request took of the proxy.
    cpu: f64,
}

/// Rounds alternate, so that what else the machine does meets both.
pub fn measure(binary: &Path, bench: &Bench) -> Result<Table, String> {
    let threads = available_parallelism().map_or(1, usize::from);
    let server = Server::up(binary, "balancer")?;
    let [backend, proxy] = free_ports()?;
    let origin = nginx::backend(&server.scratch().join("backend"), backend)?;
    let other = nginx::proxy(&server.scratch().join("proxy"), proxy, backend, threads)?;
    let balancer = balancer(&server, backend)?;

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let edge = server.pids().get(1).copied().ok_or("no edge runs")?;
    let direct = load(backend, origin.pid(), threads, bench.seconds)?;
    for _ in 0..bench.rounds {
        ours.push(load(balancer, edge, threads, bench.seconds)?);
        theirs.push(load(proxy, other.pid(), threads, bench.seconds)?);
    }
    let middle = |seen: &[Seen], field: fn(&Seen) -> f64| median(seen.iter().map(field).collect());
    let mut table = Table::new("Load balancer", "nginx");
    table.compare(
        "requests per second",
        middle(&ours, |s| s.requests),
        middle(&theirs, |s| s.requests),
        "/s",
    );
    table.compare("99th percentile", middle(&ours, |s| s.p99), middle(&theirs, |s| s.p99), "ms");
    // What else the machine does takes from the throughput, and hardly anything from this.
    let each: fn(&Seen) -> f64 = |seen| seen.cpu;
    table.compare("processor time per request", middle(&ours, each), middle(&theirs, each), "us");
    table.note(format!(
        "{CONNECTIONS} kept connections, bodies of {BODY} bytes, {threads} threads each of proxy and wrk; median of {} \
         rounds of {} s, alternating; wrk, backend and proxy share the machine",
        bench.rounds, bench.seconds
    ));
    table.note(format!("the backend without a proxy: {:.0} /s, {:.2} ms", direct.requests, direct.p99));
    Ok(table)
}

/// A load balancer as anybody makes one, with the backend as its healthy target; where it listens.
fn balancer(server: &Server, backend: SocketAddr) -> Result<SocketAddr, String> {
    let id = |value: Value, path: &str| {
        let found = value.pointer(path).and_then(Value::as_str).map(str::to_owned);
        found.ok_or_else(|| format!("no {path} in {value}"))
    };
    let aws = |command: String| server.aws(&command);
    let vpc = id(aws("ec2 create-vpc --cidr-block 10.0.0.0/16".into())?, "/Vpc/VpcId")?;
    let subnet = |net: u8, zone: char| {
        let made = aws(format!(
            "ec2 create-subnet --vpc-id {vpc} --cidr-block 10.0.{net}.0/24 --availability-zone us-east-1{zone}"
        ))?;
        id(made, "/Subnet/SubnetId")
    };
    let (a, b) = (subnet(1, 'a')?, subnet(2, 'b')?);
    let gateway = id(aws("ec2 create-internet-gateway".into())?, "/InternetGateway/InternetGatewayId")?;
    aws(format!("ec2 attach-internet-gateway --internet-gateway-id {gateway} --vpc-id {vpc}"))?;
    let group = id(
        aws(format!("ec2 create-security-group --vpc-id {vpc} --group-name bench --description bench"))?,
        "/GroupId",
    )?;
    aws(format!(
        "ec2 authorize-security-group-ingress --group-id {group} --protocol tcp --port 8080 --cidr 0.0.0.0/0"
    ))?;
    let made = aws(format!(
        "elbv2 create-load-balancer --name bench --type application --scheme internet-facing \
         --subnets {a} {b} --security-groups {group}"
    ))?;
    let name = id(made.clone(), "/LoadBalancers/0/DNSName")?;
    let balancer = id(made, "/LoadBalancers/0/LoadBalancerArn")?;
    let targets = id(
        aws(format!(
            "elbv2 create-target-group --name bench --target-type ip --protocol HTTP --port {} --vpc-id {vpc} \
             --health-check-interval-seconds 5 --health-check-timeout-seconds 2 --healthy-threshold-count 2",
            backend.port()
        ))?,
        "/TargetGroups/0/TargetGroupArn",
    )?;
    aws(format!(
        "elbv2 register-targets --target-group-arn {targets} --targets Id=127.0.0.1,Port={},AvailabilityZone=all",
        backend.port()
    ))?;
    aws(format!(
        "elbv2 create-listener --load-balancer-arn {balancer} --protocol HTTP --port 8080 \
         --default-actions Type=forward,TargetGroupArn={targets}"
    ))?;
    until("a healthy target", 60, || {
        let health = aws(format!("elbv2 describe-target-health --target-group-arn {targets}"))?;
        let state = health.pointer("/TargetHealthDescriptions/0/TargetHealth/State").and_then(Value::as_str);
        Ok((state == Some("healthy")).then_some(()))
    })?;
    let (host, port) = (format!("@{}", server.dns.ip()), server.dns.port().to_string());
    let answer = Patient::new("dig", 10).args(["+short", &host, "-p", &port, &name, "A"]).text()?;
    let address = answer.lines().next().unwrap_or_default();
    address
        .parse()
        .map(|ip| SocketAddr::new(ip, 8080))
        .map_err(|_| format!("{name} has no address: {answer:?}"))
}

/// One round of load. Anything but the backend's answers makes the number worthless.
fn load(to: SocketAddr, proxy: u32, threads: usize, seconds: u32) -> Result<Seen, String> {
    if !to.ip().is_loopback() {
        return Err(format!("load goes to loopback alone, not to {to}"));
    }
    let args = [
        "--latency".to_owned(),
        format!("-t{threads}"),
        format!("-c{CONNECTIONS}"),
        format!("-d{seconds}s"),
        format!("http://{to}/"),
    ];
    let before = cpu(&[proxy])?;
    let report = Patient::new("wrk", seconds + 30).args(args).text()?;
    let spent = cpu(&[proxy])? - before;
    read(&report, spent)
}

fn read(report: &str, spent: f64) -> Result<Seen, String> {
    let field = |name: &str| report.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    if let Some(line) = report.lines().find(|line| line.contains("Non-2xx") || line.contains("Socket errors"))
    {
        return Err(format!("wrk: {}", line.trim()));
    }
    let seen = || {
        let requests = field("Requests/sec:")?.parse().ok()?;
        let count = report.lines().find_map(|line| line.trim().split_once(" requests in "))?.0;
        let cpu = spent * 1e6 / count.parse::<f64>().ok()?;
        Some(Seen { requests, p99: milliseconds(field("99%")?)?, cpu })
    };
    seen().ok_or_else(|| format!("wrk said something else: {report}"))
}

/// `1.25ms`, `830.00us`, `1.02s`.
pub fn milliseconds(text: &str) -> Option<f64> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match &text[number.len()..] {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * scale)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_report_is_read_and_errors_are_not_numbers() {
        let good = "  Latency Distribution\n     50%  830.00us\n     99%    1.02s \n  \
                    100 requests in 5.00s, 1.0MB read\nRequests/sec:  12345.67\n";
        let seen = read(good, 0.001).expect("a report");
        assert_eq!((seen.requests, seen.p99, seen.cpu), (12345.67, 1020.0, 10.0));
        for bad in ["Non-2xx or 3xx responses: 7", "Socket errors: connect 0, read 1", "Requests/sec: 1"] {
            assert!(read(&format!("{bad}\n"), 1.0).is_err(), "{bad}");
        }
        assert!(read(&format!("{good}Non-2xx or 3xx responses: 7"), 1.0).is_err());
    }
}
