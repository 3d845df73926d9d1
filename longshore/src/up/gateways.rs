//! Listeners for containers, on the gateway address of every container network: credentials and metadata over HTTP,
//! the served AWS names over TLS. They come and go with the networks.
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use engine::Engine;
use engine::gateway::{CREDENTIALS_PORT, ENDPOINTS_PORT};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wire::Server;

/// A network may be told before its bridge has its address, and an earlier control plane's sockets may linger.
const BIND_AGAIN: Duration = Duration::from_millis(100);

/// Listens on every gateway until stopped.
pub async fn listen(server: Server, engine: Arc<dyn Engine>, tls: Arc<ServerConfig>) {
    let mut networks = engine.networks();
    let mut listening: HashMap<Ipv4Addr, CancellationToken> = HashMap::new();
    loop {
        let now = networks.borrow_and_update().clone().unwrap_or_default();
        let wanted: Vec<Ipv4Addr> = now.iter().map(|network| network.gateway).collect();
        listening.retain(|gateway, stop| {
            let keep = wanted.contains(gateway);
            if !keep {
                stop.cancel();
            }
            keep
        });
        for gateway in wanted {
            listening.entry(gateway).or_insert_with(|| {
                let stop = server.stop.child_token();
                let own = Server { stop: stop.clone(), ..server.clone() };
                tokio::spawn(bind(own.clone(), gateway, CREDENTIALS_PORT, None));
                tokio::spawn(bind(own, gateway, ENDPOINTS_PORT, Some(tls.clone())));
                stop
            });
        }
        tokio::select! {
            changed = networks.changed() => if changed.is_err() { return },
            () = server.stop.cancelled() => return,
        }
    }
}

async fn bind(server: Server, gateway: Ipv4Addr, port: u16, tls: Option<Arc<ServerConfig>>) {
    let address = SocketAddr::from((gateway, port));
    let mut told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return server.listen(listener, tls).await,
            Err(e) if !told => tracing::warn!(%address, error = %e, "cannot listen for containers yet"),
            Err(_) => {}
        }
        told = true;
        tokio::select! {
            () = tokio::time::sleep(BIND_AGAIN) => {}
            () = server.stop.cancelled() => return,
        }
    }
}
