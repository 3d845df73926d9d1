//! Services: made, changed, deleted, described. What follows from it is the reconciler's.
mod given;

use api::ecs::*;
use kernel::{Access, Cx, Fault, Handle, ids};
use store::{Batch, Row};

use super::task::{launch_type, network};
use super::{include_tags, missing, page, tags_in};
use crate::error::{Error, Result, invalid};
use crate::names::{self, Scope};
use crate::records::{Definition, Deployment, Life, Rollout, Service, Task};
use crate::{Ecs, TASKS, limits, view};
use given::{amend, balancers, configuration, desired, scheduling, unserved, unserved_in_update};

impl Ecs {
    /// A service by name or ARN, whatever its life.
    pub(crate) async fn service(&self, scope: &Scope, cluster: &str, text: &str) -> Result<Row<Service>> {
        let name = names::short("service", text)?;
        self.store.get(&scope.key().text(cluster).text(name)).await?.ok_or(Error::NoService)
    }

    /// Its live tasks, oldest first.
    pub(crate) async fn tasks_of(&self, scope: &Scope, service: &Service) -> Result<Vec<Row<Task>>> {
        let mut tasks: Vec<Row<Task>> = Vec::new();
        let prefix = scope.key().text(&service.cluster);
        loop {
            let after = tasks.last().map_or(0, |row| row.created);
            let page = self.store.find::<Task>(&prefix, "service", &service.id, after, 500).await?;
            let last = page.len() < 500;
            tasks.extend(page);
            if last {
                return Ok(tasks);
            }
        }
    }

    async fn described(&self, scope: &Scope, service: &Service, tags: bool) -> Result<api::ecs::Service> {
        let tasks: Vec<Task> =
            self.tasks_of(scope, service).await?.into_iter().map(|row| row.value).collect();
        Ok(view::service(scope, service, &tasks, tags))
    }

    async fn create_service(&self, cx: &Cx, mut given: CreateService) -> Result<Service> {
        let scope = Scope::of(cx);
        names::check("Service name", &given.service_name)?;
        let cluster = self.cluster(&scope, given.cluster.as_deref()).await?.value;
        unserved(&given)?;
        let daemon = scheduling(&mut given)?;
        configuration(&mut given.deployment_configuration, daemon)?;
        let Some(text) = given.task_definition.clone() else {
            return invalid("TaskDefinition cannot be null.");
        };
        let definition = self.usable_definition(&scope, &text).await?;
        if given.capacity_provider_strategy.is_none() && given.launch_type.is_none() {
            given.capacity_provider_strategy =
                cluster.given.default_capacity_provider_strategy.clone().filter(|items| !items.is_empty());
        }
        let desired = desired(given.desired_count, daemon)?;
        let deployment = self.deployment(cx, &given, &definition).await?;
        if given.health_check_grace_period_seconds.is_none() && !deployment.load_balancers.is_empty() {
            given.health_check_grace_period_seconds = Some(0);
        }
        let tags = tags_in(given.tags.as_ref())?;
        let key = scope.key().text(&cluster.name).text(&given.service_name);
        let create = || async {
            let found = self.store.get::<Service>(&key).await?;
            if let Some(row) = found.as_ref().filter(|row| row.value.life != Life::Inactive) {
                // The same token means the same call, made again.
                let same = given.client_token.is_some() && row.value.given.client_token == given.client_token;
                return match row.value.life {
                    Life::Active if same => Ok((Batch::new(), row.value.clone())),
                    Life::Active => invalid("Creation of service was not idempotent."),
                    _ => invalid("Unable to Start a service that is still Draining."),
                };
            }
            let now = self.clock.now();
            let service = Service {
                id: ids::hex(&*self.entropy, 32),
                name: given.service_name.clone(),
                cluster: cluster.name.clone(),
                life: Life::Active,
                desired,
                given: given.clone(),
                deployments: vec![deployment.clone()],
                history: Vec::new(),
                events: Vec::new(),
                steady: false,
                served: Default::default(),
                tags: tags.clone(),
                created_by: cx.caller.arn.clone(),
                created: now,
            };
            let event = self.deployment_event(&scope, &service, "SERVICE_DEPLOYMENT_IN_PROGRESS", now);
            let batch = Batch::new().expect_same(&key, found.as_ref()).put(&key, &service).event(event);
            Ok((batch, service))
        };
        self.store.update(create).await
    }

