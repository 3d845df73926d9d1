//! Runs workers.
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kernel::{Clock, Fault};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::status::{Phase, Status};
use crate::{Next, Worker};

/// How the driver treats failures and the end.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Delay after the first failure; it doubles with each further one.
    pub backoff: Duration,
    /// The greatest delay.
    pub backoff_cap: Duration,
    /// How long a pass may still take when the driver stops.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backoff: Duration::from_millis(100),
            backoff_cap: Duration::from_secs(30),
            grace: Duration::from_secs(5),
        }
    }
}

/// Runs workers until it is stopped; dropped, it ends them at their next await.
pub struct Driver {
    clock: Arc<dyn Clock>,
    options: Options,
    stop: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
    statuses: Mutex<Vec<Arc<Mutex<Status>>>>,
}

impl Driver {
    /// A driver without workers.
    pub fn new(clock: Arc<dyn Clock>, options: Options) -> Self {
        let (stop, _) = watch::channel(false);
        Self { clock, options, stop, tasks: Mutex::default(), statuses: Mutex::default() }
    }

    /// Starts a worker; its first pass is made at once.
    pub fn start(&self, worker: Arc<dyn Worker>) {
        let status = Arc::new(Mutex::new(Status::new(worker.name())));
        lock(&self.statuses).push(status.clone());
        let (clock, options) = (self.clock.clone(), self.options);
        let run = Run { worker, status, clock, options, stop: self.stop.subscribe() };
        lock(&self.tasks).spawn(run.run());
    }

    /// What each worker does, in the order they were started.
    pub fn statuses(&self) -> Vec<Status> {
        lock(&self.statuses).iter().map(|status| lock(status).clone()).collect()
    }

    /// Lets running passes end, for the grace at most, and starts no more. Workers are stopped when it returns.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        while tasks.join_next().await.is_some() {}
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Run {
    worker: Arc<dyn Worker>,
    status: Arc<Mutex<Status>>,
    clock: Arc<dyn Clock>,
    options: Options,
    stop: watch::Receiver<bool>,
}

impl Run {
    async fn run(mut self) {
        let wake = self.worker.wake();
        while !*self.stop.borrow() {
            self.phase(Phase::Running);
            lock(&self.status).began = Some(self.clock.now());
            let Some(result) = self.pass().await else { break };
            let phase = self.judge(result);
            self.phase(phase);
            match phase {
                Phase::Waiting(at_most) => tokio::select! {
                    () = wake.notified() => {}
                    () = sleep(at_most) => {}
                    () = stopped(&mut self.stop) => {}
                },
                Phase::BackingOff(delay) => tokio::select! {
                    () = sleep(delay) => {}
                    () = stopped(&mut self.stop) => {}
                },
                Phase::Running | Phase::Stopped => {}
            }
        }
        self.phase(Phase::Stopped);
    }

    /// A pass in a task of its own: a panic in it is a failure like others. None: the driver stopped, and the pass
    /// did not end in time.
    async fn pass(&mut self) -> Option<Result<Next, Fault>> {
        let worker = self.worker.clone();
        let mut pass = AbortOnDrop(tokio::spawn(async move { worker.run().await }));
        let joined = tokio::select! {
            joined = &mut pass.0 => joined,
            () = stopped(&mut self.stop) => tokio::time::timeout(self.options.grace, &mut pass.0).await.ok()?,
        };
        Some(joined.unwrap_or_else(|panic| Err(Fault::internal(format!("the pass panicked: {panic}")))))
    }

    /// Keeps the result and decides how to wait.
    fn judge(&self, result: Result<Next, Fault>) -> Phase {
        let mut status = lock(&self.status);
        let now = self.clock.now();
        status.passes += 1;
        status.ended = Some(now);
        match result {
            Ok(next) => {
                status.failures = 0;
                status.error = None;
                let interval = self.worker.interval();
                Phase::Waiting(match next {
                    Next::Again => Duration::ZERO,
                    Next::At(due) => {
                        Duration::try_from(due.duration_since(now)).unwrap_or_default().min(interval)
                    }
                    Next::Idle => interval,
                })
            }
            Err(fault) => {
                let doublings = status.failures.min(16);
                status.failures = status.failures.saturating_add(1);
                status.error = Some(format!("{fault:?}"));
                tracing::warn!(worker = status.name, failures = status.failures, ?fault, "a pass failed");
                let delay = self.options.backoff.saturating_mul(1 << doublings);
                Phase::BackingOff(delay.min(self.options.backoff_cap))
            }
        }
    }

    fn phase(&self, phase: Phase) {
        lock(&self.status).phase = phase;
    }
}

/// Until the driver is told to stop; at once if it was: a change is seen once only, and a pass may have seen it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The sender gone is the driver gone.
    let _ = stop.wait_for(|stop| *stop).await;
}

struct AbortOnDrop(JoinHandle<Result<Next, Fault>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
