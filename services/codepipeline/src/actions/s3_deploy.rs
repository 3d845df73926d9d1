//! Deploy S3: an artifact into a bucket, as a file or file by file.
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use api::s3::{GetObject, PutObject};
use kernel::metered::Metered;
use kernel::{Fault, Fut, Stream};
use zip::ZipArchive;

use super::{Action, Failed, zipped};
use crate::catalog::{ActionType, Carrier, Form, Settings, optional, required};
use crate::engine::{Output, Progress};
use crate::job::{Job, streamed};
use crate::limits;

const ACLS: &[&str] = &[
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
    "log-delivery-write",
];

/// What S3 answers of an ACL that the bucket does not take, and of one that nothing here would heed.
const NO_ACLS: &[&str] = &["AccessControlListNotSupported", "NotImplemented"];

/// The type.
pub static TYPE: ActionType = ActionType {
    category: "Deploy",
    provider: "S3",
    inputs: 1..=1,
    outputs: 0..=0,
    timeout: 90,
    timeout_key: None,
    properties: &[
        required("BucketName", Form::Text),
        required("Extract", Form::Boolean),
        optional("ObjectKey", Form::Text),
        optional("KMSEncryptionKeyARN", Form::Unserved("objects are not encrypted with KMS keys")),
        optional("CannedACL", Form::OneOf(ACLS)),
        optional("CacheControl", Form::Text),
    ],
    check: object_key,
    carrier: Carrier::Provider(&S3),
};

fn object_key(settings: &Settings<'_>) -> Result<(), String> {
    let named = settings.get("ObjectKey").is_some_and(|key| !key.is_empty());
    match settings.get("Extract") {
        Some("false") if !named => {
            Err("the configuration key 'ObjectKey' is required when 'Extract' is false".into())
        }
        _ => Ok(()),
    }
}

struct S3;

impl Action for S3 {
    fn run<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Output, Failed>> {
        Box::pin(run(job))
    }
}

async fn run(job: &Job) -> Result<Output, Failed> {
    let key = object(job);
    let count = if job.need("Extract")? == "true" {
        extract(job, &key).await?
    } else {
        whole(job, key).await?;
        1
    };
    let summary = Some(format!("Deployed {count} object(s) to s3://{}", job.need("BucketName")?));
    Ok(Output { progress: Progress { summary, ..Progress::default() }, ..Output::default() })
}

/// The object's key, or the prefix of the extracted ones. What stands for time and chance follows from the run, so
/// that a run that is made again writes the same objects.
fn object(job: &Job) -> String {
    let time = job.begun().strftime("%Y-%m-%d_%H-%M-%S").to_string();
    job.get("ObjectKey").unwrap_or_default().replace("{datetime}", &time).replace("{uuid}", job.id())
}

/// Puts the artifact as it is.
async fn whole(job: &Job, key: String) -> Result<(), Failed> {
    let (_, artifact) = job.input()?;
    let get = GetObject { bucket: artifact.bucket.clone(), key: artifact.key.clone(), ..Default::default() };
    let found = job.cx.call(get).await?;
    put(job, key, found.body).await
}

async fn put(job: &Job, key: String, body: Stream) -> Result<(), Failed> {
    let acl = job.get("CannedACL").filter(|value| !value.is_empty());
    let cache = job.get("CacheControl").filter(|value| !value.is_empty());
    let put = PutObject {
        bucket: job.need("BucketName")?.into(),
        content_type: Some(content_type(&key).into()),
        key,
        body,
        headers: cache.map(|value| ("cache-control".to_owned(), value.to_owned())).into_iter().collect(),
        metadata: BTreeMap::new(),
        acl: acl.map(str::to_owned),
    };
    match job.put_once(put).await {
        Err(fault) if acl.is_some() && NO_ACLS.iter().any(|code| fault.is(code)) => {
            let (acl, bucket) = (acl.unwrap_or_default(), job.need("BucketName")?);
            let message = format!(
                "The configuration key 'CannedACL' is '{acl}', and the bucket '{bucket}' takes no such ACL: leave the \
                 key out and give access by a bucket policy, or choose private or bucket-owner-full-control"
            );
            Err(Failed::new("ConfigurationError", message))
        }
        other => Ok(other.map(drop)?),
    }
}

/// Puts the files of the artifact one by one.
async fn extract(job: &Job, prefix: &str) -> Result<usize, Failed> {
    let (_, artifact) = job.input()?;
    let file = job.fetch(artifact, limits::SOURCE_S3).await?.into_std().await;
    let prefix = match prefix.trim_end_matches('/') {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    let opened = blocking(move || {
        let archive = zipped::open(file)?;
        let names = names(&archive)?;
        Ok((archive, names))
    });
    let (mut archive, names) = opened.await?;
    let mut left = limits::EXTRACTED;
    for (index, name) in &names {
        let (index, allowed) = (*index, left);
        let read = blocking(move || {
            let (content, size) = entry(&mut archive, index, allowed)?;
            Ok((archive, content, size))
        });
        let (back, content, size) = read.await?;
        archive = back;
        left -= size;
        put(job, format!("{prefix}{name}"), streamed(tokio::fs::File::from_std(content))).await?;
    }
    Ok(names.len())
}

/// The files of an archive: all names are looked at before anything is written.
fn names(archive: &ZipArchive<Metered<File>>) -> Result<Vec<(usize, String)>, Failed> {
    let mut names = Vec::new();
    for index in 0..archive.len() {
        let Some(name) = archive.name_for_index(index) else { continue };
        let unreadable = |error| Failed::new("JobFailed", format!("The artifact cannot be read: {error}"));
        let name = name.map_err(unreadable)?;
        if !name.ends_with('/') {
            names.push((index, zipped::inside(&name)?.to_owned()));
        }
    }
    Ok(names)
}

/// One file of an archive, in a file that goes when it is closed, with its size.
fn entry(archive: &mut ZipArchive<Metered<File>>, index: usize, allowed: u64) -> Result<(File, u64), Failed> {
    let broken =
        |error: std::io::Error| Failed::new("JobFailed", format!("The artifact cannot be read: {error}"));
    let entry = archive.by_index(index).map_err(|error| broken(error.into()))?;
    let mut file = tempfile::tempfile().map_err(|error| Failed::from(Fault::internal(error)))?;
    let size = std::io::copy(&mut entry.take(allowed + 1), &mut file).map_err(broken)?;
    if size > allowed {
        let message = format!("The files of the artifact exceed {} bytes together", limits::EXTRACTED);
        return Err(Failed::new("JobFailed", message));
    }
    file.seek(SeekFrom::Start(0)).map_err(broken)?;
    Ok((file, size))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failed> + Send + 'static,
) -> Result<T, Failed> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Failed::from(Fault::internal(error)))?
}

/// The type of a file by its name, for browsers that fetch it from the bucket.
fn content_type(key: &str) -> &'static str {
    let extension = key.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref().unwrap_or_default() {
        "html" | "htm" => "text/html",
        "css" => "text/css",
        "js" | "mjs" => "text/javascript",
        "json" | "map" => "application/json",
        "xml" => "application/xml",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}
