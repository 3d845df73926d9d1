//! The container of a build: started while the sources are fetched, then given its plan.
//!
//! Every step may have been done by a process that died: the engine adopts a task of the same id, a grant of the same
//! id keeps its URI, sources are fetched again until the plan is there, and the plan is written once.
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use engine::{Auth, Container, ImageSource, Mount, PullPolicy, TaskSpec};
use kernel::{Cx, Grant};
use store::Row;

use super::drive::{Drive, End, Failure};
use super::network::Stand;
use super::volume::{IN, OUT, PLAN};
use super::{environment, logs, sources};
use crate::agent::journal::Context;
use crate::records::{BuildRow, Stage};
use crate::{names, phases};

/// The container's name in its task.
pub const CONTAINER: &str = "build";
const BINARY: &str = "/longshore/bin/longshore";

impl Drive {
    /// Until the agent has its plan.
    pub async fn provision(&self, mut row: Row<BuildRow>) -> Result<(), Failure> {
        let started = self.service.clock.now();
        if row.value.run.stop {
            return self.finish(row, End::new("STOPPED", started)).await;
        }
        if started >= row.value.run.deadline {
            return self.finish(row, End::new("TIMED_OUT", started)).await;
        }
        phases::close(&mut row.value.build, "QUEUED", "SUCCEEDED", Vec::new(), started);
        phases::open(&mut row.value.build, "PROVISIONING", started);
        let left = Duration::try_from(row.value.run.deadline.duration_since(started)).unwrap_or_default();
        let outcome = tokio::select! {
            outcome = self.provisioned(&mut row) => outcome?,
            // Whoever provides the image may be silent for ever.
            () = tokio::time::sleep(left) => Err(Refused::timed_out()),
            // Look at the row again: a pull may take longer than anybody who asks for a stop would wait.
            () = self.wake.notified() => return Err(Failure::Conflict),
        };
        let now = self.service.clock.now();
        let build = &mut row.value.build;
        match outcome {
            Ok(()) => {
                phases::close(build, "PROVISIONING", "SUCCEEDED", Vec::new(), now);
                phases::open(build, "DOWNLOAD_SOURCE", now);
                row.value.run.stage = Stage::Follow;
                let batch = self.told(&row, ["QUEUED", "PROVISIONING"].into_iter());
                self.commit(batch.update(&row)).await
            }
            Err(Refused { phase, status, context }) => {
                if phase == "DOWNLOAD_SOURCE" {
                    phases::close(build, "PROVISIONING", "SUCCEEDED", Vec::new(), now);
                    phases::open(build, phase, now);
                }
                phases::close(build, phase, status, vec![context], now);
                self.finish(row, End::new(status, now)).await
            }
        }
    }

    async fn provisioned(&self, row: &mut Row<BuildRow>) -> Result<Result<(), Refused>, Failure> {
        let cx = match self.role_cx(&row.value).await {
            Ok(cx) => cx,
            Err(fault) => {
                let role = row.value.build.service_role.clone().unwrap_or_default();
                let message = format!(
                    "CodeBuild is not authorized to perform: sts:AssumeRole on service role {role}. Please verify that the role exists and trusts {}. {}",
                    names::taker(&row.value.run),
                    fault.message
                );
                return Ok(Err(Refused::failed("PROVISIONING", Context::new("ACCESS_DENIED", message))));
            }
        };
        if let Err(context) = logs::create(&cx, &row.value.build).await {
            return Ok(Err(Refused::failed("PROVISIONING", context)));
        }
        self.volume.create().map_err(Failure::io)?;
        let stand = match self.in_vpc(&cx, &row.value).await? {
            Ok(stand) => stand,
            Err(context) => return Ok(Err(Refused::failed("PROVISIONING", context))),
        };
        let running = self.run_task(&cx, &row.value, stand);
        let (running, fetched) = tokio::join!(running, self.fetch(&cx, &row.value));
        let address = match running {
            Ok(address) => address,
            Err(error) => return Ok(Err(engine_refused(&error))),
        };
        match fetched {
            Err(context) => return Ok(Err(Refused::failed("DOWNLOAD_SOURCE", context))),
            Ok(Some(commit)) => row.value.build.resolved_source_version = Some(commit),
            Ok(None) => {}
        }
        // Nobody asks for credentials before there is a plan.
        let uri = self.grant(&row.value, address).await?;
        if !self.volume.has_plan() {
            let plan = environment::plan(&row.value, &self.region, &uri, self.service.config.trust.as_ref());
            self.volume.put_plan(&plan).map_err(Failure::io)?;
        }
        Ok(Ok(()))
    }

    async fn fetch(&self, cx: &Cx, row: &BuildRow) -> Result<Option<String>, Context> {
        if self.volume.has_plan() { Ok(None) } else { sources::fetch(cx, row, &self.volume.input()).await }
    }

    /// Lets the container at `address` have the role's credentials.
    async fn grant(&self, row: &BuildRow, address: Ipv4Addr) -> Result<String, Failure> {
        let grant = Grant {
            service: names::taker(&row.run),
            through: row.run.action.as_ref().and_then(|action| action.through.clone()),
            role_arn: row.build.service_role.clone().unwrap_or_default(),
            session: names::session(&self.id),
            address: IpAddr::V4(address),
        };
        Ok(self.cx.authority().grant(&names::task(&self.id), grant).await?)
    }

