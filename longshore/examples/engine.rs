//! The release engine in a process of its own, with actions that do nothing, its own or a job worker's: what `cargo xtask bench engine` measures.
//! Prints one line of JSON. Built with the feature `bench`; no server can run these actions.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::codepipeline as cp;
use clap::{Parser, Subcommand};
use codepipeline::CodePipeline;
use kernel::clock::{SystemClock, SystemEntropy};
use kernel::{Clock, Cx, Entropy, Ops, Principal, PrincipalKind, Timestamp};
use serde_json::{Value, json};
use store::{Batch, EVENTS, Event, Sealer, Store};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use work::Driver;

const ACCOUNT: &str = "000000000000";
const REGION: &str = "us-east-1";
/// This process among the outbox's consumers.
const CONSUMER: &str = "bench";
/// Ticks of processor time in a second, as /proc counts them.
const TICKS: f64 = 100.0;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// One execution after the other: source and three actions.
    Latency {
        data: PathBuf,
        count: usize,
        /// The actions are custom, and a job worker in this process carries them out.
        #[arg(long)]
        worker: bool,
    },
    /// One execution at a time of each of many pipelines.
    Throughput { data: PathBuf, pipelines: usize, seconds: u64 },
    /// A past for every pipeline of a data folder that no server holds.
    Past { data: PathBuf, executions: u64 },
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let result = match Options::parse().what {
        What::Latency { data, count, worker } => latency(&data, count, worker).await?,
        What::Throughput { data, pipelines, seconds } => throughput(&data, pipelines, seconds).await?,
        What::Past { data, executions } => past(&data, executions).await?,
    };
    println!("{result}");
    Ok(())
}

/// The services that a release of such actions needs: authorization and EventBridge are the real ones.
struct Engine {
    store: Store,
    ops: Arc<Ops>,
    codepipeline: Arc<CodePipeline>,
    ended: Arc<Ended>,
    driver: Driver,
}

impl Engine {
    async fn open(data: &Path) -> Result<Self, Failure> {
        let store = Store::open(data).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let sealer = Sealer::open(data)?;
        let deps = iam::Deps {
            store: store.clone(),
            sealer: sealer.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
        };
        let iam = iam::Iam::new(deps);
        let events = events::Events::new(events::Deps {
            store: store.clone(),
            sealer: sealer.clone(),
            outside: outside::Outside::new(&[]),
            clock: clock.clone(),
            entropy: entropy.clone(),
        });
        let codepipeline = CodePipeline::new(codepipeline::Deps {
            store: store.clone(),
            sealer,
            clock: clock.clone(),
            entropy,
            functions: codepipeline::Functions::default(),
        });
        let mut ops = Ops::new(iam.clone());
        iam.register(&mut ops);
        events.register(&mut ops);
        codepipeline.register(&mut ops);
        let ops = Arc::new(ops);
        let driver = Driver::new(clock, work::Options::default());
        let workers = codepipeline.workers(&ops).into_iter().chain(events.workers(&ops));
        workers.for_each(|worker| driver.start(worker));
        let ended = Ended::follow(store.clone()).await?;
        Ok(Self { store, ops, codepipeline, ended, driver })
    }

    fn root(&self) -> Cx {
        let root = Principal {
            arn: format!("arn:aws:iam::{ACCOUNT}:root"),
            account: ACCOUNT.into(),
            id: ACCOUNT.into(),
            kind: PrincipalKind::Root,
            session_policies: Vec::new(),
        };
        self.ops.enter(root, REGION, "bench")
    }

    /// Makes a pipeline, and waits for the execution that it starts with.
    async fn pipeline(&self, name: &str, owner: &str) -> Result<(), Failure> {
        let ended = self.ended.of(name);
        self.root().call(cp::CreatePipeline { pipeline: declaration(name, owner), tags: None }).await?;
        ended.notified().await;
        Ok(())
    }

