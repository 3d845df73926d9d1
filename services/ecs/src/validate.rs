//! What a task definition must be. Field by field as AWS checks it, and what we do not serve is refused by name.
mod container;

use std::collections::BTreeSet;

use api::ecs::{ContainerDefinition, RegisterTaskDefinition};

use crate::error::{Result, client};
use crate::{limits, names};
use container::container;

/// From, to and step, in MiB.
type Sizes = (u32, u32, u32);

/// Memory that each Fargate CPU size takes.
const FARGATE: [(u32, &[Sizes]); 8] = [
    (256, &[(512, 512, 1), (1024, 2048, 1024)]),
    (512, &[(1024, 4096, 1024)]),
    (1024, &[(2048, 8192, 1024)]),
    (2048, &[(4096, 16384, 1024)]),
    (4096, &[(8192, 30720, 1024)]),
    (8192, &[(16384, 61440, 4096)]),
    (16384, &[(32768, 122_880, 8192)]),
    (32768, &[(61440, 61440, 1), (122_880, 122_880, 1), (249_856, 249_856, 1)]),
];

/// Checks a definition and fills in what AWS fills in.
pub fn definition(input: &mut RegisterTaskDefinition) -> Result<()> {
    names::check("Family", &input.family)?;
    unserved(input)?;
    let fargate = input.requires_compatibilities.iter().flatten().any(|c| c == "FARGATE");
    sizes(input, fargate)?;
    network_mode(input, fargate)?;
    let count = input.container_definitions.len();
    if count == 0 || count > limits::CONTAINERS {
        return client(format!("Task definition must have between 1 and {} containers.", limits::CONTAINERS));
    }
    let awsvpc = input.network_mode.as_deref() == Some("awsvpc");
    let whole = input.memory.is_some();
    for container in &mut input.container_definitions {
        self::container(container, fargate, awsvpc, whole)?;
    }
    together(input)
}

/// What would change behaviour and is not served.
fn unserved(input: &RegisterTaskDefinition) -> Result<()> {
    let given = [
        (input.proxy_configuration.is_some(), "proxyConfiguration"),
        (input.inference_accelerators.as_ref().is_some_and(|l| !l.is_empty()), "inferenceAccelerators"),
        (input.ipc_mode.is_some(), "ipcMode"),
        (input.pid_mode.is_some(), "pidMode"),
        (input.enable_fault_injection == Some(true), "enableFaultInjection"),
        (input.trusted_execution_configuration.is_some(), "trustedExecutionConfiguration"),
    ];
    refuse(&given)?;
    for volume in input.volumes.iter().flatten() {
        refuse(&[
            (volume.efs_volume_configuration.is_some(), "volumes.efsVolumeConfiguration"),
            (volume.s3files_volume_configuration.is_some(), "volumes.s3filesVolumeConfiguration"),
            (
                volume.fsx_windows_file_server_volume_configuration.is_some(),
                "volumes.fsxWindowsFileServerVolumeConfiguration",
            ),
            (volume.configured_at_launch == Some(true), "volumes.configuredAtLaunch"),
        ])?;
        if volume.docker_volume_configuration.as_ref().is_some_and(|c| c.scope.as_deref() == Some("shared")) {
            return client(
                "volumes.dockerVolumeConfiguration.scope 'shared' is not served by Longshore: use 'task'.",
            );
        }
    }
    let platform = input.runtime_platform.as_ref();
    match platform.and_then(|p| p.operating_system_family.as_deref()) {
        None | Some("LINUX") => Ok(()),
        Some(other) => client(format!(
            "runtimePlatform.operatingSystemFamily '{other}' is not served by Longshore: use LINUX."
        )),
    }
}

fn refuse(given: &[(bool, &str)]) -> Result<()> {
    match given.iter().find(|(given, _)| *given) {
        Some((_, name)) => client(format!("{name} is not served by Longshore: leave it out.")),
        None => Ok(()),
    }
}

/// CPU units of `512`, `.5 vCPU`, `1 vCPU`.
pub fn cpu_units(text: &str) -> Option<u32> {
    amount(text, "vcpu", 1024.0)
}

/// MiB of `512`, `1 GB`, `3GB`.
pub fn mebibytes(text: &str) -> Option<u32> {
    amount(text, "gb", 1024.0)
}

fn amount(text: &str, unit: &str, factor: f64) -> Option<u32> {
    let lower = text.trim().to_ascii_lowercase();
    match lower.strip_suffix(unit) {
        Some(number) => {
            let value = number.trim().parse::<f64>().ok().filter(|v| v.is_finite() && *v >= 0.0)? * factor;
            // Whole units, well within range: checked against the sizes afterwards.
            (value.fract() == 0.0 && value < 1e7).then_some(value as u32)
        }
        None => lower.parse().ok(),
    }
}

