//! Push to served, split by step, beside the same steps by hand: samples/spring-boot and its own deployment script.
use std::path::Path;
use std::process::id;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::build::phase;
use super::process::{Patient, now, pause, until};
use super::server::Server;
use super::table::Table;
use super::{Bench, median};
use crate::codegen::root;

/// Application and pipeline.
const APP: &str = "bench";
/// The name that is served.
const ZONE: &str = "bench.longshore.test";
/// What the sample's image stands on.
const BASE: &str = "longshore/java17-runtime:1";
/// A build may fetch all of Maven's dependencies.
const RELEASE: u64 = 900;
/// No more rounds than these, however many are asked for.
const ROUNDS: u32 = 3;
/// Between two looks at the pipeline: the page alone is looked for all the time.
const LOOK: Duration = Duration::from_secs(1);

/// Rounds alternate, and each is minutes of work, most of it Maven's.
pub fn measure(binary: &Path, bench: &Bench) -> Result<Table, String> {
    // Declared first, so that the images go last, when no task stands on them any more.
    let images;
    let server = Server::up(binary, "release")?;
    images = Images(format!("{}/{APP}", server.listen));
    let app = server.scratch().join("app");
    Patient::new(root().join("samples/spring-boot/aws/deploy.sh"), 300)
        .envs(server.environment())
        .envs(&[("APP", APP), ("ZONE", ZONE), ("BASE_IMAGE", BASE)].map(|(n, v)| (n.into(), v.into())))
        .text()?;
    clone(&server, &app)?;
    // The first image serves before anything is pushed: what is measured is a rollout, not a first deployment.
    until("the first page", 120, || {
        Ok(address(&server).ok().and_then(|at| page(&at)).is_some().then_some(()))
    })?;
    let rounds = bench.rounds.min(ROUNDS);
    let mut spent = Vec::new();
    for round in 0..rounds {
        let release = release(&server, &app)?;
        // What is done by hand has the machine to itself, as the release had.
        let hand = by_hand(&server, &app, &images, round)?;
        spent.push(steps(&server, &release, &hand)?);
    }
    Ok(report(&spent))
}

/// A commit, its push, and the wait for its page and for the end of its deployment.
fn release(server: &Server, app: &Path) -> Result<Release, String> {
    git(server, app, &["commit", "--quiet", "--allow-empty", "--message", "Release"])?;
    let commit = git(server, app, &["rev-parse", "HEAD"])?;
    let address = address(server)?;
    let trace = server.scratch().join("push.trace");
    let _ = std::fs::remove_file(&trace);
    let pushed = now()?;
    push(server, app, &trace)?;
    let accepted = now()? - pushed;
    // The pipeline's own creation has run it once already, upon a repository without a branch.
    let execution = until("an execution of the pushed commit", 60, || execution(server, &commit))?;
    let mut looked = Instant::now();
    until("the page of the pushed commit", RELEASE, || {
        if looked.elapsed() > LOOK {
            looked = Instant::now();
            actions(server, &execution)?;
        }
        let answer = page(&address).unwrap_or_default();
        Ok(answer.contains(&commit[..12]).then_some(()))
    })?;
    let served = now()?;
    let actions = until("the end of the pipeline", 300, || {
        pause(LOOK);
        let actions = actions(server, &execution)?;
        let done = actions.len() == 3 && actions.iter().all(|action| action["status"] == "Succeeded");
        Ok(done.then_some(actions))
    })?;
    let tasks = tasks(server)?;
    Ok(Release { pushed, accepted, helper: helper(&trace)?, served, actions, tasks })
}

/// What was seen of a release; times of day in seconds, lengths in seconds.
struct Release {
    pushed: f64,
    /// How long `git push` took.
    accepted: f64,
    /// How much of that the AWS CLI took, which git asks for credentials.
    helper: f64,
    served: f64,
    actions: Vec<Value>,
    /// Those that the deployment started.
    tasks: Vec<Value>,
}

