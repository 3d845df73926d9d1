//! Tasks on the Docker Engine API, from 20.10 (API 1.41) on.
//!
//! A task is a pause container that owns the network namespace, and containers that join it. Docker's own objects are
//! the only record: names make a task's id unique, labels say whose and what it is, and everything else (also
//! whether a namespace is still the one the containers joined) is derived from what the engine says.

mod client;
mod enter;
mod events;
mod exec;
mod images;
mod limits;
mod logs;
mod names;
mod networks;
mod privileged;
mod ranges;
mod ruleset;
mod run;
mod spec;
mod status;
mod stop;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use engine::{
    Changes, Cidr, Engine, Error, Exec, Executed, Image, ImageConfig, ImageSource, Info, LogLine,
    LogPosition, Network, NetworkSpec, Networks, Notifier, Result, Rules, Task, TaskId, TaskSpec,
};
use futures::stream::BoxStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use client::Client;
pub use client::look;
use names::Names;
use run::Gate;

/// How to reach Docker, and what our objects there are called.
#[derive(Clone, Debug)]
pub struct Options {
    /// The owner of all objects: the data folder's id, lower-case letters and digits. It is part of every name.
    pub owner: String,
    /// A folder of ours on the engine's host for small files that containers mount.
    pub state: PathBuf,
    /// A static binary on the engine's host that holds namespaces: Longshore itself.
    pub pause: PathBuf,
    /// Its arguments, as in `pause`.
    pub pause_args: Vec<String>,
    /// As in `DOCKER_HOST`; none: that variable, or the usual socket.
    pub host: Option<String>,
    /// Where free ranges are looked for when a wanted one is taken.
    pub pool: Vec<Cidr>,
    /// Leave ranges alone that a route of this machine leads to. Off only where the engine's host is another one.
    pub avoid_host_routes: bool,
}

impl Options {
    /// The usual options for an owner: its files in `state`, `pause` run with the argument `pause`.
    pub fn new(owner: impl Into<String>, state: impl Into<PathBuf>, pause: impl Into<PathBuf>) -> Self {
        Self {
            owner: owner.into(),
            state: state.into(),
            pause: pause.into(),
            pause_args: vec!["pause".into()],
            host: None,
            pool: ranges::default_pool(),
            avoid_host_routes: true,
        }
    }
}

/// The Docker engine. Cheap to clone; the last clone's end ends its background watch.
#[derive(Clone)]
pub struct Docker(Arc<Inner>);

pub(crate) struct Inner {
    options: Options,
    names: Names,
    client: Client,
    notifier: Notifier,
    networks: watch::Sender<Networks>,
    /// One network is made at a time, so that two do not pick the same free range.
    making_network: tokio::sync::Mutex<()>,
    gates: Mutex<HashMap<TaskId, Weak<Gate>>>,
    pulled: Mutex<BTreeSet<String>>,
    /// The engine's processors: they stay as many as they are.
    cpus: tokio::sync::OnceCell<u32>,
    watch: OnceLock<AbortHandle>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.watch.get().inspect(|watch| watch.abort());
    }
}

impl Docker {
    /// An engine, and its background watch. Docker need not answer yet. Call it within a Tokio runtime.
    pub fn start(options: Options) -> std::io::Result<Self> {
        std::fs::create_dir_all(&options.state)?;
        spec::write_resolver(&options.state)?;
        let inner = Arc::new(Inner {
            names: Names::new(&options.owner),
            client: Client::new(options.host.clone()),
            notifier: Notifier::default(),
            networks: watch::Sender::new(None),
            making_network: tokio::sync::Mutex::default(),
            gates: Mutex::default(),
            pulled: Mutex::default(),
            cpus: tokio::sync::OnceCell::new(),
            watch: OnceLock::new(),
            options,
        });
        let watch = tokio::spawn(events::watch(Arc::downgrade(&inner)));
        inner.watch.get_or_init(|| watch.abort_handle());
        Ok(Self(inner))
    }
}

impl Inner {
    /// The gate of a task that is being started; made if there is none.
    fn gate(&self, id: &TaskId) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(id).and_then(Weak::upgrade) {
            return gate;
        }
        gates.retain(|_, gate| gate.strong_count() > 0);
        let gate = Arc::new(Gate::default());
        gates.insert(id.clone(), Arc::downgrade(&gate));
        gate
    }
}

#[async_trait::async_trait]
impl Engine for Docker {
    async fn info(&self) -> Result<Info> {
        self.0.client.info().await
    }

    async fn run(&self, spec: TaskSpec) -> Result<Task> {
        Box::pin(self.0.run(spec)).await
    }

    async fn task(&self, id: &TaskId) -> Result<Task> {
        self.0.task(id).await
    }

    async fn tasks(&self) -> Result<Vec<Task>> {
        self.0.tasks().await
    }

    fn changes(&self) -> Changes {
        self.0.notifier.subscribe()
    }

    async fn update_rules(&self, id: &TaskId, rules: &Rules) -> Result<()> {
        let parts = self.0.parts(id).await?;
        let pause = parts.pause().filter(|pause| status::running(pause));
        let Some(pause) = pause else {
            return Err(Error::Stopped { task: id.clone(), reason: "its network namespace is gone".into() });
        };
        self.0.apply_rules(id, status::id_of(pause), rules).await
    }

    async fn stop(&self, id: &TaskId, grace: Option<Duration>) -> Result<()> {
        self.0.stop(id, grace).await
    }

    async fn remove(&self, id: &TaskId) -> Result<()> {
        self.0.remove(id).await
    }

    async fn exec(&self, id: &TaskId, container: &str, exec: Exec) -> Result<Executed> {
        self.0.exec(id, container, exec).await
    }

    fn logs(
        &self,
        id: &TaskId,
        container: &str,
        position: Option<LogPosition>,
    ) -> BoxStream<'static, Result<LogLine>> {
        logs::follow(self.0.clone(), id.clone(), container.to_owned(), position)
    }

    async fn copy_in(&self, id: &TaskId, container: &str, folder: &str, tar: Bytes) -> Result<()> {
        self.0.copy_in(id, container, folder, tar).await
    }

    fn copy_out(&self, id: &TaskId, container: &str, path: &str) -> BoxStream<'static, Result<Bytes>> {
        exec::copy_out(self.0.clone(), id.clone(), container.to_owned(), path.to_owned())
    }

    async fn ensure_network(&self, spec: NetworkSpec) -> Result<Network> {
        self.0.ensure_network(spec).await
    }

    fn networks(&self) -> watch::Receiver<Networks> {
        self.0.networks.subscribe()
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        self.0.remove_network(name).await
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>> {
        self.0.image(reference).await
    }

    async fn pull(&self, source: &ImageSource) -> Result<Image> {
        self.0.pull(source).await
    }

    async fn tag(&self, reference: &str, further: &str) -> Result<()> {
        self.0.tag(reference, further).await
    }

    async fn import(
        &self,
        reference: &str,
        config: ImageConfig,
        tar: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<Image> {
        self.0.import(reference, config, tar).await
    }

    async fn remove_image(&self, reference: &str) -> Result<()> {
        self.0.remove_image(reference).await
    }
}
