//! Targets.
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::rig::address;

/// Answers `NAME METHOD PATH` and the request's headers, a line each, then its body. `/slow` waits for the gate.
pub struct Backend {
    pub at: SocketAddr,
    /// What health checks are told.
    pub health: Arc<AtomicU16>,
    pub gate: Arc<Notify>,
    /// Requests to `/slow` that wait.
    pub waiting: Arc<Notify>,
    pub served: Arc<AtomicUsize>,
    _accept: crate::listeners::Task,
}

impl Backend {
    pub async fn new(name: &'static str) -> Self {
        Self::at(name, (address(), 0).into()).await
    }

    pub async fn at(name: &'static str, at: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let at = listener.local_addr().unwrap();
        let health = Arc::new(AtomicU16::new(200));
        let (gate, waiting, served): (Arc<Notify>, Arc<Notify>, Arc<AtomicUsize>) = Default::default();
        let shared = (health.clone(), gate.clone(), waiting.clone(), served.clone());
        let accept: JoinHandle<()> = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = shared.clone();
                let service = service_fn(move |request| answer(name, shared.clone(), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { at, health, gate, waiting, served, _accept: crate::listeners::Task(accept) }
    }
}

type Shared = (Arc<AtomicU16>, Arc<Notify>, Arc<Notify>, Arc<AtomicUsize>);

async fn answer(
    name: &str,
    (health, gate, waiting, served): Shared,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == "/health" {
        let mut response = Response::new(Full::default());
        *response.status_mut() = health.load(Ordering::Relaxed).try_into().unwrap();
        return Ok(response);
    }
    served.fetch_add(1, Ordering::Relaxed);
    let mut text = format!("{name} {} {}\n", request.method(), request.uri());
    for (key, value) in request.headers() {
        text.push_str(&format!("{key}: {}\n", value.to_str().unwrap()));
    }
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    text.push_str(&String::from_utf8_lossy(&body));
    if path == "/slow" {
        let opened = gate.notified();
        waiting.notify_one();
        opened.await;
    }
    Ok(Response::new(Full::from(text)))
}

/// A target that is written out: each accepted connection is handed to `talk`.
pub async fn scripted<F>(
    talk: impl Fn(TcpStream) -> F + Send + 'static,
) -> (SocketAddr, crate::listeners::Task)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((address(), 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let accept = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(talk(stream));
        }
    });
    (at, crate::listeners::Task(accept))
}

/// Reads one request's head.
pub async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.ok()?;
        head.push(byte);
    }
    Some(String::from_utf8(head).unwrap())
}

/// Health checks pass; other requests get the bytes given, and the connection ends.
pub async fn saying(bytes: &'static str) -> (SocketAddr, crate::listeners::Task) {
    scripted(move |mut stream| async move {
        while let Some(head) = head(&mut stream).await {
            if !head.starts_with("GET /health ") {
                let _ = stream.write_all(bytes.as_bytes()).await;
                return;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await
}