/// A line of the table: what it is, our seconds, and those by hand, if there is such a step.
type Step = (&'static str, f64, Option<f64>);

/// A round's lines, in the table's order; the last one is Longshore's own share, and that of the whole in percent.
fn steps(server: &Server, release: &Release, hand: &Hand) -> Result<Vec<Step>, String> {
    let Release { pushed, accepted, helper, served, actions, tasks } = release;
    let action = |name: &str| {
        actions.iter().find(|action| action["stageName"] == name).ok_or_else(|| format!("no {name}"))
    };
    let at = |value: &Value, field: &str| value[field].as_f64().unwrap_or(f64::NAN);
    let last = |field: &str| tasks.iter().map(|task| at(task, field)).fold(f64::NAN, f64::max);
    let (source, building, deploy) = (action("Source")?, action("Build")?, action("Deploy")?);
    let id = building.pointer("/output/executionResult/externalExecutionId").cloned().unwrap_or_default();
    let answer = server.post("codebuild", "CodeBuild_20161006.BatchGetBuilds", &json!({"ids": [id]}))?;
    let build = answer.pointer("/builds/0").cloned().unwrap_or_default();
    let (login, main, post) =
        (phase(&build, "PRE_BUILD"), phase(&build, "BUILD"), phase(&build, "POST_BUILD"));
    let before: f64 = ["SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL"]
        .iter()
        .map(|name| phase(&build, name))
        .sum();
    let all = at(building, "lastUpdateTime") - at(building, "startTime");
    let deployed = at(deploy, "startTime");
    let (total, by_hand) =
        (served - pushed, hand.login + hand.package + hand.image + hand.push + hand.healthy);
    // What is not ours: the CLI that git asks, the buildspec's commands, the app's own start as it took by hand.
    let own = total - helper - login - main - post - hand.healthy;
    Ok(vec![
        ("git push, until git has ended", *accepted, None),
        ("- of it the AWS CLI as git's credential helper, asked twice", *helper, None),
        ("push to Source action", at(source, "startTime") - pushed, None),
        ("Source action", at(source, "lastUpdateTime") - at(source, "startTime"), None),
        ("Build, before its first command", before, None),
        ("Build, PRE_BUILD: the buildspec's docker login", login, Some(hand.login)),
        ("Build, BUILD: mvn package, docker build", main, Some(hand.package + hand.image)),
        ("Build, POST_BUILD: docker push", post, Some(hand.push)),
        ("Build, the rest: artifacts, finalizing, handing over", all - before - login - main - post, None),
        ("Deploy to served page, two tasks", served - deployed, Some(hand.healthy)),
        ("- until both tasks are asked for", last("createdAt") - deployed, None),
        ("- until both run and are targets", last("startedAt") - last("createdAt"), None),
        ("- until the page: the app's start, its first health check", served - last("startedAt"), None),
        ("push to served", total, Some(by_hand)),
        ("Longshore's own share, beside its aim", own, Some(1.5)),
    ])
}

fn report(spent: &[Vec<Step>]) -> Table {
    let mut table = Table::new("Push to served", "by hand");
    let middle = |line: usize, which: fn(&Step) -> Option<f64>| {
        median(spent.iter().filter_map(|steps| steps.get(line).and_then(which)).collect())
    };
    for (line, (name, _, beside)) in spent.first().into_iter().flatten().enumerate() {
        let ours = middle(line, |step| Some(step.1));
        match beside {
            Some(_) => table.compare(name, ours, middle(line, |step| step.2), "s"),
            None => table.ours(name, ours, "s"),
        }
    }
    let total = |steps: &Vec<Step>| steps.iter().find(|step| step.0 == "push to served").map(|step| step.1);
    let own = |steps: &Vec<Step>| steps.last().map(|step| step.1);
    let shares = spent.iter().filter_map(|steps| Some(100.0 * own(steps)? / total(steps)?)).collect();
    let all: Vec<String> = spent.iter().filter_map(own).map(|own| format!("{own:.2}")).collect();
    table.note(format!(
        "medians of {} rounds, each a release and then the same by hand; the own shares were {} s",
        spent.len(),
        all.join(", ")
    ));
    table.note(format!(
        "own share: push to served without the AWS CLI in git push, without the buildspec's commands, and without the \
         start of the containers as it took by hand; {:.1} % (aim: under 5 %)",
        median(shares)
    ));
    table.note(
        "the sample's target group is checked every 5 s, and a new target's first success makes it healthy; by hand \
         the containers are asked every 20 ms",
    );
    table.note(
        "by hand, Maven begins with an empty repository, as in the build's container: the network is in both",
    );
    table
}

/// Seconds of each step by hand.
struct Hand {
    login: f64,
    package: f64,
    image: f64,
    push: f64,
    healthy: f64,
}

/// Images that the release and the hand made, removed at the end.
struct Images(String);

impl Drop for Images {
    fn drop(&mut self) {
        let script =
            r#"docker image ls --format '{{.Repository}}:{{.Tag}}' "$0*" | xargs -r docker image rm"#;
        let _ = Patient::new("bash", 60).args(["-c", script, &self.0]).text();
    }
}

/// Containers by hand, removed at the end.
struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Patient::new("docker", 60).args(["rm", "--force", "--volumes", &self.0]).text();
    }
}

