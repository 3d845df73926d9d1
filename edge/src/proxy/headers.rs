//! A request's head on its way to a target: limits, hop-by-hop headers, and those that ALB adds.
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{Method, Version};
use snapshot::XffMode;

use super::front::Routes;
use super::serve::Client;
use crate::{chance, limits};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");
const TLS_VERSION: HeaderName = HeaderName::from_static("x-amzn-tls-version");
const TLS_CIPHER: HeaderName = HeaderName::from_static("x-amzn-tls-cipher-suite");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// Headers that a request may gain on its way.
const ADDED: usize = 8;

/// Checks what no rule may see; the error is the status to answer.
pub fn check(head: &Parts) -> Result<(), u16> {
    let line = head.uri.path_and_query().map_or(0, |p| p.as_str().len());
    if line > limits::HEADER {
        return Err(414);
    }
    if head.method == Method::TRACE {
        return Err(405);
    }
    let mut total = line;
    for (name, value) in &head.headers {
        let size = name.as_str().len() + value.len();
        total += size;
        if size > limits::HEADER || total > limits::HEADERS {
            return Err(400);
        }
    }
    let hosts = head.headers.get_all(header::HOST).iter().count();
    let named = hosts == 1 || head.uri.authority().is_some();
    if hosts > 1 || (!named && head.version != Version::HTTP_10) || head.method == Method::CONNECT {
        return Err(400);
    }
    Ok(())
}

/// The host that the request names, without its port; empty for HTTP/1.0 without one.
pub fn host(head: &Parts) -> &str {
    let authority = head.uri.authority().map(|a| a.as_str());
    let named = authority.or_else(|| head.headers.get(header::HOST)?.to_str().ok()).unwrap_or_default();
    bare(named)
}

fn bare(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The protocol that an HTTP/1.1 client wants to switch to.
pub fn upgrade(head: &Parts) -> Option<HeaderValue> {
    let wants = head.version == Version::HTTP_11
        && head.headers.get_all(header::CONNECTION).iter().any(|v| {
            v.to_str().is_ok_and(|v| v.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade")))
        });
    if wants { head.headers.get(header::UPGRADE).cloned() } else { None }
}

/// Makes a client's head that of the request to the target; the error is the status to answer.
pub fn prepare(
    head: &mut Parts,
    client: &Client,
    routes: &Routes,
    upgrade: Option<&HeaderValue>,
) -> Result<(), u16> {
    // Room for what is added, at once: a map that grows is built anew.
    head.headers.reserve(ADDED);
    set_host(head, routes)?;
    remove_hop_by_hop(&mut head.headers);
    head.headers.remove(header::EXPECT);
    if routes.attributes.drop_invalid_header_fields {
        drop_invalid(&mut head.headers);
    }
    forwarded(&mut head.headers, client, routes)?;
    trace(&mut head.headers);
    if let Some(protocol) = upgrade {
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(header::UPGRADE, protocol.clone());
    }
    head.version = Version::HTTP_11;
    Ok(())
}

/// Removes what concerns one connection alone, from a request or an answer.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let listed: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(',').filter_map(|name| name.trim().parse().ok()))
            .collect();
        listed.into_iter().for_each(|name| drop(headers.remove(name)));
        headers.remove(header::CONNECTION);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE] {
        headers.remove(name);
    }
}

/// The target sees the origin form of the URI and the host in its header.
fn set_host(head: &mut Parts, routes: &Routes) -> Result<(), u16> {
    if let Some(authority) = head.uri.authority() {
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| 400_u16)?;
        head.headers.insert(header::HOST, host);
        let path = head.uri.path_and_query().cloned();
        head.uri = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
    }
    if routes.attributes.preserve_host_header {
        return Ok(());
    }
    let Some(given) = head.headers.get(header::HOST).and_then(|h| h.to_str().ok()) else { return Ok(()) };
    let name = bare(given);
    let wanted = match routes.port {
        80 | 443 if name.len() == given.len() => return Ok(()),
        80 | 443 => name.to_owned(),
        port => format!("{name}:{port}"),
    };
    if wanted != given {
        head.headers.insert(header::HOST, HeaderValue::from_str(&wanted).map_err(|_| 400_u16)?);
    }
    Ok(())
}

