//! Git itself: bare repositories in a folder of ours, and the `git` program that reads and writes them.
//!
//! Nothing of the machine's or the user's configuration reaches it, no hook runs, and no terminal is asked.
mod clone;
mod objects;
mod tree;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

pub use objects::{Commit, Kind, Signature, is_id};
pub use tree::{Change, Entry, Tree, Violation, diff};
pub use write::Author;

use crate::limits;

/// The object id of nothing.
pub const NONE: &str = "0000000000000000000000000000000000000000";

/// Configuration of every command.
const CONFIG: [(&str, &str); 12] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsync", "loose-object,pack,pack-metadata,reference"),
    ("gc.autoDetach", "false"),
    ("http.receivepack", "true"),
    ("receive.denyDeleteCurrent", "refuse"),
    ("receive.fsckObjects", "true"),
    ("repack.writeBitmaps", "false"),
    ("safe.directory", "*"),
    ("uploadpack.allowFilter", "true"),
    ("uploadpack.allowReachableSHA1InWant", "true"),
    ("user.name", "AWS CodeCommit"),
    ("user.email", "noreply-awscodecommit@amazon.com"),
];

/// Git failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be started.
    #[error("git cannot be started: {0}; install it (apt-get install git)")]
    Start(String),
    /// It ended with an error.
    #[error("git {command} failed ({status}): {complaint}")]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        status: String,
        /// What it said.
        complaint: String,
    },
    /// It took too long.
    #[error("git {0} took too long")]
    Slow(String),
    /// What it said is not what it says.
    #[error("git {command} answered what cannot be read: {what}")]
    Strange {
        /// The command.
        command: &'static str,
        /// What.
        what: String,
    },
    /// More than is held in memory.
    #[error("git {0} answers more than can be held")]
    TooMuch(String),
    /// The folder of the repositories.
    #[error("{path}: {reason}")]
    Folder {
        /// The path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Result of Git.
pub type Result<T> = std::result::Result<T, Error>;

/// The folder of the repositories.
#[derive(Clone, Debug)]
pub struct Git {
    root: PathBuf,
}

/// One repository.
#[derive(Clone, Debug)]
pub struct Repo {
    git: Git,
    path: PathBuf,
}

impl Git {
    /// Repositories in this folder, which is made when the first of them is.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The repository with this id.
    pub fn repo(&self, id: &str) -> Repo {
        Repo { git: self.clone(), path: self.root.join(format!("{id}.git")) }
    }

    /// Makes an empty repository.
    pub async fn create(&self, id: &str) -> Result<Repo> {
        let repo = self.repo(id);
        let failed = |e: std::io::Error| Error::Folder { path: repo.path.clone(), reason: e.to_string() };
        tokio::fs::create_dir_all(&repo.path).await.map_err(failed)?;
        let options = ["--bare", "--quiet", "--initial-branch=main", "--template="];
        self.run(self.command("init").args(options).arg(&repo.path)).await?;
        // An archive holds what the commit holds, whatever its own attributes leave out of archives.
        let info = repo.path.join("info");
        tokio::fs::create_dir_all(&info).await.map_err(failed)?;
        let attributes = info.join("attributes");
        tokio::fs::write(&attributes, "* -export-ignore -export-subst\n").await.map_err(failed)?;
        Ok(repo)
    }

    /// Removes a repository; a missing one is fine.
    pub async fn remove(&self, id: &str) -> Result<()> {
        let path = self.repo(id).path;
        match tokio::fs::remove_dir_all(&path).await {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::Folder { path, reason: e.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// Ids of the repositories in the folder.
    pub async fn ids(&self) -> Result<Vec<String>> {
        let failed = |e: std::io::Error| Error::Folder { path: self.root.clone(), reason: e.to_string() };
        let mut entries = match tokio::fs::read_dir(&self.root).await {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(failed(e)),
        };
        let mut ids = Vec::new();
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            ids.extend(
                entry.file_name().to_str().and_then(|name| name.strip_suffix(".git")).map(str::to_owned),
            );
        }
        Ok(ids)
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new("git");
        command.arg(name).env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("HOME", "/nonexistent");
        command
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0");
        let push = limits::PUSH.to_string();
        let config = CONFIG.into_iter().chain([("receive.maxInputSize", &*push)]);
        let mut count = 0;
        for (index, (name, value)) in config.enumerate() {
            command
                .env(format!("GIT_CONFIG_KEY_{index}"), name)
                .env(format!("GIT_CONFIG_VALUE_{index}"), value);
            count = index + 1;
        }
        command.env("GIT_CONFIG_COUNT", count.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn run(&self, command: &mut Command) -> Result<Vec<u8>> {
        run(command, Vec::new()).await
    }
}

impl Repo {
    /// A command on the repository.
    pub fn command(&self, name: &str) -> Command {
        let mut command = self.git.command(name);
        command.env("GIT_DIR", &self.path);
        command
    }

    /// `git http-backend`, a CGI program, for a path under the repository.
    pub fn http_backend(&self, path: &str) -> Command {
        let mut command = self.git.command("http-backend");
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        command.env("GIT_PROJECT_ROOT", &self.git.root).env("PATH_INFO", format!("/{name}/{path}"));
        command.env("GIT_HTTP_EXPORT_ALL", "1").stdin(Stdio::piped());
        command
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Branches and tags: object ids by full name.
    pub async fn refs(&self) -> Result<BTreeMap<String, String>> {
        let mut command = self.command("for-each-ref");
        let out =
            run(command.args(["--format=%(objectname) %(refname)", "refs/heads", "refs/tags"]), Vec::new());
        let out = String::from_utf8_lossy(&out.await?).into_owned();
        let pair = |line: &str| line.split_once(' ').map(|(id, name)| (name.to_owned(), id.to_owned()));
        Ok(out.lines().filter_map(pair).collect())
    }

    /// Whether a branch may be called so.
    pub async fn is_branch_name(&self, name: &str) -> Result<bool> {
        let full = format!("refs/heads/{name}");
        let checked = run(self.command("check-ref-format").arg(full), Vec::new()).await;
        match checked {
            Ok(_) => Ok(!name.starts_with('-')),
            Err(Error::Failed { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Moves a branch from `old` ([`NONE`]: it is made) to `new` ([`NONE`]: it is removed). False: it was elsewhere.
    pub async fn move_branch(&self, name: &str, old: &str, new: &str) -> Result<bool> {
        let full = format!("refs/heads/{name}");
        let mut command = self.command("update-ref");
        let command = match new {
            NONE => command.args(["--no-deref", "-d", &full, old]),
            _ => command.args(["--no-deref", &full, new, old]),
        };
        match run(command, Vec::new()).await {
            Ok(_) => Ok(true),
            Err(Error::Failed { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Makes a branch the one that clones check out.
    pub async fn set_head(&self, branch: &str) -> Result<()> {
        let full = format!("refs/heads/{branch}");
        run(self.command("symbolic-ref").args(["HEAD", &full]), Vec::new()).await.map(drop)
    }

    /// A commit's files as a zip, as it is made.
    pub fn archive(&self, commit: &str) -> Result<Child> {
        let mut command = self.command("archive");
        command.args(["--format=zip", "-1", commit]).stderr(Stdio::null());
        command.spawn().map_err(start)
    }
}

fn start(error: std::io::Error) -> Error {
    Error::Start(error.to_string())
}

fn name_of(command: &Command) -> String {
    let first = command.as_std().get_args().next();
    first.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Runs a command that answers from the repository to its end with this input; answers what it wrote.
async fn run(command: &mut Command, input: Vec<u8>) -> Result<Vec<u8>> {
    run_within(limits::COMMAND, command, input).await
}

async fn run_within(most: Duration, command: &mut Command, input: Vec<u8>) -> Result<Vec<u8>> {
    let name = name_of(command);
    let mut child = command.stdin(Stdio::piped()).spawn().map_err(start)?;
    let done = timeout(most, converse(&mut child, input)).await;
    let (status, out, complaint) = done.map_err(|_| Error::Slow(name.clone()))?.map_err(start)?;
    match (status.success(), out) {
        (true, Some(out)) => Ok(out),
        (true, None) => Err(Error::TooMuch(name)),
        (false, _) => Err(Error::Failed { command: name, status: status.to_string(), complaint }),
    }
}

async fn converse(
    child: &mut Child,
    input: Vec<u8>,
) -> std::io::Result<(ExitStatus, Option<Vec<u8>>, String)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A command that has seen enough closes its end: its status tells.
            let _ = stdin.write_all(&input).await;
        }
    };
    let (_, out, complaint) =
        tokio::join!(write, bounded(stdout, limits::OUTPUT), bounded(stderr, limits::COMPLAINT));
    let (out, complaint) = (out?, complaint?.unwrap_or_default());
    let status = child.wait().await?;
    Ok((status, out, String::from_utf8_lossy(&complaint).trim().to_owned()))
}

/// All that comes, if it is no more than the limit.
pub async fn bounded(from: Option<impl AsyncRead + Unpin>, limit: usize) -> std::io::Result<Option<Vec<u8>>> {
    let Some(mut from) = from else { return Ok(Some(Vec::new())) };
    let mut all = Vec::new();
    (&mut from).take(limit as u64).read_to_end(&mut all).await?;
    let rest = tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok((rest == 0).then_some(all))
}
