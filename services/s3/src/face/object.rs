//! Objects: read, put, copied, deleted, and their tags.
use std::ops::Range as Bytes;

use http::HeaderMap;
use kernel::Cx;
use s3s::dto::*;
use s3s::{S3Request, S3Response};

use super::adapter::{Adapter, when};
use super::answer::{checksums, headers, tag, time};
use super::bucket::owner;
use super::headers::{condition, described, header, instant, promise, refuse_unserved};
use super::request::Trailers;
use super::settings::full_control;
use crate::bodies::{Promise, Written, data, keeps};
use crate::conditions::Conditions;
use crate::error::{Error, Result};
use crate::limits;
use crate::objects::{Found, Put};
use crate::records::{self, Content};

/// A range of an object's bytes, if one is asked for: by range or by part.
fn part_of(content: &Content, range: Option<Range>, part: Option<i32>) -> Result<Option<Bytes<u64>>> {
    match (range, part) {
        (Some(_), Some(_)) => {
            Err(Error::Request("Cannot specify both Range header and partNumber query parameter".into()))
        }
        (Some(range), None) => range.check(content.size).map(Some).map_err(|_| Error::Range(content.size)),
        (None, Some(number)) => {
            let index = usize::try_from(number - 1).ok().filter(|index| *index < content.pieces.len().max(1));
            let index = index.ok_or_else(|| {
                Error::coded("InvalidPartNumber", 416, "The requested partnumber is not satisfiable")
            })?;
            let start: u64 = content.pieces.iter().take(index).map(|piece| piece.size).sum();
            Ok(Some(start..start + content.pieces.get(index).map_or(0, |piece| piece.size)))
        }
        (None, None) => Ok(None),
    }
}

/// Looks up what GetObject and HeadObject alike read, and writes what they alike answer: the object, the range that is
/// asked for, and the output.
macro_rules! read {
    ($output:ident, $adapter:ident, $cx:ident, $request:ident) => {{
        let input = &$request.input;
        let (place, version) = ((&*input.bucket, &*input.key), input.version_id.as_deref());
        let actions = ("s3:GetObject", "s3:GetObjectVersion");
        let (_, found) = $adapter.looked_up($cx, &$request, place, version, actions).await?;
        let conditions = Conditions {
            matches: condition(input.if_match.clone()),
            differs: condition(input.if_none_match.clone()),
            modified_since: instant(input.if_modified_since.clone()),
            unmodified_since: instant(input.if_unmodified_since.clone()),
        };
        conditions.to_read(&found.version, &found.content)?;
        let part = part_of(&found.content, input.range, input.part_number)?;
        let content = &found.content;
        let range = part.clone().unwrap_or(0..content.size);
        let mut output = $output {
            accept_ranges: Some("bytes".into()),
            content_length: i64::try_from(range.end - range.start).ok(),
            content_range: part
                .as_ref()
                .map(|r| format!("bytes {}-{}/{}", r.start, r.end.saturating_sub(1), content.size)),
            content_type: Some(content.content_type.clone().unwrap_or_else(|| "binary/octet-stream".into())),
            e_tag: Some(tag(&content.e_tag)),
            last_modified: Some(time(found.version.at)),
            metadata: Some(content.metadata.clone().into_iter().collect()),
            parts_count: input.part_number.filter(|_| content.multipart).map(|_| content.pieces.len() as i32),
            server_side_encryption: Some(ServerSideEncryption::from_static(ServerSideEncryption::AES256)),
            storage_class: content.storage_class.clone().map(StorageClass::from),
            version_id: found.id(),
            ..Default::default()
        };
        if input.checksum_mode.is_some() && part.is_none() {
            checksums!(output, content.checksums);
            output.checksum_type = checksum_type(content);
        }
        (found, range, output)
    }};
}

impl Adapter {
    /// The object that a request names, on which the caller may do this.
    pub(super) async fn looked_up<T>(
        &self,
        cx: &Cx,
        request: &S3Request<T>,
        (bucket, key): (&str, &str),
        version: Option<&str>,
        (newest, given): (&'static str, &'static str),
    ) -> Result<(records::Bucket, Found)> {
        let bucket = self.owned(request, bucket).await?;
        let access = bucket.object_access(cx, if version.is_some() { given } else { newest }, key);
        cx.authorize(&[when(access, "s3:VersionId", version)]).await?;
        let found = self.0.find(cx, &bucket, key, version).await?;
        Ok((bucket, found))
    }

