//! What callers are told.
use kernel::Fault;

/// What operations answer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of ECS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A parameter that cannot be: `InvalidParameterException`.
    #[error("{0}")]
    Invalid(String),
    /// A request that cannot be done: `ClientException`.
    #[error("{0}")]
    Client(String),
    /// No such cluster.
    #[error("Cluster not found.")]
    NoCluster,
    /// The cluster was deleted.
    #[error("The referenced cluster was inactive.")]
    InactiveCluster,
    /// Services live in the cluster.
    #[error("The Cluster cannot be deleted while Services are active.")]
    ClusterHasServices,
    /// Tasks live in the cluster.
    #[error("The Cluster cannot be deleted while Tasks are active.")]
    ClusterHasTasks,
    /// No such service.
    #[error("Service not found.")]
    NoService,
    /// The service was deleted.
    #[error("Service was not ACTIVE.")]
    InactiveService,
    /// No such service deployment.
    #[error("Service deployment not found.")]
    NoDeployment,
    /// A token was used with other parameters.
    #[error("The clientToken was already used with other parameters: use a new one.")]
    TokenReused,
    /// There is no session manager to run commands through.
    #[error(
        "The execute command failed because execute command was not enabled when the task was run or the execute command agent isn't running. Wait and try again or run a new task with execute command enabled and try again."
    )]
    NotConnected,
    /// Others changed the same thing over and over.
    #[error("The resource was changed by others at the same time: try again.")]
    Busy,
    /// The state failed.
    #[error(transparent)]
    Store(store::Error),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// Another service refused.
    #[error("{0}")]
    Fault(Fault),
}

/// An invalid parameter.
pub fn invalid<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::Invalid(why.into()))
}

/// A request that cannot be done.
pub fn client<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::Client(why.into()))
}

impl Error {
    fn fault(self) -> Fault {
        let code = match &self {
            Self::Invalid(_) => "InvalidParameterException",
            Self::Client(_) | Self::InactiveCluster => "ClientException",
            Self::NoCluster => "ClusterNotFoundException",
            Self::ClusterHasServices => "ClusterContainsServicesException",
            Self::ClusterHasTasks => "ClusterContainsTasksException",
            Self::NoService => "ServiceNotFoundException",
            Self::InactiveService => "ServiceNotActiveException",
            Self::NoDeployment => "ServiceDeploymentNotFoundException",
            Self::TokenReused | Self::Busy => "ConflictException",
            Self::NotConnected => "TargetNotConnectedException",
            Self::Engine(engine::Error::Unreachable(_)) => {
                return Fault::new("ServerException", 500, self.to_string());
            }
            Self::Store(error) => return Fault::internal(error),
            Self::Engine(error) => return Fault::internal(error),
            Self::Fault(_) => "",
        };
        match self {
            Self::Fault(fault) => fault,
            other => Fault::client(code, other.to_string()),
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::TokenReused => Self::TokenReused,
            error if error.is_conflict() => Self::Busy,
            error => Self::Store(error),
        }
    }
}

impl From<store::BadToken> for Error {
    fn from(_: store::BadToken) -> Self {
        Self::Invalid(
            "Invalid token: use the nextToken of the previous answer with the same parameters.".into(),
        )
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        error.fault()
    }
}
