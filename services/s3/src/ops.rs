//! What other services call in process.
use api::s3::{
    DeleteObject, GetObject, GetObjectOutput, HeadObject, Object, PutObject, PutObjectOnce, PutObjectOutput,
};
use kernel::{Access, Cx, Fault, Handle, Stream};

use crate::S3;
use crate::bodies::{Promise, data};
use crate::conditions::Conditions;
use crate::error::Error;
use crate::objects::{Found, Put};
use crate::records::Content;

impl S3 {
    async fn reading(
        &self,
        cx: &Cx,
        bucket: &str,
        key: &str,
        version: Option<&String>,
    ) -> Result<Vec<Access>, Fault> {
        let bucket = self.bucket(bucket).await?.value;
        let action = if version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
        let access = bucket.object_access(cx, action, key);
        Ok(vec![match version {
            Some(id) => access.when("s3:VersionId", id),
            None => access,
        }])
    }
}

impl S3 {
    async fn put_object(
        &self,
        cx: &Cx,
        input: PutObject,
        remember: Option<(store::Key, String)>,
    ) -> Result<PutObjectOutput, Fault> {
        let PutObject { bucket, key, body, content_type, headers, metadata, acl } = input;
        self.bucket(&bucket).await?.value.check_acl(acl.as_deref())?;
        let written = self.bodies.write(data(body.into_body()), api::s3::PUT, &Promise::default()).await?;
        let content = Content {
            size: written.piece.size,
            e_tag: written.md5,
            pieces: vec![written.piece],
            content_type,
            headers,
            metadata,
            ..Content::default()
        };
        let conditions = &Conditions::default();
        let put = Put {
            bucket: &bucket,
            key: &key,
            content,
            conditions,
            reason: "PutObject",
            also: Default::default(),
            remember,
        };
        let found = self.put_version(cx, put).await?;
        Ok(PutObjectOutput { e_tag: format!("\"{}\"", found.content.e_tag), version_id: found.version.id })
    }
}

fn object(found: &Found) -> Object {
    let Content { size, e_tag, content_type, headers, metadata, .. } = found.content.clone();
    Object {
        size,
        e_tag: format!("\"{e_tag}\""),
        version_id: found.id(),
        last_modified: found.version.at,
        content_type,
        headers,
        metadata,
    }
}

impl Handle<GetObject> for S3 {
    async fn access(&self, cx: &Cx, input: &GetObject) -> Result<Vec<Access>, Fault> {
        self.reading(cx, &input.bucket, &input.key, input.version_id.as_ref()).await
    }

    async fn handle(&self, cx: &Cx, input: GetObject) -> Result<GetObjectOutput, Fault> {
        let bucket = self.bucket(&input.bucket).await?.value;
        let found = self.find(cx, &bucket, &input.key, input.version_id.as_deref()).await?;
        let size = found.content.size;
        let range = match input.range {
            None => 0..size,
            Some((first, _)) if first >= size => return Err(Error::Range(size).into()),
            Some((first, last)) => first..last.map_or(size, |last| last.saturating_add(1).min(size)),
        };
        let body = self.bodies.read(&found.content.pieces, range).await?;
        Ok(GetObjectOutput { body: Stream::new(body), object: object(&found) })
    }
}

impl Handle<HeadObject> for S3 {
    async fn access(&self, cx: &Cx, input: &HeadObject) -> Result<Vec<Access>, Fault> {
        self.reading(cx, &input.bucket, &input.key, input.version_id.as_ref()).await
    }

    async fn handle(&self, cx: &Cx, input: HeadObject) -> Result<Object, Fault> {
        let bucket = self.bucket(&input.bucket).await?.value;
        Ok(object(&self.find(cx, &bucket, &input.key, input.version_id.as_deref()).await?))
    }
}

impl Handle<DeleteObject> for S3 {
    async fn access(&self, cx: &Cx, input: &DeleteObject) -> Result<Vec<Access>, Fault> {
        let bucket = self.bucket(&input.bucket).await?.value;
        Ok(vec![bucket.object_access(cx, "s3:DeleteObject", &input.key)])
    }

    async fn handle(&self, cx: &Cx, input: DeleteObject) -> Result<(), Fault> {
        self.delete(cx, &input.bucket, &input.key, None).await?;
        Ok(())
    }
}

impl Handle<PutObject> for S3 {
    async fn access(&self, cx: &Cx, input: &PutObject) -> Result<Vec<Access>, Fault> {
        let bucket = self.bucket(&input.bucket).await?.value;
        Ok(bucket.putting(cx, &input.key, input.acl.as_deref()))
    }

    async fn handle(&self, cx: &Cx, input: PutObject) -> Result<PutObjectOutput, Fault> {
        self.put_object(cx, input, None).await
    }
}

impl Handle<PutObjectOnce> for S3 {
    async fn access(&self, cx: &Cx, input: &PutObjectOnce) -> Result<Vec<Access>, Fault> {
        Handle::<PutObject>::access(self, cx, &input.put).await
    }

    async fn handle(&self, cx: &Cx, input: PutObjectOnce) -> Result<PutObjectOutput, Fault> {
        let PutObjectOnce { token, put } = input;
        let key = store::Key::new(cx.account(), "").text("PutObjectOnce").text(token);
        let fingerprint = format!("{}/{}", put.bucket, put.key);
        let before = self.store.recall(&key, &fingerprint).await.map_err(Error::from)?;
        if let Some(answer) = before {
            let text = |name: &str| answer[name].as_str().map(str::to_owned);
            let e_tag = format!("\"{}\"", text("eTag").unwrap_or_default());
            return Ok(PutObjectOutput { e_tag, version_id: text("versionId") });
        }
        self.put_object(cx, put, Some((key, fingerprint))).await
    }
}
