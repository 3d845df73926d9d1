//! Where a connection's repositories are, and how git gets at them.
use std::net::IpAddr;

use api::internal::is_repository_id;
use http::Uri;
use serde::{Deserialize, Serialize};
use store::Sealed;

/// What stands for the repository's name in a URL.
const PLACE: &str = "{repository}";
/// Characters of a URL.
const LENGTH: usize = 512;

/// Where a connection's repositories are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Remote {
    /// A URL with `{repository}`.
    pub url: String,
    /// The user that git presents over HTTPS.
    pub username: Option<String>,
    /// What proves it.
    pub credential: Credential,
}

/// The kinds of credentials.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Credential {
    /// None: public repositories.
    None,
    /// A token, over HTTPS.
    Token(Sealed),
    /// A private key, and the host keys that are trusted: a known_hosts file.
    Key {
        /// The private key.
        key: Sealed,
        /// Public.
        known_hosts: String,
    },
}

/// The transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// HTTPS.
    Https,
    /// HTTP: on this machine alone.
    Http,
    /// SSH.
    Ssh,
}

impl Transport {
    /// Its name in URLs.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
        }
    }
}

/// Reads a URL and completes it. `trusted`: the account's root user, who may also point at this very machine. Names are not
/// resolved: whoever may connect decides whom this machine asks.
pub fn template(text: &str, trusted: bool) -> Result<(String, Transport), String> {
    let plain = |c: char| c.is_ascii_graphic() && !"'\"\\`<>|^ ".contains(c);
    if text.len() > LENGTH || !text.chars().all(plain) {
        return Err(format!("url must be a plain URL of at most {LENGTH} characters"));
    }
    let whole = match text.contains(PLACE) {
        true => text.to_owned(),
        false => format!("{}/{PLACE}.git", text.trim_end_matches('/')),
    };
    // Whom we ask is for whoever connects to say, never for a repository's name.
    let path = whole.find("://").and_then(|at| Some(at + 3 + whole[at + 3..].find('/')?));
    if path.is_none_or(|path| whole.find(PLACE).is_none_or(|place| place < path)) {
        return Err(format!("url must name its host before {PLACE}"));
    }
    let sample = whole.replace(PLACE, "a/b");
    let uri: Uri = sample.parse().map_err(|_| "url is not a URL".to_owned())?;
    let transport = match uri.scheme_str() {
        Some("https") => Transport::Https,
        Some("http") => Transport::Http,
        Some("ssh") => Transport::Ssh,
        _ => return Err("url must begin with https:// or ssh://; no other transport is allowed".into()),
    };
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    let fits = |user: &str| {
        !user.is_empty()
            && !user.starts_with('-')
            && user.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    match (transport, user) {
        (Transport::Ssh, Some(user)) if !fits(user) => {
            return Err("url: the user may have letters, digits and ._-, and no password".into());
        }
        (Transport::Ssh, _) | (_, None) => {}
        (_, Some(_)) => return Err("url must hold no user: give username and token beside it".into()),
    }
    if uri.query().is_some() || whole.contains('#') || uri.path().split('/').any(|part| part == "..") {
        return Err("url must have no query, no fragment and no .. in its path".into());
    }
    let host = uri.host().unwrap_or_default();
    reachable(host, transport, trusted)?;
    Ok((whole, transport))
}

fn reachable(host: &str, transport: Transport, trusted: bool) -> Result<(), String> {
    if host.is_empty() || host.starts_with('-') {
        return Err("url must name a host".into());
    }
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    let address = address.map(|address: IpAddr| address.to_canonical());
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let own = name == "localhost" || name.ends_with(".localhost") || address.is_some_and(|a| a.is_loopback());
    let special = match address {
        Some(IpAddr::V4(a)) => {
            a.is_link_local() || a.is_unspecified() || a.is_multicast() || a.is_broadcast()
        }
        Some(IpAddr::V6(a)) => a.is_unicast_link_local() || a.is_unspecified() || a.is_multicast(),
        // A number that resolvers read as an address, 2130706433 or 0x7f.1, hides what it means.
        None => name.rsplit('.').next().is_some_and(|last| {
            last.starts_with("0x") || (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()))
        }),
    };
    if special {
        return Err(format!("url: {host} is no address of a repository server"));
    }
    if own && !trusted {
        return Err(format!("url: only the account's root user may connect to this machine itself ({host})"));
    }
    if transport == Transport::Http && !own {
        return Err("url: http is for this machine itself; use https, so that nobody reads the token".into());
    }
    Ok(())
}

impl Remote {
    /// The URL of a repository, if that is a name that can stand in one.
    pub fn of(&self, repository: &str) -> Option<String> {
        is_repository_id(repository).then(|| self.url.replace(PLACE, repository))
    }

    /// How git gets there.
    pub fn transport(&self) -> Transport {
        match self.url.split_once(':') {
            Some(("ssh", _)) => Transport::Ssh,
            Some(("http", _)) => Transport::Http,
            _ => Transport::Https,
        }
    }

    /// Scheme, host and port: whom credentials are for.
    pub fn origin(&self) -> &str {
        let start = self.url.find("://").map_or(0, |at| at + 3);
        let end = self.url[start..].find('/').map_or(self.url.len(), |at| start + at);
        &self.url[..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let good = |text: &str, whole: &str| assert_eq!(template(text, false).unwrap().0, whole);
        good("https://github.com", "https://github.com/{repository}.git");
        good("https://gitlab.example.com:8443/git/", "https://gitlab.example.com:8443/git/{repository}.git");
        good("ssh://git@host:2222/{repository}", "ssh://git@host:2222/{repository}");
        good("https://10.1.2.3/x", "https://10.1.2.3/x/{repository}.git");
        for bad in [
            "",
            "github.com",
            "file:///etc",
            "ext::sh -c id",
            "git://host/x",
            "ftp://host/",
            "http://host/",
            "https://user:pass@host/",
            "https://user@host/",
            "ssh://-oProxyCommand=x@host/",
            "ssh://u:p@host/",
            "https://host/?x={repository}",
            "https://host/#x",
            "https://host/../{repository}",
            "https:///x",
            "https://127.0.0.1/",
            "https://localhost/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://169.254.169.254/",
            "https://[fe80::1]/",
            "https://0.0.0.0/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://host/a b",
            "https://ho'st/",
            "ssh://-host/",
            "https://{repository}/",
            "https://127.0.0.{repository}",
            "https://{repository}.example.com/x",
            "ssh://git@{repository}/x",
        ] {
            assert!(template(bad, false).is_err(), "{bad} passed");
        }
        assert!(template("http://127.0.0.1:3000", true).is_ok());
        assert!(template("http://192.0.2.1", true).is_err());
        assert!(template("file:///srv/git", true).is_err());
    }

    #[test]
    fn repositories() {
        let url = "https://host:1/g/{repository}.git".to_owned();
        let remote = Remote { url, username: None, credential: Credential::None };
        assert_eq!(remote.of("me/app").as_deref(), Some("https://host:1/g/me/app.git"));
        assert_eq!(remote.origin(), "https://host:1");
        assert_eq!(remote.of("a/../b"), None);
    }
}
