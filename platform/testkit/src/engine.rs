//! An engine that runs nothing: containers do what the test says.
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use engine::{
    Away, Change, Changes, Cidr, Condition, ContainerState, ContainerStatus, Dependency, Engine, Error, Exec,
    Executed, Health, Image, ImageConfig, ImageSource, Info, LogLine, LogPosition, Network, NetworkSpec,
    Networks, Notifier, Result, Rules, Task, TaskId, TaskSpec, TaskState,
};
use futures::StreamExt;
use futures::stream::BoxStream;
use kernel::Clock;
use tokio::sync::watch;

/// Started containers run until the test ends them; images exist unless the test says otherwise; health checks say
/// nothing until the test does. Everything that real engines promise about ids, adoption and order holds.
pub struct FakeEngine {
    this: Weak<Self>,
    clock: Arc<dyn Clock>,
    world: Mutex<State>,
    notifier: Notifier,
    networks: watch::Sender<Networks>,
}

#[derive(Default)]
struct State {
    unreachable: bool,
    tasks: BTreeMap<TaskId, Running>,
    refused: BTreeMap<String, Error>,
    stuck: BTreeSet<TaskId>,
    stalled: BTreeSet<String>,
    failing: BTreeMap<String, usize>,
    images: BTreeMap<String, Image>,
    execs: Vec<(TaskId, String, Exec)>,
    log: Vec<String>,
}

struct Running {
    spec: TaskSpec,
    task: Task,
    started: BTreeSet<String>,
    lines: BTreeMap<String, Vec<LogLine>>,
    files: BTreeMap<(String, String), Bytes>,
}

/// A start under way.
struct Going<'a>(&'a FakeEngine, &'a TaskId);

impl Drop for Going<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        let task = state.tasks.get(self.1).map(|running| &running.task.state);
        if !matches!(task, None | Some(TaskState::Stopped { .. })) {
            state.log.push(format!("break {}", self.1));
        }
    }
}

impl FakeEngine {
    /// An engine without tasks.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            clock,
            world: Mutex::default(),
            notifier: Notifier::default(),
            networks: watch::Sender::new(Some(Arc::default())),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reached(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.unreachable {
            Err(Error::Unreachable(Away::Absent("a test says so".into())))
        } else {
            Ok(state)
        }
    }

    fn change(&self, id: &TaskId) {
        self.notifier.notify(Change::Task(id.clone()));
    }

    /// Makes the task, or finds it. Errors: it has stopped, or its network is missing.
    fn begin(&self, spec: &TaskSpec) -> Result<()> {
        let network = self.networks.borrow().clone().unwrap_or_default();
        let mut state = self.reached()?;
        if let Some(running) = state.tasks.get(&spec.id) {
            return match &running.task.state {
                TaskState::Stopped { reason } => {
                    Err(Error::Stopped { task: spec.id.clone(), reason: reason.clone() })
                }
                TaskState::Starting | TaskState::Running => Ok(()),
            };
        }
        let placed = match &spec.network {
            None => None,
            Some(at) => {
                let found = network.iter().find(|n| n.name == at.network);
                let found = found.ok_or_else(|| Error::NoNetwork(at.network.clone()))?;
                let free = found.cidr.nth(state.tasks.len() as u64 + 10);
                Some((at.network.clone(), at.address.or(free).unwrap_or(Ipv4Addr::LOCALHOST)))
            }
        };
        state.log.push(format!("run {}", spec.id));
        let task = Task {
            id: spec.id.clone(),
            labels: spec.labels.clone(),
            network: placed,
            published: published(spec),
            state: TaskState::Running,
            containers: Vec::new(),
            created_at: self.clock.now(),
        };
        let running = Running {
            spec: spec.clone(),
            task,
            started: BTreeSet::new(),
            lines: BTreeMap::new(),
            files: BTreeMap::new(),
        };
        state.tasks.insert(spec.id.clone(), running);
        drop(state);
        self.change(&spec.id);
        Ok(())
    }

