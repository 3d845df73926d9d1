//! What each container of a task definition must be by itself.
use api::ecs::ContainerDefinition;

use crate::error::{Result, client};
use crate::names;

/// Checks one and fills in what AWS fills in. `whole`: the task says how much memory it has.
pub(super) fn container(c: &mut ContainerDefinition, fargate: bool, awsvpc: bool, whole: bool) -> Result<()> {
    let Some(name) = c.name.clone().filter(|name| !name.is_empty()) else {
        return client("Container.name should not be null or empty.");
    };
    names::check("Container name", &name)?;
    let wrong = |why: String| client(format!("Container '{name}': {why}"));
    if c.image.as_deref().is_none_or(str::is_empty) {
        return client("Container.image should not be null or empty.");
    }
    unserved_in(&name, c)?;
    c.essential.get_or_insert(true);
    c.cpu.get_or_insert(0);
    c.environment.get_or_insert_default();
    c.mount_points.get_or_insert_default();
    c.volumes_from.get_or_insert_default();
    c.port_mappings.get_or_insert_default();
    if let (Some(memory), Some(reserved)) = (c.memory, c.memory_reservation)
        && reserved > memory
    {
        return wrong("memory must be greater than or equal to memoryReservation.".into());
    }
    if c.memory.is_some_and(|memory| memory < 6) {
        return wrong("memory must be at least 6 MiB.".into());
    }
    if !whole && c.memory.is_none() && c.memory_reservation.is_none() {
        return client(format!(
            "Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be specified."
        ));
    }
    ports(&name, c, awsvpc)?;
    health(&name, c)?;
    logs(&name, c, fargate)?;
    if c.stop_timeout.is_some_and(|t| t < 0 || (fargate && t > 120)) {
        return wrong("stopTimeout must be between 0 and 120 seconds.".into());
    }
    if fargate && c.privileged == Some(true) {
        return client("Fargate does not support 'privileged' containers.");
    }
    Ok(())
}

fn unserved_in(name: &str, c: &ContainerDefinition) -> Result<()> {
    let secrets = c.secrets.as_ref().is_some_and(|l| !l.is_empty());
    if secrets
        || c.log_configuration
            .as_ref()
            .is_some_and(|l| l.secret_options.as_ref().is_some_and(|s| !s.is_empty()))
    {
        return client(format!(
            "Container '{name}': secrets need Secrets Manager or Parameter Store, which Longshore does not serve yet: pass the value in environment instead."
        ));
    }
    let linux = c.linux_parameters.as_ref();
    let given = [
        (c.environment_files.as_ref().is_some_and(|l| !l.is_empty()), "environmentFiles"),
        (c.repository_credentials.is_some(), "repositoryCredentials"),
        (c.links.as_ref().is_some_and(|l| !l.is_empty()), "links"),
        (c.restart_policy.as_ref().is_some_and(|r| r.enabled), "restartPolicy"),
        (c.volumes_from.as_ref().is_some_and(|l| !l.is_empty()), "volumesFrom"),
        (c.disable_networking == Some(true), "disableNetworking"),
        (c.dns_servers.as_ref().is_some_and(|l| !l.is_empty()), "dnsServers"),
        (c.dns_search_domains.as_ref().is_some_and(|l| !l.is_empty()), "dnsSearchDomains"),
        (c.extra_hosts.as_ref().is_some_and(|l| !l.is_empty()), "extraHosts"),
        (c.hostname.is_some(), "hostname"),
        (c.docker_security_options.as_ref().is_some_and(|l| !l.is_empty()), "dockerSecurityOptions"),
        (c.interactive == Some(true), "interactive"),
        (c.pseudo_terminal == Some(true), "pseudoTerminal"),
        (c.system_controls.as_ref().is_some_and(|l| !l.is_empty()), "systemControls"),
        (c.resource_requirements.as_ref().is_some_and(|l| !l.is_empty()), "resourceRequirements"),
        (c.firelens_configuration.is_some(), "firelensConfiguration"),
        (c.credential_specs.as_ref().is_some_and(|l| !l.is_empty()), "credentialSpecs"),
        (linux.is_some_and(|l| l.capabilities.is_some()), "linuxParameters.capabilities"),
        (linux.is_some_and(|l| l.devices.as_ref().is_some_and(|d| !d.is_empty())), "linuxParameters.devices"),
        (
            linux.is_some_and(|l| l.max_swap.is_some() || l.swappiness.is_some()),
            "linuxParameters.maxSwap and swappiness",
        ),
    ];
    match given.iter().find(|(given, _)| *given) {
        Some((_, field)) => {
            client(format!("Container '{name}': {field} is not served by Longshore: leave it out."))
        }
        None => Ok(()),
    }
}

