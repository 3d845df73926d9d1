//! Connections that leave HTTP: WebSocket and its like.
use std::sync::Arc;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use super::activity::Activity;
use super::signal::Level;
use super::target::Lease;

/// Carries bytes both ways until a side ends, nothing moves for `idle`, or the target's time is up. The lease goes
/// along: an open tunnel is a request in flight.
pub async fn tunnel(
    client: OnUpgrade,
    target: OnUpgrade,
    lease: Lease,
    activity: Arc<Activity>,
    idle: Duration,
) {
    let signal = lease.target().signals.join();
    let carry = async {
        let (client, target) = tokio::try_join!(client, target)?;
        // Either side's end, even an abrupt one, is the tunnel's.
        let _ = copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(target)).await;
        Ok::<(), hyper::Error>(())
    };
    tokio::select! {
        carried = carry => if let Err(error) = carried {
            tracing::debug!(%error, "an upgrade was agreed to and did not happen");
        },
        () = activity.idle(idle) => {}
        () = signal.reaches(Level::Abort) => {}
    }
}