    async fn run_task(&self, cx: &Cx, row: &BuildRow, stand: Option<Stand>) -> engine::Result<Ipv4Addr> {
        let engine = &self.service.engine;
        let Stand { attachment, rules } = match stand {
            Some(stand) => stand,
            None => self.apart().await?,
        };
        let image = self.image(cx, row).await?;
        let labels = [
            ("kind", "build"),
            ("account", cx.account()),
            ("region", &self.region),
            ("build", &self.id.to_string()),
        ];
        let spec = TaskSpec {
            id: names::task(&self.id).parse()?,
            labels: labels.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            network: Some(attachment),
            rules,
            containers: vec![self.container(image, row)],
            limits: engine::Limits::default(),
        };
        let task = engine.run(spec).await?;
        Ok(task.network.map_or(Ipv4Addr::UNSPECIFIED, |(_, address)| address))
    }

    fn container(&self, image: ImageSource, row: &BuildRow) -> Container {
        let config = &self.service.config;
        let mount = |source: &std::path::Path, target: &str, read_only| Mount {
            source: engine::Source::Host(source.to_owned()),
            target: target.to_owned(),
            read_only,
        };
        let mut mounts = vec![
            mount(&config.agent, BINARY, true),
            mount(&self.volume.input(), IN, true),
            mount(&self.volume.output(), OUT, false),
        ];
        mounts.extend(config.trust.iter().flat_map(engine::Trust::mounts));
        let command =
            [BINARY, "agent", "--plan"].map(str::to_owned).into_iter().chain([format!("{IN}/{PLAN}")]);
        Container {
            entrypoint: Some(command.collect()),
            command: Some(Vec::new()),
            user: Some("0".into()),
            workdir: Some("/".into()),
            mounts,
            privileged: row.project.environment.as_ref().and_then(|e| e.privileged_mode).unwrap_or(false),
            stop_timeout: Duration::from_secs(crate::limits::STOP_GRACE),
            ..Container::new(CONTAINER, image)
        }
    }

    /// The environment's image as the engine gets it: curated ones are the engine's own where it has them, this account's registry is
    /// ours.
    async fn image(&self, cx: &Cx, row: &BuildRow) -> engine::Result<ImageSource> {
        let config = &self.service.config;
        let name = row.project.environment.as_ref().map(|e| e.image.as_str()).unwrap_or_default();
        if let Some(reference) = curated(&config.images, name) {
            return Ok(ImageSource { pull: PullPolicy::PreferCached, ..ImageSource::new(reference) });
        }
        let Some(ours) = config.registry.resolve(name, cx.account(), &self.region) else {
            return Ok(ImageSource::new(name));
        };
        let denied = |reason: String| engine::Error::PullDenied { reference: name.to_owned(), reason };
        let credentials = api::registry::credentials(cx).await;
        let (username, password) = credentials.map_err(|fault| denied(fault.to_string()))?;
        let auth = Some(Auth { username, password });
        Ok(ImageSource { auth, ..ImageSource::new(ours) })
    }
}

/// The image that stands for `name`, if one does. Of two entries that are alike the earlier one decides.
fn curated<'a>(images: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let fits = images.iter().rev().filter(|(prefix, _)| name.starts_with(prefix.as_str()));
    fits.max_by_key(|(prefix, _)| prefix.len()).map(|(_, image)| image.as_str())
}

struct Refused {
    phase: &'static str,
    status: &'static str,
    context: Context,
}

impl Refused {
    fn failed(phase: &'static str, context: Context) -> Self {
        Self { phase, status: "FAILED", context }
    }

    fn timed_out() -> Self {
        let context = Context::new("BUILD_TIMED_OUT", "Build has timed out. ");
        Self { phase: "PROVISIONING", status: "TIMED_OUT", context }
    }
}

fn engine_refused(error: &engine::Error) -> Refused {
    let (status, code, message) = match error {
        engine::Error::NoImage { .. } | engine::Error::PullDenied { .. } | engine::Error::Pull { .. } => (
            "FAILED",
            "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE",
            format!("Unable to pull customer's container image. Error cause: {error}"),
        ),
        engine::Error::Unreachable(_) => {
            ("FAULT", "INTERNAL_SERVICE_ERROR", format!("The build needs a container engine, and {error}"))
        }
        _ => (
            "FAULT",
            "INTERNAL_SERVICE_ERROR",
            format!("The build's container could not be started: {error}"),
        ),
    };
    Refused { phase: "PROVISIONING", status, context: Context::new(code, message) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn of_the_names_that_fit_the_longest_decides() {
        let entries = [
            ("aws/codebuild/", "mine"),
            ("aws/codebuild/standard:", "any"),
            ("aws/codebuild/standard:7.0", "seven"),
            ("aws/codebuild/", "ours"),
        ];
        let images = entries.map(|(prefix, image)| (prefix.to_owned(), image.to_owned()));
        for (name, image) in [
            ("aws/codebuild/standard:7.0", Some("seven")),
            ("aws/codebuild/standard:6.0", Some("any")),
            ("aws/codebuild/amazonlinux-x86_64-standard:5.0", Some("mine")),
            ("debian:12", None),
        ] {
            assert_eq!(super::curated(&images, name), image, "{name}");
        }
    }
}
