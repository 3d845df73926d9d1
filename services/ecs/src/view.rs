//! Records as clients see them. Pure.
use api::ecs as a;

use crate::names::Scope;
use crate::ops::tags_out;
use crate::records::{Container, Deployment, Life, Rollout, Service, Status, Tags, Task};

fn pair(name: &str, value: &str) -> a::KeyValuePair {
    a::KeyValuePair { name: Some(name.to_owned()), value: Some(value.to_owned()) }
}

/// A task.
pub(crate) fn task(scope: &Scope, task: &Task, tags: Option<&Tags>) -> a::Task {
    let fargate = task.launch_type == "FARGATE";
    let connected = task.pull_started.or(task.started);
    a::Task {
        task_arn: Some(scope.task(&task.cluster, &task.id)),
        cluster_arn: Some(scope.cluster(&task.cluster)),
        task_definition_arn: Some(scope.definition(&task.family, task.revision)),
        container_instance_arn: (!fargate).then(|| scope.instance(&task.cluster)),
        attachments: Some(attachment(task).into_iter().collect()),
        attributes: Some(Vec::new()),
        availability_zone: interface(task).map(|interface| interface.zone.clone()),
        capacity_provider_name: task.provider.clone(),
        connectivity: connected.map(|_| "CONNECTED".into()),
        connectivity_at: connected,
        containers: Some(task.containers.iter().map(|c| container(scope, task, c)).collect()),
        cpu: task.overrides.cpu.clone(),
        memory: task.overrides.memory.clone(),
        created_at: Some(task.created),
        desired_status: Some(task.desired().into()),
        enable_execute_command: Some(task.exec),
        execution_stopped_at: task.execution_stopped,
        group: Some(task.group.clone()),
        health_status: Some(health(task).into()),
        inference_accelerators: Some(Vec::new()),
        last_status: Some(task.status.word().into()),
        // A provider stands for its launch type: AWS tells one of the two, and the type it leads to.
        launch_type: Some(task.launch_type.clone()),
        overrides: Some(overrides(task)),
        platform_version: fargate.then(|| "1.4.0".into()),
        platform_family: fargate.then(|| "Linux".into()),
        pull_started_at: task.pull_started,
        pull_stopped_at: task.pull_stopped,
        started_at: task.started,
        started_by: task.started_by.clone(),
        stop_code: task.stop.as_ref().map(|stop| stop.code.clone()),
        stopped_at: task.stopped,
        stopped_reason: task.stop.as_ref().map(|stop| stop.reason.clone()),
        stopping_at: task.stopping,
        tags: Some(tags.map(tags_out).unwrap_or_default()),
        version: Some(task.version),
        ..Default::default()
    }
}

fn interface(task: &Task) -> Option<&crate::records::Interface> {
    task.place.as_ref()?.interface.as_ref()
}

fn overrides(task: &Task) -> a::TaskOverride {
    let mut overrides = task.overrides.clone();
    let given = overrides.container_overrides.get_or_insert_default();
    for container in &task.containers {
        if !given.iter().any(|over| over.name.as_ref() == Some(&container.name)) {
            given.push(a::ContainerOverride { name: Some(container.name.clone()), ..Default::default() });
        }
    }
    overrides.inference_accelerator_overrides.get_or_insert_default();
    overrides
}

fn attachment(task: &Task) -> Option<a::Attachment> {
    let place = task.place.as_ref()?;
    let interface = place.interface.as_ref()?;
    let status = match task.status {
        Status::Provisioning => "PRECREATED",
        Status::Pending => "ATTACHING",
        Status::Stopped => "DELETED",
        Status::Deprovisioning => "DETACHING",
        Status::Activating | Status::Running | Status::Deactivating | Status::Stopping => "ATTACHED",
    };
    Some(a::Attachment {
        id: Some(interface.attachment.clone()),
        r#type: Some("ElasticNetworkInterface".into()),
        status: Some(status.into()),
        details: Some(vec![
            pair("subnetId", &interface.subnet),
            pair("networkInterfaceId", &interface.id),
            pair("macAddress", &interface.mac),
            pair("privateDnsName", &interface.dns_name),
            pair("privateIPv4Address", &place.address.to_string()),
        ]),
    })
}

/// A task's health: any UNHEALTHY, else any UNKNOWN, else HEALTHY; of the containers that have a check.
pub(crate) fn health(task: &Task) -> &'static str {
    let any = |word: &str| task.containers.iter().any(|c| c.health == word);
    match () {
        () if any("UNHEALTHY") => "UNHEALTHY",
        () if any("HEALTHY") && !any("STARTING") => "HEALTHY",
        () => "UNKNOWN",
    }
}

