//! Sources on their way to the volume, under the build's role: archives out of S3, clones out of CodeCommit and of
//! what connections reach.
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use api::codebuild::{ProjectSource, ProjectSourceVersion};
use api::internal::{CloneConnectedRepository, CloneFrom, CloneOutput, CloneReference, CloneRepository};
use api::s3::GetObject;
use http_body_util::BodyExt;
use kernel::{Cx, Fault, Operation, Stream};

use super::environment::source_at;
use crate::agent::journal::Context;
use crate::limits;
use crate::ops::validate::{repository, s3_location};
use crate::records::BuildRow;

/// Fetches every source; answers the primary one's commit, where it has one. What is wrong is the context of
/// DOWNLOAD_SOURCE.
pub async fn fetch(cx: &Cx, row: &BuildRow, into: &Path) -> Result<Option<String>, Context> {
    if let Some(pipeline) = &row.run.pipeline {
        for (i, input) in pipeline.inputs.iter().enumerate() {
            artifact(cx, row, (&input.bucket, &input.key), &into.join(source_at(i))).await?;
        }
        return Ok(None);
    }
    let primary = row.project.source.iter().filter(|s| s.r#type != "NO_SOURCE");
    let secondary = row.project.secondary_sources.iter().flatten();
    let mut resolved = None;
    for (i, source) in primary.chain(secondary).enumerate() {
        let version = match &source.source_identifier {
            None => row.build.source_version.as_deref(),
            Some(id) => secondary_version(row, id),
        };
        let commit = one(cx, source, version, &into.join(source_at(i))).await?;
        if source.source_identifier.is_none() {
            resolved = commit;
        }
    }
    Ok(resolved)
}

fn secondary_version<'a>(row: &'a BuildRow, id: &str) -> Option<&'a str> {
    let is = |v: &&ProjectSourceVersion| v.source_identifier == id;
    Some(row.project.secondary_source_versions.iter().flatten().find(is)?.source_version.as_str())
}

async fn one(
    cx: &Cx,
    source: &ProjectSource,
    version: Option<&str>,
    into: &Path,
) -> Result<Option<String>, Context> {
    let location = source.location.as_deref().unwrap_or_default();
    let version = version.filter(|version| !version.is_empty()).map(str::to_owned);
    if source.r#type == "S3" {
        let (bucket, key) = s3_location(location)
            .ok_or_else(|| client(format!("the source location {location:?} is not bucket/key")))?;
        object(cx, bucket, key, version, into).await?;
        return Ok(None);
    }
    let repository = repository(location)
        .ok_or_else(|| client(format!("the source location {location:?} names no CodeCommit repository")))?;
    let repository_name = repository.to_owned();
    let depth = depth(source);
    clone(cx, into, |into| CloneRepository { repository_name, version, depth, into }).await.map(Some)
}

/// A pipeline's artifact: a zip, or a reference to a commit that the build clones itself.
async fn artifact(cx: &Cx, row: &BuildRow, (bucket, key): (&str, &str), into: &Path) -> Result<(), Context> {
    object(cx, bucket, key, None, into).await?;
    let Some(CloneReference { from, commit_id }) = reference(into)? else { return Ok(()) };
    let depth = row.project.source.as_ref().and_then(depth);
    std::fs::remove_file(into).map_err(|e| client(format!("the source cannot be cloned: {e}")))?;
    let cloned = match from {
        CloneFrom::CodeCommit(repository_name) => {
            let version = Some(commit_id);
            clone(cx, into, |into| CloneRepository { repository_name, version, depth, into }).await
        }
        CloneFrom::Connection { connection_arn, full_repository_id } => {
            let wanted = |into| CloneConnectedRepository {
                connection_arn,
                full_repository_id,
                commit_id,
                depth,
                into,
            };
            clone(cx, into, wanted).await
        }
    };
    cloned.map(drop)
}

fn reference(artifact: &Path) -> Result<Option<CloneReference>, Context> {
    let mut text = Vec::new();
    let read = File::open(artifact).and_then(|file| file.take(CloneReference::BYTES).read_to_end(&mut text));
    read.map_err(|e| client(format!("the source cannot be read: {e}")))?;
    Ok(CloneReference::read(&text))
}

/// The history that is asked for; 0 is all of it.
fn depth(source: &ProjectSource) -> Option<u32> {
    source.git_clone_depth.and_then(|depth| u32::try_from(depth).ok()).filter(|depth| *depth > 0)
}

/// Clones beside the place and then moves there: a clone that broke off is begun again.
async fn clone<O>(cx: &Cx, into: &Path, wanted: impl FnOnce(PathBuf) -> O) -> Result<String, Context>
where
    O: Operation<Output = CloneOutput>,
{
    let broken = |e: std::io::Error| client(format!("the source cannot be cloned: {e}"));
    let part = into.with_added_extension("part");
    for old in [&part, into] {
        match std::fs::remove_dir_all(old) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(broken(error)),
            _ => {}
        }
    }
    let cloned = cx.call(wanted(part.clone())).await.map_err(|fault| told(&fault))?;
    std::fs::rename(&part, into).map_err(broken)?;
    Ok(cloned.commit_id)
}

async fn object(
    cx: &Cx,
    bucket: &str,
    key: &str,
    version_id: Option<String>,
    into: &Path,
) -> Result<(), Context> {
    let get = GetObject { bucket: bucket.into(), key: key.into(), version_id, ..GetObject::default() };
    let found = cx.call(get).await.map_err(|fault| {
        let context = told(&fault);
        Context::new(
            &context.code,
            format!("{} for primary source and source location {bucket}/{key}", context.message),
        )
    })?;
    save(found.body, into).await
}

/// A stream into a file, no more than the limit.
async fn save(stream: Stream, into: &Path) -> Result<(), Context> {
    let broken = |e: &dyn std::fmt::Display| client(format!("the source could not be downloaded: {e}"));
    if into.is_dir() {
        // A clone of an attempt before this one.
        std::fs::remove_dir_all(into).map_err(|e| broken(&e))?;
    }
    let mut file = File::create(into).map_err(|e| broken(&e))?;
    let (mut body, mut size) = (stream.into_body(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| broken(&e))?;
        let Ok(data) = frame.into_data() else { continue };
        size += data.len() as u64;
        if size > limits::SOURCE_BYTES {
            return Err(client(format!("the source has more than {} bytes", limits::SOURCE_BYTES)));
        }
        file.write_all(&data).map_err(|e| broken(&e))?;
    }
    Ok(())
}

fn client(message: String) -> Context {
    Context::new("CLIENT_ERROR", message)
}

/// A refused call as the phase tells it.
pub fn told(fault: &Fault) -> Context {
    let code = if fault.is("AccessDenied") { "ACCESS_DENIED" } else { "CLIENT_ERROR" };
    Context::new(code, format!("{}: {}", fault.code, fault.message))
}