/// The same source, base image, registry and limits as Longshore's build and tasks have.
fn by_hand(server: &Server, app: &Path, images: &Images, round: u32) -> Result<Hand, String> {
    let timed = |program: &str, args: &[&str]| {
        let begun = Instant::now();
        let work = Patient::new(program, 600).args(args).envs(server.environment()).dir(app);
        work.text().map(|_| begun.elapsed().as_secs_f64())
    };
    let login = format!(
        "aws ecr get-login-password | docker login --username AWS --password-stdin {}",
        server.listen
    );
    let login = timed("bash", &["-eo", "pipefail", "-c", &login])?;
    let repository = server.scratch().join(format!("maven-{round}"));
    let repository = format!("-Dmaven.repo.local={}", repository.display());
    let commit = format!("-Dbuild.commit=by-hand-{round}");
    let _ = std::fs::remove_dir_all(app.join("target"));
    let package = timed("mvn", &["-B", "-ntp", &repository, &commit, "package"])?;
    let base = format!("BASE_IMAGE={}-base:17", images.0);
    let tag = format!("{}:by-hand", images.0);
    let image = timed("docker", &["build", "--build-arg", &base, "--tag", &tag, "."])?;
    let push = timed("docker", &["push", "--quiet", &tag])?;

    let begun = Instant::now();
    let mut running = Vec::new();
    for n in 0..2 {
        let container = Container(format!("longshore-bench-{}-{n}", id()));
        timed("docker", &["run", "-d", "--cpus=0.5", "--memory=1g", "--name", &container.0, &tag])?;
        running.push(container);
    }
    for container in &running {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let ip = Patient::new("docker", 10).args(["inspect", "--format", format, &container.0]).text()?;
        let url = format!("http://{ip}:8080/actuator/health");
        until("health by hand", 120, || Ok(get(&[&url])))?;
    }
    Ok(Hand { login, package, image, push, healthy: begun.elapsed().as_secs_f64() })
}

/// The sample as a repository, with nothing committed.
fn clone(server: &Server, app: &Path) -> Result<(), String> {
    let sample = root().join("samples/spring-boot");
    let copied = r#"mkdir -p "$1" && cd "$0" && tar -c --exclude=./target . | tar -x -C "$1""#;
    Patient::new("bash", 30)
        .args(["-c".as_ref(), copied.as_ref(), sample.as_os_str(), app.as_os_str()])
        .text()?;
    let made = server.aws(&format!("codecommit get-repository --repository-name {APP}"))?;
    let url = made.pointer("/repositoryMetadata/cloneUrlHttp").and_then(Value::as_str);
    git(server, app, &["init", "--quiet", "--initial-branch", "main"])?;
    git(server, app, &["remote", "add", "origin", url.ok_or("the repository has no cloneUrlHttp")?])?;
    git(server, app, &["add", "--all"]).map(|_| ())
}

