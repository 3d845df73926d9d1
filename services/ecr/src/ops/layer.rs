//! Layers by the API, as `docker push` does by the registry protocol.
use api::ecr as e;
use kernel::Cx;

use super::on_repository;
use crate::{Ecr, Error, Result, limits};

on_repository!(BatchCheckLayerAvailability, check_layers);
on_repository!(InitiateLayerUpload, initiate);
on_repository!(UploadLayerPart, upload_part);
on_repository!(CompleteLayerUpload, complete_upload);
on_repository!(GetDownloadUrlForLayer, download_url);

impl Ecr {
    async fn check_layers(
        &self,
        cx: &Cx,
        input: e::BatchCheckLayerAvailability,
    ) -> Result<e::BatchCheckLayerAvailabilityOutput> {
        self.repository(cx, &input.repository_name).await?;
        let (mut layers, mut failures) = (Vec::new(), Vec::new());
        for digest in input.layer_digests {
            if crate::manifest::digest(&digest).is_err() {
                failures.push(e::LayerFailure {
                    layer_digest: Some(digest),
                    failure_code: Some("InvalidLayerDigest".into()),
                    failure_reason: Some("Invalid layer digest".into()),
                });
                continue;
            }
            let found = self.layer(cx, &input.repository_name, &digest).await?;
            let availability = if found.is_some() { "AVAILABLE" } else { "UNAVAILABLE" };
            layers.push(e::Layer {
                layer_digest: Some(digest),
                layer_availability: Some(availability.into()),
                layer_size: found.and_then(|row| i64::try_from(row.value.size).ok()),
                media_type: None,
            });
        }
        Ok(e::BatchCheckLayerAvailabilityOutput { layers: Some(layers), failures: Some(failures) })
    }

    async fn initiate(&self, cx: &Cx, input: e::InitiateLayerUpload) -> Result<e::InitiateLayerUploadOutput> {
        let id = self.begin_upload(cx, &input.repository_name).await?;
        Ok(e::InitiateLayerUploadOutput { upload_id: Some(id), part_size: Some(limits::PART) })
    }

    async fn upload_part(&self, cx: &Cx, input: e::UploadLayerPart) -> Result<e::UploadLayerPartOutput> {
        let length = i64::try_from(input.layer_part_blob.0.len()).unwrap_or(i64::MAX);
        if input.part_last_byte - input.part_first_byte + 1 != length {
            return Err(Error::InvalidParameter(
                "partLastByte",
                format!(
                    "the part has {length} bytes, not those from {} to {}",
                    input.part_first_byte, input.part_last_byte
                ),
            ));
        }
        let first = u64::try_from(input.part_first_byte).ok();
        let mut part = kernel::face::full(input.layer_part_blob.0);
        let size = self.append(cx, &input.repository_name, &input.upload_id, first, &mut part).await?;
        Ok(e::UploadLayerPartOutput {
            registry_id: Some(cx.account().into()),
            repository_name: Some(input.repository_name),
            upload_id: Some(input.upload_id),
            last_byte_received: i64::try_from(size).ok().map(|size| size - 1),
        })
    }

    async fn complete_upload(
        &self,
        cx: &Cx,
        input: e::CompleteLayerUpload,
    ) -> Result<e::CompleteLayerUploadOutput> {
        let [digest] = &input.layer_digests[..] else {
            return Err(Error::InvalidParameter("layerDigests", "name exactly one digest".into()));
        };
        if self.layer(cx, &input.repository_name, digest).await?.is_some() {
            return Err(Error::LayerExists(digest.clone()));
        }
        if self.uploaded(cx, &input.repository_name, &input.upload_id).await? == 0 {
            return Err(Error::EmptyUpload(input.upload_id));
        }
        self.complete(cx, &input.repository_name, &input.upload_id, digest).await?;
        Ok(e::CompleteLayerUploadOutput {
            registry_id: Some(cx.account().into()),
            layer_digest: Some(digest.clone()),
            repository_name: Some(input.repository_name),
            upload_id: Some(input.upload_id),
        })
    }

    /// A URL of the registry itself; it takes the same login as `docker pull`.
    async fn download_url(
        &self,
        cx: &Cx,
        input: e::GetDownloadUrlForLayer,
    ) -> Result<e::GetDownloadUrlForLayerOutput> {
        self.blob(cx, &input.repository_name, &input.layer_digest).await?;
        let url =
            format!("{}/v2/{}/blobs/{}", Self::proxy_endpoint(cx), input.repository_name, input.layer_digest);
        Ok(e::GetDownloadUrlForLayerOutput {
            download_url: Some(url),
            layer_digest: Some(input.layer_digest),
        })
    }
}
