//! Tasks: run, stopped, described.
use api::ecs::*;
use jiff::SignedDuration;
use kernel::{Access, Cx, Fault, Handle, ids};
use serde_json::json;
use store::{Batch, Row};

use super::{include_tags, missing, page, tags_in};
use crate::error::{Error, Result, client, invalid};
use crate::names::{self, Scope};
use crate::records::{Container, Definition, Status, Stop, Tags, Task};
use crate::{Ecs, TASKS, limits, view};

/// What a new task is made from.
pub(crate) struct Order<'a> {
    pub(crate) cluster: &'a str,
    pub(crate) definition: &'a Definition,
    pub(crate) group: String,
    pub(crate) started_by: Option<String>,
    pub(crate) launch_type: String,
    pub(crate) provider: Option<String>,
    pub(crate) service: Option<(String, String)>,
    pub(crate) overrides: TaskOverride,
    pub(crate) network: NetworkConfiguration,
    pub(crate) exec: bool,
    pub(crate) tags: Tags,
}

impl Ecs {
    /// A task that does not exist yet.
    pub(crate) fn new_task(&self, order: Order<'_>) -> Task {
        let body = &order.definition.body;
        let container = |c: &ContainerDefinition| Container {
            id: ids::uuid(&*self.entropy),
            name: c.name.clone().unwrap_or_default(),
            image: c.image.clone().unwrap_or_default(),
            status: "PENDING".into(),
            health: if c.health_check.is_some() { "STARTING" } else { "UNKNOWN" }.into(),
            ..Container::default()
        };
        let mut overrides = order.overrides;
        overrides.cpu = overrides.cpu.or_else(|| body.cpu.clone());
        overrides.memory = overrides.memory.or_else(|| body.memory.clone());
        // Only what interfaces need wait for has a provisioning state.
        let awsvpc = body.network_mode.as_deref() == Some("awsvpc");
        Task {
            id: ids::hex(&*self.entropy, 32),
            cluster: order.cluster.to_owned(),
            family: body.family.clone().unwrap_or_default(),
            revision: body.revision.and_then(|n| u64::try_from(n).ok()).unwrap_or_default(),
            group: order.group,
            started_by: order.started_by,
            launch_type: order.launch_type,
            provider: order.provider,
            service: order.service,
            overrides,
            network: order.network,
            exec: order.exec,
            tags: order.tags,
            status: if awsvpc { Status::Provisioning } else { Status::Pending },
            stop: None,
            place: None,
            balanced: Vec::new(),
            targets: Vec::new(),
            containers: order.definition.containers().iter().map(container).collect(),
            version: 1,
            protected: None,
            created: self.clock.now(),
            pull_started: None,
            pull_stopped: None,
            started: None,
            stopping: None,
            execution_stopped: None,
            stopped: None,
        }
    }

    /// A task by id or ARN.
    pub(crate) async fn task(&self, scope: &Scope, cluster: &str, text: &str) -> Result<Option<Row<Task>>> {
        let id = names::short("task", text)?;
        Ok(self.store.get(&scope.key().text(cluster).text(id)).await?)
    }

    /// Decides that a task ends. The first reason stands.
    pub(crate) async fn request_stop(
        &self,
        scope: &Scope,
        cluster: &str,
        id: &str,
        stop: Stop,
    ) -> Result<Option<Task>> {
        let request = || async {
            let Some(mut row) = self.task(scope, cluster, id).await? else { return Ok((Batch::new(), None)) };
            if row.value.stop.is_some() {
                return Ok((Batch::new(), Some(row.value)));
            }
            let now = self.clock.now();
            row.value.stop = Some(stop.clone());
            row.value.stopping = Some(now);
            row.value.version += 1;
            let batch = Batch::new().update(&row).event(self.task_event(scope, &row.value, now));
            Ok::<_, Error>((batch, Some(row.value)))
        };
        self.store.update(request).await
    }