fn ports(name: &str, c: &mut ContainerDefinition, awsvpc: bool) -> Result<()> {
    let valid = |port: i32, from: i32| (from..=65535).contains(&port);
    for mapping in c.port_mappings.iter_mut().flatten() {
        if mapping.container_port_range.is_some() {
            return client(format!(
                "Container '{name}': portMappings.containerPortRange is not served by Longshore: list each port."
            ));
        }
        let Some(port) = mapping.container_port.filter(|port| valid(*port, 1)) else {
            return client(format!(
                "Container '{name}': portMappings.containerPort must be between 1 and 65535."
            ));
        };
        if mapping.host_port.is_some_and(|port| !valid(port, 0)) {
            return client(format!("Container '{name}': portMappings.hostPort must be between 0 and 65535."));
        }
        if awsvpc && mapping.host_port.is_some_and(|host| host != port) {
            return client(
                "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
            );
        }
        mapping.host_port = Some(if awsvpc { port } else { mapping.host_port.unwrap_or(0) });
        match mapping.protocol.get_or_insert_with(|| "tcp".into()).as_str() {
            "tcp" | "udp" => {}
            other => {
                return client(format!(
                    "Container '{name}': portMappings.protocol '{other}' is invalid: use tcp or udp."
                ));
            }
        }
    }
    Ok(())
}

fn health(name: &str, c: &mut ContainerDefinition) -> Result<()> {
    let Some(check) = &mut c.health_check else { return Ok(()) };
    let first = check.command.first().map(String::as_str);
    if !matches!(first, Some("CMD" | "CMD-SHELL" | "NONE"))
        || (first != Some("NONE") && check.command.len() < 2)
    {
        return client(format!(
            "Container '{name}': healthCheck.command must begin with CMD or CMD-SHELL and name a command."
        ));
    }
    let fields = [
        ("interval", &mut check.interval, 30, 5..=300),
        ("timeout", &mut check.timeout, 5, 2..=60),
        ("retries", &mut check.retries, 3, 1..=10),
    ];
    for (field, value, default, range) in fields {
        if !range.contains(value.get_or_insert(default)) {
            return client(format!(
                "Container '{name}': healthCheck.{field} must be between {} and {}.",
                range.start(),
                range.end()
            ));
        }
    }
    if check.start_period.is_some_and(|s| !(0..=300).contains(&s)) {
        return client(format!("Container '{name}': healthCheck.startPeriod must be between 0 and 300."));
    }
    Ok(())
}

fn logs(name: &str, c: &ContainerDefinition, fargate: bool) -> Result<()> {
    let Some(log) = &c.log_configuration else { return Ok(()) };
    if log.log_driver != "awslogs" {
        return client(format!(
            "Container '{name}': log driver '{}' is not served by Longshore: use awslogs.",
            log.log_driver
        ));
    }
    let option = |key: &str| log.options.as_ref().and_then(|options| options.get(key));
    let known = [
        "awslogs-group",
        "awslogs-region",
        "awslogs-stream-prefix",
        "awslogs-create-group",
        "mode",
        "max-buffer-size",
    ];
    if let Some(other) =
        log.options.iter().flatten().map(|(key, _)| key).find(|key| !known.contains(&key.as_str()))
    {
        return client(format!(
            "Container '{name}': log option '{other}' is not served by Longshore: leave it out."
        ));
    }
    if option("awslogs-group").is_none() || option("awslogs-region").is_none() {
        return client(format!(
            "Log driver awslogs requires options: awslogs-group, awslogs-region (container '{name}')."
        ));
    }
    if fargate && option("awslogs-stream-prefix").is_none() {
        return client(format!(
            "Log driver awslogs requires option awslogs-stream-prefix on Fargate (container '{name}')."
        ));
    }
    Ok(())
}
