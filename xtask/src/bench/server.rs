//! A Longshore of the benchmark's own: folder, ports and addresses that nobody else has; all of it removed at the end.
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, id};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::process::{Patient, Serving};
use crate::codegen::root;

/// A folder that is removed at the end.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Named for what it is for.
    pub fn new(name: &str) -> Result<Self, String> {
        let dir = std::env::temp_dir().join(format!("longshore-bench-{name}-{}", id()));
        std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(Self(dir))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn keep(&mut self) {
        self.0 = PathBuf::new();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.0.is_absolute() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// A running control plane; dropped, it is ended with all that runs for it.
pub struct Server {
    control: Option<Serving>,
    binary: PathBuf,
    data: PathBuf,
    /// The endpoint.
    pub listen: SocketAddr,
    /// The DNS server.
    pub dns: SocketAddr,
    environment: Vec<(String, String)>,
    // Last, so that the folder goes when nothing runs in it any more.
    scratch: Scratch,
}

impl Server {
    /// Prepared, not running.
    pub fn new(binary: &Path, name: &str) -> Result<Self, String> {
        let scratch = Scratch::new(name)?;
        let [listen, dns] = free_ports()?;
        let data = scratch.0.join("data");
        Ok(Self { control: None, binary: binary.into(), data, listen, dns, environment: Vec::new(), scratch })
    }

    /// One that serves.
    pub fn up(binary: &Path, name: &str) -> Result<Self, String> {
        let mut server = Self::new(binary, name)?;
        server.start()?;
        Ok(server)
    }

    /// Starts the control plane; how long it took until `ready`.
    pub fn start(&mut self) -> Result<Duration, String> {
        let log = std::fs::File::create(self.scratch.0.join("log"))
            .map_err(|e| format!("the server's log: {e}"))?;
        // Load balancers bind port 80 of addresses in here: a range that other servers will hardly have.
        let range = format!("127.{}.0.0/16", 100 + id() % 100);
        let mut command = Command::new(&self.binary);
        command.arg("up").arg("--data").arg(&self.data).args(["--lb-cidr", &range]);
        command.arg("--listen").arg(self.listen.to_string()).arg("--dns").arg(self.dns.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let begun = Instant::now();
        let mut control = Serving::start(&mut command)?;
        let mut line = String::new();
        if let Some(output) = control.stdout() {
            let _ = BufReader::new(output).read_line(&mut line);
        }
        let took = begun.elapsed();
        if !line.starts_with("ready") {
            let log = std::fs::read_to_string(self.scratch.0.join("log")).unwrap_or_default();
            return Err(format!("longshore did not start: {}", log.lines().last().unwrap_or_default()));
        }
        self.control = Some(control);
        self.environment = self.client()?;
        Ok(took)
    }

    /// Ends the control plane; the edge goes on.
    pub fn stop(&mut self) {
        self.control = None;
    }

    /// Process ids of control plane and edge.
    pub fn pids(&self) -> Vec<u32> {
        let folder = self.data.to_string_lossy().into_owned();
        let ours = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<_> = line.split(|byte| *byte == 0).collect();
            words.get(1) == Some(&b"edge".as_slice()) && words.contains(&folder.as_bytes())
        };
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let edges = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(ours);
        self.control.iter().map(Serving::pid).chain(edges).collect()
    }

    /// What points clients at it, and keeps the user's own settings out.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// The same for another endpoint.
    pub fn environment_at(&self, url: &str) -> Vec<(String, String)> {
        let pair = |(name, value): &(String, String)| match name.as_str() {
            "AWS_ENDPOINT_URL" => (name.clone(), url.to_owned()),
            _ => (name.clone(), value.clone()),
        };
        self.environment.iter().map(pair).collect()
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A folder for what belongs to this measurement.
    pub fn scratch(&self) -> &Path {
        &self.scratch.0
    }

    /// The aws CLI's answer.
    pub fn aws(&self, command: &str) -> Result<Value, String> {
        self.aws_with(&command.split_whitespace().collect::<Vec<_>>())
    }

    /// The same, for words that hold spaces.
    pub fn aws_with(&self, words: &[&str]) -> Result<Value, String> {
        let text =
            Patient::new("aws", 60).args(words).args(["--output", "json"]).envs(&self.environment).text()?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|e| format!("aws {}: {e}", words.join(" ")))
    }

    /// A signed request of a JSON service, without the second that Python needs to start: `TARGET` as in
    /// `X-Amz-Target`, `service` as in the signature.
    pub fn post(&self, service: &str, target: &str, body: &Value) -> Result<Value, String> {
        let get = |name: &str| {
            self.environment
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, value)| value.as_str())
                .unwrap_or_default()
        };
        let scope = format!("aws:amz:{}:{service}", get("AWS_REGION"));
        let user = format!("{}:{}", get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY"));
        let (target, body) = (format!("X-Amz-Target: {target}"), body.to_string());
        let url = format!("http://{}/", self.listen);
        let args = [
            "-sS",
            "--max-time",
            "30",
            "--aws-sigv4",
            &scope,
            "--user",
            &user,
            "-H",
            &target,
            "-H",
            "Content-Type: application/x-amz-json-1.1",
            "--data",
            &body,
            &url,
        ];
        let text = Patient::new("curl", 40).args(args).text()?;
        let answer: Value = serde_json::from_str(&text).map_err(|e| format!("{target}: {e}: {text}"))?;
        match answer.get("__type") {
            Some(_) => Err(format!("{target}: {text}")),
            None => Ok(answer),
        }
    }

    fn client(&self) -> Result<Vec<(String, String)>, String> {
        // Asked of the shell that evaluates them, as a user's shell would.
        let script = r#"eval "$("$0" env --data "$1")"; env -0"#;
        let (binary, data) = (self.binary.as_os_str(), self.data.as_os_str());
        let text = Patient::new("bash", 20).args(["-ec".as_ref(), script.as_ref(), binary, data]).text()?;
        let wanted = |line: &&str| line.starts_with("AWS_") || line.starts_with("GIT_CONFIG_");
        let variables = text.split('\0').filter(wanted).filter_map(|line| line.split_once('='));
        let mut all: Vec<(String, String)> = variables.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        let cache = cache();
        let path = std::env::var("PATH").unwrap_or_default();
        for (name, value) in [
            ("AWS_PAGER", String::new()),
            ("AWS_CONFIG_FILE", "/dev/null".into()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".into()),
            ("DOCKER_CONFIG", self.scratch.0.join("docker").display().to_string()),
            ("PATH", format!("{}:{path}", cache.join("venv/bin").display())),
        ] {
            all.push((name.into(), value));
        }
        Ok(all)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let down = || {
            let args = ["down".as_ref(), "--data".as_ref(), self.data.as_os_str()];
            Patient::new(&self.binary, 90).args(args).text()
        };
        // Once more, since the engine may be at a removal that the control plane asked for.
        if let Err(error) = down().or_else(|_| down()) {
            // Its folder is what it takes to remove the rest.
            self.scratch.keep();
            println!("not all removed: {error}; try `longshore down --data {}` again", self.data.display());
        }
    }
}

/// Where setup keeps what it made.
pub fn cache() -> PathBuf {
    std::env::var_os("LONGSHORE_CACHE").map_or_else(|| root().join(".cache"), PathBuf::from)
}

/// Ports that were free a moment ago.
pub fn free_ports<const N: usize>() -> Result<[SocketAddr; N], String> {
    let failed = |e: std::io::Error| format!("no free port: {e}");
    let mut held = Vec::new();
    let mut ports = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        *port = listener.local_addr().map_err(failed)?;
        held.push(listener);
    }
    Ok(ports)
}
