//! Threads that carry requests: each a runtime of its own, so that a connection never changes cores and nothing on
//! its path is contended.
use std::cell::Cell;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::Error;

thread_local! {
    static WORKER: Cell<usize> = const { Cell::new(0) };
}

/// The number of the worker that runs this; 0 on any other thread.
pub fn current() -> usize {
    WORKER.get()
}

/// The workers; they end when this is dropped.
pub struct Workers {
    handles: Vec<Handle>,
    next: AtomicUsize,
    _stop: Vec<oneshot::Sender<()>>,
}

impl Workers {
    /// Starts `count` workers, at least one.
    pub fn start(count: usize) -> Result<Self, Error> {
        let mut workers = Self { handles: Vec::new(), next: AtomicUsize::new(0), _stop: Vec::new() };
        for number in 0..count.max(1) {
            let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Worker)?;
            let (stop, stopped) = oneshot::channel::<()>();
            workers.handles.push(runtime.handle().clone());
            workers._stop.push(stop);
            let run = move || {
                WORKER.set(number);
                // An error says that the sender was dropped: the end, either way.
                let _ = runtime.block_on(stopped);
            };
            thread::Builder::new().name(format!("worker-{number}")).spawn(run).map_err(Error::Worker)?;
        }
        Ok(workers)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.handles.len()
    }

    /// Runs a future on the next worker in turn.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.handles.len();
        self.handles[next].spawn(future);
    }
}