fn container(scope: &Scope, task: &Task, c: &Container) -> a::Container {
    let interfaces = task.place.as_ref().and_then(|place| {
        let interface = place.interface.as_ref()?;
        Some(a::NetworkInterface {
            attachment_id: Some(interface.attachment.clone()),
            private_ipv4_address: Some(place.address.to_string()),
            ipv6_address: None,
        })
    });
    let binding = |(port, protocol, ip, host): &(u16, String, String, u16)| a::NetworkBinding {
        bind_ip: Some(ip.clone()),
        container_port: Some((*port).into()),
        host_port: Some((*host).into()),
        protocol: Some(protocol.clone()),
        ..Default::default()
    };
    a::Container {
        container_arn: Some(scope.arn(format!("container/{}/{}/{}", task.cluster, task.id, c.id))),
        task_arn: Some(scope.task(&task.cluster, &task.id)),
        name: Some(c.name.clone()),
        image: Some(c.image.clone()),
        image_digest: c.digest.clone(),
        runtime_id: c.runtime.clone(),
        last_status: Some(c.status.clone()),
        exit_code: c.exit_code,
        reason: c.reason.clone(),
        health_status: Some(if c.health == "STARTING" { "UNKNOWN" } else { &c.health }.to_owned()),
        network_bindings: Some(c.bindings.iter().map(binding).collect()),
        network_interfaces: Some(interfaces.into_iter().collect()),
        ..Default::default()
    }
}

/// Tasks of a deployment by how far they are: (running, pending).
pub(crate) fn counts(tasks: &[Task], deployment: Option<&str>) -> (i32, i32) {
    let of = |task: &&Task| {
        let own = task.service.as_ref().map(|(_, deployment)| deployment.as_str());
        deployment.is_none() || own == deployment
    };
    let count = |wanted: fn(&Task) -> bool| {
        i32::try_from(tasks.iter().filter(of).filter(|task| wanted(task)).count()).unwrap_or(i32::MAX)
    };
    let running = count(|task| task.status == Status::Running && task.stop.is_none());
    (running, count(|task| task.status < Status::Running && task.stop.is_none()))
}

/// A service with its live tasks.
pub(crate) fn service(scope: &Scope, service: &Service, tasks: &[Task], tags: bool) -> a::Service {
    let given = service.given.clone();
    let (running, pending) = counts(tasks, None);
    let primary = service.deployments.first();
    let deployment = |(index, d): (usize, &Deployment)| self::deployment(service, d, index == 0, tasks);
    let events = service.events.iter().map(|event| a::ServiceEvent {
        id: Some(event.id.clone()),
        created_at: Some(event.at),
        message: Some(event.message.clone()),
    });
    let balanced = primary.map(|d| d.load_balancers.as_slice()).unwrap_or_default();
    let fargate = primary.is_some_and(|d| d.launch_type == "FARGATE");
    a::Service {
        service_arn: Some(scope.service(&service.cluster, &service.name)),
        service_name: Some(service.name.clone()),
        cluster_arn: Some(scope.cluster(&service.cluster)),
        load_balancers: Some(balanced.iter().map(balancer).collect()),
        service_registries: Some(Vec::new()),
        status: Some(
            match service.life {
                Life::Active => "ACTIVE",
                Life::Draining => "DRAINING",
                Life::Inactive => "INACTIVE",
            }
            .into(),
        ),
        desired_count: Some(service.desired),
        running_count: Some(running),
        pending_count: Some(pending),
        launch_type: primary.filter(|d| d.provider.is_none()).map(|d| d.launch_type.clone()),
        capacity_provider_strategy: given.capacity_provider_strategy,
        platform_version: fargate.then(|| given.platform_version.unwrap_or_else(|| "LATEST".into())),
        platform_family: fargate.then(|| "Linux".into()),
        task_definition: primary.map(|d| d.definition.clone()),
        deployment_configuration: given.deployment_configuration,
        deployments: Some(service.deployments.iter().enumerate().map(deployment).collect()),
        role_arn: Some(format!(
            "arn:aws:iam::{}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS",
            scope.account
        )),
        events: Some(events.collect()),
        created_at: Some(service.created),
        created_by: Some(service.created_by.clone()),
        placement_constraints: Some(given.placement_constraints.unwrap_or_default()),
        placement_strategy: Some(given.placement_strategy.unwrap_or_default()),
        network_configuration: primary
            .map(|d| d.network.clone())
            .filter(|n| n.awsvpc_configuration.is_some()),
        health_check_grace_period_seconds: given.health_check_grace_period_seconds,
        scheduling_strategy: given.scheduling_strategy,
        deployment_controller: given.deployment_controller,
        tags: Some(if tags { tags_out(&service.tags) } else { Vec::new() }),
        enable_ecs_managed_tags: Some(given.enable_ecs_managed_tags.unwrap_or(false)),
        propagate_tags: Some(given.propagate_tags.unwrap_or_else(|| "NONE".into())),
        enable_execute_command: Some(given.enable_execute_command.unwrap_or(false)),
        availability_zone_rebalancing: Some(
            given.availability_zone_rebalancing.unwrap_or_else(|| "DISABLED".into()),
        ),
        ..Default::default()
    }
}

fn balancer(balanced: &crate::records::Balanced) -> a::LoadBalancer {
    a::LoadBalancer {
        target_group_arn: Some(balanced.group.clone()),
        container_name: Some(balanced.container.clone()),
        container_port: Some(balanced.port),
        ..Default::default()
    }
}

