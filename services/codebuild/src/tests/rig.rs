//! What the stories stand on.
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::internal::{CloneConnectedRepository, CloneOutput, CloneRepository};
use api::s3::{GetObject, GetObjectOutput, Object, PutObject, PutObjectOutput};
use bytes::Bytes;
use engine::{Change, Engine, NetworkSpec, TaskId, TaskState};
use http_body_util::BodyExt;
use kernel::clock::SystemClock;
use kernel::images::HostRegistry;
use kernel::{Access, Clock, Cx, Fault, Handle, Ops};
use serde_json::{Value, json};
use testkit::{ACCOUNT, FakeEngine, REGION, World};
use work::Driver;

use crate::agent::plan::Plan;
use crate::build::volume::{IN, OUT, PLAN};
use crate::records::{BuildId, BuildRow, Stage};
use crate::{CodeBuild, Config, agent};

pub const ROLE: &str = "arn:aws:iam::000000000000:role/build";

/// Buckets and repositories in memory.
#[derive(Default)]
pub struct Shelf(pub Mutex<BTreeMap<String, Bytes>>);

impl Handle<GetObject> for Shelf {
    async fn access(&self, _: &Cx, input: &GetObject) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("s3:GetObject", format!("{}/{}", input.bucket, input.key))])
    }

    async fn handle(&self, _: &Cx, input: GetObject) -> Result<GetObjectOutput, Fault> {
        let found = self.0.lock().unwrap().get(&format!("{}/{}", input.bucket, input.key)).cloned();
        let body = found.ok_or_else(|| Fault::new("NoSuchKey", 404, "The specified key does not exist."))?;
        Ok(GetObjectOutput { body: body.into(), object: Object::default() })
    }
}

impl Handle<PutObject> for Shelf {
    async fn access(&self, _: &Cx, input: &PutObject) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("s3:PutObject", format!("{}/{}", input.bucket, input.key))])
    }

    async fn handle(&self, _: &Cx, input: PutObject) -> Result<PutObjectOutput, Fault> {
        let body = input.body.into_body().collect().await.map_err(Fault::internal)?.to_bytes();
        self.0.lock().unwrap().insert(format!("{}/{}", input.bucket, input.key), body);
        Ok(PutObjectOutput { e_tag: "\"0\"".into(), version_id: None })
    }
}

impl Handle<CloneRepository> for Shelf {
    async fn access(&self, _: &Cx, input: &CloneRepository) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("codecommit:GitPull", input.repository_name.as_str())])
    }

    async fn handle(&self, _: &Cx, input: CloneRepository) -> Result<CloneOutput, Fault> {
        let version = input.version.unwrap_or("HEAD".into());
        self.clone_into(&input.into, &input.repository_name, version, input.depth)
    }
}

impl Handle<CloneConnectedRepository> for Shelf {
    async fn access(&self, _: &Cx, input: &CloneConnectedRepository) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("codestar-connections:UseConnection", input.connection_arn.as_str())])
    }

    async fn handle(&self, _: &Cx, input: CloneConnectedRepository) -> Result<CloneOutput, Fault> {
        self.clone_into(&input.into, &input.full_repository_id, input.commit_id, input.depth)
    }
}

impl Shelf {
    /// The files of `repository@version`, and something that only a clone has.
    fn clone_into(
        &self,
        into: &Path,
        repository: &str,
        version: String,
        depth: Option<u32>,
    ) -> Result<CloneOutput, Fault> {
        let key = format!("{repository}@{version}");
        let files = self.0.lock().unwrap().get(&key).cloned();
        let files = files.ok_or_else(|| Fault::client("CommitDoesNotExistException", key))?;
        std::fs::create_dir(into).map_err(Fault::internal)?;
        for (name, text) in unzipped(&files) {
            std::fs::write(into.join(name), text).map_err(Fault::internal)?;
        }
        std::fs::create_dir(into.join(".git")).map_err(Fault::internal)?;
        std::fs::write(into.join(".git/depth"), format!("{depth:?}\n")).map_err(Fault::internal)?;
        Ok(CloneOutput { commit_id: version })
    }
}

/// A zip of texts.
pub fn zip_of(entries: &[(&str, &str)]) -> Bytes {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in entries {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner().into()
}

/// Names and texts of a zip.
pub fn unzipped(bytes: &Bytes) -> Vec<(String, String)> {
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes.clone())).unwrap();
    let count = zip.len();
    let read = |i| {
        let entry = zip.by_index(i).unwrap();
        let name = entry.name().unwrap().into_owned();
        (name, std::io::read_to_string(entry).unwrap())
    };
    (0..count).map(read).collect()
}

