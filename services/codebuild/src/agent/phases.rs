//! The phases, in order, and what a failure does to the rest.
use std::path::{Path, PathBuf};

use super::journal::{Context, Event, Status};
use super::plan::{BuildspecAt, Plan};
use super::runner::{Halt, Runner};
use super::{artifacts, limits, source, user};
use crate::buildspec::{Buildspec, OnFailure, Phase, PhaseName, Version, parse, runtimes};

/// How the agent's part ended.
pub struct End {
    /// The status.
    pub status: Status,
    /// See [`Event::Ended`].
    pub retry: Option<u32>,
}

/// Runs a whole build. Only a broken agent is an error: it cannot even write its journal.
pub fn build(runner: &mut Runner, plan: &Plan) -> std::io::Result<End> {
    let mut current = "DOWNLOAD_SOURCE";
    match phases(runner, plan, &mut current) {
        Ok(end) => Ok(end),
        Err(halt) => {
            let (status, context) = match halt {
                Halt::TimedOut => {
                    (Status::TimedOut, Context::new("BUILD_TIMED_OUT", "Build has timed out. "))
                }
                Halt::Stopped => (Status::Stopped, Context::new("", "")),
                Halt::Broken(error) => (
                    Status::Fault,
                    Context::new("INTERNAL_SERVICE_ERROR", format!("the build agent failed: {error}")),
                ),
            };
            let contexts = if context.message.is_empty() { Vec::new() } else { vec![context] };
            end_phase(runner, current, status, contexts)?;
            Ok(End { status, retry: None })
        }
    }
}

fn phases(runner: &mut Runner, plan: &Plan, current: &mut &'static str) -> Result<End, Halt> {
    let failed = End { status: Status::Failed, retry: None };
    start_phase(runner, current)?;
    let root = plan.work.join("src").join("src");
    let spec = match download(runner, plan, &root)? {
        Ok(spec) => spec,
        Err(context) => {
            end_phase(runner, current, Status::Failed, vec![context])?;
            return Ok(failed);
        }
    };
    end_phase(runner, current, Status::Succeeded, Vec::new())?;
    let (mut status, mut upload) = (Status::Succeeded, false);
    for name in PhaseName::ALL {
        *current = name.api();
        let nothing = Phase::default();
        let phase = spec.phase(name).unwrap_or(&nothing);
        let contexts = run_phase(runner, &spec, name, phase)?;
        upload |= name == PhaseName::Build;
        if !contexts.is_empty() {
            status = Status::Failed;
            runner.set("CODEBUILD_BUILD_SUCCEEDING", "0")?;
            match after_failure(runner, name, phase, &contexts) {
                Next::Go => {}
                Next::Stop => return Ok(failed),
                Next::Skip => break,
                Next::Again(count) => return Ok(End { retry: Some(count), ..failed }),
            }
        }
        if name == PhaseName::PostBuild {
            let variables = runner.values(&spec.env.exported)?;
            if !variables.is_empty() {
                runner.event(&Event::Exported { variables })?;
            }
        }
    }
    if upload && !upload_artifacts(runner, plan, &spec, &root, current)? {
        status = Status::Failed;
    }
    runner.end_shell()?;
    Ok(End { status, retry: None })
}

enum Next {
    Go,
    /// The build ends here.
    Stop,
    /// Only the artifacts remain.
    Skip,
    Again(u32),
}

/// INSTALL and PRE_BUILD end the build; after BUILD comes POST_BUILD all the same; unless the phase says otherwise.
fn after_failure(runner: &mut Runner, name: PhaseName, phase: &Phase, contexts: &[Context]) -> Next {
    let default = match name {
        PhaseName::Install | PhaseName::PreBuild => Next::Stop,
        PhaseName::Build => Next::Go,
        PhaseName::PostBuild => Next::Skip,
    };
    match &phase.on_failure {
        OnFailure::Default => default,
        OnFailure::Abort => Next::Stop,
        OnFailure::Continue => Next::Go,
        OnFailure::Retry { count, .. } => {
            let matched = runner.watch.take().is_some_and(|(pattern, matched)| {
                matched || contexts.iter().any(|c| pattern.is_match(&c.message))
            });
            if matched { Next::Again(*count) } else { default }
        }
    }
}

