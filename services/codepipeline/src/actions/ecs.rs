//! Deploy ECS: the images of `imagedefinitions.json` in a copy of the service's task definition, rolled out.
use api::ecs::{
    ContainerDefinition, DescribeServices, DescribeTaskDefinition, RegisterTaskDefinition, Service,
    TaskDefinition, UpdateService,
};
use kernel::{Fault, Fut};
use serde::{Deserialize, Serialize};

use super::{Action, Failed, zipped};
use crate::catalog::{ActionType, Carrier, Form, anything, optional, required};
use crate::engine::{Output, Progress};
use crate::job::Job;
use crate::limits;

/// The type.
pub static TYPE: ActionType = ActionType {
    category: "Deploy",
    provider: "ECS",
    inputs: 1..=1,
    outputs: 0..=0,
    timeout: 60,
    timeout_key: Some("DeploymentTimeout"),
    properties: &[
        required("ClusterName", Form::Text),
        required("ServiceName", Form::Text),
        optional("FileName", Form::Text),
        optional("DeploymentTimeout", Form::Whole(1, 60)),
    ],
    check: anything,
    carrier: Carrier::Provider(&Ecs),
};

struct Ecs;

impl Action for Ecs {
    fn run<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Output, Failed>> {
        Box::pin(run(job))
    }
}

/// An entry of `imagedefinitions.json`.
#[derive(Deserialize)]
struct Image {
    name: String,
    #[serde(rename = "imageUri")]
    uri: String,
}

/// What the action remembers over a restart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Checkpoint {
    /// The task definition that the service had at first.
    base: String,
    /// The copy with the new images, once it is registered.
    registered: Option<String>,
}

async fn run(job: &Job) -> Result<Output, Failed> {
    let mut events = job.listen();
    let service = look(job).await?;
    let left: Option<Checkpoint> =
        job.left().checkpoint.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let resumed = left.is_some();
    let mut point = match left {
        Some(point) => point,
        None => {
            let base = service.task_definition.clone().unwrap_or_default();
            let point = Checkpoint { base, registered: None };
            remember(job, &point, None).await?;
            point
        }
    };
    let wanted = match &point.registered {
        Some(wanted) => wanted.clone(),
        None => {
            let wanted = register(job, &point.base, resumed).await?;
            point.registered = Some(wanted.clone());
            remember(job, &point, Some(format!("Rolling out {}", short(&wanted)))).await?;
            wanted
        }
    };
    if service.task_definition.as_deref() != Some(&wanted) {
        let update = UpdateService {
            cluster: Some(job.need("ClusterName")?.into()),
            service: job.need("ServiceName")?.into(),
            task_definition: Some(wanted.clone()),
            ..UpdateService::default()
        };
        job.cx.call(update).await?;
    }
    loop {
        if let Some(progress) = rolled_out(&look(job).await?, &wanted)? {
            return Ok(Output { progress, ..Output::default() });
        }
        events.next(|event| event.source == "aws.ecs").await;
    }
}

async fn remember(job: &Job, point: &Checkpoint, summary: Option<String>) -> Result<(), Failed> {
    let checkpoint = serde_json::to_string(point).map_err(|error| Failed::from(Fault::internal(error)))?;
    job.progress(Progress { checkpoint: Some(checkpoint), summary, ..Progress::default() }).await
}

/// The service as it is now.
async fn look(job: &Job) -> Result<Service, Failed> {
    let (cluster, name) = (job.need("ClusterName")?, job.need("ServiceName")?);
    let describe =
        DescribeServices { cluster: Some(cluster.into()), services: vec![name.into()], include: None };
    let found = job.cx.call(describe).await?.services.and_then(|services| services.into_iter().next());
    let active = found.filter(|service| service.status.as_deref() == Some("ACTIVE"));
    active.ok_or_else(|| {
        let message = format!("The cluster '{cluster}' has no active service named '{name}'");
        Failed::new("ConfigurationError", message)
    })
}

