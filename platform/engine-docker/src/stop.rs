//! The end of tasks.
use std::collections::BTreeMap;
use std::time::Duration;

use bollard::errors::Error as Docker;
use bollard::models::ContainerInspectResponse as Found;
use bollard::query_parameters::{
    ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
    StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use engine::{Error, Result, TaskId};
use futures::TryStreamExt;
use futures::future::{ready, try_join_all};

use crate::Inner;
use crate::client::{code, error, fine};
use crate::status::{depth, id_of, running};

impl Inner {
    /// What is being started is not started any further, then dependents end before what they depend on.
    pub(crate) async fn stop(&self, id: &TaskId, grace: Option<Duration>) -> Result<()> {
        let gate = self.gate(id);
        gate.close().await;
        let parts = match self.parts(id).await {
            Err(Error::NoTask(_)) => return Ok(()),
            other => other?,
        };
        let mut levels: BTreeMap<u32, Vec<&Found>> = BTreeMap::new();
        for (_, container) in parts.containers().filter(|(_, c)| running(c)) {
            levels.entry(depth(container)).or_default().push(container);
        }
        for level in levels.into_values().rev() {
            try_join_all(level.into_iter().map(|c| self.stop_container(id_of(c), grace))).await?;
        }
        match parts.pause() {
            // One that was never started must not be started later: it goes.
            Some(pause) if crate::status::never_started(pause) => self.remove_container(id_of(pause)).await,
            Some(pause) if running(pause) => self.stop_container(id_of(pause), Some(Duration::ZERO)).await,
            _ => Ok(()),
        }
    }

    async fn stop_container(&self, container: &str, grace: Option<Duration>) -> Result<()> {
        let seconds = grace.map(|grace| i32::try_from(grace.as_secs()).unwrap_or(i32::MAX));
        let options = match seconds {
            Some(seconds) => StopContainerOptionsBuilder::new().t(seconds).build(),
            None => StopContainerOptionsBuilder::new().build(),
        };
        fine(self.client.get().await?.stop_container(container, Some(options)).await)
    }

    async fn remove_container(&self, container: &str) -> Result<()> {
        let client = self.client.get().await?;
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match client.remove_container(container, Some(options)).await {
            // Somebody is removing it already: it is enough that it goes.
            Err(found) if code(&found) == Some(409) => {
                let options = WaitContainerOptionsBuilder::new().condition("removed").build();
                match client.wait_container(container, Some(options)).try_for_each(|_| ready(Ok(()))).await {
                    // The exit code of what was killed is no failure here.
                    Err(Docker::DockerContainerWaitError { .. }) => Ok(()),
                    gone => fine(gone),
                }
            }
            removed => fine(removed),
        }
    }

    pub(crate) async fn remove(&self, id: &TaskId) -> Result<()> {
        let gate = self.gate(id);
        gate.close().await;
        let parts = match self.parts(id).await {
            Err(Error::NoTask(_)) => None,
            other => Some(other?),
        };
        if let Some(parts) = parts {
            let pause = parts.pause().map(id_of);
            let others = parts.all().iter().map(id_of).filter(|other| Some(*other) != pause);
            try_join_all(others.map(|container| self.remove_container(container))).await?;
            if let Some(pause) = pause {
                self.remove_container(pause).await?;
            }
        }
        self.remove_volumes(id).await
    }

    async fn remove_volumes(&self, id: &TaskId) -> Result<()> {
        let client = self.client.get().await?;
        let options = ListVolumesOptionsBuilder::new().filters(&self.names.filter(Some(id))).build();
        let listed = client.list_volumes(Some(options)).await.map_err(error)?;
        for volume in listed.volumes.into_iter().flatten() {
            fine(client.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await)?;
        }
        Ok(())
    }
}
