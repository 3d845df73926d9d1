//! A task's life: one step at a time, each from what the record and the engine say, each committed.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::{Change, Changes, ContainerState, Health, TaskId, TaskState};
use kernel::Fault;
use store::{Batch, Row};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::names::Scope;
use crate::records::{Container, Definition, Status, Stop, Task};
use crate::start::Start;
use crate::{Ecs, limits};

/// What follows a step.
pub(crate) enum Then {
    /// The next step, at once.
    Again,
    /// Something that tells of itself: the record, the engine, the edge.
    Wait,
    /// The same, or this long at most.
    WaitFor(Duration),
    /// The task's life is over.
    Done,
}

/// What drives one task.
pub(crate) struct Actor {
    pub(crate) ecs: Arc<Ecs>,
    pub(crate) scope: Scope,
    pub(crate) cluster: String,
    pub(crate) id: String,
    pub(crate) engine_id: TaskId,
    pub(crate) definition: Option<Definition>,
    /// The engine starting it.
    pub(crate) start: Option<Start>,
    /// Those who follow its containers' output.
    pub(crate) followers: BTreeMap<String, JoinHandle<()>>,
    /// Its targets were told to drain by this process.
    pub(crate) draining: bool,
    wake: Arc<Notify>,
    changes: Changes,
    health: watch::Receiver<u64>,
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.followers.values().for_each(JoinHandle::abort);
    }
}

impl Actor {
    pub(crate) fn new(ecs: Arc<Ecs>, scope: Scope, task: &Task, wake: Arc<Notify>) -> Result<Self> {
        Ok(Self {
            engine_id: task.id.parse()?,
            changes: ecs.engine.changes(),
            health: ecs.health.subscribe(),
            cluster: task.cluster.clone(),
            id: task.id.clone(),
            definition: None,
            start: None,
            followers: BTreeMap::new(),
            draining: false,
            ecs,
            scope,
            wake,
        })
    }

    /// Until the task has ended.
    pub(crate) async fn live(mut self) {
        loop {
            let then = match Box::pin(self.step()).await {
                Ok(then) => then,
                Err(Error::Busy) => Then::Again,
                Err(error) => {
                    let fault = Fault::from(error);
                    tracing::warn!(task = self.id, ?fault, "a task's step failed; it is tried again");
                    Then::WaitFor(limits::RETRY)
                }
            };
            match then {
                Then::Again => {}
                Then::Wait => self.wait(Duration::MAX).await,
                Then::WaitFor(at_most) => self.wait(at_most).await,
                Then::Done => return,
            }
        }
    }

    async fn step(&mut self) -> Result<Then> {
        let Some(row) = self.row().await? else { return Ok(Then::Done) };
        let task = row.value;
        match task.status {
            Status::Provisioning => self.provision(task).await,
            Status::Pending => self.pend(task).await,
            Status::Activating => self.activate(task).await,
            Status::Running => self.run(task).await,
            Status::Deactivating => self.deactivate(task).await,
            Status::Stopping => self.stop().await,
            Status::Deprovisioning => self.deprovision(task).await,
            Status::Stopped => Ok(Then::Done),
        }
    }

    async fn wait(&mut self, at_most: Duration) {
        let Self { wake, start, changes, health, engine_id, .. } = self;
        let started = async {
            match start {
                Some(start) => start.ended().await,
                None => std::future::pending().await,
            }
        };
        let ours = async {
            loop {
                match changes.next().await {
                    Some(Change::Task(id)) if id != *engine_id => {}
                    _ => return,
                }
            }
        };
        tokio::select! {
            () = wake.notified() => {}
            () = started => {}
            () = ours => {}
            _ = health.changed() => {}
            () = tokio::time::sleep(at_most) => {}
        }
    }

    pub(crate) async fn row(&self) -> Result<Option<Row<Task>>> {
        Ok(self.ecs.store.get(&self.scope.key().text(&self.cluster).text(&self.id)).await?)
    }

    /// The task's definition: it cannot change.
    pub(crate) async fn definition(&mut self, task: &Task) -> Result<Definition> {
        if self.definition.is_none() {
            let arn = self.scope.definition(&task.family, task.revision);
            self.definition = Some(self.ecs.definition(&self.scope, &arn).await?.value);
        }
        self.definition.clone().ok_or_else(|| Error::Client("TaskDefinition not found.".into()))
    }

