//! The task metadata endpoint, version 4: what a container may read of its own task.
use std::sync::Arc;

use engine::gateway::CREDENTIALS_PORT;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use kernel::face::{full, plain};
use kernel::{Body, Door, Face, Fut};
use serde_json::{Map, Value, json};
use store::Row;

use crate::Ecs;
use crate::error::Result;
use crate::names::Scope;
use crate::records::{Container, Task};

/// The face; the caller is known by its address.
pub struct Metadata(pub(crate) Arc<Ecs>);

impl Face for Metadata {
    fn claims(&self, head: &Parts, door: &Door) -> bool {
        let path = head.uri.path();
        door.local.port() == CREDENTIALS_PORT && (path.starts_with("/v4/") || path.starts_with("/v3/"))
    }

    fn serve<'a>(&'a self, door: Door, request: Request<Body>) -> Fut<'a, Response<Body>> {
        Box::pin(async move {
            match self.answer(&door, request.uri().path()).await {
                Ok(Some(body)) => {
                    let mut response = Response::new(full(body.to_string()));
                    let json = http::HeaderValue::from_static("application/json");
                    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
                    response
                }
                Ok(None) => plain(StatusCode::NOT_FOUND, "There is no such metadata."),
                Err(error) => {
                    tracing::warn!(%error, "task metadata could not be read");
                    plain(StatusCode::INTERNAL_SERVER_ERROR, "The task's metadata could not be read.")
                }
            }
        })
    }
}

impl Metadata {
    async fn answer(&self, door: &Door, path: &str) -> Result<Option<Value>> {
        let mut parts = path.trim_matches('/').split('/').skip(1);
        let id = parts.next().unwrap_or_default();
        let rest: Vec<&str> = parts.collect();
        let live = self.0.live().await?;
        let from_here =
            |row: &&Row<Task>| row.value.place.as_ref().is_some_and(|place| place.address == door.peer.ip());
        let Some(row) =
            live.iter().filter(from_here).find(|row| row.value.containers.iter().any(|c| c.id == id))
        else {
            return Ok(None);
        };
        let (scope, task) = (Scope::of_key(&row.key), &row.value);
        let own = task.containers.iter().find(|c| c.id == id);
        Ok(match rest[..] {
            [] => own.map(|c| container(&scope, task, c)),
            ["task"] => Some(self::task(&scope, task, false)),
            ["taskWithTags"] => Some(self::task(&scope, task, true)),
            // Nothing is measured: an empty answer is what the agent gives before its first measurement.
            ["stats"] => Some(Value::Null),
            ["task", "stats"] => Some(json!({})),
            _ => None,
        })
    }
}

fn container(scope: &Scope, task: &Task, c: &Container) -> Value {
    let mut networks = Map::new();
    if let Some(place) = &task.place {
        let mode = if place.interface.is_some() { "awsvpc" } else { "bridge" };
        networks.insert("NetworkMode".into(), json!(mode));
        networks.insert("IPv4Addresses".into(), json!([place.address]));
        if let Some(interface) = &place.interface {
            networks.insert("MACAddress".into(), json!(interface.mac));
            networks.insert("PrivateDNSName".into(), json!(interface.dns_name));
        }
    }
    json!({
        "DockerId": c.runtime,
        "Name": c.name,
        "DockerName": c.name,
        "Image": c.image,
        "ImageID": c.digest,
        "Labels": {
            "com.amazonaws.ecs.cluster": scope.cluster(&task.cluster),
            "com.amazonaws.ecs.container-name": c.name,
            "com.amazonaws.ecs.task-arn": scope.task(&task.cluster, &task.id),
            "com.amazonaws.ecs.task-definition-family": task.family,
            "com.amazonaws.ecs.task-definition-version": task.revision.to_string(),
        },
        "DesiredStatus": task.desired(),
        "KnownStatus": c.status,
        "ExitCode": c.exit_code,
        "CreatedAt": task.created.to_string(),
        "StartedAt": c.started.map(|at| at.to_string()),
        "Type": "NORMAL",
        "ContainerARN": scope.arn(format!("container/{}/{}/{}", task.cluster, task.id, c.id)),
        "Networks": [networks],
    })
}

fn task(scope: &Scope, task: &Task, tags: bool) -> Value {
    let containers: Vec<Value> = task.containers.iter().map(|c| container(scope, task, c)).collect();
    let mut value = json!({
        "Cluster": scope.cluster(&task.cluster),
        "TaskARN": scope.task(&task.cluster, &task.id),
        "Family": task.family,
        "Revision": task.revision.to_string(),
        "DesiredStatus": task.desired(),
        "KnownStatus": task.status.word(),
        "PullStartedAt": task.pull_started.map(|at| at.to_string()),
        "PullStoppedAt": task.pull_stopped.map(|at| at.to_string()),
        "AvailabilityZone": task.place.as_ref().and_then(|p| p.interface.as_ref()).map(|i| i.zone.clone()),
        "LaunchType": task.launch_type,
        "Containers": containers,
    });
    if let (true, Some(object)) = (tags, value.as_object_mut()) {
        object.insert("TaskTags".into(), json!(task.tags));
    }
    value
}