    /// What starting a task of a definition asks for: its roles are passed to it.
    pub(super) async fn start_access(
        &self,
        cx: &Cx,
        action: &'static str,
        definition: &str,
        cluster: Option<&str>,
        overrides: Option<&TaskOverride>,
    ) -> Result<Vec<Access>, Fault> {
        let scope = Scope::of(cx);
        let found = self.definition(&scope, definition).await;
        let arn = found.as_ref().map_or_else(|_| "*".to_owned(), |row| row.value.arn().to_owned());
        let cluster = scope.cluster(names::cluster_name(cluster)?);
        let mut want = vec![Access::new(action, arn).when("ecs:cluster", cluster)];
        let over = overrides.cloned().unwrap_or_default();
        let own = found.ok().map(|row| row.value.body).unwrap_or_default();
        let roles =
            [over.task_role_arn.or(own.task_role_arn), over.execution_role_arn.or(own.execution_role_arn)];
        want.extend(roles.into_iter().flatten().map(|role| Access::pass_role(role, TASKS)));
        Ok(want)
    }

    async fn run_task(&self, cx: &Cx, input: &RunTask) -> Result<Vec<Task>> {
        let scope = Scope::of(cx);
        let cluster = self.cluster(&scope, input.cluster.as_deref()).await?.value;
        let definition = self.usable_definition(&scope, &input.task_definition).await?;
        let count = input.count.unwrap_or(1);
        if !(1..=limits::RUN).contains(&count) {
            return invalid(format!("Count must be between 1 and {}.", limits::RUN));
        }
        if input.volume_configurations.as_ref().is_some_and(|list| !list.is_empty()) {
            return client("volumeConfigurations is not served by Longshore: leave it out.");
        }
        overrides(input.overrides.as_ref(), &definition)?;
        let strategy = input.capacity_provider_strategy.clone().filter(|items| !items.is_empty());
        let strategy = match (&input.launch_type, strategy) {
            (Some(_), Some(_)) => {
                return invalid(
                    "Specifying both launchType and capacityProviderStrategy is not allowed: leave one of them out.",
                );
            }
            (None, None) => {
                cluster.given.default_capacity_provider_strategy.clone().filter(|items| !items.is_empty())
            }
            (_, strategy) => strategy,
        };
        let (launch_type, provider) =
            launch_type(input.launch_type.as_deref(), strategy.as_ref(), &definition)?;
        network(input.network_configuration.as_ref(), &definition)?;
        let mut tags = tags_in(input.tags.as_ref())?;
        if input.propagate_tags.as_deref() == Some("TASK_DEFINITION") {
            tags.extend(definition.tags.clone());
        }
        let family = definition.body.family.clone().unwrap_or_default();
        let order = || Order {
            cluster: &cluster.name,
            definition: &definition,
            group: input.group.clone().unwrap_or_else(|| format!("family:{family}")),
            started_by: input.started_by.clone(),
            launch_type: launch_type.clone(),
            provider: provider.clone(),
            service: None,
            overrides: input.overrides.clone().unwrap_or_default(),
            network: input.network_configuration.clone().unwrap_or_default(),
            exec: input.enable_execute_command == Some(true),
            tags: tags.clone(),
        };
        let tasks: Vec<Task> = (0..count).map(|_| self.new_task(order())).collect();
        // What was accepted is started when the engine is back; without one, nothing more is accepted.
        self.engine.info().await?;
        self.create_tasks(&scope, input, tasks).await
    }

    /// Stores them, once for a client token.
    async fn create_tasks(&self, scope: &Scope, input: &RunTask, tasks: Vec<Task>) -> Result<Vec<Task>> {
        let token = input.client_token.as_ref().map(|token| scope.key().text("ecs.RunTask").text(token));
        let fingerprint = kernel::json::to_value(input).to_string();
        let create = || async {
            if let Some(token) = &token
                && let Some(known) = self.store.recall(token, &fingerprint).await?
            {
                let mut before = Vec::new();
                for id in known.as_array().into_iter().flatten().filter_map(|id| id.as_str()) {
                    let cluster = tasks.first().map(|task| task.cluster.as_str()).unwrap_or_default();
                    before.extend(self.task(scope, cluster, id).await?.map(|row| row.value));
                }
                return Ok((Batch::new(), before));
            }
            let now = self.clock.now();
            let mut batch = Batch::new();
            for task in &tasks {
                batch = batch.create(&task.key(scope), task).event(self.task_event(scope, task, now));
            }
            if let Some(token) = &token {
                let ids: Vec<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
                batch = batch.remember(token, &fingerprint, &json!(ids), now);
            }
            Ok::<_, Error>((batch, tasks.clone()))
        };
        self.store.update(create).await
    }
}

