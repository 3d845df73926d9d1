//! Names of images in a registry of ours. One repository has several: AWS's own, which works inside builds and tasks, and
//! those of the endpoints at which callers on the host reach us, which work from the host's engine.
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The registry as the host knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRegistry {
    listen: SocketAddr,
    interfaces: Vec<IpAddr>,
}

impl HostRegistry {
    /// A registry that listens here. `interfaces`: the host's own addresses, by which it is also reached where it listens
    /// on all of them.
    pub fn new(listen: SocketAddr, interfaces: Vec<IpAddr>) -> Self {
        Self { listen, interfaces }
    }

    /// Whether the host alone reaches it.
    pub fn is_local(&self) -> bool {
        self.listen.ip().is_loopback()
    }

    /// What the host's engine pulls for an image of ours, by whichever of its names; none for other registries' images.
    pub fn resolve(&self, image: &str, account: &str, region: &str) -> Option<String> {
        let (host, rest) = image.split_once('/')?;
        (self.is(host) || registry(host) == Some((account, region)))
            .then(|| format!("{}/{rest}", self.address()))
    }

    /// How the host's engine reaches it: at a loopback address where it can, for there it speaks plain HTTP.
    fn address(&self) -> SocketAddr {
        match self.listen.ip().is_unspecified() {
            true => SocketAddr::from((Ipv4Addr::LOCALHOST, self.listen.port())),
            false => self.listen,
        }
    }

    fn is(&self, host: &str) -> bool {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) => (name, port.parse().ok()),
            None => (host, Some(80)),
        };
        if port != Some(self.listen.port()) {
            return false;
        }
        let own = self.listen.ip();
        let reached = |ip: IpAddr| match own.is_unspecified() {
            true => ip.is_loopback() || self.interfaces.contains(&ip),
            false => ip == own,
        };
        let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        match name.parse() {
            Ok(ip) => reached(ip),
            Err(_) => name == "localhost" && reached(Ipv4Addr::LOCALHOST.into()),
        }
    }
}

/// Account and region of AWS's host name of a registry.
pub fn registry(host: &str) -> Option<(&str, &str)> {
    let (account, rest) = host.split_once(".dkr.ecr.")?;
    let region = rest.strip_suffix(".amazonaws.com")?;
    (account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) && !region.is_empty())
        .then_some((account, region))
}

/// AWS's host name of a registry.
pub fn registry_host(account: &str, region: &str) -> String {
    format!("{account}.dkr.ecr.{region}.amazonaws.com")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_of_our_registry_are_one() {
        let check = |listen: &str, image: &str, expected: Option<&str>| {
            let registry = HostRegistry::new(listen.parse().unwrap(), vec!["192.0.2.7".parse().unwrap()]);
            let found = registry.resolve(image, "000000000000", "us-east-1");
            assert_eq!(found.as_deref(), expected, "{image} at {listen}");
        };
        let (usual, everywhere) = ("127.0.0.1:4566", "0.0.0.0:4566");
        for listen in [usual, everywhere] {
            let pulled = Some("127.0.0.1:4566/team/app:v1");
            check(listen, "000000000000.dkr.ecr.us-east-1.amazonaws.com/team/app:v1", pulled);
            check(listen, "127.0.0.1:4566/team/app:v1", pulled);
            check(listen, "localhost:4566/team/app:v1", pulled);
            for foreign in [
                "111111111111.dkr.ecr.us-east-1.amazonaws.com/app",
                "000000000000.dkr.ecr.eu-west-1.amazonaws.com/app",
                "1.dkr.ecr.us-east-1.amazonaws.com/app",
                "127.0.0.1:5000/app",
                "localhost/app",
                "192.0.2.8:4566/app",
                "docker.io/library/debian:12",
                "debian:12",
            ] {
                check(listen, foreign, None);
            }
        }
        check(usual, "127.0.0.2:4566/app", None);
        check(usual, "192.0.2.7:4566/app", None);
        check(everywhere, "192.0.2.7:4566/app@sha256:00", Some("127.0.0.1:4566/app@sha256:00"));
        check("127.0.0.2:80", "127.0.0.2/app", Some("127.0.0.2:80/app"));
        check("[::1]:4566", "[::1]:4566/app", Some("[::1]:4566/app"));
        check("127.0.0.2:4566", "localhost:4566/app", None);
    }
}