    async fn role(&self) -> Result<(), Failure> {
        let trust = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "codepipeline.amazonaws.com"}, "Action": "sts:AssumeRole",
        }]});
        let role = api::iam::CreateRole {
            role_name: "bench".into(),
            assume_role_policy_document: trust.to_string(),
            ..Default::default()
        };
        self.root().call(role).await?;
        Ok(())
    }

    /// Starts a job worker, which polls when there is a job, takes it, and is done with it at once.
    async fn worker(&self) -> Result<JoinHandle<Failure>, Failure> {
        let details = || cp::ArtifactDetails { minimum_count: 0, maximum_count: 0 };
        let custom = kind("Build", "Custom");
        let made = cp::CreateCustomActionType {
            category: custom.category,
            provider: custom.provider,
            version: custom.version,
            input_artifact_details: details(),
            output_artifact_details: details(),
            ..Default::default()
        };
        let cx = self.root();
        cx.call(made).await?;
        let opened = self.codepipeline.opened();
        Ok(tokio::spawn(async move {
            loop {
                opened.notified().await;
                if let Err(error) = jobs(&cx).await {
                    return error;
                }
            }
        }))
    }

    async fn start(&self, name: &str) -> Result<(), Failure> {
        self.root().call(cp::StartPipelineExecution { name: name.into(), ..Default::default() }).await?;
        Ok(())
    }

    async fn close(self) {
        self.codepipeline.stop();
        self.driver.stop().await;
        self.store.close().await;
    }
}

/// Does every job that there is.
async fn jobs(cx: &Cx) -> Result<(), Failure> {
    loop {
        let poll = cp::PollForJobs { action_type_id: kind("Build", "Custom"), ..Default::default() };
        let jobs = cx.call(poll).await?.jobs.unwrap_or_default();
        if jobs.is_empty() {
            return Ok(());
        }
        for job in jobs {
            let (job_id, nonce) = (job.id.unwrap_or_default(), job.nonce.unwrap_or_default());
            cx.call(cp::AcknowledgeJob { job_id: job_id.clone(), nonce }).await?;
            cx.call(cp::PutJobSuccessResult { job_id, ..Default::default() }).await?;
        }
    }
}

fn kind(category: &str, owner: &str) -> cp::ActionTypeId {
    let (category, owner) = (category.into(), owner.into());
    cp::ActionTypeId { category, owner, provider: "Noop".into(), version: "1".into() }
}

/// A source and three actions of this owner, one after the other, in two stages.
fn declaration(name: &str, owner: &str) -> cp::PipelineDeclaration {
    let action = |category: &str, owner: &str, name: &str, order: i32| cp::ActionDeclaration {
        name: name.into(),
        action_type_id: kind(category, owner),
        run_order: Some(order),
        ..Default::default()
    };
    let stage = |name: &str, actions: Vec<_>| cp::StageDeclaration {
        name: name.into(),
        actions,
        ..Default::default()
    };
    let steps = (1..4).map(|order| action("Build", owner, &format!("Step{order}"), order));
    cp::PipelineDeclaration {
        name: name.into(),
        role_arn: format!("arn:aws:iam::{ACCOUNT}:role/bench"),
        artifact_store: Some(cp::ArtifactStore {
            r#type: "S3".into(),
            location: "artifacts".into(),
            encryption_key: None,
        }),
        stages: vec![
            stage("Source", vec![action("Source", "AWS", "Source", 1)]),
            stage("Steps", steps.collect()),
        ],
        ..Default::default()
    }
}

/// Hears of the ends of executions as every consumer does.
#[derive(Default)]
struct Ended(Mutex<HashMap<String, Arc<Notify>>>);

impl Ended {
    /// For one waiter at a time; an end that comes first is kept.
    fn of(&self, pipeline: &str) -> Arc<Notify> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(pipeline.to_owned()).or_default().clone()
    }

    async fn follow(store: Store) -> Result<Arc<Self>, Failure> {
        let ended = Arc::new(Self::default());
        let wake = store.watch(&[EVENTS]);
        let mut read = store.subscribe(EVENTS, CONSUMER).await?;
        let (hears, mut kept) = (ended.clone(), read);
        tokio::spawn(async move {
            let mut keeping: Option<tokio::task::JoinHandle<()>> = None;
            loop {
                let Ok(messages) = store.messages(EVENTS, read, 1000).await else { return };
                messages.iter().for_each(|message| hears.hear(&message.event));
                read = messages.last().map_or(read, |message| message.seq);
                // What it heard need not be kept before it hears more.
                if keeping.as_ref().is_none_or(tokio::task::JoinHandle::is_finished) && kept < read {
                    let batch = Batch::new().advance(EVENTS, CONSUMER, kept, read).patient();
                    let store = store.clone();
                    keeping = Some(tokio::spawn(async move { drop(store.commit(batch).await) }));
                    kept = read;
                }
                if messages.is_empty() {
                    wake.notified().await;
                }
            }
        });
        Ok(ended)
    }

    fn hear(&self, event: &Event) {
        let level = event.detail_type == "CodePipeline Pipeline Execution State Change";
        if level && event.detail["state"] == "SUCCEEDED" {
            self.of(event.detail["pipeline"].as_str().unwrap_or_default()).notify_one();
        }
    }
}

