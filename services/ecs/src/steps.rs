//! The steps of a task's life, from its interface to its last trace.
use api::elb::TargetDescription;
use engine::TaskState;
use kernel::{Fault, ids};
use store::Batch;

use crate::actor::{Actor, Then};
use crate::error::{Error, Result};
use crate::names::EC2_INSTANCE;
use crate::prepare::Refusal;
use crate::records::{Definition, LogMark, Status, Target, Task};
use crate::start::Start;
use crate::{follow, limits};

impl Actor {
    /// PROVISIONING: the task's network interface.
    pub(crate) async fn provision(&mut self, task: Task) -> Result<Then> {
        if task.stop.is_some() {
            return self.to(Status::Deprovisioning).await;
        }
        match self.interface(&task).await {
            Ok(place) => {
                self.change(|task| {
                    task.place = Some(place.clone());
                    task.status = Status::Pending;
                })
                .await?;
                Ok(Then::Again)
            }
            Err(Refusal::Told(reason)) => self.fail("TaskFailedToStart", reason).await,
            Err(Refusal::Later(error)) => Err(error),
        }
    }

    /// PENDING: images, then containers in their order.
    pub(crate) async fn pend(&mut self, task: Task) -> Result<Then> {
        if task.stop.is_some() {
            return self.to(Status::Stopping).await;
        }
        let Some(start) = &self.start else { return self.begin_start(&task).await };
        let ended = start.has_ended();
        self.observe().await?;
        if !ended {
            return Ok(Then::Wait);
        }
        let Some(outcome) = self.start.take().and_then(Start::outcome) else { return Ok(Then::Again) };
        match outcome? {
            Ok(()) => {
                let digests = self.digests(&task).await?;
                let now = self.ecs.clock.now();
                self.change(|task| {
                    for (container, digest) in task.containers.iter_mut().zip(&digests) {
                        container.digest.clone_from(digest);
                    }
                    task.pull_stopped = Some(now);
                    task.status = Status::Activating;
                })
                .await?;
                Ok(Then::Again)
            }
            Err(error @ engine::Error::Unreachable(_)) => Err(error.into()),
            Err(error) => {
                self.observe().await?;
                self.could_not_start(error).await
            }
        }
    }

    async fn begin_start(&mut self, task: &Task) -> Result<Then> {
        match self.prepare(task).await {
            Ok(spec) => {
                let now = self.ecs.clock.now();
                self.change(|task| task.pull_started = task.pull_started.or(Some(now))).await?;
                self.begin(spec);
                Ok(Then::Wait)
            }
            Err(Refusal::Told(reason)) => self.fail("TaskFailedToStart", reason).await,
            Err(Refusal::Later(error)) => Err(error),
        }
    }

    async fn could_not_start(&self, error: engine::Error) -> Result<Then> {
        let essential = self.essential_exit().await?;
        let (container, text) = match &error {
            engine::Error::NoImage { reference, .. }
            | engine::Error::PullDenied { reference, .. }
            | engine::Error::Pull { reference, .. } => {
                (Some(reference.clone()), format!("CannotPullContainerError: {error}"))
            }
            engine::Error::CannotStart { container, reason } => {
                (Some(container.clone()), format!("CannotStartContainerError: {reason}"))
            }
            // A container that others did not wait for had ended by then.
            engine::Error::Stopped { .. } | engine::Error::Dependency { .. } if essential => {
                return self
                    .fail("EssentialContainerExited", "Essential container in task exited".into())
                    .await;
            }
            other => (None, format!("Task failed to start: {other}")),
        };
        self.change(|task| {
            for own in &mut task.containers {
                let (registry, repository) = (&own.image, own.image.rsplit('/').next().unwrap_or_default());
                let of = |what: &String| *what == own.name || what == registry || what.ends_with(repository);
                if container.as_ref().is_some_and(of) {
                    own.reason = Some(text.clone());
                }
                own.status = "STOPPED".into();
            }
        })
        .await?;
        self.fail("TaskFailedToStart", text.clone()).await
    }

    async fn essential_exit(&self) -> Result<bool> {
        let Some(row) = self.row().await? else { return Ok(false) };
        let Some(definition) = &self.definition else { return Ok(false) };
        Ok(exited(&row.value, definition))
    }

