//! Git as a client: what a repository's refs are, and a bare cache of what was fetched from it.
//!
//! No transport but the connection's own is spoken, and no redirection is followed. Secrets stand in the environment of the
//! one command that needs them, or in files of mode 0600 that go with it; never on a command line or in a message.
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::internal::FetchedCommit;
use git_client::{Bounds, Running};
use kernel::{Fault, Timestamp};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::error::{Error, Result};
use crate::limits;
use crate::remote::Transport;

/// Configuration of every command.
const CONFIG: [(&str, &str); 7] = [
    ("credential.helper", ""),
    ("fetch.recurseSubmodules", "false"),
    ("http.followRedirects", "false"),
    ("http.lowSpeedLimit", "100"),
    ("http.lowSpeedTime", "60"),
    ("maintenance.autoDetach", "false"),
    ("protocol.allow", "never"),
];

/// Answers git's question for credentials out of its environment.
const HELPER: &str = "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' \"$LONGSHORE_GIT_USERNAME\" \"$LONGSHORE_GIT_PASSWORD\"; }; f";

/// What of the machine's environment git may know besides its PATH: how to reach others, and whose certificates hold.
const PASSED: [&str; 7] = [
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "GIT_SSL_CAINFO",
    "CURL_CA_BUNDLE",
];

/// How a command gets at a repository.
pub struct Access {
    /// The repository's URL.
    pub url: String,
    /// The one transport that is allowed.
    pub transport: Transport,
    /// Whom the token is for: scheme, host and port.
    pub origin: String,
    /// What proves who asks.
    pub proof: Proof,
}

/// What proves who asks. Its `Debug` would show secrets: it has none.
pub enum Proof {
    /// Nothing.
    None,
    /// User and token.
    Token(String, String),
    /// A private key and the host keys that are trusted.
    Key(String, String),
}

/// A bare repository of ours that caches one of theirs. Fetches into it come one at a time: the caller sees to it.
pub struct Cache {
    path: PathBuf,
}

/// A command that is ready, with the files that live as long as it does.
struct Ready {
    command: Command,
    _files: Option<TempDir>,
}

/// A command under which no file grows past the limit.
fn command(config: &[(String, String)]) -> Command {
    let config = config.iter().map(|(name, value)| (&**name, &**value));
    let mut command = git_client::command(CONFIG.into_iter().chain(config), Some(limits::FILE));
    command.envs(PASSED.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command
}

impl Access {
    /// A command that talks to the repository's server.
    fn command(&self, scratch: &Path) -> Result<Ready> {
        let mut config = vec![(format!("protocol.{}.allow", self.transport.scheme()), "always".to_owned())];
        if let Proof::Token(..) = self.proof {
            // For that server alone.
            config.push((format!("credential.{}.helper", self.origin), HELPER.to_owned()));
        }
        let mut command = command(&config);
        command.env("GIT_ALLOW_PROTOCOL", self.transport.scheme());
        let mut files = None;
        match &self.proof {
            Proof::Token(user, token) => {
                command.env("LONGSHORE_GIT_USERNAME", user).env("LONGSHORE_GIT_PASSWORD", token);
            }
            Proof::Key(key, known_hosts) => {
                let dir =
                    tempfile::Builder::new().prefix("ssh-").tempdir_in(scratch).map_err(Fault::internal)?;
                private(&dir.path().join("key"), key)?;
                private(&dir.path().join("known_hosts"), known_hosts)?;
                // Relative to the folder it runs in, so that no path has to be quoted.
                command.current_dir(dir.path()).env(
                    "GIT_SSH_COMMAND",
                    "ssh -F none -i key -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes \
                     -o UserKnownHostsFile=known_hosts -o GlobalKnownHostsFile=/dev/null -o ConnectTimeout=30",
                );
                files = Some(dir);
            }
            Proof::None => {}
        }
        Ok(Ready { command, _files: files })
    }

    /// Branches and tags: commits by full name.
    pub async fn refs(&self, scratch: &Path) -> Result<BTreeMap<String, String>> {
        let mut ready = self.command(scratch)?;
        ready.command.args(["ls-remote", "--heads", "--tags", "--", &*self.url]);
        let out = run(&mut ready.command, limits::LOOK).await?;
        let text = String::from_utf8_lossy(&out);
        // An annotated tag stands there twice: as itself, and behind it with `^{}` as what it is a tag of.
        let pair = |line: &str| {
            let (id, name) = line.split_once('\t')?;
            Some((name.strip_suffix("^{}").unwrap_or(name).to_owned(), id.to_owned()))
        };
        let refs: BTreeMap<String, String> = text.lines().filter_map(pair).collect();
        if refs.len() > limits::REFS {
            let most = limits::REFS;
            return Err(Error::Git(format!("The repository has more than {most} branches and tags")));
        }
        Ok(refs)
    }
}

/// Written before it can be read by anybody else.
fn private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    // A key file must end with a newline.
    let text = format!("{}\n", text.trim_end());
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|e| Fault::internal(e).into())
}