fn deployment(service: &Service, d: &Deployment, primary: bool, tasks: &[Task]) -> a::Deployment {
    let (running, pending) = counts(tasks, Some(&d.id));
    let fargate = d.launch_type == "FARGATE";
    a::Deployment {
        id: Some(d.id.clone()),
        status: Some(if primary { "PRIMARY" } else { "ACTIVE" }.into()),
        task_definition: Some(d.definition.clone()),
        desired_count: Some(if primary { service.desired } else { 0 }),
        pending_count: Some(pending),
        running_count: Some(running),
        failed_tasks: Some(d.failed),
        created_at: Some(d.created),
        updated_at: Some(d.updated),
        launch_type: d.provider.is_none().then(|| d.launch_type.clone()),
        capacity_provider_strategy: d.provider.clone().map(|capacity_provider| {
            vec![a::CapacityProviderStrategyItem { capacity_provider, weight: Some(1), base: Some(0) }]
        }),
        platform_version: fargate.then(|| "1.4.0".into()),
        platform_family: fargate.then(|| "Linux".into()),
        network_configuration: Some(d.network.clone()).filter(|n| n.awsvpc_configuration.is_some()),
        rollout_state: Some(rollout(d.rollout).into()),
        rollout_state_reason: Some(d.reason.clone()),
        ..Default::default()
    }
}

fn rollout(rollout: Rollout) -> &'static str {
    match rollout {
        Rollout::InProgress => "IN_PROGRESS",
        Rollout::Completed => "COMPLETED",
        Rollout::Failed => "FAILED",
    }
}

/// Number of a deployment's id: what its other ARNs end in.
pub(crate) fn number(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

/// A service deployment's ARN.
pub(crate) fn deployment_arn(scope: &Scope, service: &Service, id: &str) -> String {
    scope.arn(format!("service-deployment/{}/{}/{}", service.cluster, service.name, number(id)))
}

/// A service revision's ARN.
pub(crate) fn revision_arn(scope: &Scope, service: &Service, id: &str) -> String {
    scope.arn(format!("service-revision/{}/{}/{}", service.cluster, service.name, number(id)))
}

/// A deployment as the newer operations tell it.
pub(crate) fn service_deployment(
    scope: &Scope,
    service: &Service,
    d: &Deployment,
    tasks: &[Task],
) -> a::ServiceDeployment {
    let (running, pending) = counts(tasks, Some(&d.id));
    let configuration = service.given.deployment_configuration.clone();
    let breaker = configuration.as_ref().and_then(|c| c.deployment_circuit_breaker.as_ref());
    let summary = a::ServiceRevisionSummary {
        arn: Some(revision_arn(scope, service, &d.id)),
        requested_task_count: Some(service.desired),
        running_task_count: Some(running),
        pending_task_count: Some(pending),
        ..Default::default()
    };
    let status = match (d.rollout, breaker.is_some_and(|b| b.enable)) {
        (_, false) => "DISABLED",
        (Rollout::InProgress, true) => "MONITORING",
        (Rollout::Completed, true) => "MONITORING_COMPLETE",
        (Rollout::Failed, true) => "TRIGGERED",
    };
    let threshold = crate::health::threshold(service);
    a::ServiceDeployment {
        service_deployment_arn: Some(deployment_arn(scope, service, &d.id)),
        service_arn: Some(scope.service(&service.cluster, &service.name)),
        cluster_arn: Some(scope.cluster(&service.cluster)),
        created_at: Some(d.created),
        started_at: Some(d.created),
        finished_at: d.finished,
        updated_at: Some(d.updated),
        target_service_revision: Some(summary),
        source_service_revisions: Some(Vec::new()),
        status: Some(deployment_status(d).into()),
        status_reason: Some(d.reason.clone()),
        deployment_configuration: configuration,
        deployment_circuit_breaker: Some(a::ServiceDeploymentCircuitBreaker {
            status: Some(status.into()),
            failure_count: Some(d.failed),
            threshold: i32::try_from(threshold).ok(),
        }),
        ..Default::default()
    }
}

/// A service deployment's status.
pub(crate) fn deployment_status(d: &Deployment) -> &'static str {
    match d.rollout {
        Rollout::InProgress => "IN_PROGRESS",
        Rollout::Completed => "SUCCESSFUL",
        Rollout::Failed => "STOPPED",
    }
}

/// What a deployment runs.
pub(crate) fn revision(scope: &Scope, service: &Service, d: &Deployment) -> a::ServiceRevision {
    a::ServiceRevision {
        service_revision_arn: Some(revision_arn(scope, service, &d.id)),
        service_arn: Some(scope.service(&service.cluster, &service.name)),
        cluster_arn: Some(scope.cluster(&service.cluster)),
        task_definition: Some(d.definition.clone()),
        launch_type: d.provider.is_none().then(|| d.launch_type.clone()),
        load_balancers: Some(d.load_balancers.iter().map(balancer).collect()),
        network_configuration: Some(d.network.clone()).filter(|n| n.awsvpc_configuration.is_some()),
        created_at: Some(d.created),
        ..Default::default()
    }
}
