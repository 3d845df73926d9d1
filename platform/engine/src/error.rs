//! What can go wrong.
use crate::TaskId;

/// The engine's answers that are no success.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answered. It says nothing about any task: unknown is not dead.
    #[error("{0}. {advice}", advice = .0.advice())]
    Unreachable(Away),
    /// There is no such task of this owner.
    #[error("there is no task '{0}'")]
    NoTask(TaskId),
    /// The task has no such container.
    #[error("task '{task}' has no container '{container}'")]
    NoContainer {
        /// The task.
        task: TaskId,
        /// The name asked for.
        container: String,
    },
    /// The container does not run.
    #[error("container '{container}' of task '{task}' is not running")]
    NotRunning {
        /// The task.
        task: TaskId,
        /// The container.
        container: String,
    },
    /// The task ended, or its namespace did, before it was fully started.
    #[error("task '{task}' stopped: {reason}")]
    Stopped {
        /// The task.
        task: TaskId,
        /// Why, as far as it is known.
        reason: String,
    },
    /// A container could not be made or started.
    #[error("container '{container}' could not be started: {reason}")]
    CannotStart {
        /// The container.
        container: String,
        /// The engine's own words.
        reason: String,
    },
    /// A dependency can no longer come true.
    #[error("container '{container}' waits for '{on}', which {reason}")]
    Dependency {
        /// The container that waits.
        container: String,
        /// The one it waits for.
        on: String,
        /// Why it is in vain.
        reason: String,
    },
    /// Neither a registry nor the engine has the image.
    #[error("image '{reference}' was not found: {reason}")]
    NoImage {
        /// The image.
        reference: String,
        /// The registry's or engine's own words.
        reason: String,
    },
    /// The registry refused the credentials.
    #[error("the registry refused to hand out image '{reference}': {reason}")]
    PullDenied {
        /// The image.
        reference: String,
        /// The registry's own words.
        reason: String,
    },
    /// The pull failed otherwise, and there is no copy to fall back to.
    #[error("image '{reference}' could not be pulled: {reason}")]
    Pull {
        /// The image.
        reference: String,
        /// The engine's own words.
        reason: String,
    },
    /// No free range is left.
    #[error("no free address range of the size of {wanted} is left on this host for network '{name}'")]
    NoRange {
        /// The network.
        name: String,
        /// The range asked for.
        wanted: crate::Cidr,
    },
    /// There is no such network of this owner.
    #[error("there is no network '{0}'")]
    NoNetwork(String),
    /// A task still uses it.
    #[error("network '{0}' is in use by a task")]
    NetworkInUse(String),
    /// The task's rules could not be applied or did not read back.
    #[error("the rules of task '{task}' could not be applied: {reason}")]
    Rules {
        /// The task.
        task: TaskId,
        /// What the tool said.
        reason: String,
    },
    /// There is no such path in the container.
    #[error("there is no '{0}' in the container")]
    NoPath(String),
    /// The caller's specification cannot be.
    #[error("{0}")]
    Invalid(String),
    /// The engine answered what we did not expect.
    #[error("the container engine answered: {0}")]
    Engine(String),
}

/// Why nobody answered: whoever needs the engine waits for it either way, but only one of these says that nothing runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Away {
    /// Nobody listens there.
    #[error("the container engine does not answer: {0}")]
    Absent(String),
    /// Somebody may listen there, but not to this user.
    #[error("the container engine may not be used by this user: {0}")]
    Forbidden(String),
    /// Somebody listens there, and the answer did not come or was cut short.
    #[error("the container engine does not answer as it should: {0}")]
    Silent(String),
}

impl Away {
    /// What to do about it, in one sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Absent(_) => "Start it (for Docker: 'sudo systemctl start docker'), or set DOCKER_HOST.",
            Self::Forbidden(_) => {
                "Join its group (for Docker: 'sudo usermod -aG docker $USER', then log in again)."
            }
            Self::Silent(_) => "Look at its log (for Docker: 'journalctl -u docker'), or at DOCKER_HOST.",
        }
    }
}

/// What engines answer.
pub type Result<T, E = Error> = std::result::Result<T, E>;
