//! Keeping an edge alive: within a second of its end there is another.
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use snapshot::{Down, Hub, write_frame};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::link::{carry, connect};
use crate::folder::Folder;

/// Between two starts at most, and between two looks for a socket that is about to appear.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(5);
/// How long a started edge may take to open its socket.
const START: Duration = Duration::from_secs(5);
/// How long an edge may take to end.
const END: Duration = Duration::from_secs(5);
/// A log longer than this is set aside at the next start, in bytes.
const LOG: u64 = 10 << 20;

/// How an edge is started where none answers.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Longshore's data folder.
    pub data: PathBuf,
    /// The binary.
    pub program: PathBuf,
    /// Its arguments: `edge --data DIR`.
    pub arguments: Vec<std::ffi::OsString>,
}

impl Launch {
    /// This very program, as `longshore edge --data DIR`.
    pub fn this(data: impl Into<PathBuf>) -> io::Result<Self> {
        let data = data.into();
        let arguments = vec!["edge".into(), "--data".into(), data.clone().into_os_string()];
        // By its link: the file may be replaced by a newer one while we run.
        Ok(Self { program: std::env::current_exe()?, arguments, data })
    }
}

/// Links the hub to the edge of the data folder for ever: adopts the one that answers, starts one where none does.
pub async fn supervise(hub: Arc<Hub>, launch: Launch) {
    let mut pause = Duration::ZERO;
    loop {
        match reach(&launch).await {
            Ok(stream) => {
                let ended = carry(stream, &hub).await;
                match ended {
                    Ok(()) => {}
                    Err(error) => tracing::warn!(%error, "the link to the edge broke; linking again"),
                }
                pause = Duration::ZERO;
            }
            Err(error) => tracing::error!(%error, "no edge"),
        }
        // The first time at once; then slower, so that an edge that cannot run does not keep the machine busy.
        sleep(pause).await;
        pause = (pause * 2).clamp(Duration::from_millis(20), LONGEST_PAUSE);
    }
}

async fn reach(launch: &Launch) -> io::Result<UnixStream> {
    match connect(&launch.data).await {
        Ok(stream) => Ok(stream),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            let mut child = start(launch)?;
            let appears = timeout(START, appear(&launch.data, &mut child)).await;
            // Waited for, so that it leaves no zombie; it lives on when we end.
            tokio::spawn(async move { child.wait().await });
            appears.unwrap_or_else(|_| {
                Err(io::Error::other("the edge did not open its socket; see edge/edge.log"))
            })
        }
        Err(e) => Err(e),
    }
}

async fn appear(data: &Path, child: &mut Child) -> io::Result<UnixStream> {
    loop {
        if let Ok(stream) = connect(data).await {
            return Ok(stream);
        }
        // Nothing wakes us when a socket begins to listen.
        tokio::select! {
            ended = child.wait() => {
                return Err(io::Error::other(format!("the edge ended ({}); see edge/edge.log", ended?)));
            }
            () = sleep(LOOK) => {}
        }
    }
}

fn start(launch: &Launch) -> io::Result<Child> {
    let folder = Folder::of(&launch.data);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let path = folder.join("edge.log");
    if fs::metadata(&path).is_ok_and(|log| log.len() > LOG) {
        fs::rename(&path, folder.join("edge.log.1"))?;
    }
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    tracing::info!(program = %launch.program.display(), "starting an edge");
    // The edge makes its own session. Files, never pipes: it must not notice when we end.
    Command::new(&launch.program)
        .args(&launch.arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// Ends the edge of a data folder and waits until it is gone: `longshore down`. Answers whether there was one.
pub async fn shut_down(data: &Path) -> io::Result<bool> {
    let mut stream = match connect(data).await {
        Ok(stream) => stream,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(false);
        }
        Err(e) => return Err(e),
    };
    write_frame(&mut stream, &Down::Shutdown).await.map_err(io::Error::other)?;
    let data = data.to_owned();
    // Its lock goes with its last breath.
    let gone = tokio::task::spawn_blocking(move || Folder::wait_free(&data));
    match timeout(END, gone).await {
        Ok(gone) => gone.map_err(io::Error::other)?.map(|()| true),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the edge did not end")),
    }
}
