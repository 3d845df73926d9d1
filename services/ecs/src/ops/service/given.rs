//! What a service is given: checked, filled in as AWS does, amended by an update.
use api::ecs::*;
use kernel::Arn;

use crate::error::{Result, client, invalid};
use crate::limits;
use crate::records::{Balanced, Definition};

/// What would change behaviour and is not served.
pub(super) fn unserved(given: &CreateService) -> Result<()> {
    let fields = [
        (given.service_registries.as_ref().is_some_and(|l| !l.is_empty()), "serviceRegistries"),
        (
            given.service_connect_configuration.as_ref().is_some_and(|c| c.enabled),
            "serviceConnectConfiguration",
        ),
        (given.volume_configurations.as_ref().is_some_and(|l| !l.is_empty()), "volumeConfigurations"),
        (
            given.vpc_lattice_configurations.as_ref().is_some_and(|l| !l.is_empty()),
            "vpcLatticeConfigurations",
        ),
        (given.gateway_connectors.as_ref().is_some_and(|l| !l.is_empty()), "gatewayConnectors"),
        (given.monitoring.is_some(), "monitoring"),
    ];
    refuse(&fields)?;
    match given.deployment_controller.as_ref().map(|c| c.r#type.as_str()) {
        None | Some("ECS") => Ok(()),
        Some(other) => {
            client(format!("Deployment controller '{other}' is not served by Longshore yet: use ECS."))
        }
    }
}