fn run_phase(
    runner: &mut Runner,
    spec: &Buildspec,
    name: PhaseName,
    phase: &Phase,
) -> Result<Vec<Context>, Halt> {
    runner.check()?;
    start_phase(runner, name.api())?;
    let contexts = match as_user(runner, spec, phase)? {
        Err(message) => vec![Context::new("CLIENT_ERROR", message)],
        Ok(()) => {
            if let OnFailure::Retry { pattern, .. } = &phase.on_failure {
                runner.watch = regex::Regex::new(pattern).ok().map(|pattern| (pattern, false));
            }
            commands(runner, phase)?
        }
    };
    let status = if contexts.is_empty() { Status::Succeeded } else { Status::Failed };
    end_phase(runner, name.api(), status, contexts.clone())?;
    Ok(contexts)
}

fn as_user(runner: &mut Runner, spec: &Buildspec, phase: &Phase) -> Result<Result<(), String>, Halt> {
    let user = match phase.run_as.as_ref().or(spec.run_as.as_ref()) {
        None => None,
        Some(name) => match user::find(name, Path::new("/etc/passwd")) {
            // The agent's own user needs no change, and could not make one.
            Ok(user) if user.uid == nix::unistd::geteuid().as_raw() => None,
            Ok(user) => Some(user),
            Err(message) => return Ok(Err(message)),
        },
    };
    runner.become_user(user)?;
    Ok(Ok(()))
}

/// The first command that fails skips the rest; `finally` runs always, by the same rule.
fn commands(runner: &mut Runner, phase: &Phase) -> Result<Vec<Context>, Halt> {
    let mut contexts = Vec::new();
    for list in [&phase.commands, &phase.finally] {
        for command in list {
            let status = runner.command(command)?;
            if status != 0 {
                let command = command.trim_end();
                runner.say(&format!("Command did not exit successfully {command} exit status {status}"))?;
                contexts.push(Context::new(
                    "COMMAND_EXECUTION_ERROR",
                    format!("Error while executing command: {command}. Reason: exit status {status}"),
                ));
                break;
            }
        }
    }
    contexts.truncate(1);
    Ok(contexts)
}

fn start_phase(runner: &mut Runner, phase: &str) -> std::io::Result<()> {
    runner.event(&Event::PhaseStarted { phase: phase.to_owned() })?;
    runner.say(&format!("Entering phase {phase}"))
}

fn end_phase(
    runner: &mut Runner,
    phase: &str,
    status: Status,
    contexts: Vec<Context>,
) -> std::io::Result<()> {
    runner.say(&format!("Phase complete: {phase} State: {}", status.api()))?;
    let (code, message) = contexts.first().map_or(("", ""), |c| (c.code.as_str(), c.message.as_str()));
    runner.say(&format!("Phase context status code: {code} Message: {message}"))?;
    runner.event(&Event::PhaseEnded { phase: phase.to_owned(), status, contexts })
}

fn download(runner: &mut Runner, plan: &Plan, root: &Path) -> Result<Result<Buildspec, Context>, Halt> {
    let client = |message: String| Ok(Err(Context::new("CLIENT_ERROR", message)));
    let yaml = |message: String| Ok(Err(Context::new("YAML_FILE_ERROR", message)));
    let engine = match &plan.dockerd {
        Some(script) => runner.start_engine(script, &plan.set)?,
        None => false,
    };
    if let Err(message) = sources(runner, plan, root)? {
        return client(message);
    }
    let text = match buildspec_text(runner, &plan.buildspec, root)? {
        Ok(text) => text,
        Err(message) => return yaml(message),
    };
    let spec = match parse(&text).and_then(|spec| runtimes::check(&spec, &image_runtimes()).map(|()| spec)) {
        Ok(spec) => spec,
        Err(error) => return yaml(error.to_string()),
    };
    prepare(runner, plan, &spec, root)?;
    match if engine { runner.engine_started()? } else { 0 } {
        0 => Ok(Ok(spec)),
        status => client(format!(
            "the Docker daemon did not start (exit status {status}); the build's log has what it said"
        )),
    }
}

