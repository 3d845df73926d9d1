//! What is.
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use kernel::Timestamp;

use crate::TaskId;

/// The engine and its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// As in `Docker 28.2.2 (API 1.50)`.
    pub version: String,
    /// Processors.
    pub cpus: u32,
    /// Bytes.
    pub memory: u64,
    /// As in `amd64`.
    pub architecture: String,
    /// Whether Longshore can enter namespaces itself; if not, a helper container does.
    pub enters_namespaces: bool,
    /// The time by the clock of its host, which may be a virtual machine with one of its own.
    pub time: Option<Timestamp>,
}

/// A task as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// As they were given.
    pub labels: BTreeMap<String, String>,
    /// Its network and its address there; none without a network.
    pub network: Option<(String, Ipv4Addr)>,
    /// Where published ports are reached: (container port, protocol `tcp` or `udp`, host address).
    pub published: Vec<(u16, String, SocketAddr)>,
    /// Whether it lives.
    pub state: TaskState,
    /// In the order they were given. Those not made yet are missing.
    pub containers: Vec<ContainerStatus>,
    /// When its namespace was made.
    pub created_at: Timestamp,
}

impl Task {
    /// The container of that name.
    pub fn container(&self, name: &str) -> Option<&ContainerStatus> {
        self.containers.iter().find(|container| container.name == name)
    }
}

/// A task's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// Its namespace is being made; no container has been started.
    Starting,
    /// Its namespace lives. Containers are judged each by its own state.
    Running,
    /// Its namespace is gone, so that none of its containers counts as alive.
    Stopped {
        /// Why, as far as the engine knows.
        reason: String,
    },
}

/// A container of a task as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerStatus {
    /// As the task names it.
    pub name: String,
    /// The engine's id of it.
    pub id: String,
    /// The reference it was made from.
    pub image: String,
    /// The image's id.
    pub image_id: String,
    /// Its life.
    pub state: ContainerState,
    /// What its health check says.
    pub health: Health,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// A container's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, not started.
    Created,
    /// Running.
    Running,
    /// Ended.
    Exited {
        /// Its exit code; 137 after SIGKILL.
        code: i64,
        /// Whether the kernel killed it for its memory.
        out_of_memory: bool,
        /// The engine's own words where it could not be started.
        error: Option<String>,
    },
}

impl ContainerState {
    /// Whether it is running.
    pub fn is_running(&self) -> bool {
        *self == Self::Running
    }

    /// Its exit code, if it has ended.
    pub fn exit_code(&self) -> Option<i64> {
        match self {
            Self::Exited { code, .. } => Some(*code),
            Self::Created | Self::Running => None,
        }
    }
}

/// What a health check says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// There is no check.
    #[default]
    None,
    /// Not decided yet.
    Starting,
    /// As it should be.
    Healthy,
    /// Failed as often as it may.
    Unhealthy,
}