/// Overrides name containers of the definition, and nothing that is not served.
fn overrides(given: Option<&TaskOverride>, definition: &Definition) -> Result<()> {
    let Some(given) = given else { return Ok(()) };
    if given.inference_accelerator_overrides.as_ref().is_some_and(|list| !list.is_empty()) {
        return client("overrides.inferenceAcceleratorOverrides is not served by Longshore: leave it out.");
    }
    for over in given.container_overrides.iter().flatten() {
        if !definition.containers().iter().any(|c| c.name == over.name) {
            let name = over.name.as_deref().unwrap_or_default();
            return invalid(format!(
                "Override for container named {name} is not a container in the TaskDefinition."
            ));
        }
        if over.environment_files.as_ref().is_some_and(|list| !list.is_empty()) {
            return client(
                "overrides.containerOverrides.environmentFiles is not served by Longshore: leave it out.",
            );
        }
    }
    Ok(())
}

/// Launch type, and the provider that a strategy chose.
pub(crate) fn launch_type(
    given: Option<&str>,
    strategy: Option<&Vec<CapacityProviderStrategyItem>>,
    definition: &Definition,
) -> Result<(String, Option<String>)> {
    super::cluster::providers(None, strategy)?;
    let chosen = strategy.and_then(|items| {
        let rank = |item: &&CapacityProviderStrategyItem| (item.base.unwrap_or(0), item.weight.unwrap_or(0));
        items.iter().rev().max_by_key(rank).map(|item| item.capacity_provider.clone())
    });
    let kind = match (&chosen, given) {
        (Some(_), _) | (None, Some("FARGATE")) => "FARGATE",
        (None, None | Some("EC2")) => "EC2",
        (None, Some(other)) => {
            return client(format!("Launch type '{other}' is not served by Longshore: use FARGATE or EC2."));
        }
    };
    let body = &definition.body;
    if !body.compatibilities.iter().flatten().any(|able| able == kind) {
        return invalid(format!("Task definition does not support launch_type {kind}."));
    }
    Ok((kind.to_owned(), chosen))
}

/// awsvpc needs a configuration, and other modes none.
pub(crate) fn network(given: Option<&NetworkConfiguration>, definition: &Definition) -> Result<()> {
    let configuration = given.and_then(|network| network.awsvpc_configuration.as_ref());
    let awsvpc = definition.body.network_mode.as_deref() == Some("awsvpc");
    match configuration {
        None if awsvpc => {
            invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
        }
        Some(_) if !awsvpc => {
            invalid("Network Configuration is not valid for the given networkMode of this task definition.")
        }
        Some(configuration) if configuration.subnets.is_empty() => invalid("subnets can not be empty."),
        Some(configuration) if configuration.subnets.len() > 16 => {
            invalid("subnets can have at most 16 items.")
        }
        Some(configuration)
            if configuration.security_groups.as_ref().is_some_and(|groups| groups.len() > 5) =>
        {
            invalid("securityGroups can have at most 5 items.")
        }
        _ => Ok(()),
    }
}

fn on_task(cx: &Cx, action: &'static str, cluster: Option<&str>, task: &str) -> Result<Access, Fault> {
    let cluster = names::cluster_name(cluster)?;
    Ok(Access::new(action, Scope::of(cx).task(cluster, names::short("task", task)?)))
}

impl Handle<RunTask> for Ecs {
    async fn access(&self, cx: &Cx, input: &RunTask) -> Result<Vec<Access>, Fault> {
        let (definition, cluster) = (&input.task_definition, input.cluster.as_deref());
        self.start_access(cx, "ecs:RunTask", definition, cluster, input.overrides.as_ref()).await
    }

    async fn handle(&self, cx: &Cx, input: RunTask) -> Result<RunTaskOutput, Fault> {
        let scope = Scope::of(cx);
        let tasks = match Box::pin(self.run_task(cx, &input)).await {
            Err(Error::Engine(away @ engine::Error::Unreachable(_))) => {
                let cluster = names::cluster_name(input.cluster.as_deref())?;
                let failure = Failure {
                    arn: Some(scope.instance(cluster)),
                    reason: Some("AGENT".into()),
                    detail: Some(away.to_string()),
                };
                return Ok(RunTaskOutput { tasks: Some(Vec::new()), failures: Some(vec![failure]) });
            }
            done => done?,
        };
        let tasks = tasks.iter().map(|task| view::task(&scope, task, Some(&task.tags))).collect();
        Ok(RunTaskOutput { tasks: Some(tasks), failures: Some(Vec::new()) })
    }
}

