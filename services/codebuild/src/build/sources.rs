//! Sources on their way to the volume: archives out of S3 and CodeCommit, under the build's role.
use std::fs::File;
use std::io::Write;
use std::path::Path;

use api::codebuild::{ProjectSource, ProjectSourceVersion};
use api::codecommit::GetBranch;
use api::internal::UploadArchive;
use api::s3::GetObject;
use http_body_util::BodyExt;
use kernel::{Cx, Fault, Stream};

use super::environment::source_file;
use crate::agent::journal::Context;
use crate::limits;
use crate::ops::validate::{repository, s3_location};
use crate::records::BuildRow;

/// Fetches every source; answers the primary one's commit, where it has one. What is wrong is the context of
/// DOWNLOAD_SOURCE.
pub async fn fetch(cx: &Cx, row: &BuildRow, into: &Path) -> Result<Option<String>, Context> {
    if let Some(pipeline) = &row.run.pipeline {
        for (i, input) in pipeline.inputs.iter().enumerate() {
            object(cx, &input.bucket, &input.key, None, &into.join(source_file(i))).await?;
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
        let commit = one(cx, source, version, &into.join(source_file(i))).await?;
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
    let version = version.filter(|version| !version.is_empty());
    if source.r#type == "S3" {
        let (bucket, key) = s3_location(location)
            .ok_or_else(|| client(format!("the source location {location:?} is not bucket/key")))?;
        object(cx, bucket, key, version, into).await?;
        return Ok(None);
    }
    let repository = repository(location)
        .ok_or_else(|| client(format!("the source location {location:?} names no CodeCommit repository")))?;
    let commit = commit(cx, repository, version).await?;
    let wanted = UploadArchive { repository_name: repository.to_owned(), commit_id: commit.clone() };
    let archive = cx.call(wanted).await.map_err(|fault| told(&fault))?;
    save(archive.archive, into).await?;
    Ok(Some(commit))
}

/// A version is a commit id, or a branch (`refs/heads/…` or its bare name); none is the default branch.
async fn commit(cx: &Cx, repository: &str, version: Option<&str>) -> Result<String, Context> {
    let is_commit = |v: &&str| v.len() == 40 && v.bytes().all(|b| b.is_ascii_hexdigit());
    if let Some(commit) = version.filter(is_commit) {
        return Ok(commit.to_owned());
    }
    let branch = match version {
        Some(version) => version.strip_prefix("refs/heads/").unwrap_or(version).to_owned(),
        None => {
            let get = api::codecommit::GetRepository { repository_name: repository.to_owned() };
            let found = cx.call(get).await.map_err(|fault| told(&fault))?;
            let branch = found.repository_metadata.and_then(|meta| meta.default_branch);
            branch.ok_or_else(|| client(format!("the repository {repository} has no branch yet")))?
        }
    };
    let get = GetBranch { repository_name: Some(repository.to_owned()), branch_name: Some(branch.clone()) };
    let found = cx.call(get).await.map_err(|fault| told(&fault))?;
    let commit = found.branch.and_then(|branch| branch.commit_id);
    commit.ok_or_else(|| client(format!("the branch {branch} of {repository} has no commit")))
}

async fn object(cx: &Cx, bucket: &str, key: &str, version: Option<&str>, into: &Path) -> Result<(), Context> {
    let version_id = version.map(str::to_owned);
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
