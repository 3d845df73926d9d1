//! One connection to an edge, from its first report to its end.
use std::future::pending;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use snapshot::{Down, FrameError, Hub, Up, read_frame, write_frame};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use crate::folder::Folder;
use crate::unix;

/// An edge that does not speak within this time is as good as none.
const GREETING: Duration = Duration::from_secs(5);

/// Connects to the edge of a data folder.
pub async fn connect(data: &Path) -> io::Result<UnixStream> {
    let connect = |path: &Path| {
        let stream = std::os::unix::net::UnixStream::connect(path)?;
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream)
    };
    // Blocks for no more than a full backlog of a local socket.
    unix::short(&Folder::socket(data), connect)
}

/// Feeds the edge and listens to it until the connection ends.
pub async fn carry(stream: UnixStream, hub: &Arc<Hub>) -> Result<(), FrameError> {
    let (mut from, to) = stream.into_split();
    let greeting = timeout(GREETING, read_frame::<Up>(&mut from)).await;
    let Up::Report(report) = greeting.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    tracing::info!(generation = report.applied, "linked to the edge");
    hub.resume_after(report.applied);
    hub.report(report);
    tokio::select! {
        ended = listen(from, hub) => ended,
        ended = feed(to, hub) => ended,
    }
}

async fn listen(mut from: OwnedReadHalf, hub: &Hub) -> Result<(), FrameError> {
    let mut unbound = Vec::new();
    loop {
        let Up::Report(report) = read_frame(&mut from).await?;
        for news in report.unbound.iter().filter(|news| !unbound.contains(*news)) {
            tracing::error!(reason = news.reason, "an address cannot be served");
        }
        unbound.clone_from(&report.unbound);
        if let Some(refused) = &report.refused {
            tracing::error!(
                generation = refused.generation,
                reason = refused.reason,
                "the edge refuses a snapshot"
            );
        }
        hub.report(report);
    }
}

async fn feed(mut to: OwnedWriteHalf, hub: &Hub) -> Result<(), FrameError> {
    let mut snapshots = hub.snapshots();
    snapshots.mark_changed();
    while snapshots.changed().await.is_ok() {
        let snapshot = snapshots.borrow_and_update().clone();
        if let Some(snapshot) = snapshot {
            write_frame(&mut to, &Down::Snapshot(Box::new((*snapshot).clone()))).await?;
        }
    }
    pending().await
}
