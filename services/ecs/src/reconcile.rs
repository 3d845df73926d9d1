//! Services: looks at what is, plans, does. It takes no input but the state; a wake and a timer run it.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use kernel::{Fault, Fut, Timestamp, ids};
use store::{Batch, Key, Row};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::error::{Error, Result};
use crate::health::{self, Bench, Targets};
use crate::names::Scope;
use crate::ops::Order;
use crate::plan::{self, Health, Plan, Seen, Wanted, Why};
use crate::records::{Definition, Deployment, Life, Rollout, Service, Status, Stop, Target, Task};
use crate::{Ecs, limits};

/// The worker.
pub(crate) struct Reconciler(pub(crate) Arc<Ecs>);

impl Worker for Reconciler {
    fn name(&self) -> String {
        "ecs.services".into()
    }

    fn wake(&self) -> Arc<Notify> {
        self.0.nudged.clone()
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async move {
            let (mut after, mut due): (u64, Option<Timestamp>) = (0, None);
            loop {
                let page = self
                    .0
                    .store
                    .find::<Service>(Key::all(), "live", "yes", after, 100)
                    .await
                    .map_err(Error::from)?;
                let Some(last) = page.last() else { return Ok(due.into()) };
                after = last.created;
                for row in page {
                    let at = self.one(row).await;
                    due = due.into_iter().chain(at).min();
                }
            }
        })
    }
}

impl Reconciler {
    /// One service; another's failure must not hold it up.
    async fn one(&self, row: Row<Service>) -> Option<Timestamp> {
        let (scope, name) = (Scope::of_key(&row.key), row.value.name.clone());
        match Box::pin(self.0.reconcile(&scope, row)).await {
            Ok(due) => due,
            Err(Error::Busy) => Some(self.0.clock.now()),
            Err(error) => {
                let fault = Fault::from(error);
                tracing::warn!(service = name, ?fault, "a service could not be reconciled");
                self.0.after(limits::RETRY)
            }
        }
    }
}

/// A service as a pass sees it.
struct View {
    tasks: Vec<Task>,
    seen: Vec<Seen>,
    definitions: BTreeMap<String, Definition>,
    now: Timestamp,
}

impl Ecs {
    pub(crate) fn after(&self, delay: Duration) -> Option<Timestamp> {
        self.clock.now().checked_add(SignedDuration::try_from(delay).ok()?).ok()
    }

    /// A deployment's id, as AWS numbers them: 19 digits.
    pub(crate) fn deployment_id(&self) -> String {
        let number = u64::from_str_radix(&ids::hex(&*self.entropy, 15), 16).unwrap_or_default();
        format!("ecs-svc/{:019}", 1_000_000_000_000_000_000 + number)
    }

    async fn reconcile(&self, scope: &Scope, mut row: Row<Service>) -> Result<Option<Timestamp>> {
        let before = row.value.clone();
        let view = self.look(scope, &row.value).await?;
        if row.value.life == Life::Draining {
            return self.drain(scope, row, &view).await;
        }
        let service = &mut row.value;
        let failed = count_failures(service, &view);
        self.tell_throttling(service, failed, view.now);
        self.break_circuit(service, view.now);
        let ending = view.tasks.iter().any(|task| task.stop.is_some() && task.status != Status::Stopped);
        let plan = plan::plan(wanted(service, view.now), &view.seen, ending);
        let away = if plan.start > 0 { self.engine.info().await.err() } else { None };
        let started = match &away {
            None => self.starts(service, &view, plan.start),
            Some(error) => {
                self.tell_away(scope, service, error, view.now);
                Vec::new()
            }
        };
        self.tell(service, &plan, &started, view.now);
        retire(service, &view);
        remember_healthy(service, &view);
        let completed = plan.done && self.complete(service, view.now);
        let again = away.and_then(|_| self.after(limits::RETRY));
        let due = self.due(service, &view, &plan).into_iter().chain(again).min();
        for (id, why) in &plan.stop {
            self.request_stop(scope, &before.cluster, id, stop(&before, why)).await?;
        }
        let mut batch = Batch::new();
        if completed {
            batch =
                batch.event(self.deployment_event(scope, service, "SERVICE_DEPLOYMENT_COMPLETED", view.now));
        }
        let given_up = |s: &Service| {
            s.deployments.iter().chain(&s.history).filter(|d| d.rollout == Rollout::Failed).count()
        };
        if given_up(service) > given_up(&before) {
            batch = batch.event(self.deployment_event(scope, service, "SERVICE_DEPLOYMENT_FAILED", view.now));
        }
        for task in &started {
            batch = batch.create(&task.key(scope), task).event(self.task_event(scope, task, view.now));
        }
        if row.value != before || !batch.is_empty() {
            self.store.commit(batch.update(&row)).await?;
        }
        Ok(due)
    }