    async fn digests(&self, task: &Task) -> Result<Vec<Option<String>>> {
        let mut digests = Vec::new();
        for container in &task.containers {
            let registry = &self.ecs.options.registry.host;
            let ours = registry.resolve(&container.image, &self.scope.account, &self.scope.region);
            let reference = ours.as_ref().unwrap_or(&container.image);
            digests.push(self.ecs.engine.image(reference).await?.and_then(|image| image.digest));
        }
        Ok(digests)
    }

    /// ACTIVATING: it becomes a target.
    pub(crate) async fn activate(&mut self, task: Task) -> Result<Then> {
        if task.stop.is_some() {
            return self.to(Status::Deactivating).await;
        }
        let cx = self.ecs.own_cx(&self.scope)?;
        let targets = targets(&task);
        // Before the first is registered: however far it comes, the task's end takes out what may be in a group.
        self.change(|task| task.targets.clone_from(&targets)).await?;
        for target in &targets {
            let register = api::elb::RegisterTargets {
                target_group_arn: target.group.clone(),
                targets: vec![described(target)],
            };
            if let Err(fault) = cx.call(register).await {
                let text = format!(
                    "failed to register targets in (target-group {}) with (error {fault})",
                    target.group
                );
                self.tell(&task, text).await?;
                return Err(fault.into());
            }
            self.tell(&task, format!("registered 1 targets in (target-group {})", target.group)).await?;
        }
        let now = self.ecs.clock.now();
        self.change(|task| {
            task.started = task.started.or(Some(now));
            task.status = Status::Running;
        })
        .await?;
        Ok(Then::Again)
    }

    /// RUNNING: until it is stopped, or an essential container ends.
    pub(crate) async fn run(&mut self, task: Task) -> Result<Then> {
        if task.stop.is_some() {
            return self.to(Status::Deactivating).await;
        }
        let definition = self.definition(&task).await?;
        let Some(seen) = self.observe().await? else {
            return self
                .fail("EssentialContainerExited", "The task's containers were removed from outside".into())
                .await;
        };
        let Some(row) = self.row().await? else { return Ok(Then::Done) };
        if exited(&row.value, &definition) {
            return self.fail("EssentialContainerExited", "Essential container in task exited".into()).await;
        }
        match seen.state {
            TaskState::Stopped { reason } => {
                self.fail("EssentialContainerExited", format!("Essential container in task exited: {reason}"))
                    .await
            }
            TaskState::Starting | TaskState::Running => Ok(Then::Wait),
        }
    }

    /// DEACTIVATING: it is taken out of its target groups, and stays until no edge sends it anything.
    pub(crate) async fn deactivate(&mut self, task: Task) -> Result<Then> {
        let cx = self.ecs.own_cx(&self.scope)?;
        let mut draining = false;
        for target in &task.targets {
            if !self.draining {
                let out = api::elb::DeregisterTargets {
                    target_group_arn: target.group.clone(),
                    targets: vec![described(target)],
                };
                gone_is_fine(cx.call(out).await)?;
            }
            let ask = api::elb::DescribeTargetHealth {
                target_group_arn: target.group.clone(),
                ..Default::default()
            };
            let answer = gone_is_fine(cx.call(ask).await)?.unwrap_or_default();
            draining |= answer.target_health_descriptions.iter().flatten().any(|one| {
                one.target.as_ref().is_some_and(|t| t.id == target.id && t.port == Some(target.port))
            });
        }
        if !self.draining && !task.targets.is_empty() {
            self.tell(&task, "has begun draining connections on 1 tasks.".into()).await?;
            self.draining = true;
        }
        // What has ended by itself serves nobody: there is nothing to wait for.
        let dead = task.containers.iter().all(|c| c.status == "STOPPED");
        if draining && !dead {
            self.observe().await?;
            return Ok(Then::WaitFor(limits::HEALTH));
        }
        self.change(|task| {
            task.targets.clear();
            task.status = Status::Stopping;
        })
        .await?;
        Ok(Then::Again)
    }

