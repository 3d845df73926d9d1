//! The composition root's part of the edge's snapshot: where DNS answers, and which AWS names are Longshore's.
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use engine::gateway::DNS_PORT;
use snapshot::{Gateway, Platform};

use super::compose::Plane;
use super::served;
use crate::cli::Up;

/// Publishes it once the engine has told its networks, and again when networks or buckets come and go: an edge that
/// served before this control plane keeps its sockets.
pub async fn publish(plane: Arc<Plane>, options: Up) {
    let mut networks = plane.engine.networks();
    if networks.wait_for(Option::is_some).await.is_err() {
        return;
    }
    let buckets_changed = plane.store.watch(&["s3.bucket"]);
    loop {
        let now = networks.borrow_and_update().clone().unwrap_or_default();
        let gateways = now
            .iter()
            .map(|network| Gateway { dns: SocketAddr::new(IpAddr::V4(network.gateway), DNS_PORT) })
            .collect();
        let buckets = plane.buckets().await;
        let served = served::names(&options.account, &options.region, &buckets);
        plane.hub.publish(Platform { dns: Some(options.dns), gateways, served });
        tokio::select! {
            changed = networks.changed() => if changed.is_err() { return },
            () = buckets_changed.notified() => {}
        }
    }
}
