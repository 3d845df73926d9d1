//! A target: its connections, its requests in flight, and how it leaves.
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use snapshot::{Protocol, TargetId};
use tokio::sync::Notify;

use super::pool::Pool;
use super::signal::{Level, Signals};
use crate::health::Checked;

/// A target of a group. One that left and comes back is a new one.
#[derive(Debug)]
pub struct Target {
    /// Group, address and port.
    pub id: TargetId,
    /// Where it is.
    pub addr: SocketAddr,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Connections that wait for a request.
    pub pool: Pool,
    /// All its connections.
    pub signals: Arc<Signals>,
    /// Wakes the health check: admission or settings changed.
    pub wake: Notify,
    admitted: AtomicBool,
    leaving: AtomicBool,
    cut: AtomicBool,
    in_flight: AtomicU64,
    checked: Mutex<Checked>,
    /// Told when it may have drained.
    changed: Arc<Notify>,
}

impl Target {
    /// A target that takes requests once it is healthy.
    pub fn new(
        id: TargetId,
        protocol: Protocol,
        admitted: bool,
        checked: Checked,
        workers: usize,
        changed: Arc<Notify>,
    ) -> Arc<Self> {
        Arc::new(Self {
            addr: SocketAddr::new(id.ip, id.port),
            id,
            protocol,
            pool: Pool::new(workers),
            signals: Arc::default(),
            wake: Notify::new(),
            admitted: AtomicBool::new(admitted),
            leaving: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            in_flight: AtomicU64::new(0),
            checked: Mutex::new(checked),
            changed,
        })
    }

    /// Whether its security groups let the load balancer in.
    pub fn admitted(&self) -> bool {
        self.admitted.load(Ordering::Relaxed)
    }

    /// Lets it in or shuts it out; its health check looks at once.
    pub fn admit(&self, admitted: bool) {
        if self.admitted.swap(admitted, Ordering::Relaxed) != admitted {
            if !admitted {
                self.pool.clear();
            }
            self.wake.notify_one();
        }
    }

    /// What its checks have said.
    pub fn checked(&self) -> Checked {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes in what a check said.
    pub fn set_checked(&self, checked: Checked) {
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = checked;
    }

    /// Requests that it is serving.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Whether it takes no more requests.
    pub fn leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }

    /// Whether it takes none and has none.
    pub fn drained(&self) -> bool {
        self.leaving() && (self.in_flight() == 0 || self.cut.load(Ordering::SeqCst))
    }

    /// Takes no more requests. Those in flight may finish until `after`; then their connections are cut.
    pub fn leave(self: &Arc<Self>, after: Duration) {
        if self.leaving.swap(true, Ordering::SeqCst) {
            return;
        }
        self.pool.clear();
        self.changed.notify_one();
        if self.in_flight() == 0 {
            return;
        }
        let target = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            target.cut.store(true, Ordering::SeqCst);
            target.signals.raise(Level::Abort);
            target.changed.notify_one();
        });
    }

    /// Counts a request in, unless the target is leaving. The count goes up before the flag is read, and the flag
    /// before the count: one of the two sides always sees the other, so `drained` is never early.
    pub fn lease(self: &Arc<Self>) -> Option<Lease> {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let lease = Lease(self.clone());
        (!self.leaving()).then_some(lease)
    }
}

/// A request that a target is serving.
#[derive(Debug)]
pub struct Lease(Arc<Target>);

impl Lease {
    /// The target.
    pub fn target(&self) -> &Arc<Target> {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::SeqCst) == 1 && self.0.leaving() {
            self.0.changed.notify_one();
        }
    }
}
