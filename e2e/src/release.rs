//! The Spring Boot sample on a server of the test's own, deployed by its own script and released by `git push`.
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::client::root;
use crate::{Client, Server, eventually};

/// The sample's name for everything.
pub const APP: &str = "harbour";
/// The name that it is served under.
pub const ZONE: &str = "demo.longshore.test";

/// A deployment.
pub struct Release {
    /// Where it runs.
    pub server: Server,
    /// Who deploys it.
    pub client: Client,
    /// The app's clone.
    pub clone: PathBuf,
}

impl Release {
    /// A server with everything that `deploy.sh` makes, and a clone with the sample in it, not pushed yet.
    pub fn deploy() -> Self {
        let server = Server::start();
        let client = server.client();
        let script = root().join("samples/spring-boot/aws/deploy.sh");
        let image = "longshore/java17-runtime:1";
        client.sh(&format!(
            "APP={APP} ZONE={ZONE} BASE_IMAGE={image} {} >deploy.log 2>&1 || {{ cat deploy.log; false; }}",
            script.display()
        ));
        let clone = client.folder().join("app");
        let sample = root().join("samples/spring-boot");
        client.sh(&format!(
            "mkdir app && tar -c -C {} --exclude=./target . | tar -x -C app && cd app && git init -q --initial-branch main \
             && git config user.name Test && git config user.email test@example.com && git config commit.gpgsign false \
             && git remote add origin $(aws codecommit get-repository --repository-name {APP} --query repositoryMetadata.cloneUrlHttp --output text)",
            sample.display()
        ));
        Self { server, client, clone }
    }

    /// Commits what is there and pushes it; answers the commit.
    pub fn push(&self, message: &str) -> String {
        let commit = self.client.sh(&format!("cd app && git add -A && git commit -q --allow-empty -m '{message}' && git push -q origin main && git rev-parse HEAD"));
        commit.trim().to_owned()
    }

    /// The execution that a commit started.
    pub fn execution_of(&self, commit: &str) -> String {
        eventually("the push starts an execution", || {
            let asked = json!({"pipelineName": APP});
            let list = self.client.boto3("codepipeline", "list_pipeline_executions", asked).ok()?;
            let ours = |e: &&Value| {
                e["sourceRevisions"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|r| r["revisionId"] == commit))
            };
            list["pipelineExecutionSummaries"].as_array()?.iter().find(ours)?["pipelineExecutionId"]
                .as_str()
                .map(str::to_owned)
        })
    }

    /// The execution's status now.
    pub fn status(&self, execution: &str) -> String {
        let asked = json!({"pipelineName": APP, "pipelineExecutionId": execution});
        let answer = self.client.boto3("codepipeline", "get_pipeline_execution", asked).unwrap_or_default();
        answer["pipelineExecution"]["status"].as_str().unwrap_or("unknown").to_owned()
    }

    /// How the execution ends. The server may be away for a while.
    pub fn end_of(&self, execution: &str) -> String {
        eventually("the execution ends", || {
            Some(self.status(execution))
                .filter(|status| !matches!(status.as_str(), "InProgress" | "Stopping" | "unknown"))
        })
    }

    /// Waits until an action of the execution has this status; answers its details.
    pub fn action(&self, execution: &str, name: &str, status: &str) -> Value {
        eventually(&format!("action {name} is {status}"), || {
            let asked = json!({"pipelineName": APP, "filter": {"pipelineExecutionId": execution}});
            let list = self.client.boto3("codepipeline", "list_action_executions", asked).ok()?;
            let found = list["actionExecutionDetails"]
                .as_array()?
                .iter()
                .find(|a| a["actionName"] == name && a["status"] == status)?;
            Some(found.clone())
        })
    }

    /// The load balancer's address, by Longshore's DNS.
    pub fn address(&self) -> String {
        eventually("the name resolves", || {
            let (host, port) = self.server.dns().split_once(':')?;
            let out = self
                .client
                .run("dig", &["+short", "+time=2", "+tries=1", &format!("@{host}"), "-p", port, ZONE, "A"])
                .out;
            out.lines().next().filter(|line| line.parse::<std::net::Ipv4Addr>().is_ok()).map(str::to_owned)
        })
    }

    /// The page by its name, through the load balancer; empty when it does not answer with 200.
    pub fn page(&self) -> String {
        let resolve = format!("{ZONE}:80:{}", self.address());
        let outcome = self
            .client
            .run("curl", &["-sf", "--max-time", "5", "--resolve", &resolve, &format!("http://{ZONE}/")]);
        if outcome.ok { outcome.out } else { String::new() }
    }

    /// Waits until the page answers from a commit.
    pub fn served(&self, commit: &str) {
        eventually(&format!("the page answers from {commit}"), || {
            Some(()).filter(|()| self.page().contains(&commit[..12]))
        });
    }

    /// Everything that explains a failed release.
    pub fn explain(&self, execution: &str) -> String {
        let filter = format!("pipelineExecutionId={execution}");
        let actions = self
            .client
            .try_aws(&["codepipeline", "list-action-executions", "--pipeline-name", APP, "--filter", &filter])
            .out;
        let log = self.client.run("bash", &["-c", "aws logs filter-log-events --log-group-name /aws/codebuild/harbour --query 'events[-60:].message' --output text"]).out;
        let services = self.client.run("bash", &["-c", "aws ecs describe-services --cluster harbour --services harbour --query 'services[0].events[:15].message' --output text"]).out;
        format!("{actions}\n{log}\n{services}")
    }
}

/// A client that asks a page at a steady rate, from its own process, until told to stop.
pub struct Visitor {
    child: Child,
    log: PathBuf,
}

impl Visitor {
    /// Asks twenty times a second, each request on its own connection.
    pub fn start(release: &Release) -> Self {
        let address: SocketAddr =
            format!("{}:80", release.address()).parse().unwrap_or_else(|e| panic!("{e}"));
        let log = release.server.dir().join("visits.log");
        let program = include_str!("visitor.py");
        let child = Command::new("python3")
            .args(["-c", program, &address.ip().to_string(), ZONE, release.server.dns()])
            .arg(&log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("python3: {e}"));
        Self { child, log }
    }

    /// Waits for as many visits that begin from now on; answers what they wrote.
    pub fn next(&self, count: usize) -> Vec<String> {
        // One more may be under way.
        let from = self.lines().len() + 1;
        eventually("the visitor asks", || {
            Some(self.lines())
                .filter(|lines| lines.len() >= from + count)
                .map(|mut lines| lines.split_off(from))
        })
    }

    /// Every line up to now, of visits that have ended.
    pub fn so_far(&self) -> Vec<String> {
        self.next(1);
        let mut lines = self.lines();
        // The last may be half a line.
        lines.pop();
        lines
    }

    /// Ends it; answers every line it wrote: `STATUS BODY`, or `FAILED why`, or `DNS why`.
    pub fn stop(mut self) -> Vec<String> {
        drop(self.child.kill());
        drop(self.child.wait());
        self.lines()
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
