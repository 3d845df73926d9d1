//! Real containers: with `LONGSHORE_E2E=1`, Docker, and the images that the setup makes.
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Engine, NetworkSpec};
use engine_docker::{Docker, Options};
use kernel::clock::SystemClock;
use kernel::images::HostRegistry;
use serde_json::{Value, json};
use testkit::{FakeEngine, RangeLease, World};

use super::rig::{Rig, Shelf, phases};
use crate::Config;

/// What a test makes in Docker, and takes away.
struct Bench {
    docker: Docker,
    config: Config,
    _range: RangeLease,
    _state: tempfile::TempDir,
}

/// The agent that cargo builds beside this test: the image's libc must be as new as ours.
fn agent() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().with_file_name("examples").join("agent")
}

impl Bench {
    fn new() -> Self {
        let (state, range) = (tempfile::tempdir().unwrap(), RangeLease::take());
        let mut options =
            Options::new(format!("cb{}", range.cidr().first().octets()[1]), state.path(), "/usr/bin/busybox");
        options.pause_args = vec!["sleep".into(), "100000".into()];
        let config = Config {
            agent: agent(),
            network: NetworkSpec { name: "builds".into(), wanted: range.cidr() },
            images: vec![
                ("aws/codebuild/".into(), "longshore/codebuild-standard:7.0".into()),
                ("plain".into(), "longshore/test-base:1".into()),
            ],
            registry: HostRegistry::new("127.0.0.1:4566".parse().unwrap(), Vec::new()),
            trust: None,
            doors: engine::Doors::none(),
            linger: Duration::ZERO,
        };
        Self { docker: Docker::start(options).unwrap(), config, _range: range, _state: state }
    }

    fn rig(&self, world: World, shelf: Arc<Shelf>) -> Rig {
        let fake = FakeEngine::new(Arc::new(SystemClock));
        let clock = Arc::new(SystemClock);
        Rig::on(clock, world, Arc::new(self.docker.clone()), fake, shelf, self.config.clone())
    }

    async fn clean(&self) {
        let mut changes = self.docker.changes();
        loop {
            let tasks = self.docker.tasks().await.unwrap();
            if tasks.is_empty() {
                break;
            }
            for task in tasks {
                // The service may be at it as well; then Docker tells when it is done.
                if self.docker.remove(&task.id).await.is_err() {
                    changes.next().await;
                }
            }
        }
        self.docker.remove_network("builds").await.unwrap();
    }
}

/// Runs a test, and takes away what it made however it ends.
fn check<F: Future<Output = ()> + 'static>(test: fn(Arc<Bench>) -> F) {
    if std::env::var_os("LONGSHORE_E2E").is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let bench = Arc::new(Bench::new());
        let outcome = tokio::task::spawn_local(test(bench.clone())).await;
        bench.clean().await;
        outcome.unwrap();
    });
}

fn succeeded(build: &Value) {
    assert_eq!(build["buildStatus"], "SUCCEEDED", "{build:#}");
}

#[test]
fn a_build_runs_in_a_container() {
    check(|bench| async move {
        let rig = bench.rig(World::new().await, Arc::default());
        rig.project(
            json!({"artifacts": {"type": "S3", "location": "bucket", "packaging": "ZIP", "name": "a.zip"}}),
        )
        .await;
        let spec = "version: 0.2\nphases: {build: {commands: ['id -u; pwd; echo $HOME', 'cd /tmp; echo made >f'], finally: ['date +%s%N']}, post_build: {run-as: nobody, commands: ['id -un; export A=1', 'echo $A $PWD; exit 0', 'echo $A']}}\nartifacts: {files: ['*'], base-directory: /tmp}";
        let began = Instant::now();
        let wanted = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let id = rig.start(json!({"imageOverride": "plain", "buildspecOverride": spec})).await;
        let build = rig.complete(&id).await.unwrap();
        let took = began.elapsed();
        succeeded(&build);
        let log = rig.log(&id).await;
        assert_eq!(log[..3], ["0", "/codebuild/output/src/src", "/root"]);
        assert_eq!(log[4..], ["nobody", "1 /tmp", "1"]);
        let first = Duration::from_nanos(log[3].parse().unwrap()) - wanted;
        eprintln!("StartBuild to the commands' end {first:?}, to the build's end {took:?}");
        assert!(rig.shelf.0.lock().unwrap().contains_key("bucket/a.zip"));
    });
}

#[test]
fn a_restart_adopts_the_container() {
    check(|bench| async move {
        let rig = bench.rig(World::new().await, Arc::default());
        rig.project(json!({})).await;
        let spec = "version: 0.2\nphases: {build: {commands: ['echo one; sleep 2; echo two']}}";
        let id = rig.start(json!({"imageOverride": "plain", "buildspecOverride": spec})).await;
        rig.until(&id, |build| build["currentPhase"] == "BUILD").await.unwrap();
        let (world, shelf) = rig.end().await;
        let rig = bench.rig(world, shelf);
        succeeded(&rig.complete(&id).await.unwrap());
        assert_eq!(rig.log(&id).await, ["one", "two"]);
    });
}

#[test]
fn a_stop_ends_the_container_at_once() {
    check(|bench| async move {
        let rig = bench.rig(World::new().await, Arc::default());
        rig.project(json!({})).await;
        let spec = "version: 0.2\nphases: {build: {commands: ['sleep 600']}}";
        let id = rig.start(json!({"imageOverride": "plain", "buildspecOverride": spec})).await;
        rig.until(&id, |build| build["currentPhase"] == "BUILD").await.unwrap();
        let asked = Instant::now();
        rig.call("StopBuild", json!({"id": id})).await.unwrap();
        let build = rig.complete(&id).await.unwrap();
        assert_eq!(phases(&build)[6], "BUILD STOPPED", "{build:#}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    });
}

#[test]
fn a_privileged_build_has_docker_and_its_runtimes() {
    check(|bench| async move {
        let rig = bench.rig(World::new().await, Arc::default());
        rig.project(json!({})).await;
        let spec = "version: 0.2\nphases:\n  install:\n    runtime-versions: {java: corretto17, python: 3.11}\n  build:\n    commands: [\"docker info --format '{{.Containers}}'\", 'printf \"FROM scratch\\nCOPY Dockerfile /\\n\" >Dockerfile; docker build -q -t x . >/dev/null; docker image inspect x --format ok']\n";
        let id = rig.start(json!({"privilegedModeOverride": true, "buildspecOverride": spec})).await;
        let build = rig.complete(&id).await.unwrap();
        succeeded(&build);
        assert_eq!(rig.log(&id).await, ["0", "ok"]);
    });
}
