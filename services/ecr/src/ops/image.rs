//! Images by the API.
use std::collections::BTreeMap;

use api::ecr as e;
use kernel::Cx;
use store::{PageToken, Row};

use super::on_repository;
use crate::records::Image;
use crate::registry::{ImageId, Put};
use crate::{Ecr, Error, Result, limits};

on_repository!(ListImages, list_images);
on_repository!(DescribeImages, describe_images);
on_repository!(BatchGetImage, batch_get_image);
on_repository!(BatchDeleteImage, batch_delete_image);
on_repository!(PutImage, put);

impl Ecr {
    async fn list_images(&self, cx: &Cx, input: e::ListImages) -> Result<e::ListImagesOutput> {
        self.repository(cx, &input.repository_name).await?;
        let status = input.filter.and_then(|filter| filter.tag_status);
        let tags = self.tags_of(cx, &input.repository_name).await?;
        let (rows, next_token) = self
            .page(
                cx,
                &input.repository_name,
                "ListImages",
                input.next_token.as_deref(),
                input.max_results,
                status.as_deref(),
                &tags,
            )
            .await?;
        let ids = rows.into_iter().flat_map(|row| {
            let digest = row.value.digest;
            let own = tags.get(&digest).cloned().unwrap_or_default();
            let named: Vec<Option<String>> =
                if own.is_empty() { vec![None] } else { own.into_iter().map(Some).collect() };
            named
                .into_iter()
                .map(move |tag| e::ImageIdentifier { image_digest: Some(digest.clone()), image_tag: tag })
        });
        Ok(e::ListImagesOutput { image_ids: Some(ids.collect()), next_token })
    }

    async fn tags_of(&self, cx: &Cx, repository: &str) -> Result<BTreeMap<String, Vec<String>>> {
        let mut tags: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (tag, digest) in self.tags(cx, repository).await? {
            tags.entry(digest).or_default().push(tag);
        }
        Ok(tags)
    }

    /// Images of a tag status, a page of them.
    #[allow(clippy::too_many_arguments, reason = "what a list call selects by")]
    async fn page(
        &self,
        cx: &Cx,
        repository: &str,
        list: &str,
        token: Option<&str>,
        most: Option<i32>,
        status: Option<&str>,
        tags: &BTreeMap<String, Vec<String>>,
    ) -> Result<(Vec<Row<Image>>, Option<String>)> {
        let list = format!("{list}/{repository}");
        let after = PageToken::<u64>::position(&list, token).map_err(|_| Error::NextToken)?;
        let wanted = |row: &Row<Image>| match status {
            Some("TAGGED") => tags.contains_key(&row.value.digest),
            Some("UNTAGGED") => !tags.contains_key(&row.value.digest),
            _ => true,
        };
        let rows = self.images(cx, repository).await?;
        let mut rows: Vec<Row<Image>> = rows
            .into_iter()
            .filter(|row| wanted(row) && after.is_none_or(|after| row.created > after))
            .collect();
        let most = most.map_or(limits::PAGE, |most| usize::try_from(most).unwrap_or(1));
        let more = rows.len() > most;
        rows.truncate(most);
        let next = rows.last().filter(|_| more).map(|row| PageToken::encode(&list, row.created));
        Ok((rows, next))
    }

    async fn describe_images(&self, cx: &Cx, input: e::DescribeImages) -> Result<e::DescribeImagesOutput> {
        self.repository(cx, &input.repository_name).await?;
        let tags = self.tags_of(cx, &input.repository_name).await?;
        let (rows, next_token) = match &input.image_ids {
            Some(ids) if !ids.is_empty() => {
                let mut rows: Vec<Row<Image>> = Vec::new();
                for id in ids {
                    let row = self.image(cx, &input.repository_name, &asked(id)).await?;
                    if rows.iter().all(|known| known.value.digest != row.value.digest) {
                        rows.push(row);
                    }
                }
                (rows, None)
            }
            _ => {
                let status = input.filter.and_then(|filter| filter.tag_status);
                self.page(
                    cx,
                    &input.repository_name,
                    "DescribeImages",
                    input.next_token.as_deref(),
                    input.max_results,
                    status.as_deref(),
                    &tags,
                )
                .await?
            }
        };
        let details = rows.into_iter().map(|row| e::ImageDetail {
            registry_id: Some(cx.account().into()),
            repository_name: Some(input.repository_name.clone()),
            image_tags: tags.get(&row.value.digest).cloned(),
            image_digest: Some(row.value.digest),
            image_size_in_bytes: i64::try_from(row.value.size).ok(),
            image_pushed_at: Some(row.value.pushed),
            image_manifest_media_type: Some(row.value.media_type),
            artifact_media_type: row.value.artifact_type,
            last_recorded_pull_time: row.value.pulled,
            image_status: Some("ACTIVE".into()),
            ..e::ImageDetail::default()
        });
        Ok(e::DescribeImagesOutput { image_details: Some(details.collect()), next_token })
    }