    /// Tasks, their health, and the definitions of the deployments.
    async fn look(&self, scope: &Scope, service: &Service) -> Result<View> {
        let now = self.clock.now();
        let all = self.tasks_of(scope, service).await?;
        let all: Vec<Task> = all.into_iter().map(|row| row.value).collect();
        let targets = self.target_health(scope, &all).await?;
        let mut definitions = BTreeMap::new();
        for deployment in &service.deployments {
            let found = self.definition(scope, &deployment.definition).await?.value;
            definitions.insert(deployment.definition.clone(), found);
        }
        let primary = service.deployments.first().map(|d| d.id.as_str()).unwrap_or_default();
        let grace =
            service.given.health_check_grace_period_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(0);
        let seen = |task: &Task| {
            let of = task.service.as_ref().map(|(_, deployment)| deployment.as_str()).unwrap_or_default();
            let definition =
                service.deployments.iter().find(|d| d.id == of).and_then(|d| definitions.get(&d.definition));
            let bench = Bench {
                now,
                grace: Duration::from_secs(grace),
                settle: self.options.settle,
                targets: &targets,
                checked: definition.is_some_and(health::checked),
                served: service.served.contains(&task.id),
            };
            Seen {
                id: task.id.clone(),
                primary: of == primary,
                health: health::judge(task, &bench),
                protected: task.protected.is_some_and(|until| until > now),
            }
        };
        let live = all.iter().filter(|task| task.stop.is_none() && task.status != Status::Stopped);
        let seen = live.map(seen).collect();
        Ok(View { seen, tasks: all, definitions, now })
    }

    /// What ELB says of the service's targets. A group that is gone says nothing.
    async fn target_health(&self, scope: &Scope, tasks: &[Task]) -> Result<Targets> {
        let live = tasks.iter().filter(|task| task.status != Status::Stopped);
        let groups: std::collections::BTreeSet<&String> =
            live.flat_map(|task| &task.targets).map(|target| &target.group).collect();
        let mut targets = Targets::new();
        for group in groups {
            let ask =
                api::elb::DescribeTargetHealth { target_group_arn: group.clone(), ..Default::default() };
            let answer = match self.own_cx(scope)?.call(ask).await {
                Ok(answer) => answer,
                Err(fault) if fault.is("TargetGroupNotFound") => continue,
                Err(fault) => return Err(fault.into()),
            };
            for one in answer.target_health_descriptions.into_iter().flatten() {
                let (target, health) =
                    (one.target.unwrap_or_default(), one.target_health.unwrap_or_default());
                let key =
                    Target { group: group.clone(), id: target.id, port: target.port.unwrap_or_default() };
                let reason = health.description.or(health.reason).unwrap_or_default();
                targets.insert(key, (health.state.unwrap_or_default(), reason));
            }
        }
        Ok(targets)
    }

    /// A deleted service: its tasks end, then it is INACTIVE.
    async fn drain(&self, scope: &Scope, mut row: Row<Service>, view: &View) -> Result<Option<Timestamp>> {
        let live: Vec<&Task> = view.tasks.iter().filter(|task| task.status != Status::Stopped).collect();
        for task in live.iter().filter(|task| task.stop.is_none()) {
            self.request_stop(scope, &row.value.cluster, &task.id, stop(&row.value, &Why::Surplus)).await?;
        }
        if live.is_empty() {
            row.value.life = Life::Inactive;
            let ended = row.value.deployments.split_off(0);
            row.value.history.splice(0..0, ended);
            self.store.commit(Batch::new().update(&row)).await?;
        }
        Ok(None)
    }

