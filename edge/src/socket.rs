//! The edge's side of the socket to the control plane.
use std::io;
use std::path::Path;
use std::sync::Arc;

use snapshot::{Down, FrameError, Up, read_frame, write_frame};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::{Edge, limits, unix};

/// Takes control planes in, until the task is aborted.
pub async fn serve(edge: Arc<Edge>, listener: UnixListener) {
    let slots = Arc::new(Semaphore::new(limits::CONTROLLERS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let edge = edge.clone();
                tokio::spawn(async move {
                    let _slot = slot;
                    if let Err(error) = converse(&edge, stream).await {
                        tracing::info!(%error, "a control plane left");
                    }
                });
            }
            Err(error) => tracing::warn!(%error, "a control plane was not taken in"),
        }
    }
}

/// Listens at the path; a socket that an earlier edge left is replaced (the folder's lock says that it is gone).
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    unix::short(path, |path| UnixListener::bind(path))
}

async fn converse(edge: &Arc<Edge>, stream: UnixStream) -> Result<(), FrameError> {
    let (from, mut to) = stream.into_split();
    let mut reports = edge.reports();
    // The first report goes out at once, so that the control plane knows which generation is served.
    reports.mark_changed();
    let mut orders = tokio::spawn(obey(edge.clone(), from));
    let result = loop {
        tokio::select! {
            () = edge.stopped() => break Ok(()),
            ended = &mut orders => return ended.unwrap_or(Ok(())),
            changed = reports.changed() => {
                let report = reports.borrow_and_update().clone();
                if changed.is_err() {
                    break Ok(());
                }
                if let Err(error) = write_frame(&mut to, &Up::Report(report)).await {
                    break Err(error);
                }
            }
        }
    };
    orders.abort();
    result
}

async fn obey(edge: Arc<Edge>, mut from: OwnedReadHalf) -> Result<(), FrameError> {
    loop {
        match read_frame(&mut from).await {
            Ok(Down::Snapshot(snapshot)) => edge.apply(*snapshot).await,
            Ok(Down::Shutdown) => edge.stop(),
            Err(error) if error.in_step() => edge.refuse(error.to_string()),
            Err(error) => return Err(error),
        }
    }
}
