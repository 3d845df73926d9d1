//! Idle connections: who last moved a byte, and whether somebody is being waited for.
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// One connection's activity, shared by its I/O and those who time it.
#[derive(Debug, Default)]
pub struct Activity {
    last_ms: AtomicU64,
    busy: AtomicU32,
}

impl Activity {
    /// A connection that has just begun.
    pub fn new() -> Arc<Self> {
        let activity = Self::default();
        activity.touch();
        Arc::new(activity)
    }

    /// A byte moved, or something as good.
    pub fn touch(&self) {
        self.last_ms.store(START.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// While the value lives silence does not count: the other side owes an answer.
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// When the connection has been silent for that long; in the future while it is busy.
    pub fn idle_at(&self, after: Duration) -> Instant {
        match self.busy.load(Ordering::Relaxed) {
            0 => self.silent_at(after),
            _ => Instant::now() + after,
        }
    }

    /// The same, busy or not.
    pub fn silent_at(&self, after: Duration) -> Instant {
        *START + Duration::from_millis(self.last_ms.load(Ordering::Relaxed)) + after
    }

    /// Resolves once the connection has been idle for that long.
    pub async fn idle(&self, after: Duration) {
        let mut sleep = Box::pin(tokio::time::sleep_until(self.idle_at(after)));
        poll_fn(|cx| self.poll_idle(cx, sleep.as_mut(), after)).await;
    }

    /// Moves the one timer of a connection along; ready when it has been idle for that long.
    pub fn poll_idle(&self, cx: &mut Context<'_>, mut sleep: Pin<&mut Sleep>, after: Duration) -> Poll<()> {
        loop {
            ready!(sleep.as_mut().poll(cx));
            let due = self.idle_at(after);
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
    }
}

/// See [`Activity::busy`].
#[derive(Debug)]
pub struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.touch();
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that notes when it moves bytes.
#[derive(Debug)]
pub struct Watched<T> {
    io: T,
    activity: Arc<Activity>,
}

impl<T> Watched<T> {
    /// Watches a stream.
    pub fn new(io: T, activity: Arc<Activity>) -> Self {
        Self { io, activity }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, buf));
        self.activity.touch();
        Poll::Ready(read)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = ready!(Pin::new(&mut self.io).poll_write(cx, buf));
        self.activity.touch();
        Poll::Ready(wrote)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bufs));
        self.activity.touch();
        Poll::Ready(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