    fn starts(&self, service: &Service, view: &View, count: usize) -> Vec<Task> {
        let Some(primary) = service.deployments.first() else { return Vec::new() };
        let Some(definition) = view.definitions.get(&primary.definition) else { return Vec::new() };
        let mut tags = service.tags.clone();
        match service.given.propagate_tags.as_deref() {
            Some("SERVICE") => {}
            Some("TASK_DEFINITION") => tags = definition.tags.clone(),
            _ => tags.clear(),
        }
        let order = || Order {
            cluster: &service.cluster,
            definition,
            group: format!("service:{}", service.name),
            started_by: Some(primary.id.clone()),
            launch_type: primary.launch_type.clone(),
            provider: primary.provider.clone(),
            service: Some((service.id.clone(), primary.id.clone())),
            overrides: Default::default(),
            network: primary.network.clone(),
            exec: service.given.enable_execute_command == Some(true),
            tags: tags.clone(),
        };
        let task = |_| Task { balanced: primary.load_balancers.clone(), ..self.new_task(order()) };
        (0..count).map(task).collect()
    }

    fn tell(&self, service: &mut Service, plan: &Plan, started: &[Task], now: Timestamp) {
        let id = || ids::uuid(&*self.entropy);
        for (task, why) in &plan.stop {
            if let Why::Unhealthy(reason) = why {
                service.tell(id(), now, format!("(task {task}) {reason}"));
            }
        }
        let list =
            |ids: Vec<&str>| ids.iter().map(|task| format!("(task {task})")).collect::<Vec<_>>().join(" ");
        if !started.is_empty() {
            let ids = list(started.iter().map(|task| task.id.as_str()).collect());
            service.tell(id(), now, format!("has started {} tasks: {ids}.", started.len()));
        }
        if !plan.stop.is_empty() {
            let ids = list(plan.stop.iter().map(|(task, _)| task.as_str()).collect());
            service.tell(id(), now, format!("has stopped {} running tasks: {ids}.", plan.stop.len()));
        }
        if plan.blocked
            && !service
                .events
                .first()
                .is_some_and(|event| event.message.contains("was unable to stop or start"))
        {
            let text = "was unable to stop or start tasks during a deployment because of the service deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again.";
            service.tell(id(), now, text.into());
        }
        if !plan.done {
            service.steady = false;
        }
    }

    /// The newest deployment got there. Answers whether that is news.
    fn complete(&self, service: &mut Service, now: Timestamp) -> bool {
        let id = || ids::uuid(&*self.entropy);
        let news =
            service.deployments.first_mut().filter(|d| d.rollout == Rollout::InProgress).map(|primary| {
                primary.rollout = Rollout::Completed;
                primary.reason = format!("ECS deployment {} completed.", primary.id);
                primary.updated = now;
                primary.finished = Some(now);
                primary.counted.clear();
                format!("(deployment {}) deployment completed.", primary.id)
            });
        let completed = news.is_some();
        if let Some(news) = news {
            service.tell(id(), now, news);
        }
        if !service.steady {
            service.steady = true;
            service.tell(id(), now, "has reached a steady state.".into());
        }
        completed
    }

    /// Once, as long as nothing else happens.
    fn tell_away(&self, scope: &Scope, service: &mut Service, error: &engine::Error, now: Timestamp) {
        let text = format!(
            "was unable to place a task because no container instance met all of its requirements. The closest matching (container-instance {}) encountered error \"AGENT\": {error}",
            scope.instance(&service.cluster)
        );
        if service.events.first().is_none_or(|event| !event.message.ends_with(&text)) {
            service.tell(ids::uuid(&*self.entropy), now, text);
        }
    }

