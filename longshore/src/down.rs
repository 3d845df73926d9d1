//! `longshore down`: everything that runs for a data folder, ended and removed. The data stays.
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use engine::{Away, Engine};
use engine_docker::{Docker, Options};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use store::Store;
use tokio::time::{sleep, timeout};

use crate::cli::Data;
use crate::exit::Exit;
use crate::up::{PID, owner};

/// How long a control plane may take to end.
const END: Duration = Duration::from_secs(30);

/// Ends control plane, edge, tasks and networks.
pub async fn run(data: &Data) -> Result<ExitCode, Exit> {
    let unusable = |e: &dyn std::fmt::Display| Exit::data(format!("cannot use {}: {e}", data.dir.display()));
    let dir = data.dir.canonicalize().map_err(|e| unusable(&e))?;
    let store = end_control_plane(&dir).await?;
    // The store is held, so that no other control plane starts while things are removed. What cannot be removed does not
    // keep the rest from going.
    let edge = edge::control::shut_down(&dir).await.map_err(|e| format!("the edge does not end: {e}"));
    let owner = owner(&dir).map_err(|e| unusable(&e))?;
    let program = std::env::current_exe()
        .map_err(|e| Exit::failed(format!("cannot find this program's own file: {e}")))?;
    let engine = Docker::start(Options::new(owner, dir.join("engine"), program)).map_err(|e| unusable(&e))?;
    let left: Vec<String> = edge.err().into_iter().chain(remove(&engine).await).collect();
    store.close().await;
    if left.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(Exit::failed(left.join("; "))) }
}

/// SIGTERM to the control plane that holds the folder, if one does; then the folder is ours.
async fn end_control_plane(dir: &Path) -> Result<Store, Exit> {
    let pid = std::fs::read_to_string(dir.join(PID))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .map(Pid::from_raw);
    let mut told = false;
    let open = async {
        loop {
            match Store::open(dir).await {
                Err(store::Error::Held(_)) => {
                    if let Some(pid) = pid.filter(|_| !told) {
                        // The lock is held, so that the process of the file lives: its pid is no other's.
                        let _ = kill(pid, Signal::SIGTERM);
                        told = true;
                    }
                    sleep(Duration::from_millis(50)).await;
                }
                opened => {
                    return opened.map_err(|e| Exit::data(format!("cannot use {}: {e}", dir.display())));
                }
            }
        }
    };
    let late = |_| {
        Exit::held(format!(
            "the control plane of {} does not end; end it, then run this again",
            dir.display()
        ))
    };
    timeout(END, open).await.map_err(late)?
}

/// Removes tasks, then networks; answers what could not be removed.
async fn remove(engine: &Docker) -> Vec<String> {
    let tasks = match engine.tasks().await {
        // Without an engine nothing runs. One that does not let us look is another matter.
        Err(engine::Error::Unreachable(Away::Absent(_))) => return Vec::new(),
        Err(error) => return vec![format!("the engine does not tell what runs: {error}")],
        Ok(tasks) => tasks,
    };
    let mut left = Vec::new();
    for task in tasks {
        if let Err(error) = engine.remove(&task.id).await {
            left.push(format!("task {} stays: {error}", task.id));
        }
    }
    let Some(networks) = engine_networks(engine).await else {
        left.push("networks stay: the engine does not tell them; run this again".into());
        return left;
    };
    for name in networks {
        if let Err(error) = engine.remove_network(&name).await {
            left.push(format!("network {name} stays: {error}"));
        }
    }
    left
}

/// Names of this owner's networks, if the engine tells them.
async fn engine_networks(engine: &Docker) -> Option<Vec<String>> {
    let mut networks = engine.networks();
    // The first list comes right after the start.
    let told = timeout(Duration::from_secs(10), networks.wait_for(Option::is_some)).await;
    let networks = told.ok()?.ok()?.clone()?;
    Some(networks.iter().map(|network| network.name.clone()).collect())
}

#[cfg(test)]
mod tests {
    use engine_docker::{Docker, Options};
    use tokio::net::UnixListener;

    #[tokio::test]
    async fn only_where_no_engine_listens_nothing_runs() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let mut options = Options::new("nobody", folder.path().join("engine"), "/usr/bin/longshore");
        options.host = Some(format!("unix://{}", socket.display()));
        let left = async || super::remove(&Docker::start(options.clone()).unwrap()).await;
        assert_eq!(left().await, Vec::<String>::new());
        let engine = UnixListener::bind(&socket).unwrap();
        let hangs_up = tokio::spawn(async move { while engine.accept().await.is_ok() {} });
        let told = left().await;
        assert!(told.len() == 1 && told[0].starts_with("the engine does not tell what runs"), "{told:?}");
        hangs_up.abort();
    }
}
