//! Artifacts from the volume to their places in S3, under the build's role.
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};

use api::codebuild::{Build, ProjectArtifacts};
use api::s3::PutObject;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use kernel::metered::{ZIP_DIRECTORY, metered};
use kernel::{Cx, Stream};
use store::{Batch, Row};
use tokio::sync::mpsc;

use super::drive::{Drive, End, Failure};
use super::sources::told;
use crate::agent::journal::{Context, Packed, Status};
use crate::records::{BuildId, BuildRow};
use crate::{limits, phases};

impl Drive {
    /// The next artifact, or the build's end. A repeated put writes the same object again.
    pub async fn upload(&self, mut row: Row<BuildRow>) -> Result<(), Failure> {
        let status = row.value.run.ended.unwrap_or(Status::Fault);
        if let Some(packed) = row.value.run.packed.get(row.value.run.uploaded).cloned() {
            let cx = self.role_cx(&row.value).await?;
            match self.place(&cx, &mut row.value, &packed).await? {
                Ok(()) => {
                    row.value.run.uploaded += 1;
                    return self.commit(Batch::new().update(&row)).await;
                }
                Err(context) => {
                    let now = self.service.clock.now();
                    phases::close(&mut row.value.build, "UPLOAD_ARTIFACTS", "FAILED", vec![context], now);
                    return self.finish(row, End::new("FAILED", now)).await;
                }
            }
        }
        let now = self.service.clock.now();
        let closed = phases::close(&mut row.value.build, "UPLOAD_ARTIFACTS", "SUCCEEDED", Vec::new(), now);
        let end = End { closed: closed.then_some("UPLOAD_ARTIFACTS"), ..End::new(status.api(), now) };
        self.finish(row, end).await
    }

    async fn place(
        &self,
        cx: &Cx,
        row: &mut BuildRow,
        packed: &Packed,
    ) -> Result<Result<(), Context>, Failure> {
        let file = match self.volume.open(&packed.file) {
            Ok(file) => file,
            Err(error) => {
                return Ok(Err(Context::new(
                    "CLIENT_ERROR",
                    format!("the artifact cannot be read: {error}"),
                )));
            }
        };
        if file.metadata().map_err(Failure::io)?.len() > limits::ARTIFACT_BYTES {
            let message = format!("the artifact has more than {} bytes", limits::ARTIFACT_BYTES);
            return Ok(Err(Context::new("CLIENT_ERROR", message)));
        }
        let Some(target) = target(row, &self.id, packed) else {
            return Ok(Err(Context::new("CLIENT_ERROR", "nobody asked for this artifact")));
        };
        let put = if target.unpacked {
            each(cx, &target, file, &row.build).await
        } else {
            whole(cx, &target, file, &row.build).await
        };
        if put.is_ok() {
            let artifacts = match &packed.identifier {
                None => row.build.artifacts.as_mut(),
                Some(id) => row
                    .build
                    .secondary_artifacts
                    .iter_mut()
                    .flatten()
                    .find(|a| a.artifact_identifier.as_ref() == Some(id)),
            };
            if let Some(artifacts) = artifacts {
                artifacts.location = Some(format!("arn:aws:s3:::{}/{}", target.bucket, target.key));
            }
        }
        Ok(put)
    }
}

/// Where an artifact goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub bucket: String,
    pub key: String,
    /// Files one by one below the key, rather than a zip at it.
    pub unpacked: bool,
}

pub(super) fn target(row: &BuildRow, id: &BuildId, packed: &Packed) -> Option<Target> {
    if let Some(pipeline) = &row.run.pipeline {
        let output = match &packed.identifier {
            None => pipeline.outputs.first(),
            Some(name) => pipeline.outputs.iter().find(|o| o.name == *name),
        }?;
        return Some(Target { bucket: output.bucket.clone(), key: output.key.clone(), unpacked: false });
    }
    let artifacts = match &packed.identifier {
        None => row.project.artifacts.as_ref(),
        Some(name) => row
            .project
            .secondary_artifacts
            .iter()
            .flatten()
            .find(|a| a.artifact_identifier.as_ref() == Some(name)),
    }?;
    let location = artifacts.location.as_deref()?;
    Some(Target {
        bucket: location.strip_prefix("arn:aws:s3:::").unwrap_or(location).trim_end_matches('/').to_owned(),
        key: key(artifacts, id, packed),
        unpacked: artifacts.packaging.as_deref() != Some("ZIP"),
    })
}

