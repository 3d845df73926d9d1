//! What shall run.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Error, ImageSource, Result, Rules, limits};

/// A task's id: the caller's idempotency token, unique within the owner.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId(String);

impl TaskId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TaskId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let starts = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if !starts || text.len() > limits::TASK_ID || !text.bytes().all(fine) {
            let rule = "a letter or digit, then letters, digits, '-', '_' and '.', at most 128";
            return Err(Error::Invalid(format!("'{text}' is not a task id: {rule}")));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for TaskId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<TaskId> for String {
    fn from(id: TaskId) -> Self {
        id.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A task to run.
#[derive(Clone, Debug)]
pub struct TaskSpec {
    /// Its id.
    pub id: TaskId,
    /// The caller's own, handed back by [`crate::Engine::tasks`]: kind, account, region.
    pub labels: BTreeMap<String, String>,
    /// Its place in a network; none: loopback alone.
    pub network: Option<Attachment>,
    /// What its namespace lets in and out. Without a network they do nothing.
    pub rules: Rules,
    /// What runs in it, at least one.
    pub containers: Vec<Container>,
    /// All containers together.
    pub limits: Limits,
}

/// A task's place in a network.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// A network of [`crate::Engine::ensure_network`].
    pub network: String,
    /// The task's address there; none: the engine picks a free one.
    pub address: Option<Ipv4Addr>,
    /// Ports of the task that the host answers, as in ECS's bridge mode.
    pub publish: Vec<Publish>,
}

/// A port of the task that the host answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// In the task.
    pub port: u16,
    /// UDP rather than TCP.
    pub udp: bool,
    /// On the host; unspecified: every address.
    pub host_address: IpAddr,
    /// On the host; none: a free one.
    pub host_port: Option<u16>,
}

/// A container of a task.
#[derive(Clone, Debug)]
pub struct Container {
    /// Unique within the task.
    pub name: String,
    /// What it is made from; [`crate::Engine::run`] brings it to the engine.
    pub image: ImageSource,
    /// The image's own if none.
    pub entrypoint: Option<Vec<String>>,
    /// The image's own if none.
    pub command: Option<Vec<String>>,
    /// On top of the image's.
    pub env: Vec<(String, String)>,
    /// The image's own if none.
    pub workdir: Option<String>,
    /// The image's own if none: name or number, with an optional group.
    pub user: Option<String>,
    /// The task's resolver and hosts files come by themselves.
    pub mounts: Vec<Mount>,
    /// Put into it before it starts: secrets and certificates need not be on the host's disk.
    pub files: Vec<File>,
    /// Of this container alone.
    pub limits: Limits,
    /// Kernel limits of its processes.
    pub ulimits: Vec<Ulimit>,
    /// How its health is found; the image's own check is ignored, as ECS does.
    pub health: Option<HealthCheck>,
    /// What must be true of other containers before it starts.
    pub depends_on: Vec<Dependency>,
    /// Between its stop signal and SIGKILL.
    pub stop_timeout: Duration,
    /// May run a container engine of its own.
    pub privileged: bool,
    /// Its own filesystem takes no writes.
    pub read_only: bool,
    /// A small init as its first process reaps zombies.
    pub init: bool,
    /// Shown by the engine's own tools.
    pub labels: BTreeMap<String, String>,
}

impl Container {
    /// A container of an image as the image says, without limits, with ECS's stop timeout of 30 seconds.
    pub fn new(name: impl Into<String>, image: ImageSource) -> Self {
        Self {
            name: name.into(),
            image,
            entrypoint: None,
            command: None,
            env: Vec::new(),
            workdir: None,
            user: None,
            mounts: Vec::new(),
            files: Vec::new(),
            limits: Limits::default(),
            ulimits: Vec::new(),
            health: None,
            depends_on: Vec::new(),
            stop_timeout: Duration::from_secs(30),
            privileged: false,
            read_only: false,
            init: false,
            labels: BTreeMap::new(),
        }
    }
}

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub source: Source,
    /// Where, absolute.
    pub target: String,
    /// Takes no writes.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file or folder of the host, which must exist.
    Host(PathBuf),
    /// A volume of the task, shared by its containers under this name; it goes with the task.
    Volume(String),
    /// Memory, at most so many bytes.
    Memory(u64),
}

