//! Layers in: monolithic, in chunks, or mounted from another repository.
use http::StatusCode;

use super::{Answer, Call, empty};
use crate::{Error, Result};

impl Call<'_> {
    pub(super) async fn start_upload(mut self, name: &str) -> Answer {
        self.allow("ecr:InitiateLayerUpload", name).await?;
        if let (Some(digest), Some(from)) = (self.parameter("mount"), self.parameter("from")) {
            self.ecr.repository(&self.cx, name).await?;
            // Who may not read the other repository uploads the layer anew, as the specification has it.
            if self.allow("ecr:GetDownloadUrlForLayer", &from).await.is_ok()
                && self.ecr.mount(&self.cx, name, &from, &digest).await?
            {
                return Ok(created(name, &digest));
            }
        }
        let id = self.ecr.begin_upload(&self.cx, name).await?;
        let Some(digest) = self.parameter("digest") else { return Ok(accepted(name, &id, 0)) };
        self.allow("ecr:UploadLayerPart", name).await?;
        self.allow("ecr:CompleteLayerUpload", name).await?;
        self.take(name, &id, None).await?;
        self.ecr.complete(&self.cx, name, &id, &digest).await?;
        Ok(created(name, &digest))
    }

    pub(super) async fn patch_upload(mut self, name: &str, id: &str) -> Answer {
        self.allow("ecr:UploadLayerPart", name).await?;
        let first = self
            .header("content-range")
            .and_then(|text| text.trim_start_matches("bytes ").split('-').next()?.parse().ok());
        let size = self.take(name, id, first).await?;
        Ok(accepted(name, id, size))
    }

    pub(super) async fn put_upload(mut self, name: &str, id: &str) -> Answer {
        self.allow("ecr:CompleteLayerUpload", name).await?;
        let digest = self
            .parameter("digest")
            .ok_or_else(|| Error::InvalidParameter("digest", "name the layer's digest".into()))?;
        let first = self.header("content-range").and_then(|text| text.split('-').next()?.parse().ok());
        self.take(name, id, first).await?;
        self.ecr.complete(&self.cx, name, id, &digest).await?;
        Ok(created(name, &digest))
    }

    pub(super) async fn upload_status(self, name: &str, id: &str) -> Answer {
        self.allow("ecr:UploadLayerPart", name).await?;
        let size = self.ecr.uploaded(&self.cx, name, id).await?;
        let mut response = accepted(name, id, size);
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }

    pub(super) async fn cancel_upload(self, name: &str, id: &str) -> Answer {
        self.allow("ecr:UploadLayerPart", name).await?;
        self.ecr.uploaded(&self.cx, name, id).await?;
        self.ecr.uploads.close(&crate::Ecr::key(&self.cx, name), id);
        Ok(empty(StatusCode::NO_CONTENT, &[]))
    }

    /// Streams the request's body into the upload.
    async fn take(&mut self, name: &str, id: &str, first: Option<u64>) -> Result<u64> {
        self.ecr.append(&self.cx, name, id, first, self.body.body_mut()).await
    }
}

fn accepted(name: &str, id: &str, size: u64) -> http::Response<kernel::Body> {
    // Both ends are inclusive; nothing yet is told as `0-0`.
    let headers = [
        ("location", format!("/v2/{name}/blobs/uploads/{id}")),
        ("docker-upload-uuid", id.to_owned()),
        ("range", format!("0-{}", size.saturating_sub(1))),
    ];
    empty(StatusCode::ACCEPTED, &headers)
}

fn created(name: &str, digest: &str) -> http::Response<kernel::Body> {
    empty(
        StatusCode::CREATED,
        &[("location", format!("/v2/{name}/blobs/{digest}")), ("docker-content-digest", digest.to_owned())],
    )
}
