//! What Docker says of containers, as a task.
use std::net::{IpAddr, SocketAddr};

use bollard::models::{
    ContainerInspectResponse as Found, ContainerState as DockerState, ContainerStateStatusEnum as Status,
    HealthStatusEnum, PortMap,
};
use bollard::query_parameters::ListContainersOptionsBuilder;
use engine::{ContainerState, ContainerStatus, Error, Health, Result, Task, TaskId, TaskState};
use futures::stream::{self, StreamExt, TryStreamExt};
use kernel::Timestamp;

use crate::Inner;
use crate::client::{code, error};
use crate::names::{CONTAINER, DEPTH, IMAGE, LABELS, NETWORK, PLACE, TASK};

/// Containers asked about at a time.
const TOGETHER: usize = 16;

/// The containers of one task.
pub(crate) struct Parts {
    pub(crate) id: TaskId,
    found: Vec<Found>,
}

impl Inner {
    /// All containers of a task, the pause among them. Errors: no such task.
    pub(crate) async fn parts(&self, id: &TaskId) -> Result<Parts> {
        let mut all = self.all_parts(Some(id)).await?;
        all.pop().ok_or_else(|| Error::NoTask(id.clone()))
    }

    pub(crate) async fn all_parts(&self, id: Option<&TaskId>) -> Result<Vec<Parts>> {
        let client = self.client.get().await?;
        let options = ListContainersOptionsBuilder::new().all(true).filters(&self.names.filter(id)).build();
        let listed = client.list_containers(Some(options)).await.map_err(error)?;
        let ids = listed.into_iter().filter_map(|summary| summary.id);
        let inspect = async |id: String| match client.inspect_container(&id, None).await {
            // Removed since it was listed.
            Err(e) if code(&e) == Some(404) => Ok(None),
            other => other.map(Some).map_err(error),
        };
        let found: Vec<Found> = stream::iter(ids.map(inspect))
            .buffered(TOGETHER)
            .try_filter_map(async |f| Ok(f))
            .try_collect()
            .await?;
        Ok(group(found))
    }

    pub(crate) async fn task(&self, id: &TaskId) -> Result<Task> {
        Ok(self.parts(id).await?.task())
    }

    pub(crate) async fn tasks(&self) -> Result<Vec<Task>> {
        Ok(self.all_parts(None).await?.iter().map(Parts::task).collect())
    }
}

fn group(found: Vec<Found>) -> Vec<Parts> {
    let mut parts: Vec<Parts> = Vec::new();
    for container in found {
        let Some(Ok(id)) = label(&container, TASK).map(str::parse::<TaskId>) else { continue };
        match parts.iter_mut().find(|part| part.id == id) {
            Some(part) => part.found.push(container),
            None => parts.push(Parts { id, found: vec![container] }),
        }
    }
    for part in &mut parts {
        let place = |c: &Found| label(c, PLACE).and_then(|place| place.parse::<u32>().ok());
        part.found.sort_by_key(place);
    }
    parts
}

impl Parts {
    /// The container that holds the namespace.
    pub(crate) fn pause(&self) -> Option<&Found> {
        self.found.iter().find(|c| label(c, LABELS).is_some())
    }

    /// The task's own containers, in its order.
    pub(crate) fn containers(&self) -> impl Iterator<Item = (&str, &Found)> {
        self.found.iter().filter_map(|c| Some((label(c, CONTAINER)?, c)))
    }

    pub(crate) fn container(&self, name: &str) -> Option<&Found> {
        self.containers().find(|(other, _)| *other == name).map(|(_, found)| found)
    }

    /// Everything, helpers too.
    pub(crate) fn all(&self) -> &[Found] {
        &self.found
    }

