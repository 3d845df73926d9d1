//! The steps of a task's life, from its interface to its last trace.
use api::elb::TargetDescription;
use engine::{PrepareInterface, Rules, TaskSpec, TaskState};
use kernel::{Cx, Fault, Grant, ids};
use store::{Batch, Key};

use crate::actor::{Actor, Then};
use crate::error::{Error, Result};
use crate::launch::{self, Surroundings};
use crate::names::EC2_INSTANCE;
use crate::records::{Definition, Interface, LogMark, Place, Status, Target, Task};
use crate::{Ecs, TASKS, follow, limits};

/// Why a task cannot start: what its owner reads. Anything else is tried again.
enum Refusal {
    Told(String),
    Later(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Later(error)
    }
}

/// A refusal by another service is final; its failure is not.
fn refusal(fault: Fault, what: impl FnOnce(&Fault) -> String) -> Refusal {
    if fault.status >= 500 { Refusal::Later(fault.into()) } else { Refusal::Told(what(&fault)) }
}

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

    async fn interface(&self, task: &Task) -> Result<Place, Refusal> {
        let cx = self.ecs.own_cx(&self.scope).map_err(Error::from)?;
        let configuration = task.network.awsvpc_configuration.clone().unwrap_or_default();
        // Spread over the subnets, the same for the same task.
        let turn = usize::from_str_radix(task.id.get(..4).unwrap_or_default(), 16).unwrap_or(0);
        let subnets = &configuration.subnets;
        let subnet = subnets.get(turn % subnets.len().max(1)).cloned().unwrap_or_default();
        let attachment = ids::uuid(&*self.ecs.entropy);
        let create = api::ec2::CreateNetworkInterface {
            subnet_id: subnet.clone(),
            description: Some(self.scope.arn(format!("attachment/{attachment}"))),
            groups: configuration.security_groups,
            client_token: Some(task.id.clone()),
            ..Default::default()
        };
        let told = |fault: &Fault| {
            let ip = configuration.assign_public_ip.as_deref() == Some("ENABLED");
            let ip = if ip { "enabled" } else { "disabled" };
            format!(
                "Unexpected EC2 error while attempting to Create Network Interface with public IP assignment {ip} in subnet '{subnet}': {} {}",
                fault.code, fault.message
            )
        };
        let made = cx.call(create).await.map_err(|fault| refusal(fault, told))?;
        let interface = made.network_interface.unwrap_or_default();
        let id = interface.network_interface_id.unwrap_or_default();
        let prepared = cx.call(PrepareInterface { network_interface_id: id.clone() }).await;
        let prepared = prepared.map_err(|fault| Refusal::Later(fault.into()))?;
        Ok(Place {
            network: prepared.network.name,
            address: prepared.address,
            interface: Some(Interface {
                id,
                attachment,
                subnet,
                mac: interface.mac_address.unwrap_or_default(),
                dns_name: interface.private_dns_name.unwrap_or_default(),
                zone: interface.availability_zone.unwrap_or_default(),
            }),
        })
    }

    /// PENDING: images, then containers in their order.
    pub(crate) async fn pend(&mut self, task: Task) -> Result<Then> {
        if task.stop.is_some() {
            self.start.take().iter().for_each(tokio::task::JoinHandle::abort);
            return self.to(Status::Stopping).await;
        }
        let Some(start) = &self.start else { return self.begin_start(&task).await };
        let finished = start.is_finished();
        self.observe().await?;
        if !finished {
            return Ok(Then::Wait);
        }
        let Some(start) = self.start.take() else { return Ok(Then::Again) };
        let outcome = start.await.map_err(|panic| Error::Fault(Fault::internal(panic)))?;
        match outcome {
            Ok(_) => {
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
            let registry = &self.ecs.options.registry.address;
            let (reference, _) =
                crate::image::rewrite(&container.image, &self.scope.account, &self.scope.region, registry);
            digests.push(self.ecs.engine.image(&reference).await?.and_then(|image| image.digest));
        }
        Ok(digests)
    }

    /// All that the engine needs to know. Roles, log streams and credentials are got first: what is missing of them
    /// is why the task cannot start.
    async fn prepare(&mut self, task: &Task) -> Result<TaskSpec, Refusal> {
        let definition = self.definition(task).await?;
        let own = self.ecs.own_cx(&self.scope).map_err(Error::from)?;
        let execution = execution_role(task, &definition);
        let cx = match execution {
            Some(role) => as_role(&own, role, &task.id).await?,
            None => own.clone(),
        };
        let mut images = Vec::new();
        for container in &task.containers {
            let source = self.ecs.options.registry.source(&cx, &container.image).await;
            images.push(source.map_err(|fault| refusal(fault, |fault| format!("ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve ecr registry auth: service call has been retried 1 time(s): {fault}")))?);
        }
        follow::create_streams(&cx, task, &definition)
            .await
            .map_err(|fault| refusal(fault, |fault| format!("ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: {fault}")))?;
        let (place, rules) = self.place(task, &definition, &own).await?;
        let role = task.overrides.task_role_arn.as_ref().or(definition.body.task_role_arn.as_ref());
        let credentials = match (role, &place) {
            (Some(role), Some(place)) => {
                as_role(&own, role, &task.id).await?;
                let grant = Grant {
                    service: TASKS,
                    role_arn: role.clone(),
                    session: task.id.clone(),
                    address: place.address.into(),
                };
                Some(own.authority().grant(&task.id, grant).await.map_err(Error::from)?)
            }
            _ => None,
        };
        let around = Surroundings {
            scope: &self.scope,
            place: place.as_ref(),
            rules,
            images,
            credentials,
            trust: self.ecs.options.trust.as_ref(),
        };
        launch::spec(task, &definition, around).map_err(|e| Refusal::Later(e.into()))
    }

    /// Where the task stands, and its namespace's rules.
    async fn place(
        &self,
        task: &Task,
        definition: &Definition,
        own: &Cx,
    ) -> Result<(Option<Place>, Rules), Refusal> {
        let gateway;
        let (place, mut rules) = match definition.body.network_mode.as_deref() {
            Some("none") => return Ok((None, Rules::default())),
            Some("awsvpc") => {
                let interface = task.place.as_ref().and_then(|place| place.interface.as_ref());
                let id = interface.map(|interface| interface.id.clone()).unwrap_or_default();
                let prepared = own.call(PrepareInterface { network_interface_id: id }).await;
                let prepared = prepared.map_err(|fault| Refusal::Later(fault.into()))?;
                gateway = prepared.network.gateway;
                let place = task.place.clone().map(|place| Place {
                    network: prepared.network.name.clone(),
                    address: prepared.address,
                    ..place
                });
                (place, prepared.rules)
            }
            _ => {
                let network = self.ecs.bridge().await?;
                gateway = network.gateway;
                (Some(self.ecs.bridge_place(self, task, &network).await?), Rules::open())
            }
        };
        rules.redirects.extend(engine::gateway::redirects(gateway));
        Ok((place, rules))
    }

    /// ACTIVATING: it becomes a target.
    pub(crate) async fn activate(&mut self, task: Task) -> Result<Then> {
        if task.stop.is_some() {
            return self.to(Status::Deactivating).await;
        }
        let cx = self.ecs.own_cx(&self.scope)?;
        let targets = targets(&task);
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
            task.targets.clone_from(&targets);
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
        if let Some(interface) = task.place.as_ref().and_then(|place| place.interface.as_ref()) {
            let delete = api::ec2::DeleteNetworkInterface {
                network_interface_id: interface.id.clone(),
                ..Default::default()
            };
            match cx.call(delete).await {
                Err(fault) if !fault.code.ends_with("NotFound") => return Err(fault.into()),
                _ => {}
            }
        }
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

impl Ecs {
    async fn bridge(&self) -> Result<engine::Network> {
        Ok(self.engine.ensure_network(self.options.bridge.clone()).await?)
    }

    /// An address of the shared network, kept with the task before anything else uses it.
    async fn bridge_place(&self, actor: &Actor, task: &Task, network: &engine::Network) -> Result<Place> {
        if let Some(place) = &task.place {
            return Ok(place.clone());
        }
        let _one = self.placing.lock().await;
        let live = self.store.find::<Task>(Key::all(), "live", "yes", 0, 1000).await?;
        let taken: Vec<_> =
            live.iter().filter_map(|row| row.value.place.as_ref()).map(|place| place.address).collect();
        let free = (10..network.cidr.size() - 1)
            .filter_map(|offset| network.cidr.nth(offset))
            .find(|ip| !taken.contains(ip));
        let address = free
            .ok_or_else(|| Error::Client("The network of bridge-mode tasks has no free address.".into()))?;
        let place = Place { network: network.name.clone(), address, interface: None };
        actor.change(|task| task.place = Some(place.clone())).await?;
        Ok(place)
    }
}

/// The role that images are pulled and logs are written by.
pub(crate) fn execution_role<'a>(task: &'a Task, definition: &'a Definition) -> Option<&'a String> {
    task.overrides.execution_role_arn.as_ref().or(definition.body.execution_role_arn.as_ref())
}

async fn as_role(cx: &Cx, role: &str, session: &str) -> Result<Cx, Refusal> {
    let told = |_: &Fault| {
        format!(
            "ECS was unable to assume the role '{role}' that was provided for this task. Please verify that the role being passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
        )
    };
    cx.as_role(TASKS, role, session).await.map_err(|fault| refusal(fault, told))
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
