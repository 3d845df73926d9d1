//! Every service, put together: what is served stands here, in one list.
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use acm::{Acm, Ca};
use cloudwatch::CloudWatch;
use codebuild::CodeBuild;
use codecommit::CodeCommit;
use codeconnections::CodeConnections;
use codepipeline::CodePipeline;
use ec2::Ec2;
use ecr::Ecr;
use ecs::Ecs;
use elb::Elb;
use engine::{Cidr, Doors, Engine, NetworkSpec, PullPolicy, Trust};
use engine_docker::Docker;
use events::Events;
use iam::Iam;
use kernel::images::HostRegistry;
use kernel::{Entropy, Face, Ops};
use logs::Logs;
use outside::Outside;
use route53::Route53;
use rustls::ServerConfig;
use s3::S3;
use snapshot::Hub;
use store::Store;
use wire::{Api, Auth};
use work::{Driver, Worker};

use super::config::Config;
use super::folder::{Folder, world_readable};
use super::{machine, tls, trust};
use crate::cli::Up;
use crate::env::Client;
use crate::exit::Exit;

/// The network of builds without a VPC, and of bridge-mode tasks.
const BUILDS: (&str, Ipv4Addr) = ("builds", Ipv4Addr::new(172, 30, 0, 0));
/// A deployment of what a build made has started its tasks by then.
const LINGER: Duration = Duration::from_secs(10);
/// What stands for AWS's curated build images, unless the configuration says otherwise: `images/build` makes it.
const CURATED: [&str; 2] = ["aws/codebuild/", "longshore/codebuild-standard:7.0"];

/// A control plane, ready to serve.
pub struct Plane {
    pub api: Arc<Api>,
    pub hub: Arc<Hub>,
    pub engine: Arc<dyn Engine>,
    pub store: Store,
    pub tls: Arc<ServerConfig>,
    pub entropy: Arc<dyn Entropy>,
    iam: Arc<Iam>,
    s3: Arc<S3>,
    codepipeline: Arc<CodePipeline>,
    driver: Driver,
    workers: Vec<Arc<dyn Worker>>,
}

