//! Source S3: an object of a versioned bucket, as it is.
use std::collections::BTreeMap;

use api::s3::{GetObject, HeadObject};
use kernel::Fut;
use store::Event;

use super::{Action, Failed, polls};
use crate::catalog::{ActionType, Carrier, Form, anything, optional, required};
use crate::engine::{Output, Progress, Revision};
use crate::job::Job;
use crate::limits;

/// The type.
pub static TYPE: ActionType = ActionType {
    category: "Source",
    provider: "S3",
    inputs: 0..=0,
    outputs: 1..=1,
    timeout: 60,
    timeout_key: None,
    properties: &[
        required("S3Bucket", Form::Text),
        required("S3ObjectKey", Form::Text),
        optional("PollForSourceChanges", Form::Boolean),
        optional("AllowOverrideForS3ObjectKey", Form::Boolean),
    ],
    check: anything,
    carrier: Carrier::Provider(&S3),
};

struct S3;

impl Action for S3 {
    fn run<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Output, Failed>> {
        Box::pin(run(job))
    }

    fn watches(&self, configuration: &BTreeMap<String, String>) -> Option<String> {
        let (bucket, key) = (configuration.get("S3Bucket")?, configuration.get("S3ObjectKey")?);
        polls(configuration).then(|| source(bucket, key))
    }

    fn changed(&self, event: &Event) -> Option<String> {
        let put = event.source == "aws.s3" && event.detail_type == "Object Created";
        let text = |of: &str, name: &str| event.detail[of][name].as_str();
        put.then(|| Some(source(text("bucket", "name")?, text("object", "key")?))).flatten()
    }
}

fn source(bucket: &str, key: &str) -> String {
    format!("s3:{bucket}:{key}")
}

async fn run(job: &Job) -> Result<Output, Failed> {
    let bucket = job.need("S3Bucket")?;
    let key = match job.revision("S3_OBJECT_KEY") {
        Some(key) => key,
        None => job.need("S3ObjectKey")?,
    };
    let version_id = job.revision("S3_OBJECT_VERSION_ID").map(str::to_owned);
    let object = job.cx.call(HeadObject { bucket: bucket.into(), key: key.into(), version_id }).await?;
    // The version is the revision: without one, an execution could not say what it released.
    let Some(version) = object.version_id.clone() else {
        let message =
            format!("The source bucket '{bucket}' is not versioned: enable versioning, then put the object");
        return Err(Failed::new("ConfigurationError", message));
    };
    if object.size > limits::SOURCE_S3 {
        let message =
            format!("The object has {} bytes, and a source may have {}", object.size, limits::SOURCE_S3);
        return Err(Failed::new("JobFailed", message));
    }
    let get =
        GetObject { bucket: bucket.into(), key: key.into(), version_id: Some(version.clone()), range: None };
    let body = job.cx.call(get).await?.body;
    let (name, artifact) = job.output()?;
    job.put(artifact, body).await?;
    let given = object.metadata.get("codepipeline-artifact-revision-summary").cloned();
    let summary = given.unwrap_or_else(|| format!("Amazon S3 version id: {version}"));
    Ok(Output {
        progress: Progress {
            external_id: Some(version.clone()),
            summary: Some(summary.clone()),
            ..Progress::default()
        },
        artifacts: BTreeMap::from([(name.clone(), artifact.clone())]),
        variables: BTreeMap::from([
            ("ETag".to_owned(), object.e_tag.trim_matches('"').to_owned()),
            ("VersionId".to_owned(), version.clone()),
        ]),
        revision: Some(Revision {
            id: version,
            summary: Some(summary),
            created: Some(object.last_modified.as_millisecond()),
            ..Revision::default()
        }),
    })
}
