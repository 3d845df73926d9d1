//! Starting a task, or going on where starting it was left off.
use std::time::Duration;

use bollard::query_parameters::{CreateContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use engine::{
    Away, Change, Changes, Condition, Container, ContainerState, Dependency, Error, Health, Image, Result,
    Task, TaskId, TaskSpec, TaskState,
};
use tokio::sync::{RwLock, RwLockReadGuard};

use crate::client::{code, error, fine, words};
use crate::exec::archive;
use crate::status::{id_of, never_started};
use crate::{Inner, spec};

/// Lets a stop come between two steps of a start. Closed for good once a stop begins.
#[derive(Default)]
pub(crate) struct Gate(RwLock<bool>);

impl Gate {
    pub(crate) async fn close(&self) {
        *self.0.write().await = true;
    }

    /// Holds stops off for one step; steps do not hold one another off.
    async fn step(&self, id: &TaskId) -> Result<RwLockReadGuard<'_, bool>> {
        let closed = self.0.read().await;
        if *closed {
            return Err(Error::Stopped {
                task: id.clone(),
                reason: "it was stopped while it started".into(),
            });
        }
        Ok(closed)
    }
}

/// A container that is there, and whether this start made it: then nobody can have started it yet.
struct Made {
    id: String,
    new: bool,
}

impl Inner {
    pub(crate) async fn run(&self, spec: TaskSpec) -> Result<Task> {
        // The gate lives as long as the start: whoever stops the task meanwhile finds it.
        let gate = self.gate(&spec.id);
        match self.start(&gate, &spec).await {
            Ok(()) => self.task(&spec.id).await,
            Err(unknown @ Error::Unreachable(_)) => Err(unknown),
            Err(failed) => {
                self.stop(&spec.id, None).await?;
                Err(failed)
            }
        }
    }

    async fn start(&self, gate: &Gate, spec: &TaskSpec) -> Result<()> {
        let order = spec.in_order()?;
        spec::check(spec)?;
        // Before anything can change, so that no change is missed.
        let mut changes = self.notifier.subscribe();
        let pause = self.make_pause(gate, spec).await?;
        // Containers are made while the namespace begins, and started once its rules are in force. Neither is given
        // up half-way when the other fails: what the engine was asked for, it does.
        let (held, made) = tokio::join!(
            self.hold_namespace(gate, spec, &pause),
            self.make_containers(gate, spec, &pause, &order)
        );
        held?;
        for (container, made) in order.into_iter().zip(made?) {
            for dependency in &container.depends_on {
                self.await_dependency(&mut changes, &spec.id, &container.name, dependency).await?;
            }
            self.start_container(gate, &spec.id, container, &made).await?;
        }
        Ok(())
    }

    /// Makes the pause container.
    async fn make_pause(&self, gate: &Gate, spec: &TaskSpec) -> Result<Made> {
        let network = match &spec.network {
            None => None,
            Some(attachment) => {
                let found = self.list_networks().await?.into_iter().find(|n| n.name == attachment.network);
                Some(found.ok_or_else(|| Error::NoNetwork(attachment.network.clone()))?)
            }
        };
        self.ensure_pause_image().await?;
        let _step = gate.step(&spec.id).await?;
        let body = spec::pause(&self.options, &self.names, spec, network.as_ref());
        if let Some(id) = self.create(&self.names.pause(&spec.id), body, "its network namespace").await? {
            return Ok(Made { id, new: true });
        }
        let parts = self.parts(&spec.id).await?;
        let ended = |reason: &str| Error::Stopped { task: spec.id.clone(), reason: reason.into() };
        let pause = parts.pause().ok_or_else(|| ended("its network namespace is gone"))?;
        if let TaskState::Stopped { reason } = parts.task().state {
            return Err(ended(&reason));
        }
        Ok(Made { id: id_of(pause).to_owned(), new: false })
    }