/// A server with a container engine of threads.
pub struct Rig {
    pub world: World,
    pub engine: Arc<FakeEngine>,
    pub shelf: Arc<Shelf>,
    driver: Driver,
}

impl Rig {
    pub async fn new() -> Self {
        Self::over(World::new().await, FakeEngine::new(Arc::new(SystemClock)), Arc::default())
    }

    /// The services made anew over what is there.
    pub fn over(world: World, engine: Arc<FakeEngine>, shelf: Arc<Shelf>) -> Self {
        Self::at(Arc::new(SystemClock), world, engine, shelf)
    }

    /// The same by another clock.
    pub fn at(clock: Arc<dyn Clock>, world: World, engine: Arc<FakeEngine>, shelf: Arc<Shelf>) -> Self {
        let config = Config {
            agent: "/usr/bin/longshore".into(),
            network: NetworkSpec { name: "default".into(), wanted: "10.77.0.0/16".parse().unwrap() },
            images: vec![("aws/codebuild/".into(), "longshore/codebuild-standard:7.0".into())],
            registry: HostRegistry::new("127.0.0.1:4566".parse().unwrap(), Vec::new()),
            trust: None,
            doors: engine::Doors::none(),
            linger: Duration::ZERO,
        };
        Self::on(clock, world, engine.clone(), engine, shelf, config)
    }

    /// The same on any engine; `fake` is only looked at by tests that use it.
    pub fn on(
        clock: Arc<dyn Clock>,
        mut world: World,
        engine: Arc<dyn Engine>,
        fake: Arc<FakeEngine>,
        shelf: Arc<Shelf>,
        config: Config,
    ) -> Self {
        let entropy = world.entropy.clone();
        let logs = logs::Logs::new(world.store.clone(), world.blobs.clone(), clock.clone(), entropy.clone());
        let ec2 = ec2::Ec2::new(world.store.clone(), engine.clone(), clock.clone(), entropy.clone());
        let service = CodeBuild::new(world.store.clone(), engine, clock.clone(), entropy, config);
        let ops = world.serve(|ops: &mut Ops| {
            logs.register(ops);
            ec2.register(ops);
            service.register(ops);
            ops.internal::<GetObject, _>(&shelf);
            ops.internal::<PutObject, _>(&shelf);
            ops.internal::<CloneRepository, _>(&shelf);
            ops.internal::<CloneConnectedRepository, _>(&shelf);
        });
        let driver = Driver::new(clock, work::Options::default());
        for worker in service.workers(&ops) {
            driver.start(worker);
        }
        Self { world, engine: fake, shelf, driver }
    }

    pub async fn call(&self, operation: &str, input: Value) -> Result<Value, Fault> {
        self.world.call(&format!("codebuild.{operation}"), input).await
    }