async fn latency(data: &Path, count: usize, worker: bool) -> Result<Value, Failure> {
    let engine = Engine::open(data).await?;
    engine.role().await?;
    let worker = if worker { Some(engine.worker().await?) } else { None };
    engine.pipeline("p", if worker.is_some() { "Custom" } else { "AWS" }).await?;
    let ended = engine.ended.of("p");
    let (before, cpu) = (engine.store.counts(), processor()?);
    let (mut all, mut accepted, mut fsyncs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        let begun = Instant::now();
        engine.start("p").await?;
        accepted.push(millis(begun));
        ended.notified().await;
        all.push(millis(begun));
        // Between executions, so that both see the same disk.
        fsyncs.push(fdatasync(data)?);
    }
    let (after, cpu) = (engine.store.counts(), processor()? - cpu);
    if let Some(worker) = worker {
        worker.abort();
    }
    engine.close().await;
    let each = |number: u64| number as f64 / count as f64;
    Ok(json!({
        "p50": percentile(&mut all, 50), "p99": percentile(&mut all, 99), "accepted_p50": percentile(&mut accepted, 50),
        "fdatasync_p50": percentile(&mut fsyncs, 50), "fdatasync_p99": percentile(&mut fsyncs, 99),
        "commits": each(after.commits - before.commits), "batches": each(after.batches - before.batches),
        "cpu_ms": cpu * 1e3 / count as f64,
    }))
}

async fn throughput(data: &Path, pipelines: usize, seconds: u64) -> Result<Value, Failure> {
    let engine = Arc::new(Engine::open(data).await?);
    engine.role().await?;
    let names: Vec<String> = (0..pipelines).map(|n| format!("p-{n}")).collect();
    for name in &names {
        engine.pipeline(name, "AWS").await?;
    }
    let (before, cpu, begun) = (engine.store.counts(), processor()?, Instant::now());
    let end = begun + Duration::from_secs(seconds);
    let run = |name: String| {
        let engine = engine.clone();
        tokio::spawn(async move {
            let ended = engine.ended.of(&name);
            let mut all = Vec::new();
            while Instant::now() < end {
                let begun = Instant::now();
                engine.start(&name).await?;
                ended.notified().await;
                all.push(millis(begun));
            }
            Ok::<_, Failure>(all)
        })
    };
    let runs: Vec<_> = names.into_iter().map(run).collect();
    let mut all = Vec::new();
    for run in runs {
        all.extend(run.await??);
    }
    let (took, after, cpu) = (begun.elapsed().as_secs_f64(), engine.store.counts(), processor()? - cpu);
    let count = all.len() as f64;
    if let Some(engine) = Arc::into_inner(engine) {
        engine.close().await;
    }
    Ok(json!({
        "executions_per_second": count / took, "p50": percentile(&mut all, 50), "p99": percentile(&mut all, 99),
        "commits_per_second": (after.commits - before.commits) as f64 / took,
        "batches_per_commit": (after.batches - before.batches) as f64 / (after.commits - before.commits) as f64,
        "cpu_ms": cpu * 1e3 / count, "cores": cpu / took,
    }))
}

async fn past(data: &Path, executions: u64) -> Result<Value, Failure> {
    let store = Store::open(data).await?;
    let codepipeline = CodePipeline::new(codepipeline::Deps {
        store: store.clone(),
        sealer: Sealer::open(data)?,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        functions: codepipeline::Functions::default(),
    });
    let year = Timestamp::now() - jiff::SignedDuration::from_hours(300 * 24);
    let begun = Instant::now();
    let names = codepipeline.names(ACCOUNT, REGION).await?;
    for name in &names {
        codepipeline.past(ACCOUNT, REGION, name, executions, year).await?;
    }
    store.close().await;
    let bytes = std::fs::metadata(data.join("state.db"))?.len();
    Ok(json!({"pipelines": names.len(), "seconds": begun.elapsed().as_secs_f64(), "bytes": bytes}))
}

/// One fdatasync behind a write of the size of a small commit, in milliseconds.
fn fdatasync(data: &Path) -> Result<f64, Failure> {
    let mut file = std::fs::File::options().create(true).append(true).open(data.join("fdatasync"))?;
    file.write_all(&[1; 16 * 1024])?;
    let begun = Instant::now();
    file.sync_data()?;
    Ok(millis(begun))
}

/// Seconds of processor time of this process.
fn processor() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    Ok(fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS)
}

fn millis(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}

fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values
        .get((values.len() * percent / 100).min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
