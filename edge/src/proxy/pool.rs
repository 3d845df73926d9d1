//! Connections to a target that wait for their next request, kept per worker.
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;

use super::activity::Activity;
use crate::{limits, workers};

/// A connection to a target.
#[derive(Debug)]
pub struct Connection {
    /// Sends requests on it.
    pub sender: SendRequest<Outgoing>,
    /// When it last moved a byte.
    pub activity: Arc<Activity>,
}

/// Idle connections; each worker has a shelf of its own, so that its lock is never contended.
#[derive(Debug)]
pub struct Pool {
    shelves: Box<[Mutex<Vec<Connection>>]>,
}

impl Pool {
    /// Empty.
    pub fn new(workers: usize) -> Self {
        Self { shelves: (0..workers.max(1)).map(|_| Mutex::default()).collect() }
    }

    /// The connection used last, which is the likeliest to be alive.
    pub fn take(&self) -> Option<Connection> {
        let mut shelf = self.shelf(workers::current());
        while let Some(connection) = shelf.pop() {
            if !connection.sender.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub fn put(&self, connection: Connection) {
        let mut shelf = self.shelf(workers::current());
        if shelf.len() < limits::IDLE_PER_TARGET && !connection.sender.is_closed() {
            shelf.push(connection);
        }
    }

    /// Closes all of them.
    pub fn clear(&self) {
        (0..self.shelves.len()).for_each(|i| self.shelf(i).clear());
    }

    fn shelf(&self, worker: usize) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.shelves[worker % self.shelves.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's body on its way to a target.
#[derive(Debug)]
pub enum Outgoing {
    /// None.
    Empty,
    /// The client's, as it arrives.
    Streaming {
        /// What hyper reads.
        body: Incoming,
        /// Unset once all of it was sent.
        uploading: Arc<AtomicBool>,
    },
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Streaming { body, uploading } => {
                let frame = Pin::new(&mut *body).poll_frame(cx);
                if body.is_end_stream() || matches!(frame, Poll::Ready(None)) {
                    uploading.store(false, Ordering::Relaxed);
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming { body, .. } => body.size_hint(),
        }
    }
}
