//! A task's specification in Docker's words. Pure, but for one small file.
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig,
    Mount, MountTmpfsOptions, MountType, NetworkingConfig, PortBinding, ResourcesUlimits,
    VolumeCreateRequest,
};
use engine::{
    Container, Error, HealthCheck, Image, Limits, Network, Result, Source, TaskSpec, gateway, limits,
};

use crate::names::{CONTAINER, DEPTH, IMAGE, LABELS, NETWORK, Names, PAUSE_IMAGE, PLACE};
use crate::{Options, privileged};

/// Where the mounted binary is in a pause container: under its own name, by which some binaries know what they are.
fn pause_path(options: &Options) -> String {
    let name = options.pause.file_name().map(|name| name.to_string_lossy().into_owned());
    format!("/{}", name.as_deref().unwrap_or("longshore"))
}

/// The resolver's file, the same for every container: its address is redirected, never the file rewritten.
pub(crate) fn write_resolver(state: &Path) -> std::io::Result<()> {
    std::fs::write(
        resolver(state),
        format!("nameserver {}\noptions timeout:2 attempts:3\n", gateway::RESOLVER.ip()),
    )
}

fn resolver(state: &Path) -> PathBuf {
    state.join("resolv.conf")
}

/// What Docker would refuse late, or not at all.
pub(crate) fn check(spec: &TaskSpec) -> Result<()> {
    for container in &spec.containers {
        let invalid = |why: &str| Err(Error::Invalid(format!("container '{}' {why}", container.name)));
        if container.read_only && !container.files.is_empty() {
            return invalid("has a read-only filesystem, so that no files can be put into it; mount them");
        }
        if container.files.iter().map(|file| file.content.len()).sum::<usize>() > limits::FILES {
            return invalid("is given more than 16 MiB of files");
        }
    }
    Ok(())
}

