//! Uploads in parts.
use std::collections::BTreeMap;

use bytes::Bytes;
use futures::Stream;
use kernel::{Cx, ids};
use store::{Batch, Row};

use crate::bodies::{Promise, StdError, composed, data, hasher, keeps, values};
use crate::conditions::Conditions;
use crate::error::{Error, Result};
use crate::objects::{Found, Put};
use crate::records::{Bucket, Content, Part, Upload};
use crate::{S3, limits};

/// What a client says of a part when it completes an upload.
pub struct Named {
    /// Its number.
    pub number: i32,
    /// Its ETag, without quotes.
    pub e_tag: String,
}

/// A completion.
pub struct Complete<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
    /// The upload's id.
    pub upload: &'a str,
    /// The parts that become the object.
    pub parts: Vec<Named>,
    /// What the whole object's checksums must be, by algorithm.
    pub checksums: BTreeMap<String, Option<String>>,
    /// What must hold of the object that is there.
    pub conditions: &'a Conditions,
}

impl S3 {
    /// Begins an upload; `content` is what the object will have besides its bytes.
    pub(crate) async fn begin_upload(
        &self,
        cx: &Cx,
        bucket: &str,
        key: &str,
        content: Content,
        algorithm: Option<String>,
    ) -> Result<Upload> {
        let row = self.bucket(bucket).await?;
        let (id, initiator) = (ids::alphanumeric(&*self.entropy, 64), cx.caller.arn.clone());
        let began = self.clock.now();
        let upload = Upload { key: key.to_owned(), id, began, initiator, content, algorithm };
        let batch = Batch::new().expect(&row).create(&Upload::row(&row.value, key, &upload.id), &upload);
        self.store.commit(batch).await?;
        Ok(upload)
    }

    /// The upload.
    pub(crate) async fn upload(&self, bucket: &Bucket, key: &str, id: &str) -> Result<Row<Upload>> {
        self.store.get::<Upload>(&Upload::row(bucket, key, id)).await?.ok_or(Error::NoSuchUpload)
    }

    /// Takes a part; one of the same number is replaced.
    pub(crate) async fn put_part<S>(
        &self,
        bucket: &Bucket,
        (key, id): (&str, &str),
        number: i32,
        body: S,
        mut promise: Promise,
    ) -> Result<Part>
    where
        S: Stream<Item = std::result::Result<Bytes, StdError>> + Send + Unpin,
    {
        let number = u32::try_from(number).ok().filter(|n| (1..=limits::PARTS as u32).contains(n));
        let number = number.ok_or_else(|| {
            Error::Argument("Part number must be an integer between 1 and 10000, inclusive".into())
        })?;
        let upload = self.upload(bucket, key, id).await?;
        if let Some(algorithm) = &upload.value.algorithm {
            promise.checksums.entry(algorithm.clone()).or_default();
        }
        let written = self.bodies.write(body, limits::PUT, &promise).await?;
        let at = self.clock.now();
        let part =
            Part { number, piece: written.piece, e_tag: written.md5, checksums: written.checksums, at };
        let done: Result<()> = self
            .store
            .update(|| async {
                let upload = self.upload(bucket, key, id).await?;
                let row = Part::row(bucket, id, number);
                let before = self.store.get::<Part>(&row).await?;
                let batch = Batch::new().expect(&upload).expect_same(&row, before.as_ref()).put(&row, &part);
                let replaced = before.map(|before| before.value.piece).into_iter().collect();
                Ok((self.garbage(batch, replaced), ()))
            })
            .await;
        if done.is_err() {
            self.bodies.discard(std::slice::from_ref(&part.piece)).await;
        }
        done.map(|()| part)
    }

    /// Parts that were taken, by number, behind `after`.
    pub(crate) async fn parts(
        &self,
        bucket: &Bucket,
        id: &str,
        after: u32,
        limit: usize,
    ) -> Result<Vec<Row<Part>>> {
        let after = Part::row(bucket, id, after);
        Ok(self.store.list::<Part>(Part::rows(bucket, id), Some(&after), limit).await?)
    }