    pub(super) async fn get_object(
        &self,
        cx: &Cx,
        request: S3Request<GetObjectInput>,
    ) -> Result<S3Response<GetObjectOutput>> {
        let (found, range, mut output) = read!(GetObjectOutput, self, cx, request);
        let input = request.input;
        output.tag_count = Some(found.content.tags.len() as i32).filter(|count| *count > 0);
        let body = self.0.bodies.read(&found.content.pieces, range).await?;
        output.body = Some(StreamingBlob::from(s3s::Body::http_body_unsync(body)));
        let mut kept = headers(&found.content.headers);
        // What the query overrides must not come back.
        for (name, overridden) in [
            ("cache-control", input.response_cache_control.is_some()),
            ("content-disposition", input.response_content_disposition.is_some()),
            ("content-encoding", input.response_content_encoding.is_some()),
            ("content-language", input.response_content_language.is_some()),
            ("expires", input.response_expires.is_some()),
        ] {
            if overridden {
                kept.remove(name);
            }
        }
        Ok(S3Response::with_headers(output, kept))
    }

    pub(super) async fn head_object(
        &self,
        cx: &Cx,
        request: S3Request<HeadObjectInput>,
    ) -> Result<S3Response<HeadObjectOutput>> {
        let (found, _, output) = read!(HeadObjectOutput, self, cx, request);
        Ok(S3Response::with_headers(output, headers(&found.content.headers)))
    }

    pub(super) async fn put_object(
        &self,
        cx: &Cx,
        mut request: S3Request<PutObjectInput>,
    ) -> Result<S3Response<PutObjectOutput>> {
        refuse_unserved(&request.headers)?;
        let body = request.input.body.take();
        let input = &request.input;
        let acl = input.acl.as_ref().map(ObjectCannedACL::as_str);
        let bucket = self.owned(&request, &input.bucket).await?;
        let mut want = bucket.putting(cx, &input.key, acl);
        let sse = header(&request.headers, "x-amz-server-side-encryption");
        want[0] = when(want[0].clone(), "s3:x-amz-server-side-encryption", sse);
        if input.tagging.is_some() {
            want.push(bucket.object_access(cx, "s3:PutObjectTagging", &input.key));
        }
        cx.authorize(&want).await?;
        bucket.check_acl(acl)?;
        let mut content = described(&request.headers)?;
        let written = self.take(body, &request.headers, request.extensions.get::<Trailers>()).await?;
        content.size = written.piece.size;
        content.e_tag = written.md5;
        content.pieces = vec![written.piece];
        content.checksums = written.checksums;
        let input = request.input;
        let conditions = Conditions {
            matches: condition(input.if_match),
            differs: condition(input.if_none_match),
            ..Conditions::default()
        };
        let put = Put {
            bucket: &input.bucket,
            key: &input.key,
            content,
            conditions: &conditions,
            reason: "PutObject",
            also: Default::default(),
            remember: None,
        };
        let found = self.0.put_version(cx, put).await?;
        let mut output = PutObjectOutput {
            e_tag: Some(tag(&found.content.e_tag)),
            version_id: found.version.id,
            server_side_encryption: Some(ServerSideEncryption::from_static(ServerSideEncryption::AES256)),
            ..Default::default()
        };
        checksums!(output, found.content.checksums);
        output.checksum_type = checksum_type(&found.content);
        Ok(S3Response::new(output))
    }

    /// Writes a request's body and holds it to the request's headers and trailers.
    pub(super) async fn take(
        &self,
        body: Option<StreamingBlob>,
        headers: &HeaderMap,
        trailers: Option<&Trailers>,
    ) -> Result<Written> {
        let promise = promise(headers)?;
        let body = body.unwrap_or_else(|| StreamingBlob::from(s3s::Body::empty()));
        let written = self.0.bodies.write(body, limits::PUT, &promise).await?;
        let trailed = |name: &String| trailers?.get(&format!("x-amz-checksum-{}", name.to_ascii_lowercase()));
        let promised = written.checksums.keys().map(|name| (name.clone(), trailed(name))).collect();
        if let Err(error) = keeps(&promised, &written.checksums) {
            self.0.bodies.discard(std::slice::from_ref(&written.piece)).await;
            return Err(error);
        }
        Ok(written)
    }

    /// The object that a copy reads.
    pub(super) async fn source<T>(
        &self,
        cx: &Cx,
        request: &S3Request<T>,
        source: &CopySource,
        conditions: &Conditions,
    ) -> Result<Found> {
        let CopySource::Bucket { bucket, key, version_id } = source else {
            return Err(Error::NotImplemented("Copying from access points is not served.".into()));
        };
        // `x-amz-expected-bucket-owner` is about the target.
        let _ = request;
        let bucket = self.0.bucket(bucket).await?.value;
        let action = if version_id.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
        let access = bucket.object_access(cx, action, key);
        cx.authorize(&[when(access, "s3:VersionId", version_id.as_deref())]).await?;
        let found = self.0.find(cx, &bucket, key, version_id.as_deref()).await?;
        conditions.to_copy(&found.version, &found.content)?;
        Ok(found)
    }