    async fn batch_get_image(&self, cx: &Cx, input: e::BatchGetImage) -> Result<e::BatchGetImageOutput> {
        self.repository(cx, &input.repository_name).await?;
        let (mut images, mut failures) = (Vec::new(), Vec::new());
        for id in &input.image_ids {
            match self.image(cx, &input.repository_name, &asked(id)).await {
                Ok(row) => {
                    let manifest = self.manifest(&row.value).await?;
                    images.push(self.shown(
                        cx,
                        &input.repository_name,
                        &row.value,
                        id.image_tag.clone(),
                        &manifest,
                    ));
                }
                Err(error) => failures.push(failure(id, error)?),
            }
        }
        Ok(e::BatchGetImageOutput { images: Some(images), failures: Some(failures) })
    }

    fn shown(
        &self,
        cx: &Cx,
        repository: &str,
        image: &Image,
        tag: Option<String>,
        manifest: &[u8],
    ) -> e::Image {
        e::Image {
            registry_id: Some(cx.account().into()),
            repository_name: Some(repository.into()),
            image_id: Some(e::ImageIdentifier { image_digest: Some(image.digest.clone()), image_tag: tag }),
            image_manifest: Some(String::from_utf8_lossy(manifest).into_owned()),
            image_manifest_media_type: Some(image.media_type.clone()),
        }
    }

    async fn batch_delete_image(
        &self,
        cx: &Cx,
        input: e::BatchDeleteImage,
    ) -> Result<e::BatchDeleteImageOutput> {
        self.repository(cx, &input.repository_name).await?;
        let (mut gone, mut failures) = (Vec::new(), Vec::new());
        for id in &input.image_ids {
            match self.delete_one(cx, &input.repository_name, id).await {
                Ok(ids) => gone.extend(
                    ids.into_iter()
                        .map(|id| e::ImageIdentifier { image_digest: id.digest, image_tag: id.tag }),
                ),
                Err(Ok(failure)) => failures.push(failure),
                Err(Err(error)) => failures.push(failure(id, error)?),
            }
        }
        Ok(e::BatchDeleteImageOutput { image_ids: Some(gone), failures: Some(failures) })
    }

    async fn delete_one(
        &self,
        cx: &Cx,
        repository: &str,
        id: &e::ImageIdentifier,
    ) -> std::result::Result<Vec<ImageId>, std::result::Result<e::ImageFailure, Error>> {
        let image = self.image(cx, repository, &asked(id)).await.map_err(Err)?;
        if let Some(index) = self.holder(cx, repository, &image.value.digest).await.map_err(Err)? {
            let reason = format!("Requested image referenced by manifest list: [{index}]");
            return Err(Ok(e::ImageFailure {
                image_id: Some(id.clone()),
                failure_code: Some("ImageReferencedByManifestList".into()),
                failure_reason: Some(reason),
            }));
        }
        self.delete_image(cx, repository, &asked(id)).await.map_err(Err)
    }

    async fn put(&self, cx: &Cx, input: e::PutImage) -> Result<e::PutImageOutput> {
        let put = Put {
            repository: &input.repository_name,
            manifest: input.image_manifest.clone().into_bytes().into(),
            media_type: input.image_manifest_media_type.as_deref(),
            tag: input.image_tag.as_deref(),
            digest: input.image_digest.as_deref(),
        };
        let (image, known) = self.put_image(cx, put).await?;
        if known {
            return Err(Error::ImageExists(image.digest, input.image_tag.unwrap_or_else(|| "null".into())));
        }
        let shown =
            self.shown(cx, &input.repository_name, &image, input.image_tag, input.image_manifest.as_bytes());
        Ok(e::PutImageOutput { image: Some(shown) })
    }
}

fn asked(id: &e::ImageIdentifier) -> ImageId {
    ImageId { digest: id.image_digest.clone(), tag: id.image_tag.clone() }
}

/// What is wrong with one id is told beside the answers for the others; anything else fails the call.
fn failure(id: &e::ImageIdentifier, error: Error) -> Result<e::ImageFailure> {
    let code = match error {
        Error::ImageNotFound { .. } => "ImageNotFound",
        Error::InvalidParameter(..) => "MissingDigestAndTag",
        other => return Err(other),
    };
    Ok(e::ImageFailure {
        image_id: Some(id.clone()),
        failure_code: Some(code.into()),
        failure_reason: Some("Requested image not found".into()),
    })
}
