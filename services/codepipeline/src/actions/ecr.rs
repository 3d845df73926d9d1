//! Source ECR: an image's details, as `imageDetail.json` in a zip.
use std::collections::BTreeMap;

use api::ecr::{DescribeImages, ImageDetail, ImageIdentifier};
use kernel::{Fut, Stream};
use serde_json::json;

use super::{Action, Failed, zipped};
use crate::catalog::{ActionType, Carrier, Form, anything, optional, required};
use crate::engine::{Output, Progress, Revision};
use crate::job::Job;

/// The type. It is started by EventBridge alone: AWS knows no polling for it.
pub static TYPE: ActionType = ActionType {
    category: "Source",
    provider: "ECR",
    inputs: 0..=0,
    outputs: 1..=1,
    timeout: 60,
    timeout_key: None,
    properties: &[
        required("RepositoryName", Form::Text),
        optional("ImageTag", Form::Text),
        // Accepted and unused, as in AWS.
        optional("PollForSourceChanges", Form::Boolean),
    ],
    check: anything,
    carrier: Carrier::Provider(&Ecr),
};

struct Ecr;

impl Action for Ecr {
    fn run<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Output, Failed>> {
        Box::pin(run(job))
    }
}

async fn run(job: &Job) -> Result<Output, Failed> {
    let repository = job.need("RepositoryName")?;
    let tag = job.get("ImageTag").filter(|tag| !tag.is_empty()).unwrap_or("latest");
    let wanted = match job.revision("IMAGE_DIGEST") {
        Some(digest) => ImageIdentifier { image_digest: Some(digest.into()), image_tag: None },
        None => ImageIdentifier { image_digest: None, image_tag: Some(tag.into()) },
    };
    let describe = DescribeImages {
        repository_name: repository.into(),
        image_ids: Some(vec![wanted]),
        ..DescribeImages::default()
    };
    let image = job.cx.call(describe).await?.image_details.and_then(|images| images.into_iter().next());
    let found = image.and_then(|image| Some((image.image_digest.clone()?, image)));
    let (digest, image) = found.ok_or_else(|| {
        let message = format!("The repository '{repository}' has no image with tag '{tag}'");
        Failed::new("RevisionUnavailable", message)
    })?;
    let registry = image.registry_id.clone().unwrap_or_else(|| job.account().to_owned());
    let uri = format!("{registry}.dkr.ecr.{}.amazonaws.com/{repository}@{digest}", job.region());
    let (name, artifact) = job.output()?;
    let archive = zipped::of("imageDetail.json", &detail(&image, &registry, repository, &uri))?;
    job.put(artifact, Stream::from(archive)).await?;
    Ok(Output {
        progress: Progress { external_id: Some(digest.clone()), ..Progress::default() },
        artifacts: BTreeMap::from([(name.clone(), artifact.clone())]),
        variables: BTreeMap::from([
            ("ImageDigest".to_owned(), digest.clone()),
            ("ImageTag".to_owned(), tag.to_owned()),
            ("ImageURI".to_owned(), uri),
            ("RegistryId".to_owned(), registry),
            ("RepositoryName".to_owned(), repository.to_owned()),
        ]),
        revision: Some(Revision {
            id: digest,
            summary: Some(tag.to_owned()),
            created: image.image_pushed_at.map(kernel::Timestamp::as_millisecond),
            ..Revision::default()
        }),
    })
}

/// The file that deployments read.
fn detail(image: &ImageDetail, registry: &str, repository: &str, uri: &str) -> Vec<u8> {
    let pushed = image.image_pushed_at.map(|time| time.as_millisecond() as f64 / 1000.0);
    let detail = json!({
        "ImageSizeInBytes": image.image_size_in_bytes.map(|size| size.to_string()),
        "ImageDigest": image.image_digest,
        "Version": "1.0",
        "ImagePushedAt": pushed,
        "RegistryId": registry,
        "RepositoryName": repository,
        "ImageURI": uri,
        "ImageTags": image.image_tags,
    });
    detail.to_string().into_bytes()
}