    pub(crate) fn task(&self) -> Task {
        let pause = self.pause();
        let labels = pause.and_then(|p| serde_json::from_str(label(p, LABELS)?).ok()).unwrap_or_default();
        let created = pause.or(self.found.first()).and_then(|c| c.created.as_deref()).and_then(time);
        Task {
            id: self.id.clone(),
            labels,
            network: pause.and_then(network),
            published: pause.map(published).unwrap_or_default(),
            state: self.state(),
            containers: self.containers().map(|(name, found)| read(name, found)).collect(),
            created_at: created.unwrap_or_default(),
        }
    }

    /// Whether the namespace lives and is the one that the containers joined: a pause that was made anew or started
    /// again has a namespace without rules, while the containers keep the old one.
    fn state(&self) -> TaskState {
        let stopped = |reason: &str| TaskState::Stopped { reason: reason.into() };
        let Some(pause) = self.pause() else {
            return stopped("the container of its network namespace is gone");
        };
        if never_started(pause) {
            return TaskState::Starting;
        }
        if !running(pause) {
            return stopped("its network namespace has ended");
        }
        let (since, joined) = (started(pause), format!("container:{}", id_of(pause)));
        let strays = |(_, c): (&str, &Found)| {
            let mode = c.host_config.as_ref().and_then(|config| config.network_mode.as_deref());
            mode != Some(joined.as_str()) || started(c).is_some_and(|at| Some(at) < since)
        };
        if self.containers().any(strays) {
            return stopped("its network namespace was made anew while its containers kept the old one");
        }
        TaskState::Running
    }
}

pub(crate) fn label<'a>(container: &'a Found, name: &str) -> Option<&'a str> {
    Some(container.config.as_ref()?.labels.as_ref()?.get(name)?.as_str())
}

pub(crate) fn id_of(container: &Found) -> &str {
    container.id.as_deref().unwrap_or_default()
}

pub(crate) fn depth(container: &Found) -> u32 {
    label(container, DEPTH).and_then(|depth| depth.parse().ok()).unwrap_or(0)
}

fn state(container: &Found) -> Option<&DockerState> {
    container.state.as_ref()
}

pub(crate) fn running(container: &Found) -> bool {
    // A paused container is alive: somebody froze it by hand.
    state(container).is_some_and(|s| matches!(s.status, Some(Status::RUNNING | Status::PAUSED)))
}

pub(crate) fn never_started(container: &Found) -> bool {
    let failed = |s: &DockerState| s.error.as_ref().is_some_and(|e| !e.is_empty());
    state(container).is_some_and(|s| s.status == Some(Status::CREATED) && !failed(s))
}

pub(crate) fn exit_code(container: &Found) -> Option<i64> {
    state(container).filter(|_| !running(container))?.exit_code
}

fn started(container: &Found) -> Option<Timestamp> {
    time(state(container)?.started_at.as_deref()?)
}

/// Docker writes year 1 for "not yet".
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|at: &Timestamp| at.as_second() > 0)
}

fn read(name: &str, found: &Found) -> ContainerStatus {
    let at = |text: Option<&String>| text.and_then(|text| time(text));
    let state = state(found);
    ContainerStatus {
        name: name.to_owned(),
        id: id_of(found).to_owned(),
        image: label(found, IMAGE).unwrap_or_default().to_owned(),
        image_id: found.image.clone().unwrap_or_default(),
        state: life(found),
        health: state.map(health).unwrap_or_default(),
        started_at: at(state.and_then(|s| s.started_at.as_ref())),
        finished_at: at(state.and_then(|s| s.finished_at.as_ref())),
    }
}

fn life(found: &Found) -> ContainerState {
    if running(found) {
        return ContainerState::Running;
    }
    if never_started(found) {
        return ContainerState::Created;
    }
    let state = state(found);
    ContainerState::Exited {
        code: state.and_then(|s| s.exit_code).unwrap_or(-1),
        out_of_memory: state.and_then(|s| s.oom_killed).unwrap_or(false),
        error: state.and_then(|s| s.error.clone()).filter(|e| !e.is_empty()),
    }
}

