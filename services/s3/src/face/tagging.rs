//! Objects' tags.
use std::collections::BTreeMap;

use kernel::Cx;
use s3s::dto::*;
use s3s::{S3Request, S3Response};

use super::adapter::Adapter;
use super::settings::{tag_set, tags_of};
use crate::error::Result;
use crate::limits;

impl Adapter {
    pub(super) async fn get_object_tagging(
        &self,
        cx: &Cx,
        request: S3Request<GetObjectTaggingInput>,
    ) -> Result<S3Response<GetObjectTaggingOutput>> {
        let input = &request.input;
        let place = (&*input.bucket, &*input.key);
        let actions = ("s3:GetObjectTagging", "s3:GetObjectVersionTagging");
        let (_, found) = self.looked_up(cx, &request, place, input.version_id.as_deref(), actions).await?;
        let tag_set = tag_set(&found.content.tags);
        Ok(S3Response::new(GetObjectTaggingOutput { tag_set, version_id: found.id() }))
    }

    pub(super) async fn put_object_tagging(
        &self,
        cx: &Cx,
        request: S3Request<PutObjectTaggingInput>,
    ) -> Result<S3Response<PutObjectTaggingOutput>> {
        let input = &request.input;
        let tags = tags_of(input.tagging.clone(), limits::OBJECT_TAGS)?;
        let actions = ("s3:PutObjectTagging", "s3:PutObjectVersionTagging");
        let version = input.version_id.as_deref();
        let version_id =
            self.retag(cx, &request, (&input.bucket, &input.key), version, actions, tags).await?;
        Ok(S3Response::new(PutObjectTaggingOutput { version_id }))
    }

    pub(super) async fn delete_object_tagging(
        &self,
        cx: &Cx,
        request: S3Request<DeleteObjectTaggingInput>,
    ) -> Result<S3Response<DeleteObjectTaggingOutput>> {
        let input = &request.input;
        let actions = ("s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging");
        let version = input.version_id.as_deref();
        let place = (&*input.bucket, &*input.key);
        let version_id = self.retag(cx, &request, place, version, actions, BTreeMap::new()).await?;
        Ok(S3Response::new(DeleteObjectTaggingOutput { version_id }))
    }

    async fn retag<T>(
        &self,
        cx: &Cx,
        request: &S3Request<T>,
        (name, key): (&str, &str),
        version: Option<&str>,
        (newest, given): (&'static str, &'static str),
        tags: BTreeMap<String, String>,
    ) -> Result<Option<String>> {
        let action = if version.is_some() { given } else { newest };
        let bucket = self.open_object(cx, request, (name, key), action).await?;
        let changed =
            self.0.change_version(&bucket, key, version, |content| content.tags.clone_from(&tags)).await?;
        Ok(changed.id)
    }
}
