//! The addresses that Longshore listens on.
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use super::Wrong;
use crate::cli::Up;
use crate::{env, up};

/// What a port below 1024 needs.
const CAPABILITY: &str = "ports below 1024 need a capability: `sudo setcap cap_net_bind_service=+ep \"$(command -v longshore)\"`; or use one above";

pub fn endpoint(options: &Up) -> Result<String, Wrong> {
    let ours = || {
        let client = env::Client::load(&options.data).ok().filter(|_| up::held(&options.data.dir));
        client.is_some_and(|client| client.endpoint == format!("http://{}", options.listen))
    };
    judged(options.listen, bound(options.listen), ours, "choose another address with --listen")
}

pub fn dns(options: &Up) -> Result<String, Wrong> {
    let both = bound(options.dns).and_then(|()| UdpSocket::bind(options.dns).map(drop));
    judged(options.dns, both, || up::edge_runs(&options.data.dir), "choose another address with --dns")
}

pub fn load_balancers(options: &Up) -> Result<String, Wrong> {
    let elsewhere = "choose a range of this machine with --lb-cidr";
    let ip = options.lb_cidr.split('/').next().and_then(|ip| ip.parse::<IpAddr>().ok());
    let Some(ip) = ip else {
        return Err(Wrong::new(format!("'{}' is no range of addresses", options.lb_cidr), elsewhere));
    };
    // No load balancer has a range's first address, so that nothing of ours listens there.
    let address = SocketAddr::new(ip, 80);
    judged(address, bound(address), || false, elsewhere)
}

fn bound(address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address).map(drop)
}

/// `ours`: whether it is this data folder's Longshore that listens there already.
fn judged(
    address: SocketAddr,
    bound: io::Result<()>,
    ours: impl FnOnce() -> bool,
    elsewhere: &str,
) -> Result<String, Wrong> {
    let error = match bound {
        Ok(()) => return Ok(format!("{address} is free")),
        Err(error) => error,
    };
    let mend = match error.kind() {
        ErrorKind::AddrInUse if ours() => {
            return Ok(format!("{address} is served by the Longshore of this data folder"));
        }
        ErrorKind::AddrInUse => {
            format!("end what listens there (`ss -lp 'sport = :{}'`), or {elsewhere}", address.port())
        }
        ErrorKind::PermissionDenied => CAPABILITY.to_owned(),
        _ => elsewhere.to_owned(),
    };
    Err(Wrong::new(format!("{address}: {error}"), mend))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_depends_on_why_it_cannot_be_bound() {
        let check = |kind: Option<ErrorKind>, ours, expected: Result<&str, &str>| {
            let bound = kind.map_or(Ok(()), |kind| Err(kind.into()));
            let found = judged("127.0.0.1:80".parse().unwrap(), bound, || ours, "go elsewhere");
            match (found.map_err(|wrong| wrong.mend), expected) {
                (Ok(found), Ok(part)) | (Err(found), Err(part)) => assert!(found.contains(part), "{found}"),
                (found, _) => panic!("{found:?}, not {expected:?}"),
            }
        };
        check(None, false, Ok("127.0.0.1:80 is free"));
        check(Some(ErrorKind::AddrInUse), true, Ok("is served by the Longshore"));
        check(
            Some(ErrorKind::AddrInUse),
            false,
            Err("end what listens there (`ss -lp 'sport = :80'`), or go elsewhere"),
        );
        check(Some(ErrorKind::PermissionDenied), true, Err("setcap"));
        check(Some(ErrorKind::AddrNotAvailable), false, Err("go elsewhere"));
    }
}