    /// Starts the pause container and puts the rules into force: nothing joins it before.
    async fn hold_namespace(&self, gate: &Gate, spec: &TaskSpec, pause: &Made) -> Result<()> {
        let _step = gate.step(&spec.id).await?;
        let started = self.client.get().await?.start_container(&pause.id, None).await;
        fine(started).map_err(|e| cannot_start("its network namespace", e))?;
        if spec.network.is_some() {
            self.apply_rules(&spec.id, &pause.id, &spec.rules).await?;
        }
        Ok(())
    }

    /// Makes the containers that are not there yet, one after the other: images may be large.
    async fn make_containers(
        &self,
        gate: &Gate,
        spec: &TaskSpec,
        pause: &Made,
        order: &[&Container],
    ) -> Result<Vec<Made>> {
        // Those of an earlier start; with a new pause there can be none that would do.
        let parts = if pause.new { None } else { Some(self.parts(&spec.id).await?) };
        let mut all = Vec::with_capacity(order.len());
        for container in order {
            let found = parts.as_ref().and_then(|parts| parts.container(&container.name));
            all.push(match found {
                Some(found) => Made { id: id_of(found).to_owned(), new: false },
                None => self.make_container(gate, spec, &pause.id, container).await?,
            });
        }
        Ok(all)
    }

    async fn make_container(
        &self,
        gate: &Gate,
        spec: &TaskSpec,
        pause: &str,
        container: &Container,
    ) -> Result<Made> {
        let image: Image = self.pull(&container.image).await?;
        let cpus = *self.cpus.get_or_try_init(|| async { Ok(self.client.info().await?.cpus) }).await?;
        let _step = gate.step(&spec.id).await?;
        let body = spec::container(&self.options, &self.names, spec, container, pause, &image, cpus)?;
        for volume in spec::volumes(&self.names, spec, container) {
            self.client.get().await?.create_volume(volume).await.map_err(error)?;
        }
        let name = self.names.container(&spec.id, &container.name);
        let new = self.create(&name, body, &container.name).await?;
        Ok(match new {
            Some(id) => Made { id, new: true },
            None => Made { id: name, new: false },
        })
    }

    /// Creates a container and answers its id; none where there is one of that name: that is it, since names are
    /// made of the task's id.
    async fn create(
        &self,
        name: &str,
        body: bollard::models::ContainerCreateBody,
        what: &str,
    ) -> Result<Option<String>> {
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        match self.client.get().await?.create_container(Some(options), body).await {
            Ok(made) => Ok(Some(made.id)),
            Err(e) if code(&e) == Some(409) && words(&e).contains("already in use") => Ok(None),
            Err(e) => Err(cannot_start(what, error(e))),
        }
    }

    /// Starts a container that was never started; one that was is left as it is.
    async fn start_container(
        &self,
        gate: &Gate,
        id: &TaskId,
        container: &Container,
        made: &Made,
    ) -> Result<()> {
        let _step = gate.step(id).await?;
        // A new one has not been started, and the engine refuses to start it where the namespace has ended.
        if !made.new && !self.waits_for_start(id, container).await? {
            return Ok(());
        }
        let client = self.client.get().await?;
        if !container.files.is_empty() {
            let files =
                container.files.iter().map(|f| (f.path.trim_start_matches('/'), f.mode, &f.content[..]));
            let root = UploadToContainerOptionsBuilder::new().path("/").build();
            let body = bollard::body_full(archive(files)?);
            let put = client.upload_to_container(&made.id, Some(root), body).await;
            put.map_err(|e| cannot_start(&container.name, error(e)))?;
        }
        let started = client.start_container(&made.id, None).await;
        started.map_err(|e| cannot_start(&container.name, error(e)))
    }

    /// Whether a container that was there before was never started.
    async fn waits_for_start(&self, id: &TaskId, container: &Container) -> Result<bool> {
        let parts = self.parts(id).await?;
        let gone = |reason: String| Error::Stopped { task: id.clone(), reason };
        if let TaskState::Stopped { reason } = parts.task().state {
            return Err(gone(reason));
        }
        let found = parts.container(&container.name);
        let found = found.ok_or_else(|| gone(format!("its container '{}' was removed", container.name)))?;
        Ok(never_started(found))
    }

