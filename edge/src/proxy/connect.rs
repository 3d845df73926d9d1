//! Opening a connection to a target.
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use snapshot::Protocol;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};
use tokio_rustls::TlsConnector;

use super::activity::{Activity, Watched};
use super::pool::{Connection, Outgoing};
use super::signal::{Level, Signal};
use super::target::Target;
use super::tls;
use crate::limits;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No answer within [`limits::CONNECT`], or none allowed by the security groups, which looks the same.
    #[error("connecting took too long")]
    Timeout,
    /// Refused, unreachable, or TLS failed.
    #[error("connecting failed: {0}")]
    Io(#[from] io::Error),
    /// HTTP could not start.
    #[error("HTTP could not start: {0}")]
    Http(#[from] hyper::Error),
}

/// Connects to a target. The connection closes by itself after `idle` without a byte.
pub async fn open(target: &Arc<Target>, idle: Duration) -> Result<Connection, ConnectError> {
    if !target.admitted() {
        return Err(ConnectError::Timeout);
    }
    let signal = target.signals.join();
    let connecting = async {
        let stream = TcpStream::connect(target.addr).await?;
        stream.set_nodelay(true)?;
        match target.protocol {
            Protocol::Http => start(stream, idle, signal).await,
            Protocol::Https => {
                let name = ServerName::IpAddress(target.addr.ip().into());
                let stream = TlsConnector::from(tls::trusting()).connect(name, stream).await?;
                start(stream, idle, signal).await
            }
        }
    };
    timeout(limits::CONNECT, connecting).await.map_err(|_| ConnectError::Timeout)?
}

async fn start<T>(stream: T, idle: Duration, signal: Signal) -> Result<Connection, ConnectError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Activity::new();
    let io = TokioIo::new(Watched::new(stream, activity.clone()));
    let mut builder = http1::Builder::new();
    builder.max_buf_size(limits::RESPONSE_BUFFER).max_header_size(limits::RESPONSE_BUFFER);
    let (sender, connection) = builder.handshake::<_, Outgoing>(io).await?;
    let watched = activity.clone();
    tokio::spawn(async move {
        let mut connection = pin!(connection.with_upgrades());
        let mut sleep = pin!(sleep_until(watched.idle_at(idle)));
        poll_fn(|cx| {
            let told = signal.poll(cx.waker());
            let ended = connection.as_mut().poll(cx).is_ready();
            // An error here also reaches whoever waits for the answer.
            let over =
                ended || told == Level::Abort || watched.poll_idle(cx, sleep.as_mut(), idle).is_ready();
            if over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    });
    Ok(Connection { sender, activity })
}