fn health(state: &DockerState) -> Health {
    match state.health.as_ref().and_then(|health| health.status) {
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => Health::None,
    }
}

/// The address it has, or (not yet started, or stopped) the one it was given.
fn network(pause: &Found) -> Option<(String, std::net::Ipv4Addr)> {
    let name = label(pause, NETWORK)?;
    let endpoint = pause.network_settings.as_ref()?.networks.as_ref()?.values().next()?;
    let live = endpoint.ip_address.as_ref().and_then(|ip| ip.parse().ok());
    let given = || endpoint.ipam_config.as_ref()?.ipv4_address.as_ref()?.parse().ok();
    Some((name.to_owned(), live.or_else(given)?))
}

fn published(pause: &Found) -> Vec<(u16, String, SocketAddr)> {
    let none = PortMap::new();
    let ports = pause.network_settings.as_ref().and_then(|s| s.ports.as_ref()).unwrap_or(&none);
    let mut published = Vec::new();
    for (port, bindings) in ports {
        let Some((number, protocol)) = port.split_once('/') else { continue };
        let Ok(number) = number.parse() else { continue };
        for binding in bindings.iter().flatten() {
            let address = binding.host_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
            let port = binding.host_port.as_deref().and_then(|port| port.parse().ok());
            if let (Some(address), Some(port)) = (address.filter(IpAddr::is_ipv4), port) {
                published.push((number, protocol.to_owned(), SocketAddr::new(address, port)));
            }
        }
    }
    published.sort();
    published
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: &str = r#"{"Id":"p","Created":"2026-11-23T10:00:00.5Z","State":{"Status":"running","Pid":7,
        "StartedAt":"2026-11-23T10:00:01Z"},"Config":{"Labels":{"longshore.task":"t","longshore.labels":"{\"a\":\"b\"}"}}}"#;

    fn task(pause: &str, app: &str) -> Task {
        let found = [app, pause].map(|json| serde_json::from_str(json).unwrap());
        group(found.into()).pop().unwrap().task()
    }

    fn app(mode: &str, state: &str) -> String {
        format!(
            r#"{{"Id":"a","Image":"sha256:1","State":{state},"HostConfig":{{"NetworkMode":"container:{mode}"}},
            "Config":{{"Image":"i","Labels":{{"longshore.task":"t","longshore.container":"app","longshore.place":"0"}}}}}}"#
        )
    }

    #[test]
    fn a_task_lives_as_long_as_the_namespace_its_containers_joined() {
        let up = r#"{"Status":"running","StartedAt":"2026-11-23T10:00:02Z"}"#;
        let alive = task(PAUSE, &app("p", up));
        assert_eq!(alive.state, TaskState::Running);
        assert_eq!(alive.labels["a"], "b");
        assert!(alive.container("app").unwrap().state.is_running());
        let dead =
            |pause: &str, app: &str| assert!(matches!(task(pause, app).state, TaskState::Stopped { .. }));
        dead(PAUSE, &app("another", up));
        dead(&PAUSE.replace("10:00:01Z", "10:00:09Z"), &app("p", up));
        dead(&PAUSE.replace("running", "exited"), &app("p", up));
        assert_eq!(task(&PAUSE.replace("running", "created"), &app("p", up)).state, TaskState::Starting);
    }

    #[test]
    fn a_container_that_could_not_start_has_ended() {
        let state = |json: &str| task(PAUSE, &app("p", json)).container("app").unwrap().state.clone();
        assert_eq!(
            state(r#"{"Status":"created","StartedAt":"0001-01-01T00:00:00Z"}"#),
            ContainerState::Created
        );
        let error = Some("no such file".to_owned());
        let failed = ContainerState::Exited { code: 127, out_of_memory: false, error };
        assert_eq!(state(r#"{"Status":"created","ExitCode":127,"Error":"no such file"}"#), failed);
    }
}