fn git(server: &Server, app: &Path, args: &[&str]) -> Result<String, String> {
    let who = ["-c", "user.name=Bench", "-c", "user.email=bench@example.com", "-c", "commit.gpgsign=false"];
    Patient::new("git", 60).args(who).args(args).envs(server.environment()).dir(app).text()
}

/// Pushes; git writes down what it starts and how long that takes.
fn push(server: &Server, app: &Path, trace: &Path) -> Result<(), String> {
    let trace = [("GIT_TRACE2_EVENT".to_owned(), trace.display().to_string())];
    let args = ["push", "--quiet", "origin", "main"];
    Patient::new("git", 60).args(args).envs(server.environment()).envs(&trace).dir(app).text().map(|_| ())
}

/// Seconds that git waited for its credential helper, by git's own account.
fn helper(trace: &Path) -> Result<f64, String> {
    let text = std::fs::read_to_string(trace).map_err(|e| format!("{}: {e}", trace.display()))?;
    let events: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let asks = |event: &&Value| {
        event["event"] == "child_start" && event["argv"].to_string().contains("codecommit credential-helper")
    };
    let took = |start: &Value| {
        let ends = |event: &&Value| {
            event["event"] == "child_exit"
                && (&event["sid"], &event["child_id"]) == (&start["sid"], &start["child_id"])
        };
        events.iter().find(ends).and_then(|end| end["t_rel"].as_f64())
    };
    let all: Vec<f64> = events.iter().filter(asks).filter_map(took).collect();
    if all.is_empty() { Err("git asked for no credentials".into()) } else { Ok(all.iter().sum()) }
}

/// The address that the name stands for.
fn address(server: &Server) -> Result<String, String> {
    let (host, port) = (format!("@{}", server.dns.ip()), server.dns.port().to_string());
    let dig = ["+short", "+time=2", "+tries=1", &host, "-p", &port, ZONE, "A"];
    let answer = Patient::new("dig", 5).args(dig).text()?;
    answer.lines().next().map(str::to_owned).ok_or_else(|| format!("{ZONE} has no address"))
}

/// What the name answers now.
fn page(address: &str) -> Option<String> {
    get(&["--resolve", &format!("{ZONE}:80:{address}"), &format!("http://{ZONE}/")])
}

/// The service's tasks.
fn tasks(server: &Server) -> Result<Vec<Value>, String> {
    let ecs = |operation: &str, body: &Value| {
        server.post("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), body)
    };
    let listed = ecs("ListTasks", &json!({"cluster": APP, "serviceName": APP}))?;
    let found = ecs("DescribeTasks", &json!({"cluster": APP, "tasks": listed["taskArns"]}))?;
    found["tasks"].as_array().cloned().ok_or_else(|| format!("no tasks in {found}"))
}

fn get(args: &[&str]) -> Option<String> {
    Patient::new("curl", 8).args(["-sf", "--max-time", "5"]).args(args).text().ok()
}

/// The pipeline's execution of a commit, once there is one.
fn execution(server: &Server, commit: &str) -> Result<Option<Value>, String> {
    let asked = json!({"pipelineName": APP});
    let answer = server.post("codepipeline", "CodePipeline_20150709.ListPipelineExecutions", &asked)?;
    let mut executions = answer["pipelineExecutionSummaries"].as_array().into_iter().flatten();
    let ours = executions
        .find(|execution| execution.pointer("/sourceRevisions/0/revisionId") == Some(&commit.into()));
    Ok(ours.map(|execution| execution["pipelineExecutionId"].clone()))
}

/// What its actions came to so far; an error, if one has failed: then nothing will be served.
fn actions(server: &Server, execution: &Value) -> Result<Vec<Value>, String> {
    let asked = json!({"pipelineName": APP, "filter": {"pipelineExecutionId": execution}});
    let answer = server.post("codepipeline", "CodePipeline_20150709.ListActionExecutions", &asked)?;
    let actions = answer["actionExecutionDetails"].as_array().cloned().unwrap_or_default();
    match actions.iter().find(|action| action["status"] == "Failed") {
        Some(action) => {
            Err(format!("{} failed: {}", action["stageName"], action["output"]["executionResult"]))
        }
        None => Ok(actions),
    }
}