    /// STOPPING: its containers end, each with its own grace.
    pub(crate) async fn stop(&mut self) -> Result<Then> {
        self.ecs.engine.stop(&self.engine_id, None).await?;
        // Not before: the engine does what it was asked for, so a start that is given up amid a step may leave a
        // container that nobody saw when the task was removed. None of its steps can be under way after a stop.
        self.start = None;
        self.observe().await?;
        let now = self.ecs.clock.now();
        self.change(|task| {
            for container in &mut task.containers {
                container.status = "STOPPED".into();
            }
            task.execution_stopped = Some(now);
            task.status = Status::Deprovisioning;
        })
        .await?;
        Ok(Then::Again)
    }

    /// DEPROVISIONING: the last lines are written, and nothing of it stays but the record.
    pub(crate) async fn deprovision(&mut self, task: Task) -> Result<Then> {
        // After a restart nobody follows yet.
        self.observe().await?;
        for (_, mut follower) in std::mem::take(&mut self.followers) {
            if tokio::time::timeout(limits::RETRY * 2, &mut follower).await.is_err() {
                tracing::warn!(task = self.id, "the end of a container's output could not be written");
                follower.abort();
            }
        }
        let cx = self.ecs.own_cx(&self.scope)?;
        cx.authority().revoke(&task.id).await?;
        self.ecs.engine.remove(&self.engine_id).await?;
        self.release(&task, &cx).await?;
        let marks = |batch: Batch, c: &crate::records::Container| {
            batch.delete::<LogMark>(&follow::mark(&self.scope, &task.id, &c.name))
        };
        self.ecs.store.commit(task.containers.iter().fold(Batch::new(), marks)).await?;
        let now = self.ecs.clock.now();
        self.change(|task| {
            task.stopped = Some(now);
            task.status = Status::Stopped;
        })
        .await?;
        Ok(Then::Done)
    }

    async fn to(&self, status: Status) -> Result<Then> {
        self.change(|task| task.status = status).await?;
        Ok(Then::Again)
    }

    /// A line in the history of the task's service.
    async fn tell(&self, task: &Task, message: String) -> Result<()> {
        let Some((service, _)) = &task.service else { return Ok(()) };
        let Some(name) = task.group.strip_prefix("service:") else { return Ok(()) };
        let tell = || async {
            let mut row = self.ecs.service(&self.scope, &self.cluster, name).await?;
            if row.value.id != *service {
                return Ok((Batch::new(), ()));
            }
            row.value.tell(ids::uuid(&*self.ecs.entropy), self.ecs.clock.now(), message.clone());
            Ok::<_, Error>((Batch::new().update(&row), ()))
        };
        match self.ecs.store.update(tell).await {
            Err(Error::NoService) => Ok(()),
            other => other,
        }
    }
}

/// Whether an essential container has ended.
fn exited(task: &Task, definition: &Definition) -> bool {
    let essential = |name: &str| {
        let found = definition.containers().iter().find(|c| c.name.as_deref() == Some(name));
        found.is_some_and(|c| c.essential != Some(false))
    };
    task.containers.iter().any(|c| c.status == "STOPPED" && essential(&c.name))
}

/// What the task is registered as: its own address, or its instance's port.
fn targets(task: &Task) -> Vec<Target> {
    let target = |balanced: &crate::records::Balanced| {
        let place = task.place.as_ref()?;
        if place.interface.is_some() {
            let id = place.address.to_string();
            return Some(Target { group: balanced.group.clone(), id, port: balanced.port });
        }
        let bindings = task.containers.iter().find(|c| c.name == balanced.container).map(|c| &c.bindings)?;
        let (_, _, _, host) = bindings.iter().find(|(port, ..)| i32::from(*port) == balanced.port)?;
        Some(Target { group: balanced.group.clone(), id: EC2_INSTANCE.into(), port: i32::from(*host) })
    };
    task.balanced.iter().filter_map(target).collect()
}

fn described(target: &Target) -> TargetDescription {
    TargetDescription { id: target.id.clone(), port: Some(target.port), ..Default::default() }
}

/// A target group or target that is gone needs nothing more.
fn gone_is_fine<T>(result: Result<T, Fault>) -> Result<Option<T>> {
    match result {
        Ok(answer) => Ok(Some(answer)),
        Err(fault) if fault.is("TargetGroupNotFound") || fault.is("InvalidTarget") => Ok(None),
        Err(fault) => Err(fault.into()),
    }
}
