//! What runs containers, cut so that Docker and Kubernetes both fit: the unit is the task.
//!
//! A task is one network namespace with its rules, its containers in dependency order, mounts, files, limits and
//! labels. Its id is the caller's idempotency token: running the same id twice is running it once, also across a
//! restart of the caller. Every object belongs to an owner (a Longshore data folder); an [`Engine`] sees only its own.
//!
//! Deliberately absent: restart policies (a task whose namespace is gone is dead), anything named after an engine's
//! own objects, and the host's firewall, which is never touched.

pub mod changes;
pub mod cidr;
pub mod doors;
pub mod error;
pub mod gateway;
pub mod image;
pub mod interface;
pub mod limits;
pub mod logs;
pub mod network;
pub mod rules;
pub mod status;
pub mod task;
pub mod trust;

use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::sync::watch;

pub use changes::{Change, Changes, Notifier};
pub use cidr::Cidr;
pub use doors::Doors;
pub use error::{Away, Error, Result};
pub use image::{Auth, Image, ImageConfig, ImageSource, PullPolicy};
pub use interface::{Admits, Enter, Entrance, PrepareInterface, Prepared, ResolveInterface};
pub use logs::{LogLine, LogPosition, LogStream};
pub use network::{Network, NetworkSpec, Networks};
pub use rules::{Allow, Protocol, Redirect, Rules};
pub use status::{ContainerState, ContainerStatus, Health, Info, Task, TaskState};
pub use task::{
    Attachment, Condition, Container, Dependency, File, HealthCheck, Limits, Mount, Publish, Source, TaskId,
    TaskSpec, Ulimit,
};
pub use trust::Trust;

/// What runs tasks. Every method may answer [`Error::Unreachable`], which says nothing about any task.
#[async_trait::async_trait]
pub trait Engine: Send + Sync + 'static {
    /// What the engine is and what it has. The cheapest way to ask whether it answers.
    async fn info(&self) -> Result<Info>;

    /// Starts a task, or goes on starting the task of this id where an earlier call (or process) left off: what runs
    /// is adopted, what has run is not run again. Answers once every container was started, dependencies fulfilled;
    /// meanwhile [`Engine::task`] shows how far it is. Order: network namespace, rules, read back, files, containers.
    /// On any failure but an unreachable engine the task is stopped, and what is left of it stays to be looked at.
    async fn run(&self, spec: TaskSpec) -> Result<Task>;

    /// The task as it is now. Errors: [`Error::NoTask`].
    async fn task(&self, id: &TaskId) -> Result<Task>;

    /// All tasks of this owner, also the stopped and the half made: what a restarted caller adopts or removes.
    async fn tasks(&self) -> Result<Vec<Task>>;

    /// Tells of every task that may have changed. Subscribe first, then look.
    fn changes(&self) -> Changes;

    /// Replaces a running task's rules atomically; established connections go on.
    async fn update_rules(&self, id: &TaskId, rules: &Rules) -> Result<()>;

    /// Stops every container, dependents first: its stop signal, then after `grace` (none: each container's own
    /// timeout) SIGKILL. The namespace ends last. Answers when all is stopped; fine when it was. A start under way
    /// takes no further step, and is amid none once this has answered.
    async fn stop(&self, id: &TaskId, grace: Option<Duration>) -> Result<()>;

    /// Kills what still runs and removes all of it, anonymous volumes too. Fine when there is nothing.
    async fn remove(&self, id: &TaskId) -> Result<()>;

    /// Runs a command in a running container and waits for its end.
    async fn exec(&self, id: &TaskId, container: &str, exec: Exec) -> Result<Executed>;

    /// A container's output after `position` (none: from its beginning), following until the container ends.
    fn logs(
        &self,
        id: &TaskId,
        container: &str,
        position: Option<LogPosition>,
    ) -> BoxStream<'static, Result<LogLine>>;

    /// Unpacks a tar archive into a folder of a container, running or not.
    async fn copy_in(&self, id: &TaskId, container: &str, folder: &str, tar: Bytes) -> Result<()>;

    /// A file or folder of a container as a tar archive. Errors: [`Error::NoPath`] as the stream's first item.
    fn copy_out(&self, id: &TaskId, container: &str, path: &str) -> BoxStream<'static, Result<Bytes>>;

    /// Makes the network of that name, or answers the one that exists. Where the wanted range is taken on the host a
    /// free one of the same size is used and kept: the answer says which.
    async fn ensure_network(&self, spec: NetworkSpec) -> Result<Network>;

    /// This owner's networks as they come and go, for those who listen on the gateways.
    fn networks(&self) -> watch::Receiver<Networks>;

    /// Removes a network that no task uses. Fine when there is none. Errors: [`Error::NetworkInUse`].
    async fn remove_network(&self, name: &str) -> Result<()>;

    /// The engine's own copy of an image, if it has one.
    async fn image(&self, reference: &str) -> Result<Option<Image>>;

    /// Brings an image to the engine as its pull policy says.
    async fn pull(&self, source: &ImageSource) -> Result<Image>;

    /// Gives an image a further reference.
    async fn tag(&self, reference: &str, further: &str) -> Result<()>;

    /// Makes an image of one layer from a root filesystem's tar archive.
    async fn import(
        &self,
        reference: &str,
        config: ImageConfig,
        tar: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<Image>;

    /// Removes a reference, and the image with its last one. Fine when there is none.
    async fn remove_image(&self, reference: &str) -> Result<()>;
}

/// A command for [`Engine::exec`].
#[derive(Clone, Debug, Default)]
pub struct Exec {
    /// Program and arguments.
    pub command: Vec<String>,
    /// On top of the container's own.
    pub env: Vec<(String, String)>,
    /// The container's own if none.
    pub workdir: Option<String>,
    /// The container's own if none.
    pub user: Option<String>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Its exit code.
    pub exit_code: i64,
    /// Standard output and error as they came, the first [`limits::EXEC_OUTPUT`] bytes.
    pub output: Bytes,
}