impl Plane {
    /// Puts it together. Nothing runs yet.
    pub async fn compose(
        options: &Up,
        config: &Config,
        folder: &Folder,
        registry: &HostRegistry,
    ) -> Result<Arc<Self>, Exit> {
        let failed = |e: &dyn std::fmt::Display| Exit::failed(e.to_string());
        let (clock, entropy) = machine();
        let Folder { store, sealer, blobs, .. } = folder;
        let (c, e) = (|| clock.clone(), || entropy.clone());

        let ca = Arc::new(Ca::open(store, sealer, &*clock).await.map_err(|e| failed(&e))?);
        let trusted = trust::write(&folder.dir.join("trust"), ca.pem())
            .map_err(|e| Exit::data(format!("cannot write what containers trust: {e}")))?;
        let outside = Outside::new(&std::fs::read(&trusted.bundle).unwrap_or_default());
        let engine = docker(folder)?;
        let hub = Hub::new();

        let iam =
            Iam::new(iam::Deps { store: store.clone(), sealer: sealer.clone(), clock: c(), entropy: e() });
        let s3 = S3::new(store.clone(), blobs.clone(), c(), e());
        let logs = Logs::new(store.clone(), blobs.clone(), c(), e());
        let events = Events::new(events::Deps {
            store: store.clone(),
            sealer: sealer.clone(),
            outside: outside.clone(),
            clock: c(),
            entropy: e(),
        });
        let cloudwatch = CloudWatch::new(store.clone(), c(), e());
        let acm = Acm::new(acm::Deps {
            store: store.clone(),
            sealer: sealer.clone(),
            clock: c(),
            entropy: e(),
            ca: ca.clone(),
        });
        let ec2 = Ec2::new(store.clone(), engine.clone(), c(), e());
        let codecommit = CodeCommit::new(store.clone(), c(), e());
        let ecr = Ecr::new(store.clone(), blobs.clone(), sealer.clone(), c(), e());
        let elb = Elb::new(store.clone(), hub.clone(), balancer_range(&options.lb_cidr)?, c(), e());
        let route53 = Route53::new(store.clone(), hub.clone(), c(), e());
        let trust = Trust { bundle: trusted.bundle, java: Some(trusted.java) };
        let tasks = tasks(config, registry, trust.clone(), elb.doors())?;
        let ecs = Ecs::new(store.clone(), engine.clone(), c(), e(), tasks);
        let builds = builds(config, registry, trust, elb.doors())?;
        let codebuild = CodeBuild::new(store.clone(), engine.clone(), c(), e(), builds);
        let codepipeline = CodePipeline::new(codepipeline::Deps {
            store: store.clone(),
            sealer: sealer.clone(),
            clock: c(),
            entropy: e(),
            functions: config.lambda.functions()?,
        });
        let webhooks = codepipeline.webhooks();
        let poll = config.repository_poll_interval().map_err(Exit::configuration)?;
        let codeconnections = CodeConnections::new(store.clone(), sealer.clone(), c(), e(), poll);

        let mut ops = Ops::new(iam.clone());
        iam.register(&mut ops);
        s3.register(&mut ops);
        logs.register(&mut ops);
        events.register(&mut ops);
        cloudwatch.register(&mut ops);
        acm.register(&mut ops);
        ec2.register(&mut ops);
        codecommit.register(&mut ops);
        ecr.register(&mut ops);
        elb.register(&mut ops);
        route53.register(&mut ops);
        ecs.register(&mut ops);
        codebuild.register(&mut ops);
        codepipeline.register(&mut ops);
        webhooks.register(&mut ops);
        codeconnections.register(&mut ops);
        let ops = Arc::new(ops);

        let mut workers: Vec<Arc<dyn Worker>> = Vec::new();
        workers.push(Arc::new(store::Forget::new(store.clone(), c())));
        workers.extend(iam.workers());
        workers.extend(s3.workers());
        workers.extend(logs.workers());
        workers.extend(events.workers(&ops));
        workers.extend(cloudwatch.workers());
        workers.extend(acm.workers(&ops));
        workers.extend(codecommit.workers());
        workers.extend(ecr.workers());
        workers.extend(elb.workers(&ops, engine.networks()));
        workers.extend(route53.workers());
        workers.extend(ecs.workers(&ops, hub.reports()));
        workers.extend(codebuild.workers(&ops));
        workers.extend(codepipeline.workers(&ops));
        workers.push(codepipeline.post(&ops, config.topics()?, outside));
        workers.push(codepipeline.retention(&ops, config.pipeline_history.keep()?));
        workers.extend(codeconnections.workers());

        // The first that claims a request serves it; S3 takes what is left.
        let faces: Vec<Arc<dyn Face>> = vec![
            iam.face(),
            Arc::new(ecs.metadata()),
            codecommit.face(),
            Arc::new(ecr.face()),
            webhooks.face(),
            codeconnections.face(),
            s3.face(),
        ];
        let auth = Auth { authority: iam.clone(), clock: c() };
        let tls = tls::config(ca, c(), e()).map_err(|e| failed(&e))?;
        let driver = Driver::new(c(), work::Options::default());
        let api = Arc::new(Api { ops, faces, auth });
        Ok(Arc::new(Self {
            api,
            hub,
            engine,
            store: store.clone(),
            tls,
            entropy: e(),
            iam,
            s3,
            codepipeline,
            driver,
            workers,
        }))
    }

    /// Starts the background work: what was under way goes on.
    pub fn start_workers(&self) {
        self.workers.iter().for_each(|worker| self.driver.start(worker.clone()));
    }

    /// Ends the background work and closes the state. Tasks go on.
    pub async fn stop(&self) {
        self.codepipeline.stop();
        self.driver.stop().await;
        if let Err(error) = self.iam.save_uses().await {
            tracing::warn!(%error, "the last uses of access keys are not written");
        }
        self.store.close().await;
    }

    /// Leaves endpoint and root credentials for `longshore env`.
    pub async fn leave_client(&self, options: &Up, endpoint: SocketAddr) -> Result<(), Exit> {
        let key = self
            .iam
            .root_key(&options.account)
            .await
            .map_err(|e| Exit::failed(format!("the root user's key: {e}")))?;
        let client = Client {
            endpoint: format!("http://{endpoint}"),
            region: options.region.clone(),
            access_key_id: key.access_key_id,
            secret_access_key: key.secret_access_key,
        };
        client.save(&options.data).map_err(|e| Exit::data(format!("cannot write client.json: {e}")))
    }

    /// Names of all buckets.
    pub async fn buckets(&self) -> Vec<String> {
        self.s3.bucket_names().await.unwrap_or_else(|error| {
            tracing::error!(
                ?error,
                "buckets cannot be listed: their host names are not answered in containers"
            );
            Vec::new()
        })
    }
}