    async fn await_dependency(
        &self,
        changes: &mut Changes,
        id: &TaskId,
        container: &str,
        dependency: &Dependency,
    ) -> Result<()> {
        let vain = |reason: String| Error::Dependency {
            container: container.to_owned(),
            on: dependency.container.clone(),
            reason,
        };
        let fulfilled = async {
            loop {
                let parts = self.parts(id).await?;
                let task = parts.task();
                if let TaskState::Stopped { reason } = task.state {
                    return Err(Error::Stopped { task: id.clone(), reason });
                }
                let status = task.container(&dependency.container);
                let status = status.ok_or_else(|| vain("was removed".into()))?;
                match verdict(dependency.condition, &status.state, status.health) {
                    Verdict::Now => return Ok(()),
                    Verdict::Never(why) => return Err(vain(why)),
                    Verdict::Later => {}
                }
                next_change_of(changes, id).await?;
            }
        };
        let limit = dependency.timeout.unwrap_or(Duration::MAX);
        match tokio::time::timeout(limit, fulfilled).await {
            Ok(outcome) => outcome,
            Err(_) => Err(vain(format!("did not get there within {} seconds", limit.as_secs()))),
        }
    }
}

async fn next_change_of(changes: &mut Changes, id: &TaskId) -> Result<()> {
    loop {
        match changes.next().await {
            None => return Err(Error::Unreachable(Away::Silent("the engine was dropped".into()))),
            Some(Change::All) => return Ok(()),
            Some(Change::Task(other)) if other == *id => return Ok(()),
            Some(Change::Task(_)) => {}
        }
    }
}

/// An unreachable engine stays one; anything else is the reason why something could not be started.
fn cannot_start(what: &str, error: Error) -> Error {
    match error {
        Error::Engine(reason) => Error::CannotStart { container: what.to_owned(), reason },
        other => other,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Now,
    Later,
    Never(String),
}

/// Whether a condition holds. One that held once holds: a container that ended was started.
fn verdict(condition: Condition, state: &ContainerState, health: Health) -> Verdict {
    match (condition, state) {
        (_, ContainerState::Created) => Verdict::Later,
        (Condition::Start, _) | (Condition::Complete, ContainerState::Exited { .. }) => Verdict::Now,
        (Condition::Success, ContainerState::Exited { code: 0, .. }) => Verdict::Now,
        (Condition::Success, ContainerState::Exited { code, .. }) => {
            Verdict::Never(format!("ended with exit code {code}"))
        }
        (Condition::Healthy, ContainerState::Exited { .. }) => {
            Verdict::Never("ended before it was healthy".into())
        }
        (Condition::Healthy, ContainerState::Running) => match health {
            Health::Healthy => Verdict::Now,
            Health::Unhealthy => Verdict::Never("is unhealthy".into()),
            Health::None => Verdict::Never("has no health check".into()),
            Health::Starting => Verdict::Later,
        },
        (Condition::Complete | Condition::Success, ContainerState::Running) => Verdict::Later,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_come_true_or_cannot() {
        use Condition::{Complete, Healthy, Start, Success};
        let ended = |code| ContainerState::Exited { code, out_of_memory: false, error: None };
        let check = |condition, state: &ContainerState, health, expected: &str| {
            let word = match verdict(condition, state, health) {
                Verdict::Now => "now",
                Verdict::Later => "later",
                Verdict::Never(_) => "never",
            };
            assert_eq!(word, expected, "{condition:?} {state:?} {health:?}");
        };
        let (created, up) = (ContainerState::Created, ContainerState::Running);
        check(Start, &created, Health::None, "later");
        check(Start, &up, Health::Unhealthy, "now");
        check(Start, &ended(1), Health::None, "now");
        check(Complete, &up, Health::None, "later");
        check(Complete, &ended(1), Health::None, "now");
        check(Success, &ended(0), Health::None, "now");
        check(Success, &ended(1), Health::None, "never");
        check(Healthy, &up, Health::Starting, "later");
        check(Healthy, &up, Health::Healthy, "now");
        check(Healthy, &up, Health::Unhealthy, "never");
        check(Healthy, &ended(0), Health::Healthy, "never");
    }
}
