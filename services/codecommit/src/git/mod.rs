//! Git itself: bare repositories in a folder of ours, and the `git` program that reads and writes them.
mod locks;
mod objects;
mod tree;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use git_client::Bounds;
use tokio::process::{Child, Command};

pub use objects::{Commit, Kind, Signature, is_id};
pub use tree::{Change, Entry, Tree, Violation, diff};
pub use write::Author;

use crate::limits;

/// The object id of nothing.
pub const NONE: &str = "0000000000000000000000000000000000000000";

/// Configuration of every command.
const CONFIG: [(&str, &str); 9] = [
    ("core.fsync", "loose-object,pack,pack-metadata,reference"),
    ("http.receivepack", "true"),
    ("receive.denyDeleteCurrent", "refuse"),
    ("receive.fsckObjects", "true"),
    ("repack.writeBitmaps", "false"),
    ("uploadpack.allowFilter", "true"),
    ("uploadpack.allowReachableSHA1InWant", "true"),
    ("user.name", "AWS CodeCommit"),
    ("user.email", "noreply-awscodecommit@amazon.com"),
];

/// What a command that answers from the repository alone may take.
const BOUNDS: Bounds =
    Bounds { within: limits::COMMAND, output: limits::OUTPUT, complaint: limits::COMPLAINT };

/// Git failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The program.
    #[error(transparent)]
    Program(#[from] git_client::Error),
    /// What it said is not what it says.
    #[error("git {command} answered what cannot be read: {what}")]
    Strange {
        /// The command.
        command: &'static str,
        /// What.
        what: String,
    },
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
        let push = limits::PUSH.to_string();
        let config = CONFIG.into_iter().chain([("receive.maxInputSize", &*push)]);
        let mut command = git_client::command(config, None);
        command.arg(name);
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
            Err(Error::Program(git_client::Error::Failed { .. })) => Ok(false),
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
            Err(Error::Program(git_client::Error::Failed { .. })) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Makes a branch the one that clones check out.
    pub async fn set_head(&self, branch: &str) -> Result<()> {
        let full = format!("refs/heads/{branch}");
        run(self.command("symbolic-ref").args(["HEAD", &full]), Vec::new()).await.map(drop)
    }

    /// Clones into a folder that is made for it, for a build.
    pub async fn clone_into(
        &self,
        folder: &Path,
        commit: &str,
        depth: Option<u32>,
        origin: &str,
    ) -> Result<()> {
        let (from, bounds) = (&*self.path, Bounds { within: limits::CLONE, ..BOUNDS });
        let clone = git_client::Clone { from, folder, commit, depth, origin, largest: None, bounds };
        Ok(clone.make().await?)
    }

    /// A commit's files as a zip, as it is made.
    pub fn archive(&self, commit: &str) -> Result<Child> {
        let mut command = self.command("archive");
        command.args(["--format=zip", "-1", commit]).stderr(Stdio::null());
        command.spawn().map_err(start)
    }
}

fn start(error: std::io::Error) -> Error {
    git_client::Error::Start(error.to_string()).into()
}

/// Runs a command that answers from the repository to its end with this input; answers what it wrote.
async fn run(command: &mut Command, input: Vec<u8>) -> Result<Vec<u8>> {
    Ok(git_client::run(command, BOUNDS, input).await?)
}