fn sizes(input: &mut RegisterTaskDefinition, fargate: bool) -> Result<()> {
    let read = |what: &str, given: &Option<String>, parse: fn(&str) -> Option<u32>| match given {
        None => Ok(None),
        Some(text) => match parse(text).filter(|n| *n > 0) {
            Some(n) => Ok(Some(n)),
            None => client(format!("Invalid '{what}' setting for task. Value: {text}")),
        },
    };
    let cpu = read("cpu", &input.cpu, cpu_units)?;
    let memory = read("memory", &input.memory, mebibytes)?;
    if fargate {
        let Some(cpu) = cpu else {
            return client("Fargate requires that 'cpu' be defined at the task level.");
        };
        let Some(memory) = memory else {
            return client("Fargate requires that 'memory' be defined at the task level.");
        };
        let Some((_, ranges)) = FARGATE.iter().find(|(size, _)| *size == cpu) else {
            return client(format!(
                "No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. Use one of 256, 512, 1024, 2048, 4096, 8192, 16384 and 32768 CPU units."
            ));
        };
        let fits = |(from, to, step): &(u32, u32, u32)| {
            (*from..=*to).contains(&memory) && (memory - from).is_multiple_of(*step)
        };
        if !ranges.iter().any(fits) {
            return client(format!(
                "No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. See the Amazon ECS documentation for the valid values."
            ));
        }
    } else if cpu.is_some_and(|cpu| !(128..=196_608).contains(&cpu)) {
        return client(format!(
            "Invalid 'cpu' setting for task: {} is not between 128 and 196608.",
            cpu.unwrap_or_default()
        ));
    }
    // As AWS answers them: plain numbers.
    input.cpu = cpu.map(|n| n.to_string());
    input.memory = memory.map(|n| n.to_string());
    Ok(())
}

fn network_mode(input: &mut RegisterTaskDefinition, fargate: bool) -> Result<()> {
    match input.network_mode.as_deref() {
        Some("awsvpc") => Ok(()),
        _ if fargate => client("Fargate only supports network mode 'awsvpc'."),
        None => {
            input.network_mode = Some("bridge".into());
            Ok(())
        }
        Some("bridge" | "none") => Ok(()),
        Some("host") => client("networkMode 'host' is not served by Longshore: use awsvpc or bridge."),
        Some(other) => client(format!("Invalid network mode: '{other}'. Use awsvpc, bridge or none.")),
    }
}

/// What containers say of each other and of the task's volumes.
fn together(input: &RegisterTaskDefinition) -> Result<()> {
    let containers = &input.container_definitions;
    let names: BTreeSet<&str> = containers.iter().filter_map(|c| c.name.as_deref()).collect();
    if names.len() != containers.len() {
        return client("Container names must be unique within a task definition.");
    }
    if !containers.iter().any(|c| c.essential == Some(true)) {
        return client("A task definition must have at least one essential container.");
    }
    let volumes: BTreeSet<&str> = input.volumes.iter().flatten().filter_map(|v| v.name.as_deref()).collect();
    let mut ports = BTreeSet::new();
    for c in containers {
        let name = c.name.as_deref().unwrap_or_default();
        for mount in c.mount_points.iter().flatten() {
            let source = mount.source_volume.as_deref().unwrap_or_default();
            if !volumes.contains(source) {
                return client(format!("Unknown volume '{source}'."));
            }
            if !mount.container_path.as_deref().unwrap_or_default().starts_with('/') {
                return client(format!(
                    "Container '{name}': mountPoints.containerPath must be an absolute path."
                ));
            }
        }
        // The containers of a task share one network namespace here, in bridge mode too.
        for mapping in c.port_mappings.iter().flatten() {
            if !ports.insert((mapping.container_port, mapping.protocol.clone())) {
                return client(format!(
                    "Container port {} is mapped by two containers.",
                    mapping.container_port.unwrap_or_default()
                ));
            }
        }
        depends(c, containers)?;
    }
    circles(containers)
}

fn depends(c: &ContainerDefinition, all: &[ContainerDefinition]) -> Result<()> {
    let name = c.name.as_deref().unwrap_or_default();
    for on in c.depends_on.iter().flatten() {
        let Some(other) = all.iter().find(|other| other.name.as_deref() == Some(on.container_name.as_str()))
        else {
            return client(format!(
                "Container '{name}' depends on '{}', which is not a container of the task definition.",
                on.container_name
            ));
        };
        match on.condition.as_str() {
            "START" => {}
            "COMPLETE" | "SUCCESS" if other.essential == Some(true) => {
                return client(format!(
                    "Container '{name}' depends on '{}' with condition {}, which an essential container cannot have.",
                    on.container_name, on.condition
                ));
            }
            "COMPLETE" | "SUCCESS" => {}
            "HEALTHY" if other.health_check.is_none() => {
                return client(format!(
                    "Container '{name}' depends on '{}' with condition HEALTHY, but it has no healthCheck.",
                    on.container_name
                ));
            }
            "HEALTHY" => {}
            condition => {
                return client(format!(
                    "Container '{name}': dependsOn.condition '{condition}' is invalid: use START, COMPLETE, SUCCESS or HEALTHY."
                ));
            }
        }
    }
    Ok(())
}

