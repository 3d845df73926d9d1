//! Unmodified clients, with the environment that `longshore env` prints.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::boto3::Boto3;

/// A shell's worth of environment.
#[derive(Clone, Debug)]
pub struct Client {
    env: BTreeMap<String, String>,
    aws: PathBuf,
    endpoint_option: Option<String>,
    folder: PathBuf,
    /// Started when first asked.
    boto3: Arc<Mutex<Option<Boto3>>>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    /// Whether its status was 0.
    pub ok: bool,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Client {
    pub(crate) fn new(env: BTreeMap<String, String>, folder: &Path) -> Self {
        let (aws, folder) = (cache().join("venv/bin/aws"), folder.to_owned());
        Self { env, aws, endpoint_option: None, folder, boto3: Arc::default() }
    }

    /// The same, with the distribution's AWS CLI 2, which knows no `AWS_ENDPOINT_URL` in Debian. `None`, and a line that says
    /// so, where a distribution other than Debian has none: Debian's must be there.
    pub fn aws2(&self) -> Option<Self> {
        let aws = PathBuf::from("/usr/bin/aws");
        let version = self.run("sh", &["-c", &format!("{} --version 2>&1", aws.display())]).out;
        if !version.starts_with("aws-cli/2.") {
            let system = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
            let debian = system.lines().any(|line| line == "ID=debian");
            assert!(
                !debian,
                "{} is no AWS CLI 2 ({}): scripts/setup --for test",
                aws.display(),
                version.trim()
            );
            eprintln!("skipped: {} is no AWS CLI 2, and this is not Debian", aws.display());
            return None;
        }
        let endpoint_option = self.env.get("AWS_ENDPOINT_URL").cloned();
        Some(Self { aws, endpoint_option, ..self.clone() })
    }

    /// The same, as another user or role.
    pub fn with_key(&self, id: &str, secret: &str, token: Option<&str>) -> Self {
        let mut client = Self { boto3: Arc::default(), ..self.clone() };
        client.env.insert("AWS_ACCESS_KEY_ID".into(), id.into());
        client.env.insert("AWS_SECRET_ACCESS_KEY".into(), secret.into());
        if let Some(token) = token {
            client.env.insert("AWS_SESSION_TOKEN".into(), token.into());
        }
        client
    }

    /// A variable of the environment.
    pub fn var(&self, name: &str) -> &str {
        self.env.get(name).map_or("", String::as_str)
    }

    /// `http://127.0.0.1:4566`, or wherever it is.
    pub fn endpoint(&self) -> &str {
        self.var("AWS_ENDPOINT_URL")
    }

    /// Runs `aws` and reads its JSON; fails the test if it fails.
    pub fn aws(&self, args: &str) -> Value {
        self.aws_args(&words(args))
    }

    /// [`Client::aws`], with the arguments apart.
    pub fn aws_args(&self, args: &[impl AsRef<str>]) -> Value {
        let outcome = self.try_aws(args);
        assert!(outcome.ok, "aws {}: {}", join(args), outcome.err);
        if outcome.out.trim().is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&outcome.out).unwrap_or(Value::String(outcome.out))
        }
    }

    /// Runs `aws`, however it ends.
    pub fn try_aws(&self, args: &[impl AsRef<str>]) -> Outcome {
        let mut all: Vec<&str> =
            self.endpoint_option.iter().flat_map(|url| ["--endpoint-url", url]).collect();
        all.extend(args.iter().map(AsRef::as_ref));
        self.run(&self.aws.to_string_lossy(), &all)
    }

    /// Runs `aws`, which must fail, and answers what it says.
    pub fn aws_error(&self, args: &str) -> String {
        let outcome = self.try_aws(&words(args));
        assert!(!outcome.ok, "aws {args} should have failed, but answered {}", outcome.out);
        outcome.err
    }

    /// A role that a service may take, with these actions on everything as its only permissions; answers its ARN.
    pub fn role(&self, name: &str, service: &str, actions: &[&str]) -> String {
        let policy = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": actions, "Resource": "*"}]});
        let arn = self.trusting(name, service);
        let put = ["iam", "put-role-policy", "--role-name", name, "--policy-name", "p", "--policy-document"];
        self.aws_args(&[&put[..], &[&policy.to_string()]].concat());
        arn
    }

    /// A role that a service may take and that may do everything; answers its ARN.
    pub fn admin(&self, name: &str, service: &str) -> String {
        let arn = self.trusting(name, service);
        let policy = "arn:aws:iam::aws:policy/AdministratorAccess";
        self.aws(&format!("iam attach-role-policy --role-name {name} --policy-arn {policy}"));
        arn
    }

    fn trusting(&self, name: &str, service: &str) -> String {
        let trust = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]});
        let create = ["iam", "create-role", "--role-name", name, "--assume-role-policy-document"];
        let made = self.aws_args(&[&create[..], &[&trust.to_string()]].concat());
        made["Role"]["Arn"].as_str().unwrap_or_else(|| panic!("no ARN in {made}")).to_owned()
    }

    /// A call of boto3, as in `("ecs", "describe_clusters", json!({"clusters": ["a"]}))`; the error is its own words.
    /// The same process answers every time, and does not try again.
    pub fn boto3(&self, service: &str, operation: &str, parameters: Value) -> Result<Value, String> {
        let mut held = self.boto3.lock().unwrap_or_else(PoisonError::into_inner);
        let python = || {
            let program = cache().join("venv/bin/python").to_string_lossy().into_owned();
            let mut python = self.command(&program, &["-c", include_str!("boto3.py")]);
            python.env("AWS_MAX_ATTEMPTS", "1");
            Boto3::start(python)
        };
        let mut ask = || {
            let boto3 = match held.take() {
                Some(boto3) => boto3,
                None => python()?,
            };
            held.insert(boto3).call(service, operation, &parameters)
        };
        ask().unwrap_or_else(|e| panic!("boto3: {e}; run scripts/setup --for test"))
    }

    /// Runs a program in the client's folder with its environment.
    pub fn run(&self, program: &str, args: &[impl AsRef<str>]) -> Outcome {
        let output = self.command(program, args).output();
        let Output { status, stdout, stderr } =
            output.unwrap_or_else(|e| panic!("{program}: {e}; run scripts/setup --for test"));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Outcome { ok: status.success(), out: text(stdout), err: text(stderr) }
    }

    /// [`Client::run`], which must succeed; answers its output.
    pub fn sh(&self, script: &str) -> String {
        let outcome = self.run("bash", &["-euo", "pipefail", "-c", script]);
        assert!(outcome.ok, "{script}\n{}\n{}", outcome.out, outcome.err);
        outcome.out
    }

    /// The command itself, for tests that follow it.
    pub fn command(&self, program: &str, args: &[impl AsRef<str>]) -> Command {
        let mut command = Command::new(program);
        command.args(args.iter().map(AsRef::as_ref)).current_dir(&self.folder);
        for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE", "HTTP_PROXY", "http_proxy"] {
            command.env_remove(name);
        }
        command
            .envs(&self.env)
            .env("AWS_PAGER", "")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        // `aws` alone means the same CLI inside scripts and git's helper.
        let path = std::env::var("PATH").unwrap_or_default();
        let own = self.aws.parent().map(Path::display).map(|p| p.to_string()).unwrap_or_default();
        command.env("PATH", format!("{own}:{path}")).env("HOME", &self.folder);
        command
    }

    /// The folder in which it works.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Words of a command line; there is no quoting.
fn words(args: &str) -> Vec<String> {
    args.split_whitespace().map(str::to_owned).collect()
}

fn join(args: &[impl AsRef<str>]) -> String {
    args.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ")
}

/// The repository's root, as cargo says it when it runs a test: what was built may be of another checkout.
pub fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Where setup keeps what it made.
fn cache() -> PathBuf {
    std::env::var_os("LONGSHORE_CACHE").map_or_else(|| root().join(".cache"), PathBuf::from)
}
