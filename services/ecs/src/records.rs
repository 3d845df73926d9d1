//! What is stored. Where AWS's own shape is what we keep, the record holds that shape.
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use api::ecs;
use engine::LogPosition;
use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Key, Record};

use crate::names::Scope;

/// Tags of a resource.
pub type Tags = BTreeMap<String, String>;

/// A cluster; key (account, region, name).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Whether it was not deleted.
    pub active: bool,
    /// Settings, configuration and capacity providers, as they were given.
    #[serde(with = "kernel::json::stored")]
    pub given: ecs::CreateCluster,
    /// Its tags.
    pub tags: Tags,
}

impl Record for Cluster {
    const TABLE: &'static str = "ecs.cluster";
}

/// The last revision of a family; key (account, region, family).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Family {
    /// Never goes back.
    pub last: u64,
}

impl Record for Family {
    const TABLE: &'static str = "ecs.family";
}

/// A task definition; key (account, region, family, revision).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Definition {
    /// As it is described.
    #[serde(with = "kernel::json::stored")]
    pub body: ecs::TaskDefinition,
    /// Its tags.
    pub tags: Tags,
}

impl Record for Definition {
    const TABLE: &'static str = "ecs.definition";
}

impl Definition {
    /// Whether it was not deregistered.
    pub fn active(&self) -> bool {
        self.body.status.as_deref() == Some("ACTIVE")
    }

    /// Its ARN.
    pub fn arn(&self) -> &str {
        self.body.task_definition_arn.as_deref().unwrap_or_default()
    }

    /// Its containers.
    pub fn containers(&self) -> &[ecs::ContainerDefinition] {
        self.body.container_definitions.as_deref().unwrap_or_default()
    }
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Status {
    /// Its network interface is being made.
    Provisioning,
    /// Its images are being pulled and its containers started.
    Pending,
    /// Its containers run; it is not registered everywhere yet.
    Activating,
    /// It runs.
    Running,
    /// It is being taken out of its target groups.
    Deactivating,
    /// Its containers are being stopped.
    Stopping,
    /// Its network interface is being removed.
    Deprovisioning,
    /// It has ended.
    Stopped,
}

impl Status {
    /// As AWS writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Activating => "ACTIVATING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// Why a task ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// `TaskFailedToStart`, `EssentialContainerExited`, `UserInitiated`, `ServiceSchedulerInitiated`.
    pub code: String,
    /// What people read.
    pub reason: String,
}

/// A task's place in the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The container network.
    pub network: String,
    /// Its address there.
    pub address: Ipv4Addr,
    /// In awsvpc mode.
    pub interface: Option<Interface>,
}

/// A task's network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// `eni-…`.
    pub id: String,
    /// The attachment's id.
    pub attachment: String,
    /// Its subnet.
    pub subnet: String,
    /// As EC2 made it up.
    pub mac: String,
    /// As in `ip-10-0-0-5.ec2.internal`.
    pub dns_name: String,
    /// The subnet's zone.
    pub zone: String,
}

/// A target that a task is registered as.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// The target group.
    pub group: String,
    /// Address or instance.
    pub id: String,
    /// Port.
    pub port: i32,
}

/// A container as it was last seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// The last part of its ARN, and its name for the metadata endpoint.
    pub id: String,
    /// As the definition names it.
    pub name: String,
    /// As the definition writes it.
    pub image: String,
    /// Of the image it runs.
    pub digest: Option<String>,
    /// The engine's id of it.
    pub runtime: Option<String>,
    /// `PENDING`, `RUNNING`, `STOPPED`.
    pub status: String,
    /// Once it has ended.
    pub exit_code: Option<i32>,
    /// Why it ended or could not start.
    pub reason: Option<String>,
    /// `UNKNOWN`, `HEALTHY`, `UNHEALTHY`.
    pub health: String,
    /// Its ports on the host: (container port, protocol, host address, host port).
    pub bindings: Vec<(u16, String, String, u16)>,
    /// When it was started.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
}

/// A task; key (account, region, cluster, id).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// 32 hexadecimal digits; the engine's id of it too.
    pub id: String,
    /// Its cluster's name.
    pub cluster: String,
    /// Its definition's family.
    pub family: String,
    /// Its definition's revision.
    pub revision: u64,
    /// `family:NAME` or `service:NAME`.
    pub group: String,
    /// Who started it.
    pub started_by: Option<String>,
    /// FARGATE or EC2.
    pub launch_type: String,
    /// FARGATE or FARGATE_SPOT, where a strategy chose.
    pub provider: Option<String>,
    /// The service's id, and that of its deployment.
    pub service: Option<(String, String)>,
    /// As RunTask gave them.
    #[serde(with = "kernel::json::stored")]
    pub overrides: ecs::TaskOverride,
    /// As RunTask or the service gave it.
    #[serde(with = "kernel::json::stored")]
    pub network: ecs::NetworkConfiguration,
    /// Whether commands may be run in it.
    pub exec: bool,
    /// Its tags.
    pub tags: Tags,
    /// How far it is.
    pub status: Status,
    /// Set once it shall end; nothing undoes it.
    pub stop: Option<Stop>,
    /// Its place in the network.
    pub place: Option<Place>,
    /// The target groups of its service's deployment.
    pub balanced: Vec<Balanced>,
    /// Its targets: from before the first is registered until none is any more.
    pub targets: Vec<Target>,
    /// Its containers.
    pub containers: Vec<Container>,
    /// Counts changes: clients and events order by it.
    pub version: i64,
    /// Whether scale-in leaves it alone, and until when.
    pub protected: Option<Timestamp>,
    /// When it was asked for.
    pub created: Timestamp,
    /// When its first image was asked for.
    pub pull_started: Option<Timestamp>,
    /// When its last image was there.
    pub pull_stopped: Option<Timestamp>,
    /// When all of it ran.
    pub started: Option<Timestamp>,
    /// When its end was decided.
    pub stopping: Option<Timestamp>,
    /// When its containers had ended.
    pub execution_stopped: Option<Timestamp>,
    /// When all of it had ended.
    pub stopped: Option<Timestamp>,
}

