//! A task as the engine takes it. Pure.
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use api::ecs::{ContainerDefinition, ContainerOverride};
use engine::{
    Attachment, Condition, Container, Dependency, HealthCheck, ImageSource, Limits, Mount, Publish, Rules,
    Source, TaskSpec, Trust, Ulimit,
};

use crate::names::Scope;
use crate::records::{Definition, Place, Task};

/// A container's stop timeout, as on AWS.
const STOP: i32 = 30;

/// What the pure part needs beside the records.
pub struct Surroundings<'a> {
    /// Account and region.
    pub scope: &'a Scope,
    /// Its place; none in network mode `none`.
    pub place: Option<&'a Place>,
    /// Its namespace's rules.
    pub rules: Rules,
    /// What the containers are made from, in their order.
    pub images: Vec<ImageSource>,
    /// The relative URI of the task role's credentials.
    pub credentials: Option<String>,
    /// What containers are to trust.
    pub trust: Option<&'a Trust>,
    /// The host's address for ports in bridge mode.
    pub ports: Ipv4Addr,
}

/// The specification.
pub fn spec(
    task: &Task,
    definition: &Definition,
    around: Surroundings<'_>,
) -> Result<TaskSpec, engine::Error> {
    let Surroundings { scope, place, rules, images, credentials, trust, ports } = around;
    let labels = [
        ("kind", "ecs".to_owned()),
        ("account", scope.account.clone()),
        ("region", scope.region.clone()),
        ("cluster", task.cluster.clone()),
    ];
    let published = definition.body.network_mode.as_deref() == Some("bridge");
    let network = place.map(|place| Attachment {
        network: place.network.clone(),
        address: Some(place.address),
        publish: if published {
            definition.containers().iter().flat_map(|c| publish(c, ports)).collect()
        } else {
            Vec::new()
        },
    });
    let size =
        |over: &Option<String>, own: &Option<String>| over.as_ref().or(own.as_ref())?.parse::<u32>().ok();
    let limits = Limits {
        cpu: size(&task.overrides.cpu, &definition.body.cpu),
        memory: size(&task.overrides.memory, &definition.body.memory).map(|mib| u64::from(mib) << 20),
        ..Limits::default()
    };
    let host: BTreeMap<&str, Option<&str>> = volumes(definition);
    let containers = definition.containers().iter().zip(images).enumerate().map(|(index, (c, image))| {
        let mut made = container(task, c, image, &host);
        made.env.extend(environment(scope, task, index, credentials.as_deref()));
        if let Some(trust) = trust {
            entrust(&mut made, trust);
        }
        made
    });
    Ok(TaskSpec {
        id: task.id.parse()?,
        labels: labels.map(|(name, value)| (name.to_owned(), value)).into(),
        network,
        rules,
        containers: containers.collect(),
        limits,
    })
}

/// The definition's volumes: folders of the host, or the task's own.
fn volumes(definition: &Definition) -> BTreeMap<&str, Option<&str>> {
    let volumes = definition.body.volumes.iter().flatten();
    volumes
        .filter_map(|volume| {
            let path = volume.host.as_ref().and_then(|host| host.source_path.as_deref());
            Some((volume.name.as_deref()?, path.filter(|path| !path.is_empty())))
        })
        .collect()
}

fn publish(c: &ContainerDefinition, at: Ipv4Addr) -> Vec<Publish> {
    let mappings = c.port_mappings.iter().flatten();
    let port = |port: Option<i32>| port.and_then(|port| u16::try_from(port).ok());
    mappings
        .filter_map(|mapping| {
            Some(Publish {
                port: port(mapping.container_port)?,
                udp: mapping.protocol.as_deref() == Some("udp"),
                host_address: at.into(),
                host_port: port(mapping.host_port).filter(|port| *port != 0),
            })
        })
        .collect()
}

