//! The data plane: load balancers, health checks, DNS.
//!
//! An edge serves the last [`snapshot::Snapshot`] that it was given and asks nobody in order to answer. It resumes
//! from its folder before anything is asked of it, tells who connects to its socket how things stand, and takes
//! further snapshots from there; one that it cannot read or apply is refused with a reason and changes nothing.
//!
//! - [`run`], [`Edge`]: the process.
//! - [`control`]: the control plane's side: find it, start it, feed it.
//! - `proxy`: front → rule → group → target. `health`: what makes targets healthy. `dns`: names.

pub mod control;

mod block;
mod chance;
mod dns;
mod folder;
mod health;
mod limits;
mod listeners;
mod plan;
mod proxy;
mod socket;
mod unix;
mod workers;
mod world;

#[cfg(test)]
mod tests;

use std::io;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use snapshot::{Report, Snapshot};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use dns::{Dns, Upstreams};
use folder::Folder;
use listeners::Task;
use workers::Workers;
use world::{Remembered, World};

/// How an edge runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Longshore's data folder; the edge's own is `edge` within.
    pub data: PathBuf,
    /// Threads that carry requests; `None`: one per core.
    pub workers: Option<usize>,
    /// The host's resolvers.
    pub resolv_conf: PathBuf,
}

impl Options {
    /// The defaults for a data folder.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self { data: data.into(), workers: None, resolv_conf: "/etc/resolv.conf".into() }
    }
}

/// Why an edge cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another edge runs there.
    #[error("{0} is held by another edge")]
    Held(PathBuf),
    /// The folder cannot be used.
    #[error("{path} cannot be used: {error}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Threads or runtimes.
    #[error("a worker cannot start: {0}")]
    Worker(io::Error),
}

/// Runs an edge until it is told to shut down or to terminate: all that `longshore edge` does.
pub fn run(options: Options) -> Result<(), Error> {
    // A session of its own: what ends the control plane's terminal or group does not end the edge. It has one already
    // where it was started by hand, as its group's leader.
    let _ = nix::unistd::setsid();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Worker)?;
    runtime.block_on(async {
        let edge = Edge::start(options)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::Worker)?;
        tokio::select! {
            () = edge.stopped() => {}
            _ = terminate.recv() => {}
        }
        edge.keep_health();
        tracing::info!("the edge ends");
        Ok(())
    })
}

/// A running edge; [`Edge::stop`] ends it.
pub struct Edge {
    folder: Folder,
    world: Mutex<World>,
    reports: watch::Sender<Report>,
    stop: CancellationToken,
    tasks: Mutex<Vec<Task>>,
}

/// The file that keeps the targets' health.
const HEALTH: &str = "health.json";

impl Edge {
    /// Resumes from the folder, then listens for control planes. Needs a runtime.
    pub fn start(options: Options) -> Result<Arc<Self>, Error> {
        let folder = Folder::open(&options.data)?;
        let broken = |error| Error::Folder { path: Folder::of(&options.data), error };
        let count = options.workers.unwrap_or_else(|| available_parallelism().map_or(1, NonZero::get));
        let workers = Arc::new(Workers::start(count)?);
        let upstreams = Upstreams::of(options.resolv_conf);
        let dns = Arc::new(Dns { view: Default::default(), upstreams });
        let changed = Arc::new(Notify::new());
        let remembered = folder.read::<Remembered>(HEALTH).unwrap_or_else(|error| {
            tracing::error!(%error, "the last health cannot be read; targets are checked anew");
            None
        });
        let mut world = World::new(workers, dns, remembered.unwrap_or_default(), changed.clone());
        match folder.read_snapshot() {
            Ok(None) => {}
            Ok(Some(snapshot)) => {
                let generation = snapshot.generation;
                match world.apply(Arc::new(snapshot)) {
                    Ok(_) => world.kept(generation),
                    Err(reason) => tracing::error!(reason, "the last snapshot cannot be applied"),
                }
            }
            Err(error) => tracing::error!(%error, "the last snapshot cannot be read"),
        }
        let listener = socket::listen(&Folder::socket(&options.data)).map_err(broken)?;
        let reports = watch::Sender::new(world.report());
        let stop = CancellationToken::new();
        let edge =
            Arc::new(Self { folder, world: Mutex::new(world), reports, stop, tasks: Mutex::default() });
        // Weak, so that the tasks do not keep the edge: its handles do.
        let levels = Task(tokio::spawn(levels(Arc::downgrade(&edge), changed)));
        let control = Task(tokio::spawn(socket::serve(edge.clone(), listener)));
        edge.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend([levels, control]);
        Ok(edge)
    }

    /// Its levels, now and as they change.
    pub fn reports(&self) -> watch::Receiver<Report> {
        self.reports.subscribe()
    }

    /// Resolves once it was told to shut down.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Ends it: no socket listens any more. Requests in flight are not waited for.
    pub fn stop(&self) {
        self.stop.cancel();
        self.world().end();
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn apply(self: &Arc<Self>, snapshot: Snapshot) {
        let (generation, snapshot) = (snapshot.generation, Arc::new(snapshot));
        let applied = self.world().apply(snapshot.clone());
        match applied {
            Ok(true) => {
                let edge = self.clone();
                let kept = tokio::task::spawn_blocking(move || edge.folder.write_snapshot(&snapshot)).await;
                if let Err(error) = kept.unwrap_or_else(|e| Err(io::Error::other(e))) {
                    tracing::error!(%error, "a snapshot is served and not kept");
                }
                self.world().kept(generation);
            }
            Ok(false) => {}
            Err(reason) => tracing::error!(generation, reason, "refused a snapshot"),
        }
    }

    fn refuse(&self, reason: String) {
        tracing::error!(reason, "refused a snapshot");
        self.world().unreadable(reason);
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_health(&self) {
        let health = self.world().health();
        if let Err(error) = self.folder.write(HEALTH, &health) {
            tracing::error!(%error, "the targets' health was not kept");
        }
    }
}

/// Reports what changes at once, traffic once in a while; keeps health on disk.
async fn levels(edge: std::sync::Weak<Edge>, changed: Arc<Notify>) {
    let mut traffic = interval(limits::REPORT_EVERY);
    let mut kept = Remembered::new();
    loop {
        tokio::select! {
            () = changed.notified() => {}
            _ = traffic.tick() => {}
        }
        let Some(edge) = edge.upgrade() else { return };
        let (report, health) = {
            let mut world = edge.world();
            world.retry();
            (world.report(), world.health())
        };
        edge.reports.send_if_modified(|held| {
            let news = *held != report;
            *held = report;
            news
        });
        if kept.iter().map(|(id, c)| (id, &c.health)).ne(health.iter().map(|(id, c)| (id, &c.health))) {
            kept = health;
            let keep = move || edge.keep_health();
            let _ = tokio::task::spawn_blocking(keep).await;
        }
    }
}
