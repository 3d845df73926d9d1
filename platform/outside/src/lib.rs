//! HTTP requests that Longshore itself makes to servers outside of it: the endpoints of topics and the like.
//!
//! One connection a request, bounded in time and size; no redirect is followed and no proxy is asked. Names are resolved
//! by this process, as a static program has to; certificates are checked by the authorities that the host trusts.
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hickory_resolver::TokioResolver;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Bytes of an answer that are read.
const ANSWER: usize = 1 << 20;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is not one of HTTP.
    #[error("{0} is not an http or https URL with a host")]
    Url(Uri),
    /// The name has no address.
    #[error("{name} cannot be resolved: {reason}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        reason: String,
    },
    /// Nobody was reached, or not in a way that both understand.
    #[error("{host} cannot be reached: {reason}")]
    Connection {
        /// Host and port.
        host: String,
        /// Why.
        reason: String,
    },
    /// It took too long.
    #[error("{host} did not answer within {seconds} seconds")]
    Slow {
        /// Host and port.
        host: String,
        /// The limit.
        seconds: u64,
    },
}

/// Makes requests.
#[derive(Clone)]
pub struct Outside {
    tls: TlsConnector,
}

/// Where a request goes.
struct Target {
    secure: bool,
    host: String,
    port: u16,
}

impl Target {
    fn of(uri: &Uri) -> Result<Self, Error> {
        let wrong = || Error::Url(uri.clone());
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { secure, host, port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }) })
    }

    fn shown(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn failed(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::Connection { host: self.shown(), reason: reason.to_string() }
    }
}

impl Outside {
    /// Trusts the authorities of a PEM bundle; entries that cannot be read are left out.
    pub fn new(bundle: &[u8]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(bundle).filter_map(Result::ok));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the default protocol versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { tls: TlsConnector::from(Arc::new(config)) }
    }

    /// Sends a request and reads the whole answer, within a time. A request to an absolute URL.
    pub async fn send(&self, request: Request<Bytes>, within: Duration) -> Result<Response<Bytes>, Error> {
        let target = Target::of(request.uri())?;
        let answer = tokio::time::timeout(within, self.exchange(&target, request)).await;
        answer.unwrap_or_else(|_| Err(Error::Slow { host: target.shown(), seconds: within.as_secs() }))
    }

    async fn exchange(&self, target: &Target, request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
        let stream = connect(target).await?;
        if !target.secure {
            return converse(target, request, stream).await;
        }
        let name = ServerName::try_from(target.host.clone()).map_err(|e| target.failed(&e))?;
        let stream = self.tls.connect(name, stream).await.map_err(|e| target.failed(&e))?;
        converse(target, request, stream).await
    }
}

async fn connect(target: &Target) -> Result<TcpStream, Error> {
    let mut last = None;
    for address in addresses(&target.host).await? {
        if link_local(address) {
            last = Some(std::io::Error::other("a link-local address is the machine's own business"));
            continue;
        }
        match TcpStream::connect(SocketAddr::new(address, target.port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| target.failed(&"the name has no address"), |error| target.failed(&error)))
}

/// Where clouds serve a machine its own credentials. Who gives us a URL is not who may have them.
fn link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => {
            six.is_unicast_link_local() || six.to_ipv4_mapped().is_some_and(|four| four.is_link_local())
        }
    }
}

async fn addresses(host: &str) -> Result<Vec<IpAddr>, Error> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let failed =
        |reason: &dyn std::fmt::Display| Error::Name { name: host.into(), reason: reason.to_string() };
    // Read anew each time: a laptop changes its network while the server runs.
    let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
    let found = resolver.map_err(|e| failed(&e))?.lookup_ip(host).await.map_err(|e| failed(&e))?;
    Ok(found.iter().collect())
}

async fn converse<S>(target: &Target, request: Request<Bytes>, stream: S) -> Result<Response<Bytes>, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|e| target.failed(&e))?;
    let connection = tokio::spawn(connection);
    let answer = async {
        let answer = sender.send_request(origin(request)).await.map_err(|e| target.failed(&e))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER).collect().await.map_err(|e| target.failed(&e))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    let answer = answer.await;
    connection.abort();
    answer
}

/// The request as HTTP/1.1 sends it to the server itself: the path alone, the host in its header.
fn origin(request: Request<Bytes>) -> Request<Full<Bytes>> {
    let (mut head, body) = request.into_parts();
    let host = head.uri.authority().and_then(|host| host.as_str().rsplit('@').next());
    if let Some(host) = host.and_then(|host| HeaderValue::try_from(host).ok()) {
        head.headers.entry(HOST).or_insert(host);
    }
    if let Some(path) = head.uri.path_and_query().and_then(|path| path.as_str().parse().ok()) {
        head.uri = path;
    }
    Request::from_parts(head, Full::new(body))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn get(url: &str) -> Request<Bytes> {
        Request::builder().uri(url).body(Bytes::from("hello")).unwrap()
    }

    /// Answers one connection with these bytes; tells what was sent, without the body.
    async fn once(answer: String) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/a/b?c=d", listener.local_addr().unwrap().port());
        let heard = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut sent = Vec::new();
            while !sent.ends_with(b"hello") {
                assert!(stream.read_buf(&mut sent).await.unwrap() > 0);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(sent).unwrap()
        });
        (url, heard)
    }

    #[tokio::test]
    async fn a_request_is_answered_by_the_host_of_its_url() {
        let (url, heard) = once("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok".into()).await;
        let answer = Outside::new(b"").send(get(&url), Duration::from_secs(20)).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (201, &b"ok"[..]));
        let sent = heard.await.unwrap();
        let host = url.split('/').nth(2).unwrap();
        assert!(sent.starts_with("GET /a/b?c=d HTTP/1.1\r\n"), "{sent}");
        assert!(sent.to_lowercase().contains(&format!("host: {host}\r\n")), "{sent}");
    }

    #[tokio::test]
    async fn what_is_too_large_or_nowhere_is_refused() {
        let large = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", ANSWER + 1);
        let (url, _heard) = once(large + &"x".repeat(ANSWER + 1)).await;
        let said = |answer: Result<Response<Bytes>, Error>| answer.unwrap_err().to_string();
        let within = Duration::from_secs(20);
        assert!(said(Outside::new(b"").send(get(&url), within).await).contains("cannot be reached"));
        for url in ["ftp://host/", "/path"] {
            let said = said(Outside::new(b"").send(get(url), within).await);
            assert!(said.contains("is not an http or https URL"), "{said}");
        }
        for url in ["http://169.254.169.254/token", "http://[fe80::1]/", "http://[::ffff:169.254.169.254]/"] {
            let said = said(Outside::new(b"").send(get(url), within).await);
            assert!(said.contains("link-local"), "{said}");
        }
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let said = said(Outside::new(b"").send(get(&url), Duration::from_millis(10)).await);
        assert!(said.contains("did not answer within 0 seconds"), "{said}");
    }
}
