//! The connection to Docker, and what its errors mean.
use std::io::ErrorKind;

use bollard::errors::Error as Docker;
use engine::{Away, Error, Info, Result};
use tokio::sync::OnceCell;

use crate::limits;

/// A client whose API version is agreed upon when the engine first answers.
pub(crate) struct Client {
    host: Option<String>,
    agreed: OnceCell<bollard::Docker>,
}

impl Client {
    pub(crate) fn new(host: Option<String>) -> Self {
        Self { host, agreed: OnceCell::new() }
    }

    pub(crate) async fn get(&self) -> Result<&bollard::Docker> {
        self.agreed
            .get_or_try_init(|| async {
                let client = match &self.host {
                    Some(host) => bollard::Docker::connect_with_host(host),
                    None => bollard::Docker::connect_with_defaults(),
                };
                client?.with_timeout(limits::ANSWER).negotiate_version().await
            })
            .await
            .map_err(error)
    }
}

/// What engine answers, asked once: for those who only want to know.
pub async fn look(host: Option<String>) -> Result<Info> {
    Client::new(host).info().await
}

impl Client {
    pub(crate) async fn info(&self) -> Result<Info> {
        let client = self.get().await?;
        let info = client.info().await.map_err(error)?;
        let version = info.server_version.unwrap_or_default();
        Ok(Info {
            version: format!("Docker {version} (API {})", client.client_version()),
            cpus: info.ncpu.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
            memory: info.mem_total.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
            architecture: match info.architecture.as_deref() {
                Some("x86_64") => "amd64".into(),
                Some("aarch64") => "arm64".into(),
                other => other.unwrap_or_default().into(),
            },
            enters_namespaces: crate::enter::may_enter(),
            time: info.system_time.as_deref().and_then(crate::status::time),
        })
    }
}

/// The HTTP status of an answer, if it is one.
pub(crate) fn code(error: &Docker) -> Option<u16> {
    match error {
        Docker::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// The engine's own words.
pub(crate) fn words(error: &Docker) -> String {
    match error {
        Docker::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Docker::DockerStreamError { error } => error.trim().to_owned(),
        other => other.to_string(),
    }
}

/// An error that has no better meaning where it occurred.
pub(crate) fn error(error: Docker) -> Error {
    match error {
        Docker::SocketNotFoundError(path) => Error::Unreachable(no_socket(&path)),
        Docker::IOError { err } => Error::Unreachable(away(&err)),
        Docker::HyperLegacyError { .. } | Docker::HyperResponseError { .. } | Docker::RequestTimeoutError => {
            Error::Unreachable(away(&error))
        }
        other => Error::Engine(words(&other)),
    }
}

/// A socket that the client does not find may only be hidden from this user.
fn no_socket(path: &str) -> Away {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Away::Forbidden(format!("{path}: {error}"))
        }
        _ => Away::Absent(format!("there is no socket {path}")),
    }
}

/// The innermost cause tells: "connection refused" rather than "client error".
fn away(error: &(dyn std::error::Error + 'static)) -> Away {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let words = innermost.to_string();
    // Some errors of I/O stand for a connection that was there: only these are about making one.
    match innermost.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Away::Absent(words),
        Some(ErrorKind::PermissionDenied) => Away::Forbidden(words),
        _ => Away::Silent(words),
    }
}

/// Takes "there is none" (404) and "it is so already" (304) for success.
pub(crate) fn fine(result: Result<(), Docker>) -> Result<()> {
    match result {
        Err(e) if matches!(code(&e), Some(304 | 404)) => Ok(()),
        other => other.map_err(error),
    }
}