impl Handle<StopTask> for Ecs {
    async fn access(&self, cx: &Cx, input: &StopTask) -> Result<Vec<Access>, Fault> {
        Ok(vec![on_task(cx, "ecs:StopTask", input.cluster.as_deref(), &input.task)?])
    }

    async fn handle(&self, cx: &Cx, input: StopTask) -> Result<StopTaskOutput, Fault> {
        let scope = Scope::of(cx);
        let cluster = self.cluster(&scope, input.cluster.as_deref()).await?.value.name;
        let reason = input.reason.unwrap_or_else(|| "Task stopped by user".into());
        let stop = Stop { code: "UserInitiated".into(), reason };
        let task = self.request_stop(&scope, &cluster, names::short("task", &input.task)?, stop).await?;
        let task = task.ok_or_else(|| Error::Invalid("The referenced task was not found.".into()))?;
        Ok(StopTaskOutput { task: Some(view::task(&scope, &task, None)) })
    }
}

impl Handle<DescribeTasks> for Ecs {
    async fn access(&self, cx: &Cx, input: &DescribeTasks) -> Result<Vec<Access>, Fault> {
        let on = |task: &String| on_task(cx, "ecs:DescribeTasks", input.cluster.as_deref(), task);
        input.tasks.iter().map(on).collect()
    }

    async fn handle(&self, cx: &Cx, input: DescribeTasks) -> Result<DescribeTasksOutput, Fault> {
        let scope = Scope::of(cx);
        if input.tasks.is_empty() {
            return Err(Error::Invalid("Tasks cannot be empty.".into()).into());
        }
        if input.tasks.len() > limits::DESCRIBE {
            return Err(Error::Invalid(format!(
                "At most {} tasks can be described at once.",
                limits::DESCRIBE
            ))
            .into());
        }
        let cluster = self.cluster(&scope, input.cluster.as_deref()).await?.value.name;
        let tags = include_tags(input.include.as_ref());
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for text in &input.tasks {
            match self.task(&scope, &cluster, text).await? {
                Some(row) => tasks.push(view::task(&scope, &row.value, tags.then_some(&row.value.tags))),
                None => failures.push(missing(scope.task(&cluster, names::short("task", text)?))),
            }
        }
        Ok(DescribeTasksOutput { tasks: Some(tasks), failures: Some(failures) })
    }
}

impl Handle<ListTasks> for Ecs {
    async fn access(&self, cx: &Cx, input: &ListTasks) -> Result<Vec<Access>, Fault> {
        let scope = Scope::of(cx);
        let cluster = scope.cluster(names::cluster_name(input.cluster.as_deref())?);
        Ok(vec![Access::new("ecs:ListTasks", "*").when("ecs:cluster", cluster)])
    }

    async fn handle(&self, cx: &Cx, input: ListTasks) -> Result<ListTasksOutput, Fault> {
        let scope = Scope::of(cx);
        let cluster = self.cluster(&scope, input.cluster.as_deref()).await?.value.name;
        let service = match &input.service_name {
            Some(name) => Some(self.service(&scope, &cluster, name).await?.value.id),
            None => None,
        };
        let desired = input.desired_status.as_deref().unwrap_or("RUNNING");
        let wanted = |task: &Task| {
            // Asking for PENDING finds nothing on AWS either: it is never desired.
            let fits = |given: &Option<String>, own: &str| given.as_deref().is_none_or(|given| given == own);
            task.desired() == desired
                && fits(&input.family, &task.family)
                && fits(&input.launch_type, &task.launch_type)
                && fits(&input.started_by, task.started_by.as_deref().unwrap_or_default())
                && service.as_ref().is_none_or(|id| task.service.as_ref().is_some_and(|(own, _)| own == id))
                && (input.container_instance.is_none() || task.launch_type == "EC2")
        };
        let rows = self.store.all::<Task>(scope.key().text(&cluster)).await.map_err(Error::from)?;
        let arns = rows
            .iter()
            .filter(|row| wanted(&row.value))
            .map(|row| scope.task(&cluster, &row.value.id))
            .collect();
        let (task_arns, next_token) =
            page("ListTasks", arns, input.max_results, input.next_token.as_deref())?;
        Ok(ListTasksOutput { task_arns: Some(task_arns), next_token })
    }
}