    fn tell_throttling(&self, service: &mut Service, failed: bool, now: Timestamp) {
        let failures = service.deployments.first().map_or(0, |primary| primary.failures);
        if failed && failures == 3 {
            let text = "is unable to consistently start tasks successfully. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.";
            service.tell(ids::uuid(&*self.entropy), now, text.into());
        }
    }

    /// Gives a deployment up that failed too often, and goes back to the last that worked if that is wanted.
    fn break_circuit(&self, service: &mut Service, now: Timestamp) {
        let threshold = i32::try_from(health::threshold(service)).unwrap_or(i32::MAX);
        let breaker = service
            .given
            .deployment_configuration
            .as_ref()
            .and_then(|c| c.deployment_circuit_breaker.clone());
        let Some(breaker) = breaker.filter(|breaker| breaker.enable) else { return };
        let Some(primary) = service.deployments.first_mut() else { return };
        if primary.rollout != Rollout::InProgress || primary.failed < threshold {
            return;
        }
        let text = format!("(deployment {}) deployment failed: tasks failed to start.", primary.id);
        primary.rollout = Rollout::Failed;
        primary.reason = "ECS deployment circuit breaker: tasks failed to start.".into();
        primary.updated = now;
        primary.finished = Some(now);
        service.tell(ids::uuid(&*self.entropy), now, text);
        if breaker.rollback {
            roll_back(self, service, "ECS deployment circuit breaker: tasks failed to start.", now);
        }
    }

    /// When to look again although nothing wakes us.
    fn due(&self, service: &Service, view: &View, plan: &Plan) -> Option<Timestamp> {
        let wait =
            service.deployments.first().and_then(|primary| primary.wait).filter(|until| *until > view.now);
        let settle = SignedDuration::try_from(self.options.settle).unwrap_or_default();
        let young = view
            .tasks
            .iter()
            .filter(|task| task.stop.is_none())
            .filter_map(|task| task.started?.checked_add(settle).ok());
        let young = young.filter(|at| *at > view.now).min();
        let balanced =
            view.tasks.iter().any(|task| !task.targets.is_empty() && task.status != Status::Stopped);
        // Reports wake us; one may have come before the target was registered.
        let health = if balanced && !plan.done { self.after(limits::HEALTH) } else { None };
        wait.into_iter().chain(young).chain(health).min()
    }
}

/// Back to the last deployment that completed. Answers whether there is one.
pub(crate) fn roll_back(ecs: &Ecs, service: &mut Service, reason: &str, now: Timestamp) -> bool {
    let mut earlier = service.deployments.iter().skip(1).chain(&service.history);
    let Some(good) = earlier.find(|d| d.rollout == Rollout::Completed).cloned() else { return false };
    let id = ecs.deployment_id();
    if let Some(primary) = service.deployments.first_mut() {
        primary.rollout = Rollout::Failed;
        primary.reason = reason.to_owned();
        primary.updated = now;
        primary.finished = Some(now);
    }
    let undone = service.deployments.first().map(|d| d.id.clone());
    let text = format!(
        "(deployment {}) rolling back to deployment {}.",
        undone.clone().unwrap_or_default(),
        good.id
    );
    let deployment = Deployment {
        reason: format!("ECS deployment circuit breaker: rolling back to deploymentId {}.", good.id),
        id,
        rollout: Rollout::InProgress,
        failed: 0,
        failures: 0,
        wait: None,
        counted: Vec::new(),
        rolls_back: undone,
        created: now,
        updated: now,
        finished: None,
        ..good
    };
    service.deployments.insert(0, deployment);
    service.steady = false;
    service.tell(ids::uuid(&*ecs.entropy), now, text);
    true
}

fn wanted(service: &Service, now: Timestamp) -> Wanted {
    let c = service.given.deployment_configuration.clone().unwrap_or_default();
    let percent =
        |given: Option<i32>, default: usize| given.and_then(|n| usize::try_from(n).ok()).unwrap_or(default);
    let primary = service.deployments.first();
    let hold =
        primary.is_some_and(|d| d.rollout == Rollout::Failed || d.wait.is_some_and(|until| until > now));
    Wanted {
        desired: usize::try_from(service.desired).unwrap_or(0),
        minimum: percent(c.minimum_healthy_percent, 100),
        maximum: percent(c.maximum_percent, 200),
        hold,
    }
}