    /// A new deployment of what `given` says, checked.
    async fn deployment(
        &self,
        cx: &Cx,
        given: &CreateService,
        definition: &Definition,
    ) -> Result<Deployment> {
        let strategy = given.capacity_provider_strategy.as_ref();
        let (launch_type, provider) = launch_type(given.launch_type.as_deref(), strategy, definition)?;
        network(given.network_configuration.as_ref(), definition)?;
        let load_balancers = balancers(given.load_balancers.as_ref(), definition)?;
        if !load_balancers.is_empty() {
            let arns = load_balancers.iter().map(|b| b.group.clone()).collect();
            let ask = api::elb::DescribeTargetGroups { target_group_arns: Some(arns), ..Default::default() };
            let found = cx.as_service(crate::ECS).call(ask).await.map_err(|fault| {
                match fault.is("TargetGroupNotFound") {
                    true => Error::Invalid(format!(
                        "The specified target group does not exist: {}",
                        fault.message
                    )),
                    false => Error::Fault(fault),
                }
            })?;
            for group in found.target_groups.into_iter().flatten() {
                let arn = group.target_group_arn.unwrap_or_default();
                let kind = group.target_type.unwrap_or_default();
                let awsvpc = definition.body.network_mode.as_deref() == Some("awsvpc");
                if awsvpc != (kind == "ip") {
                    return invalid(format!(
                        "The provided target group {arn} has target type {kind}, which is incompatible with the {} network mode specified in the task definition.",
                        definition.body.network_mode.as_deref().unwrap_or_default()
                    ));
                }
                if group.load_balancer_arns.is_none_or(|arns| arns.is_empty()) {
                    return invalid(format!(
                        "The target group with targetGroupArn {arn} does not have an associated load balancer."
                    ));
                }
            }
        }
        let now = self.clock.now();
        let id = self.deployment_id();
        let reason = format!("ECS deployment {id} in progress.");
        Ok(Deployment {
            id,
            definition: definition.arn().to_owned(),
            launch_type,
            provider,
            network: given.network_configuration.clone().unwrap_or_default(),
            load_balancers,
            rollout: Rollout::InProgress,
            reason,
            failed: 0,
            failures: 0,
            wait: None,
            counted: Vec::new(),
            rolls_back: None,
            created: now,
            updated: now,
            finished: None,
        })
    }

    async fn update_service(&self, cx: &Cx, input: &UpdateService) -> Result<Service> {
        let scope = Scope::of(cx);
        let cluster = self.cluster(&scope, input.cluster.as_deref()).await?.value.name;
        unserved_in_update(input)?;
        let update = || async {
            let mut row = self.service(&scope, &cluster, &input.service).await?;
            let service = &mut row.value;
            if service.life != Life::Active {
                return Err(Error::InactiveService);
            }
            let daemon = service.given.scheduling_strategy.as_deref() == Some("DAEMON");
            if let Some(count) = input.desired_count {
                service.desired = desired(Some(count), daemon)?;
                service.steady = false;
            }
            amend(&mut service.given, input);
            configuration(&mut service.given.deployment_configuration, daemon)?;
            let revised = input.task_definition.is_some()
                || input.network_configuration.is_some()
                || input.load_balancers.is_some()
                || input.capacity_provider_strategy.is_some()
                || input.platform_version.is_some()
                || input.force_new_deployment == Some(true);
            let mut batch = Batch::new();
            if revised {
                let current = service.deployments.first().map(|d| d.definition.clone()).unwrap_or_default();
                let text = input.task_definition.clone().unwrap_or_else(|| current.clone());
                // What a service runs already may have been deregistered since.
                let definition = match text == current {
                    true => self.definition(&scope, &text).await?.value,
                    false => self.usable_definition(&scope, &text).await?,
                };
                let deployment = Box::pin(self.deployment(cx, &service.given, &definition)).await?;
                service.deployments.insert(0, deployment);
                service.steady = false;
                let event = self.deployment_event(
                    &scope,
                    service,
                    "SERVICE_DEPLOYMENT_IN_PROGRESS",
                    self.clock.now(),
                );
                batch = batch.event(event);
            }
            Ok((batch.update(&row), row.value.clone()))
        };
        self.store.update(update).await
    }

    async fn delete_service(&self, scope: &Scope, input: &DeleteService) -> Result<Service> {
        let cluster = self.cluster(scope, input.cluster.as_deref()).await?.value.name;
        let delete = || async {
            let mut row = self.service(scope, &cluster, &input.service).await?;
            let service = &mut row.value;
            let daemon = service.given.scheduling_strategy.as_deref() == Some("DAEMON");
            match service.life {
                Life::Active => {}
                Life::Draining => return Ok((Batch::new(), row.value)),
                Life::Inactive => return Err(Error::NoService),
            }
            if service.desired > 0 && input.force != Some(true) && !daemon {
                return invalid("The service cannot be stopped while it is scaled above 0.");
            }
            service.life = Life::Draining;
            service.desired = 0;
            Ok((Batch::new().update(&row), row.value.clone()))
        };
        self.store.update(delete).await
    }
}

fn on_service(cx: &Cx, action: &'static str, cluster: Option<&str>, service: &str) -> Result<Access, Fault> {
    let scope = Scope::of(cx);
    let cluster = names::cluster_name(cluster)?;
    let arn = scope.service(cluster, names::short("service", service)?);
    Ok(Access::new(action, arn).when("ecs:cluster", scope.cluster(cluster)))
}

impl Ecs {
    /// Whoever starts tasks of a definition passes its roles.
    async fn passes(&self, cx: &Cx, definition: Option<&String>) -> Vec<Access> {
        let Some(text) = definition else { return Vec::new() };
        let found = self.definition(&Scope::of(cx), text).await.map(|row| row.value.body).unwrap_or_default();
        let roles = [found.task_role_arn, found.execution_role_arn];
        roles.into_iter().flatten().map(|role| Access::pass_role(role, TASKS)).collect()
    }
}