impl Handle<ExecuteCommand> for Ecs {
    async fn access(&self, cx: &Cx, input: &ExecuteCommand) -> Result<Vec<Access>, Fault> {
        Ok(vec![on_task(cx, "ecs:ExecuteCommand", input.cluster.as_deref(), &input.task)?])
    }

    async fn handle(&self, cx: &Cx, input: ExecuteCommand) -> Result<ExecuteCommandOutput, Fault> {
        let scope = Scope::of(cx);
        let cluster = self.cluster(&scope, input.cluster.as_deref()).await?.value.name;
        match self.task(&scope, &cluster, &input.task).await? {
            Some(_) => Err(Error::NotConnected.into()),
            None => Err(Error::Invalid("The referenced task was not found.".into()).into()),
        }
    }
}

impl Ecs {
    async fn protection(
        &self,
        scope: &Scope,
        cluster: Option<&str>,
        tasks: &[String],
        until: Option<Option<kernel::Timestamp>>,
    ) -> Result<(Vec<ProtectedTask>, Vec<Failure>)> {
        let cluster = self.cluster(scope, cluster).await?.value.name;
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for text in tasks {
            let change = || async {
                let Some(mut row) = self.task(scope, &cluster, text).await? else {
                    return Ok((Batch::new(), None));
                };
                let batch = match until {
                    Some(until) => {
                        row.value.protected = until;
                        Batch::new().update(&row)
                    }
                    None => Batch::new(),
                };
                Ok::<_, Error>((batch, Some(row.value)))
            };
            let Some(task) = self.store.update(change).await? else {
                failures.push(missing(scope.task(&cluster, names::short("task", text)?)));
                continue;
            };
            let until = task.protected.filter(|until| *until > self.clock.now());
            found.push(ProtectedTask {
                task_arn: Some(scope.task(&cluster, &task.id)),
                protection_enabled: Some(until.is_some()),
                expiration_date: until,
            });
        }
        Ok((found, failures))
    }
}

impl Handle<GetTaskProtection> for Ecs {
    async fn access(&self, cx: &Cx, input: &GetTaskProtection) -> Result<Vec<Access>, Fault> {
        let on = |task: &String| on_task(cx, "ecs:GetTaskProtection", Some(&input.cluster), task);
        input.tasks.iter().flatten().map(on).collect()
    }

    async fn handle(&self, cx: &Cx, input: GetTaskProtection) -> Result<GetTaskProtectionOutput, Fault> {
        let tasks = input.tasks.unwrap_or_default();
        let (found, failures) = self.protection(&Scope::of(cx), Some(&input.cluster), &tasks, None).await?;
        Ok(GetTaskProtectionOutput { protected_tasks: Some(found), failures: Some(failures) })
    }
}

impl Handle<UpdateTaskProtection> for Ecs {
    async fn access(&self, cx: &Cx, input: &UpdateTaskProtection) -> Result<Vec<Access>, Fault> {
        let on = |task: &String| on_task(cx, "ecs:UpdateTaskProtection", Some(&input.cluster), task);
        input.tasks.iter().map(on).collect()
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: UpdateTaskProtection,
    ) -> Result<UpdateTaskProtectionOutput, Fault> {
        let minutes = input.expires_in_minutes.unwrap_or(120);
        if !(1..=2880).contains(&minutes) {
            return Err(Error::Invalid("expiresInMinutes must be between 1 and 2880.".into()).into());
        }
        let until = self.clock.now().checked_add(SignedDuration::from_mins(minutes.into())).ok();
        let until = until.filter(|_| input.protection_enabled);
        let (found, failures) =
            self.protection(&Scope::of(cx), Some(&input.cluster), &input.tasks, Some(until)).await?;
        Ok(UpdateTaskProtectionOutput { protected_tasks: Some(found), failures: Some(failures) })
    }
}