/// A file that is put into a container.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Absolute; missing folders are made.
    pub path: String,
    /// Permissions, as in 0o600.
    pub mode: u32,
    /// Its content; never logged.
    pub content: Bytes,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({}, {:o}, {} bytes)", self.path, self.mode, self.content.len())
    }
}

/// How much may be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// 1024 to a processor: the share under contention.
    pub cpu_shares: Option<u32>,
    /// 1024 to a processor: never more than this.
    pub cpu: Option<u32>,
    /// Bytes; more of it and the kernel kills.
    pub memory: Option<u64>,
    /// Bytes that it keeps under contention.
    pub memory_reservation: Option<u64>,
    /// Bytes of `/dev/shm`.
    pub shared_memory: Option<u64>,
}

/// A kernel limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ulimit {
    /// As in `nofile`.
    pub name: String,
    /// Soft.
    pub soft: i64,
    /// Hard.
    pub hard: i64,
}

/// How health is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// `CMD` with arguments, or `CMD-SHELL` with a line.
    pub command: Vec<String>,
    /// Between checks.
    pub interval: Duration,
    /// Of one check.
    pub timeout: Duration,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    /// After the start, during which failures do not count.
    pub start_period: Duration,
}

/// What must be true of another container first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The other one.
    pub container: String,
    /// What must be true.
    pub condition: Condition,
    /// At most; then the dependent does not start.
    pub timeout: Option<Duration>,
}

/// ECS's four conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It was started.
    Start,
    /// It ended.
    Complete,
    /// It ended with code 0.
    Success,
    /// Its health check passed.
    Healthy,
}

impl TaskSpec {
    /// The containers, each after those it depends on. Errors: none at all or too many, doubled or unknown names,
    /// circles.
    pub fn in_order(&self) -> Result<Vec<&Container>> {
        let invalid = |why: String| Err(Error::Invalid(format!("task '{}' {why}", self.id)));
        let names: BTreeSet<&str> = self.containers.iter().map(|c| c.name.as_str()).collect();
        match self.containers.len() {
            0 => return invalid("has no container".into()),
            n if n > limits::CONTAINERS => return invalid(format!("has {n} containers; 10 are the most")),
            n if n != names.len() => return invalid("has two containers of one name".into()),
            _ => {}
        }
        let mut left: Vec<&Container> = self.containers.iter().collect();
        let mut order: Vec<&Container> = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let placed: BTreeSet<&str> = order.iter().map(|c| c.name.as_str()).collect();
            let ready = |c: &&Container| c.depends_on.iter().all(|d| placed.contains(d.container.as_str()));
            let (now, later): (Vec<_>, Vec<_>) = left.into_iter().partition(ready);
            if now.is_empty() {
                let names: Vec<&str> = later.iter().map(|c| c.name.as_str()).collect();
                return invalid(format!("has containers that never start: {}", names.join(", ")));
            }
            order.extend(now);
            left = later;
        }
        Ok(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(containers: &[(&str, &[&str])]) -> Result<Vec<String>> {
        let dependency =
            |on: &&str| Dependency { container: (*on).into(), condition: Condition::Start, timeout: None };
        let container = |(name, on): &(&str, &[&str])| Container {
            depends_on: on.iter().map(dependency).collect(),
            ..Container::new(*name, ImageSource::new("image"))
        };
        let spec = TaskSpec {
            id: "t".parse()?,
            labels: BTreeMap::new(),
            network: None,
            rules: Rules::default(),
            containers: containers.iter().map(container).collect(),
            limits: Limits::default(),
        };
        Ok(spec.in_order()?.iter().map(|c| c.name.clone()).collect())
    }

    #[test]
    fn containers_follow_what_they_depend_on() {
        let names = |list: &[(&str, &[&str])]| order(list).unwrap().join(" ");
        assert_eq!(names(&[("web", &["db", "init"]), ("db", &[]), ("init", &["db"])]), "db init web");
        for wrong in
            [&[][..], &[("a", &["b"][..]), ("b", &["a"])], &[("a", &["missing"])], &[("a", &[]), ("a", &[])]]
        {
            assert!(matches!(order(wrong), Err(Error::Invalid(_))), "{wrong:?}");
        }
    }

    #[test]
    fn ids_are_safe_in_names() {
        assert!("0f3c_a.b-c".parse::<TaskId>().is_ok());
        for wrong in ["", "-a", "a b", "a/b", &"x".repeat(129)] {
            assert!(wrong.parse::<TaskId>().is_err(), "{wrong}");
        }
    }
}