/// What the image says that it holds; an image that says nothing offers no choice.
fn image_runtimes() -> runtimes::Runtimes {
    let bytes = std::fs::read("/codebuild/image/config/runtimes.json").ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn sources(runner: &mut Runner, plan: &Plan, root: &Path) -> Result<Result<(), String>, Halt> {
    std::fs::create_dir_all(root)?;
    for (index, source) in plan.sources.iter().enumerate() {
        let dir = match &source.identifier {
            None => root.to_owned(),
            Some(_) => plan.work.join(format!("src{index}")).join("src"),
        };
        std::fs::create_dir_all(&dir)?;
        if let Err(message) = source::put(&source.at, &dir) {
            return Ok(Err(message));
        }
        if let Some(id) = &source.identifier {
            runner.set(&format!("CODEBUILD_SRC_DIR_{id}"), &dir.to_string_lossy())?;
        }
    }
    runner.set("CODEBUILD_SRC_DIR", &root.to_string_lossy())?;
    runner.say(&format!("CODEBUILD_SRC_DIR={}", root.display()))?;
    Ok(Ok(()))
}

fn buildspec_text(
    runner: &mut Runner,
    at: &BuildspecAt,
    root: &Path,
) -> std::io::Result<Result<String, String>> {
    let path: PathBuf = match at {
        BuildspecAt::Inline(text) => return Ok(Ok(text.clone())),
        BuildspecAt::File(name) => root.join(name),
    };
    runner.say(&format!("YAML location is {}", path.display()))?;
    match std::fs::read(&path) {
        Ok(bytes) => {
            Ok(String::from_utf8(bytes).map_err(|_| format!("{} is not valid UTF-8", path.display())))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(Err(format!("YAML file does not exist: {}", path.display())))
        }
        Err(error) => Ok(Err(format!("{}: {error}", path.display()))),
    }
}

/// The environment of the first shell: the image's, what AWS sets, the buildspec's, the project's and the start's.
fn prepare(runner: &mut Runner, plan: &Plan, spec: &Buildspec, root: &Path) -> Result<(), Halt> {
    runner.say("Processing environment variables")?;
    for (name, value) in plan.set.iter().chain(&spec.env.variables).chain(&plan.variables) {
        runner.set(name, value)?;
    }
    if spec.env.git_credential_helper && !runner.is_set("GIT_CONFIG_COUNT") {
        let pairs = [
            ("credential.helper", "!aws codecommit credential-helper $@"),
            ("credential.UseHttpPath", "true"),
        ];
        runner.set("GIT_CONFIG_COUNT", "2")?;
        for (i, (key, value)) in pairs.into_iter().enumerate() {
            runner.set(&format!("GIT_CONFIG_KEY_{i}"), key)?;
            runner.set(&format!("GIT_CONFIG_VALUE_{i}"), value)?;
        }
    }
    runner.prepare(spec.env.shell, spec.version == Version::V01, root);
    runner.say(&format!("Moving to directory {}", root.display()))?;
    for warning in &spec.warnings {
        runner.say(&format!("Warning: {warning}"))?;
    }
    runner.say(&format!("Phases found in YAML: {}", spec.phases.len()))?;
    for (name, phase) in &spec.phases {
        runner.say(&format!(" {}: {} commands", name.api(), phase.commands.len() + phase.finally.len()))?;
    }
    Ok(())
}

/// Whether all went well. The phase's end is told here only when it failed: else it ends with the upload.
fn upload_artifacts(
    runner: &mut Runner,
    plan: &Plan,
    spec: &Buildspec,
    root: &Path,
    current: &mut &'static str,
) -> Result<bool, Halt> {
    *current = "UPLOAD_ARTIFACTS";
    start_phase(runner, current)?;
    match artifacts::pack(runner, &spec.artifacts, &plan.artifacts, root, &plan.out)? {
        Ok(artifacts) => {
            runner.event(&Event::Packed { artifacts })?;
            Ok(true)
        }
        Err(context) => {
            end_phase(runner, current, Status::Failed, vec![context])?;
            Ok(false)
        }
    }
}

/// Reads the plan, once it is there: it comes after the container, together with what it names, so that the engine
/// and the download of the sources need not wait for one another.
pub fn read_plan(path: &Path) -> std::io::Result<Plan> {
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
    let folder = path.parent().unwrap_or(Path::new("."));
    let watch = Inotify::init(InitFlags::IN_CLOEXEC)?;
    watch.add_watch(folder, AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CREATE)?;
    while !path.exists() {
        watch.read_events()?;
    }
    let file = std::fs::File::open(path)?;
    let plan: Plan = serde_json::from_reader(std::io::Read::take(file, limits::PLAN_BYTES))?;
    if plan.version != super::plan::VERSION {
        return Err(std::io::Error::other(format!(
            "the plan has version {}, this agent reads {}",
            plan.version,
            super::plan::VERSION
        )));
    }
    Ok(plan)
}
