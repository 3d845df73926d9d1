//! The Docker daemon inside a privileged build.
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::os::fd::AsFd;

use super::{limits, now_ms, shell};

const SOCKET: &str = "/var/run/docker.sock";
const LOG: &str = "/var/log/dockerd.log";

/// A daemon that has been started.
pub struct Daemon {
    child: Child,
    watch: Inotify,
}

/// Starts `dockerd` in a group of its own; none where the image has no such program.
pub fn start(env: &[(String, String)]) -> io::Result<Option<Daemon>> {
    let Some(program) = shell::find("dockerd") else { return Ok(None) };
    nest_cgroups();
    fs::create_dir_all("/var/run")?;
    let watch = Inotify::init(InitFlags::IN_CLOEXEC)?;
    watch.add_watch("/var/run", AddWatchFlags::IN_CREATE)?;
    let log = File::create(LOG)?;
    let child = Command::new(program)
        .arg(format!("--host=unix://{SOCKET}"))
        .envs(env.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()?;
    Ok(Some(Daemon { child, watch }))
}

impl Daemon {
    /// Until it answers.
    ///
    /// # Errors
    /// A sentence with the end of the daemon's log.
    pub fn wait(mut self) -> Result<(), String> {
        let until = now_ms() + limits::DOCKERD_START_MS;
        while !Path::new(SOCKET).exists() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the Docker daemon ended with {status}: {}", tail()));
            }
            // A daemon that dies makes no socket: look at it now and then.
            let left = (until - now_ms()).clamp(0, 1000);
            if left == 0 {
                return Err(format!("the Docker daemon made no socket in time: {}", tail()));
            }
            let mut fds = [PollFd::new(self.watch.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO)).is_ok_and(|n| n > 0) {
                let _ = self.watch.read_events();
            }
        }
        ping().map_err(|e| format!("the Docker daemon does not answer: {e}: {}", tail()))
    }
}

/// The daemon listens before it can answer, and then answers what waits: one request is enough.
fn ping() -> io::Result<()> {
    let mut stream = UnixStream::connect(SOCKET)?;
    stream.set_read_timeout(Some(Duration::from_millis(limits::DOCKERD_START_MS.unsigned_abs())))?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    if &status[9..12] == b"200" { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&status).into_owned())) }
}

fn tail() -> String {
    let text = fs::read(LOG).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(2000)..]).into_owned();
    text.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(" | ")
}

/// In a cgroup v2 hierarchy a group that holds processes cannot hand its controllers to children: move
/// everything one level down first. Best effort: without it containers inside run without limits.
fn nest_cgroups() {
    let root = Path::new("/sys/fs/cgroup");
    let Ok(controllers) = fs::read_to_string(root.join("cgroup.controllers")) else { return };
    if fs::create_dir_all(root.join("init")).is_err() {
        return;
    }
    for pid in fs::read_to_string(root.join("cgroup.procs")).unwrap_or_default().lines() {
        let _ = fs::write(root.join("init/cgroup.procs"), pid);
    }
    let enable: Vec<String> = controllers.split_whitespace().map(|c| format!("+{c}")).collect();
    let _ = fs::write(root.join("cgroup.subtree_control"), enable.join(" "));
}
