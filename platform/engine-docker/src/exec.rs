//! Commands and files in containers.
use std::sync::Arc;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use bytes::{Bytes, BytesMut};
use engine::{Error, Exec, Executed, Result, TaskId, limits};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::Inner;
use crate::client::{code, error};
use crate::status::{id_of, running};

impl Inner {
    /// The engine's id of a container.
    pub(crate) async fn container_id(&self, task: &TaskId, container: &str, alive: bool) -> Result<String> {
        let parts = self.parts(task).await?;
        let (task, container) = (task.clone(), container.to_owned());
        match parts.container(&container) {
            None => Err(Error::NoContainer { task, container }),
            Some(found) if alive && !running(found) => Err(Error::NotRunning { task, container }),
            Some(found) => Ok(id_of(found).to_owned()),
        }
    }

    pub(crate) async fn exec(&self, task: &TaskId, container: &str, exec: Exec) -> Result<Executed> {
        let container = self.container_id(task, container, true).await?;
        let client = self.client.get().await?;
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            env: Some(exec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            cmd: Some(exec.command),
            user: exec.user,
            working_dir: exec.workdir,
            ..CreateExecOptions::default()
        };
        let made = client.create_exec(&container, options).await.map_err(error)?;
        let mut output = BytesMut::new();
        if let StartExecResults::Attached { output: mut stream, .. } =
            client.start_exec(&made.id, None).await.map_err(error)?
        {
            while let Some(chunk) = stream.next().await {
                let chunk = chunk.map(LogOutput::into_bytes).map_err(error)?;
                let room = limits::EXEC_OUTPUT.saturating_sub(output.len());
                output.extend_from_slice(&chunk[..chunk.len().min(room)]);
            }
        }
        let ended = client.inspect_exec(&made.id).await.map_err(error)?;
        Ok(Executed { exit_code: ended.exit_code.unwrap_or(-1), output: output.freeze() })
    }

    pub(crate) async fn copy_in(
        &self,
        task: &TaskId,
        container: &str,
        folder: &str,
        tar: Bytes,
    ) -> Result<()> {
        let container = self.container_id(task, container, false).await?;
        let options = UploadToContainerOptionsBuilder::new().path(folder).build();
        let put = self
            .client
            .get()
            .await?
            .upload_to_container(&container, Some(options), bollard::body_full(tar))
            .await;
        put.map_err(|e| if code(&e) == Some(404) { Error::NoPath(folder.to_owned()) } else { error(e) })
    }
}

pub(crate) fn copy_out(
    inner: Arc<Inner>,
    task: TaskId,
    container: String,
    path: String,
) -> BoxStream<'static, Result<Bytes>> {
    async_stream::try_stream! {
        let container = inner.container_id(&task, &container, false).await?;
        let options = DownloadFromContainerOptionsBuilder::new().path(&path).build();
        let mut stream = inner.client.get().await?.download_from_container(&container, Some(options));
        while let Some(chunk) = stream.next().await {
            yield chunk.map_err(|e| if code(&e) == Some(404) { Error::NoPath(path.clone()) } else { error(e) })?;
        }
    }
    .boxed()
}

/// A tar archive of small files, owned by root.
pub(crate) fn archive<'a>(files: impl IntoIterator<Item = (&'a str, u32, &'a [u8])>) -> Result<Bytes> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, mode, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        tar.append_data(&mut header, path, content)
            .map_err(|e| Error::Invalid(format!("'{path}' cannot be put into a container: {e}")))?;
    }
    tar.into_inner().map(Bytes::from).map_err(|e| Error::Invalid(e.to_string()))
}
