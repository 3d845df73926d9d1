//! A client's connection.
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::activity::{Activity, Watched};
use super::answer::{self, Answer};
use super::forward::forward;
use super::front::{Front, Routes};
use super::headers;
use super::rule::{Act, Facts};
use super::signal::{Level, Signal, Signals};
use crate::limits;

/// Who is at the other end.
#[derive(Debug)]
pub struct Client {
    front: Arc<Front>,
    peer: SocketAddr,
    name: HeaderValue,
    /// Version and cipher suite, where it speaks TLS.
    pub tls: Option<(HeaderValue, HeaderValue)>,
    /// When it last moved a byte.
    pub activity: Arc<Activity>,
}

impl Client {
    /// As X-Forwarded-For names it.
    pub fn named(&self, with_port: bool) -> HeaderValue {
        if with_port { headers::peer(self.peer, true) } else { self.name.clone() }
    }

    /// As X-Forwarded-Proto names it.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// Serves a connection to its end, on the worker that runs this. `signals` are those of whoever came in there.
pub async fn serve(front: Arc<Front>, signals: Arc<Signals>, stream: std::net::TcpStream, peer: SocketAddr) {
    let signal = signals.join();
    if signals.open() > limits::CONNECTIONS {
        return;
    }
    front.counters.connection();
    // A connection that broke before it was served is nobody's concern.
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let _ = stream.set_nodelay(true);
    let routes = front.routes.load_full();
    let Some(tls) = &routes.tls else {
        return speak(stream, Speaker { front, peer, signal, tls: None, http2: false }, &routes).await;
    };
    let handshake = TlsAcceptor::from(tls.clone()).accept(stream);
    match timeout(limits::HANDSHAKE, handshake).await {
        Ok(Ok(stream)) => {
            let session = stream.get_ref().1;
            let http2 = session.alpn_protocol() == Some(b"h2");
            let tls = Some(names(session));
            speak(stream, Speaker { front, peer, signal, tls, http2 }, &routes).await;
        }
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
}

fn names(session: &rustls::ServerConnection) -> (HeaderValue, HeaderValue) {
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "TLSv1.2",
    };
    let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
    (HeaderValue::from_static(version), HeaderValue::from_static(cipher.unwrap_or("unknown")))
}

struct Speaker {
    front: Arc<Front>,
    peer: SocketAddr,
    signal: Signal,
    tls: Option<(HeaderValue, HeaderValue)>,
    http2: bool,
}

async fn speak<T>(stream: T, speaker: Speaker, routes: &Routes)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Speaker { front, peer, signal, tls, http2 } = speaker;
    let activity = Activity::new();
    let io = TokioIo::new(Watched::new(stream, activity.clone()));
    let client =
        Arc::new(Client { front, peer, name: headers::peer(peer, false), tls, activity: activity.clone() });
    let service = service_fn(move |request| answer(client.clone(), request));
    if http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.max_concurrent_streams(limits::H2_STREAMS).max_header_list_size(limits::HEADERS as u32);
        drive(builder.serve_connection(io, service), &signal, &activity, routes).await;
    } else {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(limits::REQUEST_BUFFER).header_read_timeout(None);
        drive(builder.serve_connection(io, service).with_upgrades(), &signal, &activity, routes).await;
    }
}

/// A connection that can be told to end after what it is doing.
trait Served: Future<Output = hyper::Result<()>> {
    fn end_gracefully(self: Pin<&mut Self>);
}

impl<I, S, B> Served for http1::UpgradeableConnection<I, S>
where
    Self: Future<Output = hyper::Result<()>>,
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn end_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, E, B> Served for http2::Connection<I, S, E>
where
    Self: Future<Output = hyper::Result<()>>,
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    fn end_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

async fn drive(connection: impl Served, signal: &Signal, activity: &Activity, routes: &Routes) {
    let mut connection = pin!(connection);
    let mut idle = pin!(sleep_until(activity.idle_at(routes.idle)));
    let mut old = pin!(sleep_until(Instant::now() + routes.keep_alive));
    let mut ending = false;
    poll_fn(|cx: &mut Context<'_>| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a client's connection ended early");
                }
                return Poll::Ready(());
            }
            let told = signal.poll(cx.waker());
            if told == Level::Abort || activity.poll_idle(cx, idle.as_mut(), routes.idle).is_ready() {
                return Poll::Ready(());
            }
            if ending || (told == Level::Serve && old.as_mut().poll(cx).is_pending()) {
                return Poll::Pending;
            }
            // Polled once more: an idle connection ends right here.
            ending = true;
            connection.as_mut().end_gracefully();
        }
    })
    .await;
}

async fn answer(client: Arc<Client>, request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
    // The client's silence while a target thinks is not idleness.
    let _busy = client.activity.busy();
    client.front.counters.request();
    let routes = client.front.routes.load_full();
    let answered = route(&client, &routes, request).await;
    Ok(answered.unwrap_or_else(|status| {
        client.front.counters.own_error(status);
        answer::error(status)
    }))
}

async fn route(
    client: &Arc<Client>,
    routes: &Routes,
    request: Request<Incoming>,
) -> Result<Response<Answer>, u16> {
    let (head, body) = request.into_parts();
    headers::check(&head)?;
    let group = {
        let facts = Facts { head: &head, host: headers::host(&head), peer: client.peer.ip() };
        match routes.act(&facts) {
            Some(Act::Forward(forward)) => forward.choose().ok_or(503_u16)?,
            Some(Act::Redirect(redirect)) => {
                return Ok(redirect.answer(&facts, client.scheme(), routes.port));
            }
            Some(Act::Fixed(fixed)) => return Ok(fixed.answer()),
            None => return Err(503),
        }
    };
    forward(client, routes, group, Request::from_parts(head, body)).await
}
