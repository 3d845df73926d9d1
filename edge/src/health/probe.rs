//! One health check.
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use snapshot::{HealthCheck, Protocol};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Codes, Outcome};
use crate::limits;
use crate::proxy::tls;

type Broken = Box<dyn std::error::Error + Send + Sync>;

/// Checks a target once, on a connection of its own.
pub async fn probe(target: SocketAddr, check: &HealthCheck) -> Outcome {
    let addr = SocketAddr::new(target.ip(), check.port.unwrap_or(target.port()));
    let asked = timeout(Duration::from_millis(check.timeout_ms), ask(addr, check)).await;
    match asked {
        Err(_) => Outcome::Timeout,
        Ok(Err(error)) => {
            tracing::debug!(%addr, %error, "a health check got no answer");
            match error.downcast_ref::<io::Error>().map(io::Error::kind) {
                Some(io::ErrorKind::ConnectionRefused) => Outcome::Refused,
                _ => Outcome::Failed,
            }
        }
        Ok(Ok(code)) => match Codes::parse(&check.matcher).is_some_and(|codes| codes.contain(code)) {
            true => Outcome::Passed,
            false => Outcome::Mismatch(code),
        },
    }
}

async fn ask(addr: SocketAddr, check: &HealthCheck) -> Result<u16, Broken> {
    let stream = TcpStream::connect(addr).await?;
    match check.protocol {
        Protocol::Http => get(stream, addr, check).await,
        Protocol::Https => {
            let name = ServerName::IpAddress(addr.ip().into());
            get(TlsConnector::from(tls::trusting()).connect(name, stream).await?, addr, check).await
        }
    }
}

async fn get<T>(stream: T, addr: SocketAddr, check: &HealthCheck) -> Result<u16, Broken>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(limits::RESPONSE_BUFFER);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let request = Request::get(&*check.path)
        .header(header::HOST, addr.to_string())
        .header(header::USER_AGENT, "ELB-HealthChecker/2.0")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let mut response = pin!(sender.send_request(request));
    tokio::select! {
        response = &mut response => Ok(response?.status().as_u16()),
        // It may end in the very step that brought the answer.
        _ = connection => Ok(response.await?.status().as_u16()),
    }
}
