//! `longshore up`, as a test runs it.
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::client::{Client, root};

/// A server of the test's own. Dropping it ends everything that it started.
pub struct Server {
    folder: TempDir,
    child: Option<Child>,
    listen: String,
    dns: String,
    lb_cidr: String,
    docker_host: Option<String>,
    account: &'static str,
    config: Option<PathBuf>,
}

impl Server {
    /// Starts one on an empty folder.
    pub fn start() -> Self {
        Self::on(folder(), None, None)
    }

    /// [`Server::start`], with the `DOCKER_HOST` that is made from its folder.
    pub fn with_engine(host: impl FnOnce(&Path) -> Option<String>) -> Self {
        let folder = folder();
        let host = host(folder.path());
        Self::on(folder, host, None)
    }

    /// [`Server::start`], with this text as its configuration file.
    pub fn with_config(text: &str) -> Self {
        let folder = folder();
        let path = folder.path().join("longshore.yaml");
        std::fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self::on(folder, None, Some(path))
    }

    fn on(folder: TempDir, docker_host: Option<String>, config: Option<PathBuf>) -> Self {
        let mut server = Self {
            folder,
            child: None,
            listen: free(),
            dns: free(),
            lb_cidr: range(),
            docker_host,
            account: "000000000000",
            config,
        };
        server.up();
        server
    }

    /// Starts it again for another account, over the same state: both accounts' keys are good.
    pub fn up_as(&mut self, account: &'static str) {
        self.stop();
        self.account = account;
        self.up();
    }

    /// Starts it (again) on the same folder and ports, and waits until it is ready.
    pub fn up(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir().join("longshore.log"))
            .unwrap_or_else(|e| panic!("a log: {e}"));
        let mut command = Command::new(binary());
        command.envs(self.docker_host.iter().map(|host| ("DOCKER_HOST", host)));
        let mut child = command
            .args(["up", "--data"])
            .arg(self.data())
            .args([
                "--listen",
                &self.listen,
                "--dns",
                &self.dns,
                "--lb-cidr",
                &self.lb_cidr,
                "--account",
                self.account,
            ])
            .args(self.config.iter().flat_map(|path| ["--config".as_ref(), path.as_os_str()]))
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "info".into()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", binary().display()));
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap_or_else(|| panic!("no stdout"));
        let read = BufReader::new(stdout).read_line(&mut line);
        assert!(read.is_ok() && line.starts_with("ready"), "longshore up said {line:?}\n{}", self.log());
        self.child = Some(child);
    }

    /// `kill -9` of the control plane, waited for.
    pub fn kill(&mut self) {
        let _ = self.signal(Signal::SIGKILL);
    }

    /// SIGTERM to the control plane, waited for: edge and tasks go on. Answers how it ended, if it ran.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::SIGTERM)
    }

    /// The same by SIGINT, as a terminal sends it.
    pub fn interrupt(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::SIGINT)
    }

    /// `docker ps` of this server's own containers, by their full ids: other tests' come and go beside them.
    pub fn containers(&self) -> Vec<String> {
        let owner =
            std::fs::read_to_string(self.data().join("owner")).unwrap_or_else(|e| panic!("no owner: {e}"));
        let filter = format!("label=longshore.owner={}", owner.trim());
        let listed = Command::new("docker").args(["ps", "-q", "--no-trunc", "--filter", &filter]).output();
        let listed = listed.unwrap_or_else(|e| panic!("docker: {e}"));
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect()
    }

    /// `kill -9` of the edge alone, by the lock that it holds on its folder.
    pub fn kill_edge(&self) {
        let lock =
            std::fs::canonicalize(self.data().join("edge/lock")).unwrap_or_else(|e| panic!("no edge: {e}"));
        let inode =
            std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(lock).unwrap_or_else(|e| panic!("{e}")));
        let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        let held = locks.lines().find(|line| {
            line.split_whitespace().nth(5).is_some_and(|file| file.ends_with(&format!(":{inode}")))
        });
        let pid = held
            .and_then(|line| line.split_whitespace().nth(4)?.parse().ok())
            .unwrap_or_else(|| panic!("nobody holds the edge's lock"));
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }

    fn signal(&mut self, signal: Signal) -> Option<ExitStatus> {
        let mut child = self.child.take()?;
        let _ = kill(Pid::from_raw(child.id().cast_signed()), signal);
        child.wait().ok()
    }

    /// A client with root's credentials.
    pub fn client(&self) -> Client {
        let output = Command::new(binary())
            .args(["env", "--data"])
            .arg(self.data())
            .output()
            .unwrap_or_else(|e| panic!("env: {e}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let pairs = text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        let env: BTreeMap<String, String> =
            pairs.map(|(k, v)| (k.to_owned(), v.trim_matches('\'').to_owned())).collect();
        let home = self.dir().join("client");
        std::fs::create_dir_all(&home).unwrap_or_else(|e| panic!("{e}"));
        Client::new(env, &home)
    }

    /// Where the test keeps its files.
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.dir().join("data")
    }

    /// `127.0.0.1:PORT` of the DNS server.
    pub fn dns(&self) -> &str {
        &self.dns
    }

    /// `127.0.0.1:PORT` of the endpoint.
    pub fn listen(&self) -> &str {
        &self.listen
    }

    /// What the server has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir().join("longshore.log")).unwrap_or_default()
    }

    /// Runs the binary.
    pub fn longshore(&self, args: &[&str]) -> std::process::Output {
        Command::new(binary()).args(args).output().unwrap_or_else(|e| panic!("{}: {e}", binary().display()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let down = Command::new(binary()).args(["down", "--data"]).arg(self.data()).output();
        let said =
            down.map_or_else(|e| e.to_string(), |down| String::from_utf8_lossy(&down.stderr).into_owned());
        if !said.trim().is_empty() {
            eprintln!("longshore down: {said}");
        }
        forget_images(&self.listen);
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(80).collect();
            eprintln!("--- the server's last lines ---");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Removes what the engine has of a registry that is gone; another name of the same image keeps it.
fn forget_images(registry: &str) {
    let names = Command::new("docker").args(["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]).output();
    let Ok(names) = names else { return };
    let names = String::from_utf8_lossy(&names.stdout).into_owned();
    let ours: Vec<&str> = names.lines().filter(|name| name.starts_with(&format!("{registry}/"))).collect();
    if !ours.is_empty() {
        let _ = Command::new("docker").args(["image", "rm", "--force"]).args(ours).output();
    }
}

/// The binary under test: the demo's release build, or another by `LONGSHORE_BIN`.
fn binary() -> PathBuf {
    let built = || {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        target.join("x86_64-unknown-linux-gnu/release/longshore")
    };
    std::env::var_os("LONGSHORE_BIN").map_or_else(built, PathBuf::from)
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("longshore-e2e-").tempdir().unwrap_or_else(|e| panic!("a folder: {e}"))
}

fn free() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|e| panic!("a port: {e}"));
    listener.local_addr().map(|a| a.to_string()).unwrap_or_else(|e| panic!("a port: {e}"))
}

/// A load-balancer range that no other test of this run has; processes differ by their id.
fn range() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add((std::process::id() % 97) as u16 * 17);
    format!("127.{}.{}.0/24", 64 + n / 250 % 100, n % 250)
}
