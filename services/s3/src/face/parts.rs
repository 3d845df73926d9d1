//! Uploads in parts.
use kernel::Cx;
use s3s::dto::*;
use s3s::{S3Request, S3Response};

use super::adapter::Adapter;
use super::answer::{checksums, tag, time};
use super::bucket::owner;
use super::headers::{condition, described, promise, refuse_unserved, told};
use super::object::checksum_type;
use super::request::Trailers;
use crate::bodies::{Promise, data, keeps};
use crate::conditions::Conditions;
use crate::error::{Error, Result};
use crate::limits;
use crate::multipart::{Complete, Named};
use crate::records::Upload;

impl Adapter {
    pub(super) async fn create_multipart_upload(
        &self,
        cx: &Cx,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> Result<S3Response<CreateMultipartUploadOutput>> {
        refuse_unserved(&request.headers)?;
        let input = &request.input;
        let acl = input.acl.as_ref().map(ObjectCannedACL::as_str);
        let bucket = self.owned(&request, &input.bucket).await?;
        cx.authorize(&bucket.putting(cx, &input.key, acl)).await?;
        bucket.check_acl(acl)?;
        let mut content = described(&request.headers)?;
        let algorithm = input.checksum_algorithm.as_ref().map(|a| a.as_str().to_owned());
        let kind = input.checksum_type.as_ref().map(ChecksumType::as_str);
        let composite = match (algorithm.as_deref(), kind) {
            (Some("CRC64NVME"), Some(ChecksumType::COMPOSITE))
            | (Some("SHA1" | "SHA256"), Some(ChecksumType::FULL_OBJECT)) => {
                let message = "The checksum type is not one of the checksum algorithm: CRC64NVME is FULL_OBJECT, SHA1 and SHA256 are COMPOSITE";
                return Err(Error::Request(message.into()));
            }
            (Some("CRC64NVME"), _) | (_, Some(ChecksumType::FULL_OBJECT)) => false,
            (algorithm, _) => algorithm.is_some(),
        };
        content.composite = composite;
        let upload = self.0.begin_upload(cx, &input.bucket, &input.key, content, algorithm).await?;
        let kind = if composite { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT };
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            upload_id: Some(upload.id),
            checksum_algorithm: input.checksum_algorithm.clone(),
            checksum_type: upload.algorithm.map(|_| ChecksumType::from_static(kind)),
            server_side_encryption: Some(ServerSideEncryption::from_static(ServerSideEncryption::AES256)),
            ..Default::default()
        }))
    }

    pub(super) async fn upload_part(
        &self,
        cx: &Cx,
        mut request: S3Request<UploadPartInput>,
    ) -> Result<S3Response<UploadPartOutput>> {
        let body = request.input.body.take().unwrap_or_else(|| StreamingBlob::from(s3s::Body::empty()));
        let input = &request.input;
        let place = (&*input.bucket, &*input.key);
        let bucket = self.open_object(cx, &request, place, "s3:PutObject").await?;
        let upload = (&*input.key, &*input.upload_id);
        let promise = promise(&request.headers)?;
        let promised: Vec<String> = promise.checksums.keys().cloned().collect();
        let part = self.0.put_part(&bucket, upload, input.part_number, body, promise).await?;
        let trailers = request.extensions.get::<Trailers>();
        let trailed = |name: &String| trailers?.get(&format!("x-amz-checksum-{}", name.to_ascii_lowercase()));
        // A part that is not what its trailer says stays unnamed: the client knows no ETag of it.
        let told = promised.iter().map(|name| (name.clone(), trailed(name))).collect();
        keeps(&told, &part.checksums)?;
        let mut output = UploadPartOutput {
            e_tag: Some(tag(&part.e_tag)),
            server_side_encryption: Some(ServerSideEncryption::from_static(ServerSideEncryption::AES256)),
            ..Default::default()
        };
        checksums!(output, part.checksums);
        Ok(S3Response::new(output))
    }

    pub(super) async fn upload_part_copy(
        &self,
        cx: &Cx,
        request: S3Request<UploadPartCopyInput>,
    ) -> Result<S3Response<UploadPartCopyOutput>> {
        let input = &request.input;
        let place = (&*input.bucket, &*input.key);
        let bucket = self.open_object(cx, &request, place, "s3:PutObject").await?;
        let source = self.source(cx, &request, &input.copy_source, &Conditions::default()).await?;
        let size = source.content.size;
        let range = match input.copy_source_range.as_deref() {
            None => 0..size,
            Some(text) => {
                let range = Range::parse(text).map_err(|_| {
                    Error::Argument(
                        "The x-amz-copy-source-range value must be of the form bytes=first-last".into(),
                    )
                })?;
                range.check(size).map_err(|_| Error::Range(size))?
            }
        };
        let body = data(self.0.bodies.read(&source.content.pieces, range).await?);
        let upload = (&*input.key, &*input.upload_id);
        let part = self.0.put_part(&bucket, upload, input.part_number, body, Promise::default()).await?;
        let mut result = CopyPartResult {
            e_tag: Some(tag(&part.e_tag)),
            last_modified: Some(time(part.at)),
            ..Default::default()
        };
        checksums!(result, part.checksums);
        let copy_source_version_id = source.id();
        Ok(S3Response::new(UploadPartCopyOutput {
            copy_part_result: Some(result),
            copy_source_version_id,
            ..Default::default()
        }))
    }

    pub(super) async fn complete_multipart_upload(
        &self,
        cx: &Cx,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = &request.input;
        let place = (&*input.bucket, &*input.key);
        self.open_object(cx, &request, place, "s3:PutObject").await?;
        let parts = input.multipart_upload.clone().and_then(|upload| upload.parts).unwrap_or_default();
        let parts = parts.into_iter().map(|part| Named {
            number: part.part_number.unwrap_or_default(),
            e_tag: part.e_tag.map(ETag::into_value).unwrap_or_default(),
        });
        let conditions = Conditions {
            matches: condition(input.if_match.clone()),
            differs: condition(input.if_none_match.clone()),
            ..Conditions::default()
        };
        let complete = Complete {
            bucket: &input.bucket,
            key: &input.key,
            upload: &input.upload_id,
            parts: parts.collect(),
            checksums: told(&request.headers),
            conditions: &conditions,
        };
        let found = self.0.complete(cx, complete).await?;
        let mut output = CompleteMultipartUploadOutput {
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            location: Some(format!("{}/{}/{}", cx.base, input.bucket, input.key)),
            e_tag: Some(tag(&found.content.e_tag)),
            version_id: found.version.id.clone(),
            server_side_encryption: Some(ServerSideEncryption::from_static(ServerSideEncryption::AES256)),
            ..Default::default()
        };
        checksums!(output, found.content.checksums);
        output.checksum_type = checksum_type(&found.content);
        Ok(S3Response::new(output))
    }

    pub(super) async fn abort_multipart_upload(
        &self,
        cx: &Cx,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> Result<S3Response<AbortMultipartUploadOutput>> {
        let input = &request.input;
        let place = (&*input.bucket, &*input.key);
        let bucket = self.open_object(cx, &request, place, "s3:AbortMultipartUpload").await?;
        self.0.abort(&bucket, &input.key, &input.upload_id).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    pub(super) async fn list_parts(
        &self,
        cx: &Cx,
        request: S3Request<ListPartsInput>,
    ) -> Result<S3Response<ListPartsOutput>> {
        let input = &request.input;
        let place = (&*input.bucket, &*input.key);
        let bucket = self.open_object(cx, &request, place, "s3:ListMultipartUploadParts").await?;
        let upload = self.0.upload(&bucket, &input.key, &input.upload_id).await?.value;
        let max = usize::try_from(input.max_parts.unwrap_or(1000)).unwrap_or(limits::PAGE).min(limits::PAGE);
        let after = input.part_number_marker.and_then(|marker| u32::try_from(marker).ok()).unwrap_or(0);
        let mut rows = self.0.parts(&bucket, &input.upload_id, after, max + 1).await?;
        let more = rows.len() > max;
        rows.truncate(max);
        let last = rows.last().map(|row| row.value.number as i32);
        let parts = rows.into_iter().map(|row| {
            let mut part = Part {
                part_number: Some(row.value.number as i32),
                e_tag: Some(tag(&row.value.e_tag)),
                size: i64::try_from(row.value.piece.size).ok(),
                last_modified: Some(time(row.value.at)),
                ..Default::default()
            };
            checksums!(part, row.value.checksums);
            part
        });
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            upload_id: Some(input.upload_id.clone()),
            parts: Some(parts.collect()),
            is_truncated: Some(more),
            next_part_number_marker: last.filter(|_| more),
            part_number_marker: Some(after as i32),
            max_parts: Some(max as i32),
            initiator: Some(initiator(&upload)),
            owner: Some(owner(&bucket.account)),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            ..Default::default()
        }))
    }

    pub(super) async fn list_multipart_uploads(
        &self,
        cx: &Cx,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> Result<S3Response<ListMultipartUploadsOutput>> {
        let input = &request.input;
        let bucket = self.open(cx, &request, &input.bucket, "s3:ListBucketMultipartUploads").await?;
        if input.delimiter.as_ref().is_some_and(|delimiter| !delimiter.is_empty()) {
            return Err(Error::NotImplemented("delimiter of ListMultipartUploads is not served.".into()));
        }
        let max =
            usize::try_from(input.max_uploads.unwrap_or(1000)).unwrap_or(limits::PAGE).min(limits::PAGE);
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = input.key_marker.as_deref().filter(|marker| !marker.is_empty()).map(|key| {
            let id = input.upload_id_marker.clone().unwrap_or_else(|| char::MAX.to_string());
            Upload::row(&bucket, key, &id)
        });
        let rows = bucket.objects().starting(&prefix);
        let mut rows = self.0.store.list::<Upload>(rows, after.as_ref(), max + 1).await?;
        let more = rows.len() > max;
        rows.truncate(max);
        let last = rows.last().filter(|_| more).map(|row| (row.value.key.clone(), row.value.id.clone()));
        let uploads = rows.into_iter().map(|row| MultipartUpload {
            initiator: Some(initiator(&row.value)),
            key: Some(row.value.key),
            upload_id: Some(row.value.id),
            initiated: Some(time(row.value.began)),
            owner: Some(owner(&bucket.account)),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            ..Default::default()
        });
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket.clone()),
            prefix: Some(prefix),
            key_marker: Some(input.key_marker.clone().unwrap_or_default()),
            upload_id_marker: Some(input.upload_id_marker.clone().unwrap_or_default()),
            max_uploads: Some(max as i32),
            is_truncated: Some(more),
            next_key_marker: last.as_ref().map(|(key, _)| key.clone()),
            next_upload_id_marker: last.map(|(_, id)| id),
            uploads: Some(uploads.collect()),
            ..Default::default()
        }))
    }
}

fn initiator(upload: &Upload) -> Initiator {
    Initiator { id: Some(upload.initiator.clone()), display_name: None }
}
