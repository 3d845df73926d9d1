//! Listeners and connections: plain HTTP on the endpoint, TLS under per-name certificates for containers.
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kernel::{Body, Door, Entropy, ids};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::idle::Idle;
use crate::limits::{BODY_SILENCE, CONNECTIONS, HANDSHAKE_TIME, HEADER_TIME, HEADERS};
use crate::serve::Api;

/// What listeners share.
#[derive(Clone)]
pub struct Server {
    /// What is served.
    pub api: Arc<Api>,
    /// The account of requests that name none.
    pub account: String,
    /// The region of requests that name none.
    pub region: String,
    /// For request ids.
    pub entropy: Arc<dyn Entropy>,
    /// Ends accepting, then every idle connection.
    pub stop: CancellationToken,
    /// Connections under way: wait on it after `stop`.
    pub connections: TaskTracker,
}

impl Server {
    /// Accepts until stopped. With `tls`, connections are TLS.
    pub async fn listen(self, listener: TcpListener, tls: Option<Arc<ServerConfig>>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let tls = tls.map(TlsAcceptor::from);
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    // Out of descriptors, most likely: others must end first.
                    tracing::warn!(error = %e, "accept failed");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (server, tls) = (self.clone(), tls.clone());
            self.connections.spawn(async move {
                server.connection(stream, peer, tls).await;
                drop(place);
            });
        }
    }

    async fn connection(self, stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>) {
        let Ok(local) = stream.local_addr() else { return };
        // Small answers must not wait for the peer's delayed acknowledgement.
        drop(stream.set_nodelay(true));
        match tls {
            None => self.http(stream, peer, local, "http").await,
            Some(tls) => match timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.http(stream, peer, local, "https").await,
                Ok(Err(e)) => tracing::debug!(%peer, error = %e, "TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
            },
        }
    }

    async fn http(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        local: SocketAddr,
        scheme: &'static str,
    ) {
        let server = self.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let server = server.clone();
            async move {
                Ok::<Response<Body>, std::convert::Infallible>(
                    server.request(request, peer, local, scheme).await,
                )
            }
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_buf_size(HEADERS)
            .preserve_header_case(false);
        let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(e) = ended {
            tracing::debug!(%peer, error = %e, "connection ended");
        }
    }

    async fn request(
        self,
        request: Request<Incoming>,
        peer: SocketAddr,
        local: SocketAddr,
        scheme: &str,
    ) -> Response<Body> {
        let host = request
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .map_or_else(|| local.to_string(), str::to_owned);
        let door = Door {
            peer,
            local,
            base: format!("{scheme}://{host}"),
            account: self.account,
            region: self.region,
            request_id: ids::uuid(&*self.entropy),
            ops: self.api.ops.clone(),
        };
        let request = request.map(|body| Idle::new(body, BODY_SILENCE).boxed_unsync());
        self.api.serve(door, request).await
    }
}