impl Record for Task {
    const TABLE: &'static str = "ecs.task";
    const INDEXES: &'static [&'static str] = &["live", "service"];

    fn indexes(&self) -> Vec<(&'static str, String)> {
        let live = (self.status != Status::Stopped).then(|| ("live", "yes".to_owned()));
        let service = self.service.as_ref().map(|(service, _)| ("service", service.clone()));
        live.into_iter().chain(service).collect()
    }
}

impl Task {
    /// Its key.
    pub fn key(&self, scope: &Scope) -> Key {
        scope.key().text(&self.cluster).text(&self.id)
    }

    /// What it shall be: it shall run until something stops it.
    pub fn desired(&self) -> &'static str {
        if self.stop.is_some() { "STOPPED" } else { "RUNNING" }
    }
}

/// How far a container's log was written; key (account, region, task, container). It goes with the task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogMark {
    /// After the last line that CloudWatch Logs has.
    pub position: LogPosition,
    /// Events that the log stream held then; none where it was not counted yet.
    #[serde(default)]
    pub logged: Option<u64>,
}

impl Record for LogMark {
    const TABLE: &'static str = "ecs.log";
}

/// How a deployment is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rollout {
    /// Not there yet.
    InProgress,
    /// Got there.
    Completed,
    /// Given up by the circuit breaker.
    Failed,
}

/// A deployment of a service: a revision of it, and the tasks that run it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// `ecs-svc/…`.
    pub id: String,
    /// The definition's ARN.
    pub definition: String,
    /// FARGATE or EC2.
    pub launch_type: String,
    /// FARGATE or FARGATE_SPOT, where a strategy chose.
    pub provider: Option<String>,
    /// Of its tasks.
    #[serde(with = "kernel::json::stored")]
    pub network: ecs::NetworkConfiguration,
    /// Of its tasks.
    pub load_balancers: Vec<Balanced>,
    /// How it is going.
    pub rollout: Rollout,
    /// In words.
    pub reason: String,
    /// Tasks that failed, as the circuit breaker counts.
    pub failed: i32,
    /// Tasks in a row that failed before they ran.
    pub failures: u32,
    /// Until then no task is started, after failures.
    pub wait: Option<Timestamp>,
    /// Tasks that the circuit breaker has counted: each once.
    pub counted: Vec<String>,
    /// It undoes this one.
    pub rolls_back: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// When it got there or was given up.
    pub finished: Option<Timestamp>,
}

/// A target group of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balanced {
    /// The target group's ARN.
    pub group: String,
    /// The container that serves.
    pub container: String,
    /// The port it serves on.
    pub port: i32,
}

/// A line of a service's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// What.
    pub message: String,
}

/// A service's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Life {
    /// It keeps its tasks running.
    Active,
    /// It was deleted; its tasks are ending.
    Draining,
    /// It was deleted.
    Inactive,
}

/// A service; key (account, region, cluster, name).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Ours: a service of the same name made later is another one.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its cluster's name.
    pub cluster: String,
    /// Its life.
    pub life: Life,
    /// How many tasks it keeps; for DAEMON, one on our one instance.
    pub desired: i32,
    /// All that is kept only to be described again, and its deployment configuration with AWS's defaults filled in.
    #[serde(with = "kernel::json::stored")]
    pub given: ecs::CreateService,
    /// The newest first: the primary.
    pub deployments: Vec<Deployment>,
    /// Those that ended, the newest first.
    pub history: Vec<Deployment>,
    /// The newest first.
    pub events: Vec<Event>,
    /// Whether the last event of that kind still holds.
    pub steady: bool,
    /// Those of its tasks that have been healthy.
    #[serde(default)]
    pub served: BTreeSet<String>,
    /// Its tags.
    pub tags: Tags,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created: Timestamp,
}

impl Record for Service {
    const TABLE: &'static str = "ecs.service";
    const INDEXES: &'static [&'static str] = &["live"];

    fn indexes(&self) -> Vec<(&'static str, String)> {
        (self.life != Life::Inactive).then(|| ("live", "yes".to_owned())).into_iter().collect()
    }
}

impl Service {
    /// Adds a line to its history.
    pub fn tell(&mut self, id: String, at: Timestamp, message: String) {
        self.events.insert(0, Event { id, at, message: format!("(service {}) {message}", self.name) });
        self.events.truncate(crate::limits::EVENTS);
    }
}

/// An account setting; key (account, region, name, principal or `default`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setting {
    /// Its value.
    pub value: String,
}

impl Record for Setting {
    const TABLE: &'static str = "ecs.setting";
}