    async fn start(&self, spec: &TaskSpec) -> Result<()> {
        let mut changes = self.notifier.subscribe();
        for container in spec.in_order()? {
            self.pull(&container.image).await?;
            for dependency in &container.depends_on {
                while !self.holds(&spec.id, &container.name, dependency)? {
                    changes.next().await;
                }
            }
            self.start_one(spec, container)?;
        }
        Ok(())
    }

    fn start_one(&self, spec: &TaskSpec, container: &engine::Container) -> Result<()> {
        let now = self.clock.now();
        let mut state = self.reached()?;
        let Some(running) = state.tasks.get_mut(&spec.id) else { return Err(Error::NoTask(spec.id.clone())) };
        if let TaskState::Stopped { reason } = &running.task.state {
            return Err(Error::Stopped { task: spec.id.clone(), reason: reason.clone() });
        }
        if !running.started.insert(container.name.clone()) {
            return Ok(());
        }
        let health = if container.health.is_some() { Health::Starting } else { Health::None };
        running.task.containers.push(ContainerStatus {
            name: container.name.clone(),
            id: format!("{}-{}", spec.id, container.name),
            image: container.image.reference.clone(),
            image_id: "sha256:0".into(),
            state: ContainerState::Running,
            health,
            started_at: Some(now),
            finished_at: None,
        });
        let place = |name: &str| spec.containers.iter().position(|c| c.name == name);
        running.task.containers.sort_by_key(|c| place(&c.name));
        state.log.push(format!("start {} {}", spec.id, container.name));
        drop(state);
        self.change(&spec.id);
        Ok(())
    }

    fn holds(&self, id: &TaskId, container: &str, dependency: &Dependency) -> Result<bool> {
        let state = self.reached()?;
        let running = state.tasks.get(id).ok_or_else(|| Error::NoTask(id.clone()))?;
        if let TaskState::Stopped { reason } = &running.task.state {
            return Err(Error::Stopped { task: id.clone(), reason: reason.clone() });
        }
        let Some(on) = running.task.container(&dependency.container) else { return Ok(false) };
        let code = on.state.exit_code();
        let vain = |reason: String| Error::Dependency {
            container: container.to_owned(),
            on: dependency.container.clone(),
            reason,
        };
        match (dependency.condition, code) {
            (Condition::Start, _) => Ok(true),
            (Condition::Complete, code) => Ok(code.is_some()),
            (Condition::Success, None) => Ok(false),
            (Condition::Success, Some(0)) => Ok(true),
            (Condition::Success, Some(code)) => Err(vain(format!("ended with exit code {code}"))),
            (Condition::Healthy, Some(_)) => Err(vain("ended before it was healthy".into())),
            (Condition::Healthy, None) => match on.health {
                Health::Healthy => Ok(true),
                Health::Unhealthy => Err(vain("is unhealthy".into())),
                Health::Starting | Health::None => Ok(false),
            },
        }
    }

    fn next_line(
        &self,
        id: &TaskId,
        container: &str,
        after: Option<LogPosition>,
    ) -> Result<(Option<LogLine>, bool)> {
        let state = self.reached()?;
        let running = state.tasks.get(id).ok_or_else(|| Error::NoTask(id.clone()))?;
        let mut lines = running.lines.get(container).into_iter().flatten();
        let line = lines.find(|line| after.is_none_or(|after| line.position > after)).cloned();
        let gone = matches!(running.task.state, TaskState::Stopped { .. });
        let ended = running.task.container(container).is_some_and(|c| c.state.exit_code().is_some());
        Ok((line, gone || ended))
    }
}

fn published(spec: &TaskSpec) -> Vec<(u16, String, std::net::SocketAddr)> {
    let ports = spec.network.iter().flat_map(|network| &network.publish);
    let published = ports.map(|publish| {
        let address = publish.host_address;
        let protocol = if publish.udp { "udp" } else { "tcp" };
        let port = publish.host_port.unwrap_or(32768 + publish.port % 1000);
        (publish.port, protocol.to_owned(), (address, port).into())
    });
    published.collect()
}