impl Handle<CreateService> for Ecs {
    async fn access(&self, cx: &Cx, input: &CreateService) -> Result<Vec<Access>, Fault> {
        let mut want =
            vec![on_service(cx, "ecs:CreateService", input.cluster.as_deref(), &input.service_name)?];
        want.extend(self.passes(cx, input.task_definition.as_ref()).await);
        Ok(want)
    }

    async fn handle(&self, cx: &Cx, input: CreateService) -> Result<CreateServiceOutput, Fault> {
        let service = Box::pin(self.create_service(cx, input)).await?;
        let service = self.described(&Scope::of(cx), &service, true).await?;
        Ok(CreateServiceOutput { service: Some(service) })
    }
}

impl Handle<UpdateService> for Ecs {
    async fn access(&self, cx: &Cx, input: &UpdateService) -> Result<Vec<Access>, Fault> {
        let mut want = vec![on_service(cx, "ecs:UpdateService", input.cluster.as_deref(), &input.service)?];
        want.extend(self.passes(cx, input.task_definition.as_ref()).await);
        Ok(want)
    }

    async fn handle(&self, cx: &Cx, input: UpdateService) -> Result<UpdateServiceOutput, Fault> {
        let service = Box::pin(self.update_service(cx, &input)).await?;
        let service = self.described(&Scope::of(cx), &service, true).await?;
        Ok(UpdateServiceOutput { service: Some(service) })
    }
}

impl Handle<DeleteService> for Ecs {
    async fn access(&self, cx: &Cx, input: &DeleteService) -> Result<Vec<Access>, Fault> {
        Ok(vec![on_service(cx, "ecs:DeleteService", input.cluster.as_deref(), &input.service)?])
    }

    async fn handle(&self, cx: &Cx, input: DeleteService) -> Result<DeleteServiceOutput, Fault> {
        let scope = Scope::of(cx);
        let service = self.delete_service(&scope, &input).await?;
        let service = self.described(&scope, &service, false).await?;
        Ok(DeleteServiceOutput { service: Some(service) })
    }
}

impl Handle<DescribeServices> for Ecs {
    async fn access(&self, cx: &Cx, input: &DescribeServices) -> Result<Vec<Access>, Fault> {
        let on = |name: &String| on_service(cx, "ecs:DescribeServices", input.cluster.as_deref(), name);
        input.services.iter().map(on).collect()
    }

    async fn handle(&self, cx: &Cx, input: DescribeServices) -> Result<DescribeServicesOutput, Fault> {
        let scope = Scope::of(cx);
        if input.services.is_empty() || input.services.len() > limits::DESCRIBE_SERVICES {
            let text =
                format!("Between 1 and {} services can be described at once.", limits::DESCRIBE_SERVICES);
            return Err(Error::Invalid(text).into());
        }
        let cluster = self.cluster(&scope, input.cluster.as_deref()).await?.value.name;
        let tags = include_tags(input.include.as_ref());
        let (mut services, mut failures) = (Vec::new(), Vec::new());
        for text in &input.services {
            match self.service(&scope, &cluster, text).await {
                Ok(row) => services.push(self.described(&scope, &row.value, tags).await?),
                Err(Error::NoService) => {
                    failures.push(missing(scope.service(&cluster, names::short("service", text)?)))
                }
                Err(other) => return Err(other.into()),
            }
        }
        Ok(DescribeServicesOutput { services: Some(services), failures: Some(failures) })
    }
}

impl Handle<ListServices> for Ecs {
    async fn access(&self, cx: &Cx, input: &ListServices) -> Result<Vec<Access>, Fault> {
        let cluster = Scope::of(cx).cluster(names::cluster_name(input.cluster.as_deref())?);
        Ok(vec![Access::new("ecs:ListServices", "*").when("ecs:cluster", cluster)])
    }

    async fn handle(&self, cx: &Cx, input: ListServices) -> Result<ListServicesOutput, Fault> {
        let scope = Scope::of(cx);
        let cluster = self.cluster(&scope, input.cluster.as_deref()).await?.value.name;
        let rows = self.store.all::<Service>(scope.key().text(&cluster)).await.map_err(Error::from)?;
        let wanted = |service: &Service| {
            let primary = service.deployments.first();
            let launch = |kind: &String| primary.is_some_and(|d| d.launch_type == *kind);
            service.life != Life::Inactive
                && input.launch_type.as_ref().is_none_or(launch)
                && input
                    .scheduling_strategy
                    .as_ref()
                    .is_none_or(|s| service.given.scheduling_strategy.as_ref() == Some(s))
        };
        let arns =
            rows.iter().filter(|row| wanted(&row.value)).map(|row| scope.service(&cluster, &row.value.name));
        let (service_arns, next_token) = page(
            "ListServices",
            arns.collect(),
            input.max_results.or(Some(10)),
            input.next_token.as_deref(),
        )?;
        Ok(ListServicesOutput { service_arns: Some(service_arns), next_token })
    }
}