/// `[s3-prefix/][path/][build id/]name`.
fn key(artifacts: &ProjectArtifacts, id: &BuildId, packed: &Packed) -> String {
    let build = (artifacts.namespace_type.as_deref() == Some("BUILD_ID")).then_some(id.uuid.as_str());
    let by_spec = packed.name.as_deref().filter(|_| artifacts.override_artifact_name == Some(true));
    let name = by_spec.or(artifacts.name.as_deref()).unwrap_or(&id.project);
    let parts = [packed.s3_prefix.as_deref(), artifacts.path.as_deref(), build, Some(name)];
    let parts =
        parts.into_iter().flatten().map(|part| part.trim_matches('/')).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("/")
}

async fn whole(cx: &Cx, target: &Target, file: File, build: &Build) -> Result<(), Context> {
    put(cx, &target.bucket, target.key.clone(), Some("application/zip"), pieces(file), build).await
}

/// Each file of the zip as an object of its own.
async fn each(cx: &Cx, target: &Target, file: File, build: &Build) -> Result<(), Context> {
    let broken =
        |e: &dyn std::fmt::Display| Context::new("CLIENT_ERROR", format!("the artifact cannot be read: {e}"));
    let names = {
        let file = file.try_clone().map_err(|e| broken(&e))?;
        let read = move || -> io::Result<Vec<String>> {
            let (file, allowance) = metered(file, ZIP_DIRECTORY);
            let mut zip = zip::ZipArchive::new(io::BufReader::new(file))?;
            allowance.lift();
            (0..zip.len()).map(|i| Ok(zip.by_index(i)?.name()?.into_owned())).collect()
        };
        tokio::task::spawn_blocking(read).await.map_err(|e| broken(&e))?.map_err(|e| broken(&e))?
    };
    for (index, name) in names.iter().enumerate() {
        if name.split('/').any(|part| part == "..") || name.starts_with('/') {
            return Err(broken(&format!("{name:?} is not a file's name")));
        }
        let key = if target.key.is_empty() { name.clone() } else { format!("{}/{name}", target.key) };
        let file = file.try_clone().map_err(|e| broken(&e))?;
        put(cx, &target.bucket, key, None, entry(file, index), build).await?;
    }
    Ok(())
}

async fn put(
    cx: &Cx,
    bucket: &str,
    key: String,
    content_type: Option<&str>,
    body: Stream,
    build: &Build,
) -> Result<(), Context> {
    let arn = build.arn.clone().unwrap_or_default();
    let metadata = BTreeMap::from([("codebuild-buildarn".to_owned(), arn)]);
    let put = PutObject {
        bucket: bucket.to_owned(),
        key: key.clone(),
        body,
        content_type: content_type.map(str::to_owned),
        headers: BTreeMap::new(),
        metadata,
        acl: None,
    };
    cx.call(put).await.map(drop).map_err(|fault| {
        let context = told(&fault);
        Context::new(
            &context.code,
            format!("Error while uploading artifact to {bucket}/{key}: {}", context.message),
        )
    })
}

fn pieces(mut file: File) -> Stream {
    piped(move |send| {
        io::Seek::seek(&mut file, io::SeekFrom::Start(0))?;
        copy(&mut file, send)
    })
}

fn entry(file: File, index: usize) -> Stream {
    piped(move |send| {
        let mut zip = zip::ZipArchive::new(io::BufReader::new(file))?;
        copy(&mut zip.by_index(index)?, send)
    })
}

type Sender = mpsc::Sender<Result<Frame<Bytes>, Box<dyn std::error::Error + Send + Sync>>>;

/// A body of what a blocking reader sends, a few pieces ahead at most.
fn piped(read: impl FnOnce(&Sender) -> io::Result<()> + Send + 'static) -> Stream {
    let (send, mut receive) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = read(&send) {
            let _ = send.blocking_send(Err(error.into()));
        }
    });
    let frames = futures::stream::poll_fn(move |cx| receive.poll_recv(cx));
    Stream::new(StreamBody::new(frames).boxed_unsync())
}

fn copy(from: &mut dyn Read, send: &Sender) -> io::Result<()> {
    loop {
        let mut piece = vec![0; limits::CHUNK];
        let n = from.read(&mut piece)?;
        piece.truncate(n);
        // Nobody listens any more: the put has failed, and says so itself.
        if n == 0 || send.blocking_send(Ok(Frame::data(piece.into()))).is_err() {
            return Ok(());
        }
    }
}