    pub async fn project(&self, changes: Value) {
        let mut project = json!({
            "name": "app", "serviceRole": ROLE,
            "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases: {build: {commands: [echo hello]}}"},
            "artifacts": {"type": "NO_ARTIFACTS"},
            "environment": {"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL"},
        });
        for (name, value) in changes.as_object().unwrap() {
            project[name] = value.clone();
        }
        self.call("CreateProject", project).await.unwrap();
    }

    /// Starts a build and answers its id.
    pub async fn start(&self, overrides: Value) -> String {
        let mut input = json!({"projectName": "app"});
        for (name, value) in overrides.as_object().unwrap() {
            input[name] = value.clone();
        }
        self.call("StartBuild", input).await.unwrap()["build"]["id"].as_str().unwrap().to_owned()
    }

    pub async fn build(&self, id: &str) -> Result<Value, Fault> {
        Ok(self.call("BatchGetBuilds", json!({"ids": [id]})).await?["builds"][0].clone())
    }

    /// The build when `done` says so.
    pub async fn until(&self, id: &str, done: impl Fn(&Value) -> bool) -> Result<Value, Fault> {
        let wake = self.world.store.watch(&[<BuildRow as store::Record>::TABLE]);
        let look = async {
            loop {
                let build = self.build(id).await?;
                if done(&build) {
                    return Ok(build);
                }
                // A crashed store wakes nobody.
                let _ = tokio::time::timeout(Duration::from_millis(50), wake.notified()).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), look).await.expect("the build goes on")
    }

    /// Until something is so, which a change of builds tells.
    pub async fn eventually(&self, so: impl AsyncFn() -> bool) {
        let wake = self.world.store.watch(&[<BuildRow as store::Record>::TABLE]);
        let look = async {
            while !so().await {
                let _ = tokio::time::timeout(Duration::from_millis(20), wake.notified()).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), look).await.expect("it comes about");
    }

    /// Until a build, of a pipeline's action too, is so far.
    pub async fn reached(&self, id: &str, stage: Stage) {
        let key = BuildId::parse(id).unwrap().key(store::Key::new(ACCOUNT, REGION));
        let so = async || {
            let row = self.world.store.get::<BuildRow>(&key).await.unwrap();
            row.is_some_and(|row| row.value.run.stage == stage)
        };
        self.eventually(so).await;
    }

    pub async fn complete(&self, id: &str) -> Result<Value, Fault> {
        self.until(id, |build| build["buildComplete"] == true).await
    }

    /// The lines of the build's log, without the agent's own.
    pub async fn log(&self, id: &str) -> Vec<String> {
        self.try_log(id).await.unwrap()
    }

    /// The same of a store that may have stopped.
    pub async fn try_log(&self, id: &str) -> Result<Vec<String>, Fault> {
        let (group, stream) = id.split_once(':').unwrap();
        let input = json!({"logGroupName": format!("/aws/codebuild/{group}"), "logStreamName": stream, "startFromHead": true});
        let events = self.world.call("logs.GetLogEvents", input).await?;
        let lines = events["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["message"].as_str().unwrap().trim_end().to_owned());
        Ok(lines.filter(|line| !line.starts_with("[Container]")).collect())
    }

    /// Ends the services as a killed process does; the state is left.
    pub async fn end(self) -> (World, Arc<Shelf>) {
        let Self { world, shelf, driver, .. } = self;
        drop(driver);
        (world.restart().await, shelf)
    }

    pub async fn restart(self, stop_after: Option<u64>) -> Self {
        let Self { world, engine, shelf, driver } = self;
        drop(driver);
        Self::over(world.restart_with(store::Options { stop_after }).await, engine, shelf)
    }
}

/// The engine's task of a build.
pub fn task(id: &str) -> String {
    crate::names::task(&BuildId::parse(id).unwrap())
}

/// Phases with their statuses.
pub fn phases(build: &Value) -> Vec<String> {
    let phase = |p: &Value| {
        format!("{} {}", p["phaseType"].as_str().unwrap(), p["phaseStatus"].as_str().unwrap_or("-"))
    };
    build["phases"].as_array().unwrap().iter().map(phase).collect()
}

/// Runs the agent of every task that starts, as its container would.
pub fn containers(engine: &Arc<FakeEngine>) {
    let (engine, mut changes) = (engine.clone(), engine.changes());
    tokio::spawn(async move {
        let mut seen: Vec<TaskId> = Vec::new();
        while let Some(change) = changes.next().await {
            let Change::Task(id) = change else { continue };
            let Some(spec) = engine.spec(&id).filter(|_| !seen.contains(&id)) else { continue };
            seen.push(id.clone());
            let mount = |target: &str| {
                let found = spec.containers[0].mounts.iter().find(|m| m.target == target).unwrap();
                match &found.source {
                    engine::Source::Host(path) => path.clone(),
                    other => panic!("{other:?}"),
                }
            };
            let (input, output, engine) = (mount(IN), mount(OUT), engine.clone());
            let runtime = tokio::runtime::Handle::current();
            std::thread::spawn(move || contain(&runtime, &engine, &id, &input, &output));
        }
    });
}

fn contain(runtime: &tokio::runtime::Handle, engine: &FakeEngine, id: &TaskId, input: &Path, output: &Path) {
    let gone = || !matches!(runtime.block_on(engine.task(id)), Ok(t) if t.state == TaskState::Running);
    while !input.join(PLAN).exists() {
        if gone() {
            return;
        }
        std::thread::yield_now();
    }
    let text = std::fs::read_to_string(input.join(PLAN)).unwrap();
    let plan: Plan = serde_json::from_str(
        &text.replace(IN, input.to_str().unwrap()).replace(OUT, output.to_str().unwrap()),
    )
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan { work: dir.path().join("work"), ..plan };
    let file: PathBuf = dir.path().join("plan.json");
    std::fs::write(&file, serde_json::to_vec(&plan).unwrap()).unwrap();
    agent::build(&file, |_| Ok(())).unwrap();
    if !gone() {
        engine.exit(id, "build", 0);
    }
}