fn circles(containers: &[ContainerDefinition]) -> Result<()> {
    let mut placed: BTreeSet<&str> = BTreeSet::new();
    loop {
        let before = placed.len();
        for c in containers {
            if c.depends_on.iter().flatten().all(|on| placed.contains(on.container_name.as_str())) {
                placed.insert(c.name.as_deref().unwrap_or_default());
            }
        }
        if placed.len() == containers.len() {
            return Ok(());
        }
        if placed.len() == before {
            return client("Container dependencies must not form a circle.");
        }
    }
}

#[cfg(test)]
mod tests {
    use api::ecs::{ContainerDependency, PortMapping};

    use super::*;

    fn web() -> RegisterTaskDefinition {
        let container = ContainerDefinition {
            name: Some("web".into()),
            image: Some("nginx".into()),
            port_mappings: Some(vec![PortMapping { container_port: Some(80), ..Default::default() }]),
            ..Default::default()
        };
        RegisterTaskDefinition {
            family: "web".into(),
            cpu: Some("256".into()),
            memory: Some("512".into()),
            network_mode: Some("awsvpc".into()),
            requires_compatibilities: Some(vec!["FARGATE".into()]),
            container_definitions: vec![container],
            ..Default::default()
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut RegisterTaskDefinition), expected: &str) {
        let mut input = web();
        change(&mut input);
        match definition(&mut input) {
            Ok(()) => assert_eq!(expected, "", "it was accepted"),
            Err(e) => assert!(!expected.is_empty() && e.to_string().contains(expected), "{e}"),
        }
    }

    #[test]
    fn sizes_are_those_of_fargate() {
        let sized = |cpu: &str, memory: &str, expected: &str| {
            check(|d| (d.cpu, d.memory) = (Some(cpu.into()), Some(memory.into())), expected);
        };
        sized("256", "512", "");
        sized(".5 vCPU", "3 GB", "");
        sized("1 vCPU", "2048", "");
        sized("256", "4096", "No Fargate configuration exists for given values: 256 CPU, 4096 memory");
        sized("300", "512", "No Fargate configuration");
        sized("8192", "18432", "No Fargate configuration");
        sized("32768", "249856", "");
        sized("lots", "512", "Invalid 'cpu' setting");
        check(|d| d.cpu = None, "'cpu' be defined at the task level");
    }

    #[test]
    fn defaults_are_filled_in() {
        let mut input = web();
        input.cpu = Some("1 vCPU".into());
        input.memory = Some("2 GB".into());
        definition(&mut input).unwrap();
        assert_eq!((input.cpu.as_deref(), input.memory.as_deref()), (Some("1024"), Some("2048")));
        let c = &input.container_definitions[0];
        let port = &c.port_mappings.as_ref().unwrap()[0];
        assert_eq!(
            (c.essential, port.host_port, port.protocol.as_deref()),
            (Some(true), Some(80), Some("tcp"))
        );
    }

    #[test]
    fn containers_must_make_sense() {
        let first = |change: fn(&mut ContainerDefinition)| {
            move |d: &mut RegisterTaskDefinition| change(&mut d.container_definitions[0])
        };
        check(first(|c| c.name = None), "Container.name should not be null");
        check(first(|c| c.image = Some(String::new())), "Container.image should not be null");
        check(first(|c| c.essential = Some(false)), "at least one essential");
        check(
            first(|c| c.port_mappings.as_mut().unwrap()[0].host_port = Some(81)),
            "host ports and container ports",
        );
        check(first(|c| c.secrets = Some(vec![Default::default()])), "Secrets Manager or Parameter Store");
        check(first(|c| c.privileged = Some(true)), "privileged");
        check(first(|c| c.memory = Some(2)), "at least 6 MiB");
        check(
            first(|c| {
                let on = ContainerDependency { container_name: "web".into(), condition: "START".into() };
                c.depends_on = Some(vec![on]);
            }),
            "circle",
        );
        check(|d| d.network_mode = Some("bridge".into()), "Fargate only supports network mode 'awsvpc'");
        check(|d| d.container_definitions.clear(), "between 1 and 10 containers");
        check(
            |d| {
                d.requires_compatibilities = None;
                (d.cpu, d.memory) = (None, None);
            },
            "At least one of 'memory' or 'memoryReservation'",
        );
    }
}
