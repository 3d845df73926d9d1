//! Git as a client: what a repository's refs are, and a bare cache of what was fetched from it.
//!
//! Nothing of the machine's or the user's configuration reaches it, no hook runs, nobody is asked, no transport but the
//! connection's own is spoken, and no redirection is followed. Secrets stand in the environment of the one command that
//! needs them, or in files of mode 0600 that go with it; never on a command line or in a message.
mod clone;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use api::internal::FetchedCommit;
use kernel::{Fault, Timestamp};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::error::{Error, Result};
use crate::limits;
use crate::remote::Transport;

/// Configuration of every command.
const CONFIG: [(&str, &str); 10] = [
    ("core.hooksPath", "/dev/null"),
    ("credential.helper", ""),
    ("fetch.recurseSubmodules", "false"),
    ("gc.autoDetach", "false"),
    ("http.followRedirects", "false"),
    ("http.lowSpeedLimit", "100"),
    ("http.lowSpeedTime", "60"),
    ("maintenance.autoDetach", "false"),
    ("protocol.allow", "never"),
    ("safe.directory", "*"),
];

/// Answers git's question for credentials out of its environment.
const HELPER: &str = "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' \"$LONGSHORE_GIT_USERNAME\" \"$LONGSHORE_GIT_PASSWORD\"; }; f";

/// What of the machine's environment git may know: how to reach others, and whose certificates hold.
const PASSED: [&str; 8] = [
    "PATH",
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

/// A git that runs, at the head of a group of processes: what it has started, as the transports are, ends with it.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        command.process_group(0).spawn().map(Self).map_err(start)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has a number until it was waited for: the group's is no other's.
        if let Some(group) = self.0.id().and_then(|id| i32::try_from(id).ok()) {
            // Gone already is as well.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
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

/// A command under which no file grows past the limit: git itself has none for what it fetches.
fn command(config: &[(String, String)]) -> Command {
    let mut command = Command::new("/bin/sh");
    // Counted in blocks of 512 bytes.
    command.args(["-c", &format!("ulimit -f {}; exec git \"$@\"", limits::FILE / 512), "git"]);
    command.env_clear();
    command.envs(PASSED.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", "/nonexistent");
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").env("TZ", "UTC");
    let all = CONFIG.into_iter().chain(config.iter().map(|(name, value)| (&**name, &**value)));
    let mut count = 0;
    for (name, value) in all {
        command.env(format!("GIT_CONFIG_KEY_{count}"), name).env(format!("GIT_CONFIG_VALUE_{count}"), value);
        count += 1;
    }
    command.env("GIT_CONFIG_COUNT", count.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
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
        if let Some(stdout) = git.0.stdout.take() {
            // More would not be looked at: whoever writes it is ended with the handle.
            let read = stdout.take(limits::OUTPUT as u64);
            let read = timeout(limits::LOCAL, read_to_end(read, &mut out)).await;
            read.map_err(|_| slow("diff"))?.map_err(start)?;
        }
        // Cut short it ends by a signal; ended by itself it must have told all of it.
        if out.len() < limits::OUTPUT {
            let status =
                timeout(limits::LOCAL, git.0.wait()).await.map_err(|_| slow("diff"))?.map_err(start)?;
            if !status.success() {
                return Err(Error::Git(format!("git diff failed ({status})")));
            }
        }
        let text = String::from_utf8_lossy(&out);
        let files = text.split('\0').filter(|path| !path.is_empty()).take(limits::FILES);
        Ok(Some(files.map(str::to_owned).collect()))
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
    Error::Git(format!("git cannot be started: {error}; install it (apt-get install git)"))
}

fn slow(what: &str) -> Error {
    Error::Git(format!("git {what} took too long"))
}

/// Runs a command to its end within a time; answers what it wrote.
async fn run(command: &mut Command, within: Duration) -> Result<Vec<u8>> {
    // After `-c SCRIPT git`.
    let name = command.as_std().get_args().nth(3).unwrap_or_default().to_string_lossy().into_owned();
    let mut git = Running::start(command)?;
    let (stdout, stderr) = (git.0.stdout.take(), git.0.stderr.take());
    let both = async {
        let out = bounded(stdout, limits::OUTPUT);
        let complaint = bounded(stderr, limits::COMPLAINT);
        let (out, complaint) = tokio::join!(out, complaint);
        Ok::<_, std::io::Error>((out?, complaint?, git.0.wait().await?))
    };
    let ((out, whole), (complaint, _), status) =
        timeout(within, both).await.map_err(|_| slow(&name))?.map_err(start)?;
    if !status.success() {
        let complaint = String::from_utf8_lossy(&complaint);
        let complaint: Vec<&str> = complaint.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        return Err(Error::Git(format!("git {name} failed ({status}): {}", complaint.join("; "))));
    }
    match whole {
        true => Ok(out),
        false => Err(Error::Git(format!("git {name} answers more than can be held"))),
    }
}

/// What comes, up to the limit, and whether that was all.
async fn bounded(from: Option<impl AsyncRead + Unpin>, limit: usize) -> std::io::Result<(Vec<u8>, bool)> {
    let Some(mut from) = from else { return Ok((Vec::new(), true)) };
    let mut all = Vec::new();
    (&mut from).take(limit as u64).read_to_end(&mut all).await?;
    let rest = tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok((all, rest == 0))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, BufReader};

    use super::*;

    #[tokio::test]
    async fn what_git_has_started_ends_with_it() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sh -c 'echo begun; sleep 600; :'; :"]).stdout(Stdio::piped()).kill_on_drop(true);
        let mut git = Running::start(&mut command).unwrap();
        let mut out = BufReader::new(git.0.stdout.take().unwrap()).lines();
        assert_eq!(out.next_line().await.unwrap().as_deref(), Some("begun"));
        drop(git);
        // The pipe ends with the last process that holds it.
        let end = timeout(Duration::from_secs(60), out.next_line()).await.expect("all of them ended");
        assert_eq!(end.unwrap(), None);
    }
}