/// Registers the copy. A run that goes on after a restart may have done it just before: it takes the family's latest
/// if that is just what it would register.
async fn register(job: &Job, base: &str, resumed: bool) -> Result<String, Failed> {
    let images = images(job).await?;
    let base = definition(job, base).await?;
    let copy = copied(&base, &images)?;
    if resumed {
        let latest = definition(job, &copy.family).await?;
        if latest.revision > base.revision && copied(&latest, &[])? == copy {
            return arn(latest);
        }
    }
    arn(job.cx.call(copy).await?.task_definition.unwrap_or_default())
}

async fn definition(job: &Job, name: &str) -> Result<TaskDefinition, Failed> {
    let describe = DescribeTaskDefinition { task_definition: name.into(), include: None };
    let found = job.cx.call(describe).await?.task_definition;
    found.ok_or_else(|| {
        Failed::new("ConfigurationError", format!("The task definition {name} does not exist"))
    })
}

fn arn(definition: TaskDefinition) -> Result<String, Failed> {
    let missing = || Failed::from(Fault::internal("ECS answered a task definition without its ARN"));
    definition.task_definition_arn.ok_or_else(missing)
}

async fn images(job: &Job) -> Result<Vec<Image>, Failed> {
    let name =
        job.get("FileName").filter(|name| !name.is_empty()).unwrap_or("imagedefinitions.json").to_owned();
    let (_, artifact) = job.input()?;
    let file = job.fetch(artifact, limits::SOURCE_S3).await?.into_std().await;
    let wanted = name.clone();
    let read =
        tokio::task::spawn_blocking(move || zipped::read(file, &wanted, limits::IMAGE_DEFINITIONS)).await;
    let content = read.map_err(|error| Failed::from(Fault::internal(error)))??;
    let images: Vec<Image> = serde_json::from_slice(&content).map_err(|error| {
        let expected = "a JSON array of {\"name\": container, \"imageUri\": image} objects";
        Failed::new("ConfigurationError", format!("{name} is not {expected}: {error}"))
    })?;
    if images.is_empty() {
        return Err(Failed::new("ConfigurationError", format!("{name} names no image")));
    }
    Ok(images)
}

/// What registers a definition anew, with these images. By way of JSON, so that no member is forgotten: those that
/// only a registered definition has are not read.
fn copied(base: &TaskDefinition, images: &[Image]) -> Result<RegisterTaskDefinition, Failed> {
    let mut copy: RegisterTaskDefinition = kernel::json::from_value(&kernel::json::to_value(base))?;
    for image in images {
        let named = |container: &&mut ContainerDefinition| container.name.as_deref() == Some(&image.name);
        let Some(container) = copy.container_definitions.iter_mut().find(named) else {
            let base = base.task_definition_arn.as_deref().map(short).unwrap_or_default();
            let message = format!(
                "The image definition names container '{}', which task definition {base} lacks",
                image.name
            );
            return Err(Failed::new("ConfigurationError", message));
        };
        container.image = Some(image.uri.clone());
    }
    Ok(copy)
}

/// Whether the service runs the definition and nothing else, or why it never will.
fn rolled_out(service: &Service, wanted: &str) -> Result<Option<Progress>, Failed> {
    let deployments = service.deployments.as_deref().unwrap_or_default();
    let Some(primary) = deployments.iter().find(|d| d.status.as_deref() == Some("PRIMARY")) else {
        return Ok(None);
    };
    let progress = Progress { external_id: primary.id.clone(), ..Progress::default() };
    if primary.task_definition.as_deref() != Some(wanted) {
        let other = primary.task_definition.as_deref().map(short).unwrap_or_default();
        let message = format!("Another deployment, of {other}, replaced the one of {}", short(wanted));
        return Err(Failed::new("JobFailed", message).showing(progress));
    }
    let settled = deployments.len() == 1 && primary.running_count == primary.desired_count;
    match primary.rollout_state.as_deref() {
        Some("COMPLETED") => Ok(Some(progress)),
        Some("FAILED") => {
            let reason =
                primary.rollout_state_reason.clone().unwrap_or_else(|| "The deployment failed".into());
            Err(Failed::new("JobFailed", reason).showing(progress))
        }
        Some(_) => Ok(None),
        None => Ok(settled.then_some(progress)),
    }
}

/// `family:revision` of a task definition's ARN.
fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