fn drop_invalid(headers: &mut HeaderMap) {
    let valid = |name: &HeaderName| name.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let wrong: Vec<_> = headers.keys().filter(|name| !valid(name)).cloned().collect();
    wrong.into_iter().for_each(|name| drop(headers.remove(name)));
}

fn forwarded(headers: &mut HeaderMap, client: &Client, routes: &Routes) -> Result<(), u16> {
    let given = headers.get_all(&FORWARDED_FOR).iter().filter_map(|v| v.to_str().ok());
    let mut given = given.collect::<Vec<_>>().join(", ");
    if !given.is_empty() && given.split(',').count() > limits::FORWARDED_FOR {
        return Err(463);
    }
    match routes.attributes.xff {
        XffMode::Append if given.is_empty() => {
            headers.insert(FORWARDED_FOR, client.named(routes.attributes.xff_client_port));
        }
        XffMode::Append => {
            let own = client.named(routes.attributes.xff_client_port);
            given.push_str(", ");
            given.push_str(own.to_str().unwrap_or_default());
            headers.insert(FORWARDED_FOR, HeaderValue::from_str(&given).map_err(|_| 400_u16)?);
        }
        XffMode::Preserve => {}
        XffMode::Remove => drop(headers.remove(FORWARDED_FOR)),
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(client.scheme()));
    headers.insert(FORWARDED_PORT, routes.port_value.clone());
    // A client's own claim about its TLS is never passed on.
    headers.remove(TLS_VERSION);
    headers.remove(TLS_CIPHER);
    if let (true, Some((version, cipher))) = (routes.attributes.tls_headers, &client.tls) {
        headers.insert(TLS_VERSION, version.clone());
        headers.insert(TLS_CIPHER, cipher.clone());
    }
    Ok(())
}

fn trace(headers: &mut HeaderMap) {
    let id = trace_id();
    let own = |name: &str, rest: &str| {
        let mut value = String::with_capacity(name.len() + id.len() + rest.len() + 1);
        [name, &id, if rest.is_empty() { "" } else { ";" }, rest]
            .iter()
            .for_each(|part| value.push_str(part));
        value
    };
    let value = match headers.get(&TRACE_ID).and_then(|v| v.to_str().ok()) {
        None => own("Root=", ""),
        Some(given) => {
            let parts = given.split(';').map(str::trim).filter(|f| !f.is_empty() && !f.starts_with("Self="));
            let kept = parts.collect::<Vec<_>>().join(";");
            own(if kept.contains("Root=") { "Self=" } else { "Root=" }, &kept)
        }
    };
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(TRACE_ID, value);
    }
}

/// `1-`, the seconds in 8 digits, `-`, and 24 digits of chance.
fn trace_id() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()) as u32;
    let mut id = String::with_capacity(35);
    id.push_str("1-");
    hex(&mut id, seconds.into(), 8);
    id.push('-');
    hex(&mut id, chance::bits(), 16);
    hex(&mut id, chance::bits(), 8);
    id
}

/// The last digits of a number, as every request needs them: the formatter would take several times as long.
fn hex(text: &mut String, number: u64, digits: u32) {
    let digit = |place| char::from(b"0123456789abcdef"[(number >> (4 * place) & 15) as usize]);
    text.extend((0..digits).rev().map(digit));
}

/// A peer as X-Forwarded-For names it.
pub fn peer(addr: SocketAddr, with_port: bool) -> HeaderValue {
    let text = if with_port { addr.to_string() } else { addr.ip().to_canonical().to_string() };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"))
}