fn docker(folder: &Folder) -> Result<Arc<dyn Engine>, Exit> {
    let program = program()?;
    let options = engine_docker::Options::new(&folder.owner, folder.dir.join("engine"), program);
    let docker =
        Docker::start(options).map_err(|e| Exit::data(format!("cannot prepare the engine's folder: {e}")))?;
    Ok(Arc::new(docker))
}

/// This very program: it holds namespaces and runs builds inside containers.
fn program() -> Result<std::path::PathBuf, Exit> {
    let program = std::env::current_exe()
        .map_err(|e| Exit::failed(format!("cannot find this program's own file: {e}")))?;
    drop(world_readable(&program));
    Ok(program)
}

fn builds(
    config: &Config,
    registry: &HostRegistry,
    trust: Trust,
    doors: Doors,
) -> Result<codebuild::Config, Exit> {
    Ok(codebuild::Config {
        agent: program()?,
        network: NetworkSpec { name: BUILDS.0.into(), wanted: Cidr::of(BUILDS.1, 16) },
        images: config.build_images.clone().into_iter().chain([CURATED.map(str::to_owned).into()]).collect(),
        registry: registry.clone(),
        trust: Some(trust),
        doors,
        linger: LINGER,
    })
}

fn tasks(config: &Config, registry: &HostRegistry, trust: Trust, doors: Doors) -> Result<ecs::Options, Exit> {
    let bridge = NetworkSpec { name: BUILDS.0.into(), wanted: Cidr::of(BUILDS.1, 16) };
    let mut tasks = ecs::Options::new(registry.clone(), bridge, doors);
    tasks.trust = Some(trust);
    if !registry.is_local() {
        tasks.ports = Ipv4Addr::UNSPECIFIED;
    }
    tasks.registry.pull = match config.image_pull_behavior.as_deref() {
        None | Some("default") => PullPolicy::Default,
        Some("always") => PullPolicy::Always,
        Some("once") => PullPolicy::Once,
        Some("prefer-cached") => PullPolicy::PreferCached,
        Some(other) => {
            return Err(Exit::configuration(format!(
                "image-pull-behavior '{other}' is not one of default, always, once, prefer-cached"
            )));
        }
    };
    Ok(tasks)
}

/// The range out of which load balancers get their addresses.
fn balancer_range(text: &str) -> Result<elb::Range, Exit> {
    let wrong = || {
        Exit::configuration(format!(
            "--lb-cidr '{text}' is no range of loopback addresses such as 127.42.0.0/16, of 8 to 30 bits"
        ))
    };
    let range: Cidr = text.parse().map_err(|_| wrong())?;
    if !(8..=30).contains(&range.prefix()) {
        return Err(wrong());
    }
    Ok(elb::Range { network: range.first(), bits: range.prefix() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    /// Shapes that are generated for what comes next; a call answers `NotImplemented` and names the operation.
    const NOT_YET: &str = include_str!("not_yet.txt");

    /// What the models describe and what is served must not drift apart unseen.
    #[tokio::test]
    async fn every_generated_operation_is_served_or_listed_as_not_yet() {
        let dir = std::env::temp_dir().join(format!("longshore-compose-{}", std::process::id()));
        let data = dir.to_string_lossy().into_owned();
        let Command::Up(options) = Cli::parse_from(["longshore", "up", "--data", &data]).command else {
            panic!("up")
        };
        let folder = Folder::open(&options.data).await.unwrap_or_else(|_| panic!("a folder"));
        let plane = Plane::compose(
            &options,
            &Config::default(),
            &folder,
            &HostRegistry::new(options.listen, Vec::new()),
        )
        .await
        .unwrap_or_else(|_| panic!("a plane"));
        let served: BTreeSet<String> =
            plane.api.ops.served().map(|(service, name)| format!("{service}.{name}")).collect();
        let allow: serde_json::Value =
            serde_json::from_str(include_str!("../../../models/allow.json")).unwrap_or_default();
        let mut wanted = BTreeSet::new();
        for service in api::SERVICES {
            match allow[service.name].as_array() {
                Some(names) => wanted
                    .extend(names.iter().filter_map(|n| Some(format!("{}.{}", service.name, n.as_str()?)))),
                None => {
                    wanted.extend(service.operations.iter().map(|name| format!("{}.{name}", service.name)))
                }
            }
        }
        let listed: BTreeSet<String> =
            NOT_YET.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        let missing: BTreeSet<String> = wanted.difference(&served).cloned().collect();
        assert_eq!(missing, listed);
        drop(plane);
        drop(std::fs::remove_dir_all(dir));
    }
}
