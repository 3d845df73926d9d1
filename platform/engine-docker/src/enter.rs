//! Putting rules into force inside a task's namespace, and nowhere else.
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use engine::{Error, Result, Rules, TaskId};
use futures::StreamExt;
use nix::sched::{CloneFlags, setns};

use crate::client::error;
use crate::exec::archive;
use crate::ruleset::{Ruleset, render};
use crate::{Inner, names, status};

/// Where `nft` is, beside `PATH`.
const NFT: &str = "/usr/sbin/nft";

/// Whether this process may enter other network namespaces (CAP_SYS_ADMIN, and nft at hand).
pub(crate) fn may_enter() -> bool {
    const SYS_ADMIN: u64 = 1 << 21;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    effective & SYS_ADMIN != 0 && std::path::Path::new(NFT).exists()
}

impl Inner {
    /// Replaces the table in the namespace that the pause container holds, and reads it back.
    pub(crate) async fn apply_rules(&self, id: &TaskId, pause: &str, rules: &Rules) -> Result<()> {
        let ruleset = render(rules);
        let failed = |reason: String| Error::Rules { task: id.clone(), reason };
        match self.open_namespace(pause).await? {
            Some(namespace) => enter(namespace, ruleset).await.map_err(failed),
            None => self.apply_by_helper(id, pause, ruleset).await,
        }
    }

    /// The namespace of a running container. None where this process may not enter it, or does not see it.
    async fn open_namespace(&self, pause: &str) -> Result<Option<File>> {
        if !may_enter() {
            return Ok(None);
        }
        let before = self.process_of(pause).await?;
        let Ok(namespace) = File::open(format!("/proc/{}/ns/net", before.0)) else { return Ok(None) };
        // The process may have ended and its id been reused while we opened it: then the engine now says otherwise.
        let same = self.process_of(pause).await? == before;
        let inode = |file: std::io::Result<std::fs::Metadata>| file.map(|m| (m.dev(), m.ino())).ok();
        // Rules that drop by default must never reach our own namespace, which is the host's.
        let ours = inode(std::fs::metadata("/proc/self/ns/net"));
        let other = ours.is_some() && inode(namespace.metadata()) != ours;
        Ok((same && other).then_some(namespace))
    }

    /// A running container's process and when it was started.
    async fn process_of(&self, container: &str) -> Result<(i64, String)> {
        let found = self.client.get().await?.inspect_container(container, None).await.map_err(error)?;
        let state = found.state.unwrap_or_default();
        match (state.running, state.pid) {
            (Some(true), Some(pid)) if pid > 0 => Ok((pid, state.started_at.unwrap_or_default())),
            _ => Err(Error::Engine("the container that holds the network namespace has ended".into())),
        }
    }

    /// The same text by a container of one command that joins the namespace: for processes that may not enter it.
    /// It sees the host's own nft and its libraries, read-only.
    pub(crate) async fn apply_by_helper(&self, id: &TaskId, pause: &str, ruleset: Ruleset) -> Result<()> {
        self.ensure_pause_image().await?;
        let host = |path: &str| Mount {
            typ: Some(MountType::BIND),
            source: Some(path.into()),
            target: Some(path.into()),
            read_only: Some(true),
            ..Mount::default()
        };
        let folders =
            ["/usr", "/lib", "/lib64"].into_iter().filter(|path| std::path::Path::new(path).exists());
        let body = ContainerCreateBody {
            image: Some(names::PAUSE_IMAGE.into()),
            entrypoint: Some(vec![NFT.into(), "-f".into(), "/rules.nft".into()]),
            labels: Some(self.names.labels(id)),
            host_config: Some(HostConfig {
                network_mode: Some(format!("container:{pause}")),
                cap_add: Some(vec!["NET_ADMIN".into()]),
                mounts: Some(folders.map(host).collect()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let client = self.client.get().await?;
        let options = CreateContainerOptionsBuilder::new().build();
        let helper = client.create_container(Some(options), body).await.map_err(error)?.id;
        let outcome = self.run_helper(&helper, id, &ruleset).await;
        let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        crate::client::fine(client.remove_container(&helper, Some(force)).await)?;
        outcome
    }

    async fn run_helper(&self, helper: &str, id: &TaskId, ruleset: &Ruleset) -> Result<()> {
        let client = self.client.get().await?;
        let tar = archive([("rules.nft", 0o600, ruleset.text.as_bytes())])?;
        let root = UploadToContainerOptionsBuilder::new().path("/").build();
        client.upload_to_container(helper, Some(root), bollard::body_full(tar)).await.map_err(error)?;
        client.start_container(helper, None).await.map_err(error)?;
        // nft answers success only after the kernel took the whole table.
        let mut ends = client.wait_container(helper, None);
        match ends.next().await {
            None | Some(Ok(_)) => {}
            Some(Err(bollard::errors::Error::DockerContainerWaitError { .. })) => {}
            Some(Err(e)) => return Err(error(e)),
        }
        let found = client.inspect_container(helper, None).await.map_err(error)?;
        match status::exit_code(&found) {
            Some(0) => Ok(()),
            code => Err(Error::Rules {
                task: id.clone(),
                reason: format!("nft in the helper container ended with {code:?}"),
            }),
        }
    }
}

/// Enters on a thread that ends afterwards: a thread never gets its old namespace back reliably, and children inherit
/// it from the thread that starts them.
async fn enter(namespace: File, ruleset: Ruleset) -> Result<(), String> {
    let (done, outcome) = tokio::sync::oneshot::channel();
    let work = move || {
        let applied = setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)
            .map_err(|e| format!("its namespace cannot be entered: {e}"))
            .and_then(|()| nft(&["-f", "-"], &ruleset.text))
            .and_then(|()| nft(&["list", "chain", "inet", "longshore", &ruleset.marker], ""));
        let _ = done.send(applied);
    };
    std::thread::Builder::new().name("enter-namespace".into()).spawn(work).map_err(|e| e.to_string())?;
    outcome.await.map_err(|_| "the thread that enters namespaces died".to_owned())?
}

fn nft(arguments: &[&str], input: &str) -> Result<(), String> {
    let run = || -> std::io::Result<std::process::Output> {
        let mut child = Command::new(NFT)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        // nft reads all before it writes; dropping the pipe ends its input.
        child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(input.as_bytes()))?;
        child.wait_with_output()
    };
    let output = run().map_err(|e| format!("{NFT}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("nft: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