    /// Changes the record, if the change changes anything, and tells of it.
    pub(crate) async fn change(&self, change: impl Fn(&mut Task)) -> Result<Option<Task>> {
        let ecs = &self.ecs;
        let update = || async {
            let Some(mut row) = self.row().await? else { return Ok((Batch::new(), None)) };
            let before = row.value.clone();
            change(&mut row.value);
            if row.value == before {
                return Ok((Batch::new(), Some(before)));
            }
            row.value.version += 1;
            let event = ecs.task_event(&self.scope, &row.value, ecs.clock.now());
            Ok::<_, Error>((Batch::new().update(&row).event(event), Some(row.value)))
        };
        ecs.store.update(update).await
    }

    /// Decides that the task ends, and moves on to that.
    pub(crate) async fn fail(&self, code: &str, reason: String) -> Result<Then> {
        let stop = Stop { code: code.to_owned(), reason };
        let now = self.ecs.clock.now();
        self.change(|task| {
            if task.stop.is_none() {
                task.stop = Some(stop.clone());
                task.stopping = Some(now);
            }
        })
        .await?;
        Ok(Then::Again)
    }

    /// Starts the task on the engine.
    pub(crate) fn begin(&mut self, spec: engine::TaskSpec) {
        let engine = self.ecs.engine.clone();
        self.start = Some(Start::of(async move { engine.run(spec).await.map(drop) }));
    }

    /// Looks at the engine and writes down what changed. None: the engine has no such task, or not yet.
    pub(crate) async fn observe(&mut self) -> Result<Option<engine::Task>> {
        let seen = match self.ecs.engine.task(&self.engine_id).await {
            Ok(seen) => seen,
            Err(engine::Error::NoTask(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(row) = self.row().await? else { return Ok(Some(seen)) };
        let definition = self.definition(&row.value).await?;
        let task = self.change(|task| update(task, &definition, &seen)).await?;
        if let Some(task) = task {
            self.follow(&task).await?;
        }
        Ok(Some(seen))
    }

    /// Follows the output of every container that has been started and logs somewhere.
    async fn follow(&mut self, task: &Task) -> Result<()> {
        let definition = self.definition(task).await?;
        for container in task.containers.iter().filter(|c| c.started.is_some() || c.status == "STOPPED") {
            if self.followers.contains_key(&container.name) || container.runtime.is_none() {
                continue;
            }
            if let Some(follower) = crate::follow::Follower::of(self, task, &definition, &container.name) {
                self.followers.insert(container.name.clone(), tokio::spawn(follower.run()));
            }
        }
        Ok(())
    }
}

/// Writes what the engine says into the record.
fn update(task: &mut Task, definition: &Definition, seen: &engine::Task) {
    let gone = matches!(seen.state, TaskState::Stopped { .. });
    for container in &mut task.containers {
        if let Some(status) = seen.container(&container.name) {
            one(container, status, gone);
            let port = |(port, protocol, at): &(u16, String, std::net::SocketAddr)| {
                (*port, protocol.clone(), at.ip().to_string(), at.port())
            };
            let own = definition.containers().iter().find(|c| c.name.as_ref() == Some(&container.name));
            let mapped = |port: u16| {
                let mut mappings = own.into_iter().flat_map(|c| c.port_mappings.iter().flatten());
                mappings.any(|mapping| mapping.container_port == Some(port.into()))
            };
            let published = seen.published.iter().filter(|(port, ..)| mapped(*port));
            container.bindings = published.map(port).collect();
        } else if gone {
            container.status = "STOPPED".into();
        }
    }
}

fn one(container: &mut Container, status: &engine::ContainerStatus, gone: bool) {
    container.runtime = Some(status.id.clone());
    container.started = status.started_at.or(container.started);
    container.finished = status.finished_at.or(container.finished);
    if container.health != "UNKNOWN" || status.health != Health::None {
        container.health = match status.health {
            Health::None => "UNKNOWN",
            Health::Starting => "STARTING",
            Health::Healthy => "HEALTHY",
            Health::Unhealthy => "UNHEALTHY",
        }
        .into();
    }
    match &status.state {
        ContainerState::Created if gone => container.status = "STOPPED".into(),
        ContainerState::Created => container.status = "PENDING".into(),
        ContainerState::Running => container.status = "RUNNING".into(),
        ContainerState::Exited { code, out_of_memory, error } => {
            container.status = "STOPPED".into();
            container.exit_code = i32::try_from(*code).ok();
            if *out_of_memory {
                container.reason = Some("OutOfMemoryError: Container killed due to memory usage".into());
            } else if let Some(error) = error {
                container.reason = Some(format!("CannotStartContainerError: {error}"));
                container.exit_code = None;
            }
        }
    }
}