fn container(
    task: &Task,
    c: &ContainerDefinition,
    image: ImageSource,
    host: &BTreeMap<&str, Option<&str>>,
) -> Container {
    let name = c.name.clone().unwrap_or_default();
    let none = ContainerOverride::default();
    let over = task.overrides.container_overrides.iter().flatten().find(|o| o.name.as_ref() == Some(&name));
    let over = over.unwrap_or(&none);
    let pairs = |list: &Option<Vec<api::ecs::KeyValuePair>>| -> BTreeMap<String, String> {
        let pairs = list.iter().flatten();
        pairs.filter_map(|pair| Some((pair.name.clone()?, pair.value.clone().unwrap_or_default()))).collect()
    };
    let mut env = pairs(&c.environment);
    env.extend(pairs(&over.environment));
    let given = |list: &Option<Vec<String>>| list.clone().filter(|list| !list.is_empty());
    let mebibytes = |n: Option<i32>| n.and_then(|n| u64::try_from(n).ok()).map(|n| n << 20);
    let linux = c.linux_parameters.as_ref();
    let mut mounts: Vec<Mount> = c.mount_points.iter().flatten().map(|m| mount(m, host)).collect();
    mounts.extend(linux.into_iter().flat_map(|l| l.tmpfs.iter().flatten()).map(tmpfs));
    Container {
        entrypoint: given(&c.entry_point),
        command: given(&over.command).or_else(|| given(&c.command)),
        env: env.into_iter().collect(),
        workdir: c.working_directory.clone().filter(|folder| !folder.is_empty()),
        user: c.user.clone().filter(|user| !user.is_empty()),
        mounts,
        limits: Limits {
            cpu_shares: over.cpu.or(c.cpu).and_then(|cpu| u32::try_from(cpu).ok()).filter(|cpu| *cpu > 0),
            cpu: None,
            memory: mebibytes(over.memory.or(c.memory)),
            memory_reservation: mebibytes(over.memory_reservation.or(c.memory_reservation)),
            shared_memory: mebibytes(linux.and_then(|l| l.shared_memory_size)),
        },
        ulimits: c.ulimits.iter().flatten().map(ulimit).collect(),
        health: c.health_check.as_ref().and_then(health),
        depends_on: c.depends_on.iter().flatten().map(|on| dependency(on, c.start_timeout)).collect(),
        stop_timeout: seconds(c.stop_timeout.unwrap_or(STOP)),
        privileged: c.privileged == Some(true),
        read_only: c.readonly_root_filesystem == Some(true),
        init: linux.is_some_and(|l| l.init_process_enabled == Some(true)),
        labels: c.docker_labels.clone().unwrap_or_default(),
        ..Container::new(name, image)
    }
}

fn mount(point: &api::ecs::MountPoint, host: &BTreeMap<&str, Option<&str>>) -> Mount {
    let volume = point.source_volume.clone().unwrap_or_default();
    let source = match host.get(volume.as_str()).copied().flatten() {
        Some(path) => Source::Host(path.into()),
        None => Source::Volume(volume),
    };
    let target = point.container_path.clone().unwrap_or_default();
    Mount { source, target, read_only: point.read_only == Some(true) }
}

fn tmpfs(tmpfs: &api::ecs::Tmpfs) -> Mount {
    let bytes = u64::try_from(tmpfs.size).unwrap_or(0) << 20;
    Mount { source: Source::Memory(bytes), target: tmpfs.container_path.clone(), read_only: false }
}

fn ulimit(limit: &api::ecs::Ulimit) -> Ulimit {
    Ulimit { name: limit.name.clone(), soft: limit.soft_limit.into(), hard: limit.hard_limit.into() }
}

fn seconds(n: i32) -> Duration {
    Duration::from_secs(u64::try_from(n).unwrap_or(0))
}

fn health(check: &api::ecs::HealthCheck) -> Option<HealthCheck> {
    (check.command.first().map(String::as_str) != Some("NONE")).then(|| HealthCheck {
        command: check.command.clone(),
        interval: seconds(check.interval.unwrap_or(30)),
        timeout: seconds(check.timeout.unwrap_or(5)),
        retries: check.retries.and_then(|n| u32::try_from(n).ok()).unwrap_or(3),
        start_period: seconds(check.start_period.unwrap_or(0)),
    })
}

fn dependency(on: &api::ecs::ContainerDependency, timeout: Option<i32>) -> Dependency {
    let condition = match on.condition.as_str() {
        "COMPLETE" => Condition::Complete,
        "SUCCESS" => Condition::Success,
        "HEALTHY" => Condition::Healthy,
        _ => Condition::Start,
    };
    Dependency { container: on.container_name.clone(), condition, timeout: timeout.map(seconds) }
}

/// What AWS puts into each container's environment.
fn environment(scope: &Scope, task: &Task, index: usize, credentials: Option<&str>) -> Vec<(String, String)> {
    let base = format!("http://{}", engine::gateway::CREDENTIALS.ip());
    let id = task.containers.get(index).map(|c| c.id.as_str()).unwrap_or_default();
    let mut env = vec![
        ("ECS_CONTAINER_METADATA_URI_V4", format!("{base}/v4/{id}")),
        ("ECS_CONTAINER_METADATA_URI", format!("{base}/v3/{id}")),
        ("AWS_EXECUTION_ENV", format!("AWS_ECS_{}", task.launch_type)),
    ];
    env.extend(credentials.map(|uri| ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", uri.to_owned())));
    if task.launch_type == "FARGATE" {
        env.push(("AWS_REGION", scope.region.clone()));
        env.push(("AWS_DEFAULT_REGION", scope.region.clone()));
    }
    env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Mounts what is to be trusted and points the usual tools at it; what the definition says itself stays.
fn entrust(container: &mut Container, trust: &Trust) {
    let own = |mount: &Mount| !container.mounts.iter().any(|other| other.target == mount.target);
    let mounts: Vec<Mount> = trust.mounts().into_iter().filter(own).collect();
    container.mounts.extend(mounts);
    for (name, value) in trust.env() {
        if !container.env.iter().any(|(own, _)| *own == name) {
            container.env.push((name, value));
        }
    }
}