impl Cache {
    /// The cache in this folder, made if it is missing.
    pub async fn open(path: PathBuf) -> Result<Self> {
        let cache = Self { path };
        // The attributes are written last: without them a crash was in the middle.
        let attributes = cache.path.join("info/attributes");
        if !tokio::fs::try_exists(&attributes).await.unwrap_or(false) {
            tokio::fs::create_dir_all(&cache.path).await.map_err(Fault::internal)?;
            let mut init = command(&[]);
            init.args(["init", "--bare", "--quiet", "--template="]).arg(&cache.path);
            run(&mut init, limits::LOCAL).await?;
            // An archive holds what the commit holds, whatever its own attributes leave out of archives.
            let info = cache.path.join("info");
            tokio::fs::create_dir_all(&info).await.map_err(Fault::internal)?;
            let written = tokio::fs::write(&attributes, "* -export-ignore -export-subst\n").await;
            written.map_err(Fault::internal)?;
        }
        Ok(cache)
    }

    fn local(&self) -> Command {
        let mut command = command(&[]);
        command.env("GIT_DIR", &self.path);
        command
    }

    /// Fetches all branches and tags, and `more` beside them (a full ref, as of a pull request).
    pub async fn fetch(&self, from: &Access, more: Option<&str>) -> Result<()> {
        let more = more.map(|name| format!("+{name}:{name}"));
        let mut ready = from.command(self.scratch())?;
        let options = ["fetch", "--quiet", "--no-tags", "--no-auto-maintenance", "--prune", "--", &*from.url];
        ready.command.args(options).args(["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]);
        ready.command.args(more).env("GIT_DIR", &self.path);
        run(&mut ready.command, limits::FETCH).await.map(drop)
    }

    /// Fetches one commit that no branch or tag reaches, as far as the server allows it.
    pub async fn fetch_commit(&self, from: &Access, commit: &str) -> Result<()> {
        let mut ready = from.command(self.scratch())?;
        ready.command.args([
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-auto-maintenance",
            "--",
            &*from.url,
            commit,
        ]);
        ready.command.env("GIT_DIR", &self.path);
        run(&mut ready.command, limits::FETCH).await.map(drop)
    }

    fn scratch(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// The commit that a name or id stands for, if it is here.
    pub async fn resolve(&self, name: &str) -> Result<Option<String>> {
        let mut command = self.local();
        command.args(["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{name}^{{commit}}")]);
        match run(&mut command, limits::LOCAL).await {
            // Some versions repeat the option.
            Ok(out) => Ok(String::from_utf8_lossy(&out).lines().find(|line| is_id(line)).map(str::to_owned)),
            Err(Error::Git(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a commit is the other one, or among those before it. Not where one of them is not here.
    pub async fn leads_to(&self, before: &str, after: &str) -> Result<bool> {
        let mut command = self.local();
        command.args(["merge-base", "--is-ancestor", before, after]);
        match run(&mut command, limits::LOCAL).await {
            Ok(_) => Ok(true),
            Err(Error::Git(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What is known of a commit.
    pub async fn commit(&self, id: &str) -> Result<FetchedCommit> {
        let mut command = self.local();
        command.args(["show", "--no-patch", "--format=%at%x00%ct%x00%B", id]);
        let out = run(&mut command, limits::LOCAL).await?;
        let text = String::from_utf8_lossy(&out);
        let mut parts = text.splitn(3, '\0');
        let mut number = || parts.next().and_then(|part| part.trim().parse().ok()).unwrap_or_default();
        let (authored, committed) = (number(), number());
        let author_date = Timestamp::from_second(authored).unwrap_or_default().to_string();
        let message = parts.next().unwrap_or_default().to_owned();
        Ok(FetchedCommit { id: id.into(), message, author_date, committed })
    }

    /// The first paths that differ: of `to` from `from`, or from where it left `from`. None if one is not here.
    pub async fn files(&self, from: &str, to: &str, since_fork: bool) -> Result<Option<Vec<String>>> {
        let (Some(from), Some(to)) = (self.resolve(from).await?, self.resolve(to).await?) else {
            return Ok(None);
        };
        let dots = if since_fork { "..." } else { ".." };
        let mut command = self.local();
        command.args(["diff", "--name-only", "--no-renames", "-z", &format!("{from}{dots}{to}"), "--"]);
        let mut git = Running::start(&mut command)?;
        let mut out = Vec::new();
        if let Some(stdout) = git.child().stdout.take() {
            // More would not be looked at: whoever writes it is ended with the handle.
            let read = stdout.take(limits::OUTPUT as u64);
            let read = timeout(limits::LOCAL, read_to_end(read, &mut out)).await;
            read.map_err(|_| slow("diff"))?.map_err(start)?;
        }
        // Cut short it ends by a signal; ended by itself it must have told all of it.
        if out.len() < limits::OUTPUT {
            let status =
                timeout(limits::LOCAL, git.child().wait()).await.map_err(|_| slow("diff"))?.map_err(start)?;
            if !status.success() {
                return Err(Error::Git(format!("git diff failed ({status})")));
            }
        }
        let text = String::from_utf8_lossy(&out);
        let files = text.split('\0').filter(|path| !path.is_empty()).take(limits::FILES);
        Ok(Some(files.map(str::to_owned).collect()))
    }

    /// Clones into a folder that is made for it, for a build. No branch need reach the commit any more.
    pub async fn clone_into(
        &self,
        folder: &Path,
        commit: &str,
        depth: Option<u32>,
        origin: &str,
    ) -> Result<()> {
        let (from, largest) = (&*self.path, Some(limits::FILE));
        let bounds = bounds(limits::CLONE);
        let clone = git_client::Clone { from, folder, commit, depth, origin, largest, bounds };
        Ok(clone.make().await?)
    }

    /// A commit's files as a zip without a top directory.
    pub async fn archive(&self, commit: &str) -> Result<File> {
        let file = tempfile::NamedTempFile::new_in(self.scratch()).map_err(Fault::internal)?;
        let mut command = self.local();
        command.args(["archive", "--format=zip", "-1", "-o"]).arg(file.path()).arg(commit);
        run(&mut command, limits::LOCAL).await?;
        // Opened anew: git replaced what the name stands for. The name goes, the file stays while it is open.
        File::open(file.path()).map_err(|e| Fault::internal(e).into())
    }
}

async fn read_to_end(mut from: impl AsyncRead + Unpin, out: &mut Vec<u8>) -> std::io::Result<usize> {
    from.read_to_end(out).await
}

/// A full object id.
pub fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn start(error: std::io::Error) -> Error {
    git_client::Error::Start(error.to_string()).into()
}

fn slow(what: &str) -> Error {
    git_client::Error::Slow(what.into()).into()
}

fn bounds(within: Duration) -> Bounds {
    Bounds { within, output: limits::OUTPUT, complaint: limits::COMPLAINT }
}

/// Runs a command to its end within a time; answers what it wrote.
async fn run(command: &mut Command, within: Duration) -> Result<Vec<u8>> {
    Ok(git_client::run(command, bounds(within), Vec::new()).await?)
}
