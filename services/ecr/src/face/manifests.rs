//! Images in and out, and their tags.
use bytes::Bytes;
use http::{Method, StatusCode};
use kernel::face::{Uncollected, collect, full};
use serde_json::json;

use super::{Answer, Call, empty, json_answer, set};
use crate::registry::{ImageId, Put};
use crate::{Error, Result, limits};

fn named(reference: &str) -> ImageId {
    let digest = reference.contains(':');
    ImageId { digest: digest.then(|| reference.to_owned()), tag: (!digest).then(|| reference.to_owned()) }
}

impl Call<'_> {
    pub(super) async fn get_manifest(self, name: &str, reference: &str) -> Answer {
        self.allow("ecr:BatchGetImage", name).await?;
        self.ecr.repository(&self.cx, name).await?;
        let image = self.ecr.image(&self.cx, name, &named(reference)).await?.value;
        let manifest = self.ecr.manifest(&image).await?;
        let headers = [
            ("content-type", image.media_type),
            ("docker-content-digest", image.digest.clone()),
            ("content-length", manifest.len().to_string()),
            ("etag", format!("\"{}\"", image.digest)),
        ];
        let mut response = empty(StatusCode::OK, &[]);
        if self.head.method != Method::HEAD {
            *response.body_mut() = full(manifest);
        }
        set(response.headers_mut(), &headers);
        Ok(response)
    }

    pub(super) async fn put_manifest(mut self, name: &str, reference: &str) -> Answer {
        self.allow("ecr:PutImage", name).await?;
        self.ecr.repository(&self.cx, name).await?;
        let manifest = self.whole().await?;
        let id = named(reference);
        let put = Put {
            repository: name,
            manifest,
            media_type: self.header("content-type"),
            tag: id.tag.as_deref(),
            digest: id.digest.as_deref(),
        };
        // Pushing the same again is fine here; by the API it is an error.
        let (image, _) = self.ecr.put_image(&self.cx, put).await?;
        Ok(empty(
            StatusCode::CREATED,
            &[
                ("location", format!("/v2/{name}/manifests/{}", image.digest)),
                ("docker-content-digest", image.digest),
            ],
        ))
    }

    async fn whole(&mut self) -> Result<Bytes> {
        let whole = collect(self.body.body_mut(), limits::MANIFEST, limits::MANIFEST_TIME).await;
        whole.map_err(|why| match why {
            Uncollected::TooLarge(most) => Error::Limit(format!("a manifest has at most {most} bytes")),
            Uncollected::Broken(why) => Error::Body(why),
            Uncollected::Slow(_) => Error::Body(why.to_string()),
        })
    }

    pub(super) async fn delete_manifest(self, name: &str, reference: &str) -> Answer {
        self.allow("ecr:BatchDeleteImage", name).await?;
        self.ecr.repository(&self.cx, name).await?;
        let id = named(reference);
        let image = self.ecr.image(&self.cx, name, &id).await?;
        if let Some(index) = self.ecr.holder(&self.cx, name, &image.value.digest).await? {
            return Err(Error::Manifest(format!("index {index} holds this image; delete it first")));
        }
        self.ecr.delete_image(&self.cx, name, &id).await?;
        Ok(empty(StatusCode::ACCEPTED, &[]))
    }

    pub(super) async fn list_tags(self, name: &str) -> Answer {
        self.allow("ecr:ListImages", name).await?;
        self.ecr.repository(&self.cx, name).await?;
        let most = self.parameter("n").and_then(|n| n.parse().ok()).unwrap_or(1000_usize).min(1000);
        let last = self.parameter("last").unwrap_or_default();
        let all = self.ecr.tags(&self.cx, name).await?;
        let mut tags: Vec<String> = all.into_iter().map(|(tag, _)| tag).filter(|tag| *tag > last).collect();
        let more = tags.len() > most;
        tags.truncate(most);
        let next = tags
            .last()
            .filter(|_| more)
            .map(|last| format!("</v2/{name}/tags/list?last={last}&n={most}>; rel=\"next\""));
        let mut response = json_answer(StatusCode::OK, &json!({"name": name, "tags": tags}))?;
        if let Some(next) = next {
            set(response.headers_mut(), &[("link", next)]);
        }
        Ok(response)
    }
}