#[async_trait::async_trait]
impl Engine for FakeEngine {
    async fn info(&self) -> Result<Info> {
        drop(self.reached()?);
        Ok(Info {
            version: "Fake".into(),
            cpus: 4,
            memory: 8 << 30,
            architecture: "amd64".into(),
            enters_namespaces: true,
            time: Some(self.clock.now()),
        })
    }

    async fn run(&self, spec: TaskSpec) -> Result<Task> {
        spec.in_order()?;
        self.begin(&spec)?;
        let going = Going(self, &spec.id);
        let outcome = self.start(&spec).await;
        std::mem::forget(going);
        match outcome {
            Ok(()) => self.task(&spec.id).await,
            Err(unknown @ Error::Unreachable(_)) => Err(unknown),
            Err(failed) => {
                self.stop(&spec.id, None).await?;
                Err(failed)
            }
        }
    }

    async fn task(&self, id: &TaskId) -> Result<Task> {
        let state = self.reached()?;
        state.tasks.get(id).map(|running| running.task.clone()).ok_or_else(|| Error::NoTask(id.clone()))
    }

    async fn tasks(&self) -> Result<Vec<Task>> {
        Ok(self.reached()?.tasks.values().map(|running| running.task.clone()).collect())
    }

    fn changes(&self) -> Changes {
        self.notifier.subscribe()
    }

    async fn update_rules(&self, id: &TaskId, rules: &Rules) -> Result<()> {
        let mut state = self.reached()?;
        let running = state.tasks.get(id).ok_or_else(|| Error::NoTask(id.clone()))?;
        if let TaskState::Stopped { reason } = &running.task.state {
            return Err(Error::Stopped { task: id.clone(), reason: reason.clone() });
        }
        state.does(format!("rules {id}"))?;
        if let Some(running) = state.tasks.get_mut(id) {
            running.spec.rules = rules.clone();
        }
        Ok(())
    }

    async fn stop(&self, id: &TaskId, _grace: Option<Duration>) -> Result<()> {
        let now = self.clock.now();
        let mut state = self.reached()?;
        let stopped = |running: &Running| matches!(running.task.state, TaskState::Stopped { .. });
        if state.tasks.get(id).is_none_or(stopped) {
            return Ok(());
        }
        state.does(format!("stop {id}"))?;
        let Some(running) = state.tasks.get_mut(id) else { return Ok(()) };
        running.task.state = TaskState::Stopped { reason: "it was stopped".into() };
        for container in running.task.containers.iter_mut().filter(|c| c.state.is_running()) {
            container.state = ContainerState::Exited { code: 143, out_of_memory: false, error: None };
            container.finished_at = Some(now);
        }
        drop(state);
        self.change(id);
        Ok(())
    }

    async fn remove(&self, id: &TaskId) -> Result<()> {
        let mut state = self.reached()?;
        if state.stuck.contains(id) {
            return Err(Error::Engine("a test says that it cannot be removed".into()));
        }
        if state.tasks.remove(id).is_some() {
            state.log.push(format!("remove {id}"));
            drop(state);
            self.change(id);
        }
        Ok(())
    }

    async fn exec(&self, id: &TaskId, container: &str, exec: Exec) -> Result<Executed> {
        let mut state = self.reached()?;
        if !state.tasks.contains_key(id) {
            return Err(Error::NoTask(id.clone()));
        }
        state.execs.push((id.clone(), container.to_owned(), exec));
        Ok(Executed { exit_code: 0, output: Bytes::new() })
    }