    pub(super) async fn copy_object(
        &self,
        cx: &Cx,
        request: S3Request<CopyObjectInput>,
    ) -> Result<S3Response<CopyObjectOutput>> {
        refuse_unserved(&request.headers)?;
        let input = &request.input;
        let acl = input.acl.as_ref().map(ObjectCannedACL::as_str);
        let bucket = self.owned(&request, &input.bucket).await?;
        cx.authorize(&bucket.putting(cx, &input.key, acl)).await?;
        bucket.check_acl(acl)?;
        let conditions = Conditions {
            matches: condition(input.copy_source_if_match.clone()),
            differs: condition(input.copy_source_if_none_match.clone()),
            modified_since: instant(input.copy_source_if_modified_since.clone()),
            unmodified_since: instant(input.copy_source_if_unmodified_since.clone()),
        };
        let source = self.source(cx, &request, &input.copy_source, &conditions).await?;
        let replaces =
            input.metadata_directive.as_ref().is_some_and(|d| d.as_str() == MetadataDirective::REPLACE);
        let retags =
            input.tagging_directive.as_ref().is_some_and(|d| d.as_str() == TaggingDirective::REPLACE);
        let same = matches!(&input.copy_source, CopySource::Bucket { bucket, key, version_id: None }
            if **bucket == *input.bucket && **key == *input.key);
        if same && !replaces && input.storage_class.is_none() {
            let message = "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.";
            return Err(Error::Request(message.into()));
        }
        let asked = described(&request.headers)?;
        let mut promise = Promise::default();
        let algorithms = source.content.checksums.keys().cloned();
        let wanted = input.checksum_algorithm.as_ref().map(|a| a.as_str().to_owned());
        promise.checksums =
            algorithms.filter(|_| wanted.is_none()).chain(wanted.clone()).map(|a| (a, None)).collect();
        let body = self.0.bodies.read(&source.content.pieces, 0..source.content.size).await?;
        let written = self.0.bodies.write(data(body), limits::PUT, &promise).await?;
        let described = if replaces { asked.clone() } else { source.content.clone() };
        let content = Content {
            size: written.piece.size,
            e_tag: written.md5,
            pieces: vec![written.piece],
            multipart: false,
            composite: false,
            checksums: written.checksums,
            tags: if retags { asked.tags } else { source.content.tags.clone() },
            storage_class: asked.storage_class,
            ..described
        };
        let put = Put {
            bucket: &input.bucket,
            key: &input.key,
            content,
            conditions: &Conditions::default(),
            reason: "CopyObject",
            also: Default::default(),
            remember: None,
        };
        let found = self.0.put_version(cx, put).await?;
        let mut result = CopyObjectResult {
            e_tag: Some(tag(&found.content.e_tag)),
            last_modified: Some(time(found.version.at)),
            ..Default::default()
        };
        checksums!(result, found.content.checksums);
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(result),
            copy_source_version_id: source.id(),
            version_id: found.version.id,
            server_side_encryption: Some(ServerSideEncryption::from_static(ServerSideEncryption::AES256)),
            ..Default::default()
        }))
    }

    pub(super) async fn delete_object(
        &self,
        cx: &Cx,
        request: S3Request<DeleteObjectInput>,
    ) -> Result<S3Response<DeleteObjectOutput>> {
        let input = &request.input;
        if input.if_match.is_some() {
            return Err(Error::NotImplemented("If-Match of DeleteObject is not served.".into()));
        }
        let bucket = self.owned(&request, &input.bucket).await?;
        self.may_delete(cx, &bucket, &input.key, input.version_id.as_deref()).await?;
        let done = self.0.delete(cx, &input.bucket, &input.key, input.version_id.as_deref()).await?;
        let delete_marker = done.marker.then_some(true);
        Ok(S3Response::new(DeleteObjectOutput {
            delete_marker,
            version_id: done.version_id,
            ..Default::default()
        }))
    }

    async fn may_delete(
        &self,
        cx: &Cx,
        bucket: &records::Bucket,
        key: &str,
        version: Option<&str>,
    ) -> Result<()> {
        let action = if version.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
        let access = when(bucket.object_access(cx, action, key), "s3:VersionId", version);
        Ok(cx.authorize(&[access]).await?)
    }

    pub(super) async fn delete_objects(
        &self,
        cx: &Cx,
        request: S3Request<DeleteObjectsInput>,
    ) -> Result<S3Response<DeleteObjectsOutput>> {
        let input = &request.input;
        let bucket = self.owned(&request, &input.bucket).await?;
        if input.delete.objects.is_empty() || input.delete.objects.len() > limits::PAGE {
            let message = format!("Delete must name 1 to {} objects", limits::PAGE);
            return Err(Error::coded("MalformedXML", 400, message));
        }
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for ObjectIdentifier { key, version_id, .. } in input.delete.objects.clone() {
            let version = version_id.as_deref();
            let done = match self.may_delete(cx, &bucket, &key, version).await {
                Ok(()) => self.0.delete(cx, &input.bucket, &key, version).await,
                Err(error) => Err(error),
            };
            match done {
                Ok(done) => deleted.push(DeletedObject {
                    key: Some(key),
                    delete_marker: done.marker.then_some(true),
                    delete_marker_version_id: done.version_id.filter(|_| done.marker),
                    version_id,
                }),
                Err(error) => {
                    let fault = super::answer::failed(error, &cx.request_id);
                    errors.push(s3s::dto::Error {
                        code: Some(fault.code().as_str().to_owned()),
                        message: fault.message().map(str::to_owned),
                        key: Some(key),
                        version_id,
                    });
                }
            }
        }
        let quiet = input.delete.quiet == Some(true);
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: Some(deleted).filter(|_| !quiet),
            errors: Some(errors),
            ..Default::default()
        }))
    }

    pub(super) async fn get_object_attributes(
        &self,
        cx: &Cx,
        request: S3Request<GetObjectAttributesInput>,
    ) -> Result<S3Response<GetObjectAttributesOutput>> {
        let input = &request.input;
        let place = (&*input.bucket, &*input.key);
        let actions = ("s3:GetObjectAttributes", "s3:GetObjectVersionAttributes");
        let (_, found) = self.looked_up(cx, &request, place, input.version_id.as_deref(), actions).await?;
        let asks = |name: &str| input.object_attributes.iter().any(|a| a.as_str() == name);
        let content = &found.content;
        let mut checksum = Checksum::default();
        checksums!(checksum, content.checksums);
        checksum.checksum_type = checksum_type(content);
        let parts = GetObjectAttributesParts {
            total_parts_count: Some(content.pieces.len() as i32),
            ..Default::default()
        };
        Ok(S3Response::new(GetObjectAttributesOutput {
            checksum: (asks("Checksum") && !content.checksums.is_empty()).then_some(checksum),
            e_tag: asks("ETag").then(|| tag(&content.e_tag)),
            last_modified: Some(time(found.version.at)),
            object_parts: (asks("ObjectParts") && content.multipart).then_some(parts),
            object_size: i64::try_from(content.size).ok().filter(|_| asks("ObjectSize")),
            storage_class: asks("StorageClass").then(|| {
                StorageClass::from(content.storage_class.clone().unwrap_or_else(|| "STANDARD".into()))
            }),
            version_id: found.id(),
            ..Default::default()
        }))
    }

    pub(super) async fn get_object_acl(
        &self,
        cx: &Cx,
        request: S3Request<GetObjectAclInput>,
    ) -> Result<S3Response<GetObjectAclOutput>> {
        let input = &request.input;
        let place = (&*input.bucket, &*input.key);
        let actions = ("s3:GetObjectAcl", "s3:GetObjectVersionAcl");
        let (bucket, _) = self.looked_up(cx, &request, place, input.version_id.as_deref(), actions).await?;
        let (grants, owner) = (Some(vec![full_control(&bucket.account)]), Some(owner(&bucket.account)));
        Ok(S3Response::new(GetObjectAclOutput { grants, owner, ..Default::default() }))
    }

    pub(super) async fn put_object_acl(
        &self,
        cx: &Cx,
        request: S3Request<PutObjectAclInput>,
    ) -> Result<S3Response<PutObjectAclOutput>> {
        let input = &request.input;
        let place = (&*input.bucket, &*input.key);
        let actions = ("s3:PutObjectAcl", "s3:PutObjectVersionAcl");
        let (bucket, _) = self.looked_up(cx, &request, place, input.version_id.as_deref(), actions).await?;
        let written = input.access_control_policy.is_some().then_some("AccessControlPolicy");
        bucket.check_acl(input.acl.as_ref().map(ObjectCannedACL::as_str).or(written))?;
        Ok(S3Response::new(PutObjectAclOutput::default()))
    }
}

/// Whether the checksum is the whole object's.
pub fn checksum_type(content: &Content) -> Option<ChecksumType> {
    let kind = if content.composite { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT };
    (!content.checksums.is_empty()).then(|| ChecksumType::from_static(kind))
}
