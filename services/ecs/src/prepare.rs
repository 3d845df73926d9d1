//! What a task needs before it can start: its place in a network, its roles, images, log streams and credentials.
use api::ec2::{CreateNetworkInterface, DeleteNetworkInterface, DescribeNetworkInterfaces, Filter};
use engine::{PrepareInterface, Rules, TaskSpec};
use kernel::{Cx, Fault, Grant};

use crate::actor::Actor;
use crate::error::{Error, Result};
use crate::launch::{self, Surroundings};
use crate::records::{Definition, Interface, Place, Task};
use crate::{Ecs, TASKS, follow};

/// Why a task cannot start: what its owner reads. Anything else is tried again.
pub(crate) enum Refusal {
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
    /// The task's network interface.
    pub(crate) async fn interface(&self, task: &Task) -> Result<Place, Refusal> {
        let cx = self.ecs.own_cx(&self.scope).map_err(Error::from)?;
        let configuration = task.network.awsvpc_configuration.clone().unwrap_or_default();
        // Spread over the subnets, the same for the same task.
        let turn = usize::from_str_radix(task.id.get(..4).unwrap_or_default(), 16).unwrap_or(0);
        let subnets = &configuration.subnets;
        let subnet = subnets.get(turn % subnets.len().max(1)).cloned().unwrap_or_default();
        let attachment = attachment(task);
        let create = CreateNetworkInterface {
            subnet_id: subnet.clone(),
            description: Some(self.description(&attachment)),
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

    fn description(&self, attachment: &str) -> String {
        self.scope.arn(format!("attachment/{attachment}"))
    }

    /// Deletes the task's interface. A task may end after EC2 has made it and before its id is recorded, so it is
    /// looked for by what EC2 was told of it.
    pub(crate) async fn release(&self, task: &Task, cx: &Cx) -> Result<()> {
        if task.network.awsvpc_configuration.is_none() {
            return Ok(());
        }
        let ids = match task.place.as_ref().and_then(|place| place.interface.as_ref()) {
            Some(interface) => vec![interface.id.clone()],
            None => {
                let description = Some(vec![self.description(&attachment(task))]);
                let by = Filter { name: Some("description".into()), values: description };
                let ask = DescribeNetworkInterfaces { filters: Some(vec![by]), ..Default::default() };
                let found = cx.call(ask).await?.network_interfaces.into_iter().flatten();
                found.filter_map(|interface| interface.network_interface_id).collect()
            }
        };
        for network_interface_id in ids {
            match cx.call(DeleteNetworkInterface { network_interface_id, ..Default::default() }).await {
                Err(fault) if !fault.code.ends_with("NotFound") => return Err(fault.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// All that the engine needs to know. Roles, log streams and credentials are got first: what is missing of them
    /// is why the task cannot start.
    pub(crate) async fn prepare(&mut self, task: &Task) -> Result<TaskSpec, Refusal> {
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
                    through: None,
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
            ports: self.ecs.options.ports,
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
        rules.redirects = self.ecs.options.doors.redirects(gateway).await;
        Ok((place, rules))
    }
}

impl Ecs {
    pub(crate) async fn bridge(&self) -> Result<engine::Network> {
        Ok(self.engine.ensure_network(self.options.bridge.clone()).await?)
    }

    /// An address of the shared network, kept with the task before anything else uses it.
    async fn bridge_place(&self, actor: &Actor, task: &Task, network: &engine::Network) -> Result<Place> {
        if let Some(place) = &task.place {
            return Ok(place.clone());
        }
        let _one = self.placing.lock().await;
        let live = self.live().await?;
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

/// The id of the attachment of the task's interface: the same for the same task, in the form that AWS's have.
fn attachment(task: &Task) -> String {
    let part = |range| task.id.get::<std::ops::Range<usize>>(range).unwrap_or_default();
    [0..8, 8..12, 12..16, 16..20, 20..32].map(part).join("-")
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