    fn logs(
        &self,
        id: &TaskId,
        container: &str,
        position: Option<LogPosition>,
    ) -> BoxStream<'static, Result<LogLine>> {
        let mut changes = self.notifier.subscribe();
        let (id, container) = (id.clone(), container.to_owned());
        // The stream outlives the borrow: it has a handle of its own.
        let Some(this) = self.this.upgrade() else { return futures::stream::empty().boxed() };
        async_stream::try_stream! {
            let mut after = position;
            loop {
                match this.next_line(&id, &container, after)? {
                    (Some(line), _) => {
                        after = Some(line.position);
                        yield line;
                    }
                    (None, true) => break,
                    (None, false) => {
                        changes.next().await;
                    }
                }
            }
        }
        .boxed()
    }

    async fn copy_in(&self, id: &TaskId, container: &str, folder: &str, tar: Bytes) -> Result<()> {
        let mut state = self.reached()?;
        let running = state.tasks.get_mut(id).ok_or_else(|| Error::NoTask(id.clone()))?;
        running.files.insert((container.to_owned(), folder.to_owned()), tar);
        Ok(())
    }

    fn copy_out(&self, id: &TaskId, container: &str, path: &str) -> BoxStream<'static, Result<Bytes>> {
        let found = self.reached().and_then(|state| {
            let running = state.tasks.get(id).ok_or_else(|| Error::NoTask(id.clone()))?;
            let file = running.files.get(&(container.to_owned(), path.to_owned()));
            file.cloned().ok_or_else(|| Error::NoPath(path.to_owned()))
        });
        futures::stream::iter([found]).boxed()
    }

    async fn ensure_network(&self, spec: NetworkSpec) -> Result<Network> {
        drop(self.reached()?);
        let networks = self.networks.borrow().clone().unwrap_or_default();
        if let Some(found) = networks.iter().find(|network| network.name == spec.name) {
            return Ok(found.clone());
        }
        let free = |cidr: &Cidr| !networks.iter().any(|network| network.cidr.overlaps(*cidr));
        let fallback = (128..=255).map(|n| Cidr::of([10, n, 0, 0].into(), spec.wanted.prefix().max(16)));
        let cidr = std::iter::once(spec.wanted).chain(fallback).find(free);
        let cidr = cidr.ok_or(Error::NoRange { name: spec.name.clone(), wanted: spec.wanted })?;
        let gateway = cidr.nth(1).unwrap_or(cidr.first());
        let network = Network { id: format!("net-{}", spec.name), name: spec.name, cidr, gateway };
        let all = networks.iter().cloned().chain([network.clone()]);
        self.networks.send_replace(Some(Arc::new(all.collect())));
        Ok(network)
    }

    fn networks(&self) -> watch::Receiver<Networks> {
        self.networks.subscribe()
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        let used = |running: &Running| {
            let here = running.task.network.as_ref().is_some_and(|(network, _)| network == name);
            here && !matches!(running.task.state, TaskState::Stopped { .. })
        };
        if self.reached()?.tasks.values().any(used) {
            return Err(Error::NetworkInUse(name.to_owned()));
        }
        let networks = self.networks.borrow().clone().unwrap_or_default();
        let left = networks.iter().filter(|network| network.name != name).cloned();
        self.networks.send_replace(Some(Arc::new(left.collect())));
        Ok(())
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>> {
        Ok(self.reached()?.images.get(reference).cloned())
    }

    async fn pull(&self, source: &ImageSource) -> Result<Image> {
        let stalled = self.reached()?.stalled.contains(&source.reference);
        if stalled {
            std::future::pending::<()>().await;
        }
        let mut state = self.reached()?;
        if let Some(reason) = state.refused.get(&source.reference) {
            return Err(reason.clone());
        }
        let made = || Image { id: "sha256:0".into(), architecture: "amd64".into(), ..Image::default() };
        Ok(state.images.entry(source.reference.clone()).or_insert_with(made).clone())
    }

    async fn tag(&self, reference: &str, further: &str) -> Result<()> {
        let mut state = self.reached()?;
        let image = state.images.get(reference).cloned();
        let missing = || Error::NoImage { reference: reference.to_owned(), reason: "never pulled".into() };
        state.images.insert(further.to_owned(), image.ok_or_else(missing)?);
        Ok(())
    }

    async fn import(
        &self,
        reference: &str,
        config: ImageConfig,
        _tar: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<Image> {
        let image = Image { id: "sha256:1".into(), config, ..Image::default() };
        self.reached()?.images.insert(reference.to_owned(), image.clone());
        Ok(image)
    }

    async fn remove_image(&self, reference: &str) -> Result<()> {
        self.reached()?.images.remove(reference);
        Ok(())
    }
}