    /// Makes the object of the parts, in one commit.
    pub(crate) async fn complete(&self, cx: &Cx, complete: Complete<'_>) -> Result<Found> {
        let Complete { bucket: name, key, upload: id, parts: named, checksums, conditions } = complete;
        let bucket = self.bucket(name).await?.value;
        let upload = self.upload(&bucket, key, id).await?;
        let rows = self.parts(&bucket, id, 0, limits::PARTS).await?;
        let parts = chosen(&named, &rows)?;
        let content = self.joined(&upload.value, &parts, &checksums).await?;
        if content.size > limits::OBJECT {
            return Err(Error::TooLarge(limits::OBJECT));
        }
        let unused = rows.iter().filter(|row| !content.pieces.contains(&row.value.piece));
        let unused = unused.map(|row| row.value.piece.clone()).collect();
        let also = self.garbage(Batch::new().remove(&upload), unused);
        let also = rows.iter().fold(also, |batch, row| batch.remove(row));
        let reason = "CompleteMultipartUpload";
        let put = Put { bucket: name, key, content, conditions, reason, also, remember: None };
        self.put_version(cx, put).await.map_err(|error| match error {
            // The upload itself moved on: it was completed, aborted, or a part came late.
            Error::Store(inner) if inner.is_conflict() => Error::NoSuchUpload,
            other => other,
        })
    }

    async fn joined(
        &self,
        upload: &Upload,
        parts: &[&Part],
        promised: &BTreeMap<String, Option<String>>,
    ) -> Result<Content> {
        let pieces: Vec<_> = parts.iter().map(|part| part.piece.clone()).collect();
        let size = pieces.iter().map(|piece| piece.size).sum();
        let composite = upload.content.composite;
        let digests: Vec<_> = parts.iter().map(|part| (&*part.e_tag, &part.checksums)).collect();
        let algorithm = upload.algorithm.as_deref();
        let (e_tag, mut checksums) = composed(&digests, algorithm.filter(|_| composite))?;
        if let (Some(algorithm), false) = (algorithm, composite) {
            checksums = self.whole_checksum(&pieces, size, algorithm).await?;
        }
        // Clients name a composite checksum with or without the number of parts.
        let bare = |sum: &String| sum.split_once('-').map_or(sum.clone(), |(sum, _)| sum.to_owned());
        let found = checksums.iter().map(|(name, sum)| (name.clone(), bare(sum))).collect();
        let promised = promised.iter().filter(|(name, _)| checksums.contains_key(*name));
        let promised = promised.map(|(name, sum)| (name.clone(), sum.as_ref().map(bare))).collect();
        keeps(&promised, &found)?;
        Ok(Content { size, e_tag, pieces, multipart: true, checksums, ..upload.content.clone() })
    }

    /// The checksum of a whole object, read once more.
    async fn whole_checksum(
        &self,
        pieces: &[crate::records::Piece],
        size: u64,
        algorithm: &str,
    ) -> Result<BTreeMap<String, String>> {
        use futures::TryStreamExt;
        let mut sums = hasher(std::iter::once(algorithm))?;
        let mut body = data(self.bodies.read(pieces, 0..size).await?);
        while let Some(bytes) = body.try_next().await.map_err(|e| Error::Incomplete(e.to_string()))? {
            sums.update(&bytes);
        }
        Ok(values(sums.finalize()))
    }

    /// Ends an upload, and with it its parts.
    pub(crate) async fn abort(&self, bucket: &Bucket, key: &str, id: &str) -> Result<()> {
        self.store
            .update(|| async {
                let upload = self.upload(bucket, key, id).await?;
                let parts = self.parts(bucket, id, 0, limits::PARTS).await?;
                let pieces = parts.iter().map(|row| row.value.piece.clone()).collect();
                let batch = self.garbage(Batch::new().remove(&upload), pieces);
                Ok((parts.iter().fold(batch, |batch, row| batch.remove(row)), ()))
            })
            .await
    }
}

/// The parts that a completion names: ascending, uploaded, and large enough.
fn chosen<'a>(named: &[Named], rows: &'a [Row<Part>]) -> Result<Vec<&'a Part>> {
    if named.is_empty() {
        return Err(Error::coded("MalformedXML", 400, "You must specify at least one part"));
    }
    if named.windows(2).any(|pair| pair[0].number >= pair[1].number) {
        return Err(Error::PartOrder);
    }
    let mut parts = Vec::new();
    for (index, Named { number, e_tag }) in named.iter().enumerate() {
        let found =
            rows.iter().map(|row| &row.value).find(|part| i64::from(part.number) == i64::from(*number));
        let part = found.filter(|part| part.e_tag == *e_tag).ok_or(Error::InvalidPart(*number))?;
        if index + 1 < named.len() && part.piece.size < limits::PART {
            return Err(Error::TooSmall(part.number));
        }
        parts.push(part);
    }
    Ok(parts)
}