pub(super) fn unserved_in_update(input: &UpdateService) -> Result<()> {
    refuse(&[
        (input.service_registries.as_ref().is_some_and(|l| !l.is_empty()), "serviceRegistries"),
        (
            input.service_connect_configuration.as_ref().is_some_and(|c| c.enabled),
            "serviceConnectConfiguration",
        ),
        (input.volume_configurations.as_ref().is_some_and(|l| !l.is_empty()), "volumeConfigurations"),
        (
            input.vpc_lattice_configurations.as_ref().is_some_and(|l| !l.is_empty()),
            "vpcLatticeConfigurations",
        ),
        (input.gateway_connectors.as_ref().is_some_and(|l| !l.is_empty()), "gatewayConnectors"),
        (input.monitoring.is_some(), "monitoring"),
        (input.deployment_controller.as_ref().is_some_and(|c| c.r#type != "ECS"), "deploymentController"),
    ])
}

fn refuse(fields: &[(bool, &str)]) -> Result<()> {
    match fields.iter().find(|(given, _)| *given) {
        Some((_, name)) => client(format!("{name} is not served by Longshore: leave it out.")),
        None => Ok(()),
    }
}

/// Whether it is a DAEMON service: one task on our one instance.
pub(super) fn scheduling(given: &mut CreateService) -> Result<bool> {
    let strategy = given.scheduling_strategy.get_or_insert_with(|| "REPLICA".into()).clone();
    given.deployment_controller.get_or_insert(DeploymentController { r#type: "ECS".into() });
    match strategy.as_str() {
        "REPLICA" => Ok(false),
        "DAEMON" if given.launch_type.as_deref() == Some("FARGATE") => {
            client("DAEMON scheduling strategy is not supported with the FARGATE launch type.")
        }
        "DAEMON" => Ok(true),
        other => invalid(format!("Invalid scheduling strategy '{other}': use REPLICA or DAEMON.")),
    }
}

pub(super) fn desired(given: Option<i32>, daemon: bool) -> Result<i32> {
    match given {
        None if daemon => Ok(1),
        Some(_) if daemon => {
            invalid("desiredCount must not be set for a service with the DAEMON scheduling strategy.")
        }
        None => Ok(0),
        Some(count) if (0..=limits::DESIRED).contains(&count) => Ok(count),
        Some(count) => invalid(format!("desiredCount must be between 0 and {}: {count}.", limits::DESIRED)),
    }
}

/// Checks a deployment configuration and fills in AWS's defaults.
pub(super) fn configuration(given: &mut Option<DeploymentConfiguration>, daemon: bool) -> Result<()> {
    let c = given.get_or_insert_default();
    let minimum = *c.minimum_healthy_percent.get_or_insert(if daemon { 0 } else { 100 });
    let maximum = *c.maximum_percent.get_or_insert(if daemon { 100 } else { 200 });
    if !(0..=100).contains(&minimum) || !(0..=200).contains(&maximum) {
        return invalid(
            "minimumHealthyPercent must be between 0 and 100, and maximumPercent between 0 and 200.",
        );
    }
    if maximum <= minimum && !(daemon && maximum == 100) && !(minimum == 100 && maximum == 100) {
        return invalid("maximumPercent must be greater than minimumHealthyPercent.");
    }
    if c.alarms.as_ref().is_some_and(|alarms| alarms.enable) {
        return client(
            "deploymentConfiguration.alarms is not served by Longshore: no deployment is failed by a CloudWatch alarm. Leave it out, or set enable to false.",
        );
    }
    if c.lifecycle_hooks.as_ref().is_some_and(|hooks| !hooks.is_empty()) {
        return client(
            "deploymentConfiguration.lifecycleHooks is not served by Longshore yet: leave it out.",
        );
    }
    match c.strategy.get_or_insert_with(|| "ROLLING".into()).as_str() {
        "ROLLING" => {}
        other => {
            return client(format!(
                "Deployment strategy '{other}' is not served by Longshore yet: use ROLLING."
            ));
        }
    }
    let off = DeploymentCircuitBreaker { enable: false, rollback: false, ..Default::default() };
    let breaker = c.deployment_circuit_breaker.get_or_insert(off);
    if let Some(threshold) = &breaker.threshold_configuration
        && (!matches!(threshold.r#type.as_str(), "COUNT" | "BOUNDED_PERCENT" | "UNBOUNDED_PERCENT")
            || threshold.value < 1)
    {
        return invalid(
            "thresholdConfiguration needs a type of COUNT, BOUNDED_PERCENT or UNBOUNDED_PERCENT and a value of at least 1.",
        );
    }
    Ok(())
}

/// The target groups, each with a container and a port that the definition maps.
pub(super) fn balancers(given: Option<&Vec<LoadBalancer>>, definition: &Definition) -> Result<Vec<Balanced>> {
    let given = given.map(Vec::as_slice).unwrap_or_default();
    if given.len() > limits::TARGET_GROUPS {
        return invalid(format!("A service can have at most {} target groups.", limits::TARGET_GROUPS));
    }
    let mut balanced = Vec::new();
    for one in given {
        if one.load_balancer_name.is_some() {
            return client(
                "Classic load balancers (loadBalancerName) are not served by Longshore: use targetGroupArn.",
            );
        }
        if one.advanced_configuration.is_some() {
            return client(
                "loadBalancers.advancedConfiguration is not served by Longshore yet: leave it out.",
            );
        }
        let Some(group) = one.target_group_arn.clone() else {
            return invalid("targetGroupArn cannot be null.");
        };
        if group.parse::<Arn>().is_err() {
            return invalid(format!("Invalid target group ARN: '{group}'."));
        }
        let name = one.container_name.clone().unwrap_or_default();
        let Some(container) = definition.containers().iter().find(|c| c.name.as_ref() == Some(&name)) else {
            return invalid(format!("The container {name} does not exist in the task definition."));
        };
        let mapped =
            |port: &i32| container.port_mappings.iter().flatten().any(|m| m.container_port == Some(*port));
        let Some(port) = one.container_port.filter(mapped) else {
            let port = one.container_port.unwrap_or_default();
            return invalid(format!("The container {name} did not have a container port {port} defined."));
        };
        balanced.push(Balanced { group, container: name, port });
    }
    Ok(balanced)
}

/// Takes over what an update gives.
pub(super) fn amend(given: &mut CreateService, input: &UpdateService) {
    macro_rules! take {
        ($($field:ident),*) => {$(
            if input.$field.is_some() {
                given.$field = input.$field.clone();
            }
        )*};
    }
    take!(
        network_configuration,
        load_balancers,
        capacity_provider_strategy,
        platform_version,
        health_check_grace_period_seconds,
        placement_constraints,
        placement_strategy,
        enable_execute_command,
        enable_ecs_managed_tags,
        propagate_tags,
        availability_zone_rebalancing
    );
    if input.capacity_provider_strategy.is_some() {
        given.launch_type = None;
    }
    if let Some(new) = &input.deployment_configuration {
        let old = given.deployment_configuration.get_or_insert_default();
        old.minimum_healthy_percent = new.minimum_healthy_percent.or(old.minimum_healthy_percent);
        old.maximum_percent = new.maximum_percent.or(old.maximum_percent);
        old.deployment_circuit_breaker =
            new.deployment_circuit_breaker.clone().or(old.deployment_circuit_breaker.take());
        old.alarms = new.alarms.clone().or(old.alarms.take());
        old.strategy = new.strategy.clone().or(old.strategy.take());
        old.lifecycle_hooks = new.lifecycle_hooks.clone().or(old.lifecycle_hooks.take());
    }
}