fn stop(service: &Service, why: &Why) -> Stop {
    let primary = service.deployments.first().map(|d| d.id.as_str()).unwrap_or_default();
    let reason = match why {
        Why::Replaced | Why::Surplus => format!("Scaling activity initiated by (deployment {primary})"),
        Why::Unhealthy(reason) if reason.contains("target-group") => {
            format!("Task failed ELB health checks: {reason}")
        }
        Why::Unhealthy(reason) => format!("Task {reason}"),
    };
    Stop { code: "ServiceSchedulerInitiated".into(), reason }
}

/// Counts tasks of the newest deployment that failed, each once. Answers whether there was a new one.
fn count_failures(service: &mut Service, view: &View) -> bool {
    let reset = service
        .given
        .deployment_configuration
        .as_ref()
        .and_then(|c| c.deployment_circuit_breaker.as_ref())
        .is_none_or(|breaker| breaker.reset_on_healthy_task != Some(false));
    let Some(primary) = service.deployments.first_mut() else { return false };
    let own = |task: &&Task| task.service.as_ref().is_some_and(|(_, deployment)| *deployment == primary.id);
    let mut new: Vec<&Task> = view.tasks.iter().filter(own).filter(|task| failed(task)).collect();
    new.retain(|task| !primary.counted.contains(&task.id));
    for task in &new {
        primary.counted.push(task.id.clone());
        if primary.rollout == Rollout::InProgress {
            primary.failed += 1;
        }
        if task.started.is_none() {
            primary.failures += 1;
            primary.wait = backoff(primary.failures, view.now);
        }
        primary.updated = view.now;
    }
    // Long gone tasks are not in sight any more.
    primary.counted.retain(|id| view.tasks.iter().any(|task| task.id == *id));
    let healthy = view.seen.iter().any(|task| task.primary && task.health == Health::Healthy);
    if healthy && (primary.failures > 0 || (reset && primary.failed > 0)) {
        primary.failures = 0;
        primary.wait = None;
        if reset {
            primary.failed = 0;
        }
    }
    !new.is_empty()
}

/// Whether a task ended by its own fault: it could not start, it exited, or its health failed.
fn failed(task: &Task) -> bool {
    task.stop.as_ref().is_some_and(|stop| match stop.code.as_str() {
        "TaskFailedToStart" | "EssentialContainerExited" => true,
        "ServiceSchedulerInitiated" => stop.reason.starts_with("Task "),
        _ => false,
    })
}

/// The first two failures cost nothing; then 5 seconds, doubled each time.
fn backoff(failures: u32, now: Timestamp) -> Option<Timestamp> {
    let doublings = failures.checked_sub(2)?.min(16);
    let delay = Duration::from_secs(5).saturating_mul(1 << doublings).min(limits::BACKOFF);
    now.checked_add(SignedDuration::try_from(delay).ok()?).ok()
}

/// A restart must not forget who served, for a while nobody can tell.
fn remember_healthy(service: &mut Service, view: &View) {
    let known = std::mem::take(&mut service.served);
    let live = view.seen.iter();
    let served = live.filter(|task| task.health == Health::Healthy || known.contains(&task.id));
    service.served = served.map(|task| task.id.clone()).collect();
}

/// Older deployments without tasks are history.
fn retire(service: &mut Service, view: &View) {
    let busy = |id: &str| {
        let live = |task: &&Task| task.status != Status::Stopped;
        view.tasks.iter().filter(live).any(|task| task.service.as_ref().is_some_and(|(_, d)| d == id))
    };
    let older = service.deployments.split_off(service.deployments.len().min(1));
    let (stay, gone): (Vec<_>, Vec<_>) = older.into_iter().partition(|d| busy(&d.id));
    service.deployments.extend(stay);
    service.history.splice(0..0, gone);
    service.history.truncate(limits::HISTORY);
}