/// The container that holds the namespace.
pub(crate) fn pause(
    options: &Options,
    names: &Names,
    spec: &TaskSpec,
    network: Option<&Network>,
) -> ContainerCreateBody {
    let mut labels = names.labels(&spec.id);
    labels.insert(LABELS.into(), serde_json::json!(spec.labels).to_string());
    labels.extend(network.map(|network| (NETWORK.into(), network.name.clone())));
    let attachment = spec.network.as_ref().zip(network);
    let address = attachment.and_then(|(wanted, _)| wanted.address);
    ContainerCreateBody {
        image: Some(PAUSE_IMAGE.into()),
        entrypoint: Some(
            [pause_path(options)].into_iter().chain(options.pause_args.iter().cloned()).collect(),
        ),
        // As EC2 names hosts; containers that join see it as theirs.
        hostname: address.map(|ip| format!("ip-{}", ip.to_string().replace('.', "-"))),
        labels: Some(labels),
        exposed_ports: attachment.map(|(wanted, _)| wanted.publish.iter().map(port).collect()),
        networking_config: attachment
            .map(|(_, network)| endpoint(names.network(&network.name), network, address)),
        host_config: Some(HostConfig {
            network_mode: Some(network.map_or("none".into(), |network| names.network(&network.name))),
            port_bindings: attachment.map(|(wanted, _)| bindings(&wanted.publish)),
            mounts: Some(vec![bind(&options.pause, &pause_path(options), true)]),
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".into()]),
            log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

fn port(publish: &engine::Publish) -> String {
    format!("{}/{}", publish.port, if publish.udp { "udp" } else { "tcp" })
}

fn bindings(publish: &[engine::Publish]) -> HashMap<String, Option<Vec<PortBinding>>> {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for one in publish {
        bindings.entry(port(one)).or_default().get_or_insert_default().push(PortBinding {
            host_ip: Some(one.host_address.to_string()),
            host_port: Some(one.host_port.map_or(String::new(), |port| port.to_string())),
        });
    }
    bindings
}

fn endpoint(name: String, network: &Network, address: Option<std::net::Ipv4Addr>) -> NetworkingConfig {
    let ipam =
        address.map(|ip| EndpointIpamConfig { ipv4_address: Some(ip.to_string()), ..Default::default() });
    let settings = EndpointSettings {
        ipam_config: ipam,
        network_id: Some(network.id.clone()),
        ..EndpointSettings::default()
    };
    // The mode names the network too: both must agree.
    NetworkingConfig { endpoints_config: Some(HashMap::from([(name, settings)])) }
}

/// A container that joins the namespace. `cpus` is what the host has: Docker refuses more.
pub(crate) fn container(
    options: &Options,
    names: &Names,
    spec: &TaskSpec,
    container: &Container,
    pause: &str,
    image: &Image,
    cpus: u32,
) -> Result<ContainerCreateBody> {
    // Ours last: whose a container is, no definition says.
    let mut labels: HashMap<String, String> = container.labels.clone().into_iter().collect();
    labels.extend(names.labels(&spec.id));
    let place = spec.containers.iter().position(|other| other.name == container.name).unwrap_or(0);
    labels.insert(CONTAINER.into(), container.name.clone());
    labels.insert(PLACE.into(), place.to_string());
    labels.insert(IMAGE.into(), container.image.reference.clone());
    labels.insert(DEPTH.into(), depths(spec)?.get(container.name.as_str()).copied().unwrap_or(0).to_string());
    Ok(ContainerCreateBody {
        image: Some(if image.id.is_empty() { container.image.reference.clone() } else { image.id.clone() }),
        entrypoint: container.entrypoint.clone(),
        cmd: container.command.clone(),
        env: Some(container.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        working_dir: container.workdir.clone(),
        user: container.user.clone(),
        labels: Some(labels),
        stop_timeout: Some(seconds(container.stop_timeout)),
        healthcheck: Some(health(container.health.as_ref())),
        host_config: Some(host_config(options, names, spec, container, pause, cpus)),
        ..ContainerCreateBody::default()
    })
}

fn host_config(
    options: &Options,
    names: &Names,
    spec: &TaskSpec,
    container: &Container,
    pause: &str,
    cpus: u32,
) -> HostConfig {
    let mut mounts: Vec<Mount> = container.mounts.iter().map(|mount| volume(names, spec, mount)).collect();
    if spec.network.is_some() && !container.mounts.iter().any(|mount| mount.target == "/etc/resolv.conf") {
        mounts.push(bind(&resolver(&options.state), "/etc/resolv.conf", true));
    }
    let own = resources(&container.limits, &spec.limits, cpus);
    let mut config = HostConfig {
        network_mode: Some(format!("container:{pause}")),
        mounts: Some(mounts),
        readonly_rootfs: Some(container.read_only),
        init: Some(container.init),
        ulimits: Some(container.ulimits.iter().map(ulimit).collect()),
        // Whatever the engine's default is, these can be read back; the disk is bounded.
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".into()),
            config: Some(HashMap::from([("max-size".into(), "64m".into()), ("max-file".into(), "3".into())])),
        }),
        ..own
    };
    if container.privileged {
        privileged::grant(&mut config);
    }
    config
}

/// A container's own limits within the task's: nobody gets more than the whole task has.
fn resources(own: &Limits, task: &Limits, cpus: u32) -> HostConfig {
    let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
    let memory = least(own.memory, task.memory).map(signed);
    let cpu = least(own.cpu.map(u64::from), task.cpu.map(u64::from));
    let nano = cpu.map(|cpu| signed((cpu * 1_000_000_000 / 1024).min(u64::from(cpus) * 1_000_000_000)));
    HostConfig {
        // Two is the least that the kernel takes; ECS sends zero as two as well.
        cpu_shares: own.cpu_shares.or(task.cpu_shares).map(|shares| i64::from(shares.max(2))),
        nano_cpus: nano.map(|nano| nano.max(10_000_000)),
        memory,
        memory_swap: memory,
        memory_reservation: own.memory_reservation.map(signed),
        shm_size: own.shared_memory.map(signed),
        ..HostConfig::default()
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn seconds(duration: Duration) -> i64 {
    signed(duration.as_secs())
}

fn health(check: Option<&HealthCheck>) -> HealthConfig {
    let nanos = |d: Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX);
    let Some(check) = check else {
        return HealthConfig { test: Some(vec!["NONE".into()]), ..HealthConfig::default() };
    };
    HealthConfig {
        test: Some(check.command.clone()),
        interval: Some(nanos(check.interval)),
        timeout: Some(nanos(check.timeout)),
        retries: Some(i64::from(check.retries)),
        start_period: Some(nanos(check.start_period)),
        start_interval: None,
    }
}

fn ulimit(limit: &engine::Ulimit) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(limit.name.clone()), soft: Some(limit.soft), hard: Some(limit.hard) }
}

fn bind(source: &Path, target: &str, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_string_lossy().into_owned()),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

fn volume(names: &Names, spec: &TaskSpec, mount: &engine::Mount) -> Mount {
    let target = Some(mount.target.clone());
    let read_only = Some(mount.read_only);
    match &mount.source {
        Source::Host(path) => bind(path, &mount.target, mount.read_only),
        Source::Volume(name) => Mount {
            typ: Some(MountType::VOLUME),
            source: Some(names.volume(&spec.id, name)),
            target,
            read_only,
            ..Mount::default()
        },
        Source::Memory(bytes) => Mount {
            typ: Some(MountType::TMPFS),
            target,
            read_only,
            tmpfs_options: Some(MountTmpfsOptions { size_bytes: Some(signed(*bytes)), ..Default::default() }),
            ..Mount::default()
        },
    }
}

/// The task's volumes that a container mounts. Making one that exists changes nothing.
pub(crate) fn volumes(names: &Names, spec: &TaskSpec, container: &Container) -> Vec<VolumeCreateRequest> {
    let named = container.mounts.iter().filter_map(|mount| match &mount.source {
        Source::Volume(name) => Some(name),
        Source::Host(_) | Source::Memory(_) => None,
    });
    let request = |name: &String| VolumeCreateRequest {
        name: Some(names.volume(&spec.id, name)),
        labels: Some(names.labels(&spec.id)),
        ..VolumeCreateRequest::default()
    };
    named.map(request).collect()
}

/// How long the longest chain of dependencies below each container is.
fn depths(spec: &TaskSpec) -> Result<BTreeMap<&str, u32>> {
    let mut depths = BTreeMap::new();
    for container in spec.in_order()? {
        let below = container.depends_on.iter().filter_map(|d| depths.get(d.container.as_str()));
        let depth = below.max().map_or(0, |deepest: &u32| deepest + 1);
        depths.insert(container.name.as_str(), depth);
    }
    Ok(depths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::TASK;

    #[test]
    fn nobody_gets_more_than_the_task_or_the_host_has() {
        let limits = |cpu: Option<u32>, memory: Option<u64>| Limits { cpu, memory, ..Limits::default() };
        let check = |own: Limits, task: Limits, expected: (Option<i64>, Option<i64>)| {
            let config = resources(&own, &task, 2);
            assert_eq!((config.nano_cpus, config.memory), expected);
            assert_eq!(config.memory_swap, config.memory);
        };
        check(limits(None, None), limits(None, None), (None, None));
        check(
            limits(None, Some(64 << 20)),
            limits(Some(256), Some(512 << 20)),
            (Some(250_000_000), Some(64 << 20)),
        );
        check(limits(Some(512), None), limits(Some(4096), Some(1 << 30)), (Some(500_000_000), Some(1 << 30)));
        check(limits(None, None), limits(Some(16384), None), (Some(2_000_000_000), None));
    }

    #[test]
    fn whose_a_container_is_no_definition_says() {
        let mut own = Container::new("web", engine::ImageSource::new("i"));
        own.labels =
            [(TASK, "another"), (CONTAINER, "x"), ("team", "web")].map(|(k, v)| (k.into(), v.into())).into();
        let id: engine::TaskId = "mine".parse().unwrap();
        let spec = TaskSpec {
            id: id.clone(),
            labels: Default::default(),
            network: None,
            rules: Default::default(),
            containers: vec![own.clone()],
            limits: Limits::default(),
        };
        let (options, names) = (Options::new("owner", "/state", "/longshore"), Names::new("owner"));
        let made = container(&options, &names, &spec, &own, "pause", &Image::default(), 2).unwrap();
        let labels = made.labels.unwrap();
        let of = |name: &str| labels.get(name).map(String::as_str);
        assert_eq!((of(TASK), of(CONTAINER), of("team")), (Some("mine"), Some("web"), Some("web")));
    }
}
