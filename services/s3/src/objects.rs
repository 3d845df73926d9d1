//! Versions of objects: found, put, deleted.
use kernel::{Cx, Timestamp, ids};
use serde_json::json;
use store::{Batch, Key, Row};

use crate::conditions::Conditions;
use crate::error::{Error, Result};
use crate::records::{Bucket, Content, Piece, Version, Versioning};
use crate::{S3, limits};

/// Timers that end the life of blobs; their payload is the blobs' names.
pub const GARBAGE: &str = "s3.garbage";

/// A version that has content.
pub struct Found {
    /// The version.
    pub version: Version,
    /// Its content.
    pub content: Content,
    /// The bucket was versioned once: ids are shown.
    pub versioned: bool,
}

impl Found {
    /// The id as answers show it: in buckets that never were versioned not at all.
    pub fn id(&self) -> Option<String> {
        self.versioned.then(|| self.version.name().to_owned())
    }
}

/// A version to be put.
pub struct Put<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
    /// The new content; its bytes are written.
    pub content: Content,
    /// What must hold of the version that is there.
    pub conditions: &'a Conditions,
    /// As events name the call.
    pub reason: &'static str,
    /// What the same commit does besides.
    pub also: Batch,
    /// Under which key, and for which parameters, the answer is remembered.
    pub remember: Option<(Key, String)>,
}

/// What a deletion did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// It made a delete marker, or removed one.
    pub marker: bool,
    /// The version it made or removed.
    pub version_id: Option<String>,
}

impl S3 {
    /// The bucket of that name.
    pub(crate) async fn bucket(&self, name: &str) -> Result<Row<Bucket>> {
        let found = self.store.get::<Bucket>(&Bucket::key(name)).await?;
        found.ok_or_else(|| Error::NoSuchBucket(name.to_owned()))
    }

    /// The newest version, delete marker or not.
    pub(crate) async fn latest(&self, bucket: &Bucket, key: &str) -> Result<Option<Row<Version>>> {
        let rows = self.store.list::<Version>(bucket.objects().text(key), None, 1).await?;
        Ok(rows.into_iter().next())
    }

    /// The version with this id (`null` for the one that has none).
    pub(crate) async fn version(&self, bucket: &Bucket, key: &str, id: &str) -> Result<Option<Row<Version>>> {
        let rows = self.store.find::<Version>(bucket.objects().text(key), "version", id, 0, 1).await?;
        Ok(rows.into_iter().next())
    }

    /// The content of the newest version, or of a given one. Who may not list the bucket does not learn whether a key
    /// is missing.
    pub(crate) async fn find(
        &self,
        cx: &Cx,
        bucket: &Bucket,
        key: &str,
        version: Option<&str>,
    ) -> Result<Found> {
        let versioned = bucket.versioning != Versioning::Never;
        let row = match version {
            Some(id) => self.version(bucket, key, id).await?,
            None => self.latest(bucket, key).await?,
        };
        match row.map(|row| row.value) {
            Some(Version { content: Some(content), key, id, at }) => {
                Ok(Found { version: Version { key, id, at, content: None }, content, versioned })
            }
            Some(marker) if version.is_some() => Err(Error::DeleteMarker(marker.name().to_owned())),
            hidden => {
                cx.authorize(&[bucket.access(cx, "s3:ListBucket")]).await?;
                let marker = hidden.map(|marker| marker.name().to_owned());
                Err(match version {
                    Some(id) => Error::NoSuchVersion(id.to_owned()),
                    None => Error::NoSuchKey { key: key.to_owned(), marker },
                })
            }
        }
    }

    /// Puts a version. When it cannot be, its bytes are removed.
    pub(crate) async fn put_version(&self, cx: &Cx, put: Put<'_>) -> Result<Found> {
        let done = self.store.update(|| self.try_put(cx, &put)).await;
        if done.is_err() && put.reason != "CompleteMultipartUpload" {
            self.bodies.discard(&put.content.pieces).await;
        }
        done
    }

    async fn try_put(&self, cx: &Cx, put: &Put<'_>) -> Result<(Batch, Found)> {
        let row = self.bucket(put.bucket).await?;
        let bucket = &row.value;
        let latest = self.latest(bucket, put.key).await?;
        put.conditions.to_write(put.key, latest.as_ref().and_then(|row| row.value.content.as_ref()))?;
        let version = self.next_version(bucket, put.key, Some(put.content.clone()));
        let batch = put.also.clone().expect(&row);
        let batch = self.add(batch, bucket, latest.as_ref(), &version).await?;
        let batch = self.created(cx, batch, bucket, &version, put.reason);
        let versioned = bucket.versioning != Versioning::Never;
        let content = put.content.clone();
        let found = Found { version: Version { content: None, ..version }, content, versioned };
        let batch = match &put.remember {
            Some((key, fingerprint)) => {
                let answer = json!({ "eTag": found.content.e_tag, "versionId": found.version.id });
                batch.remember(key, fingerprint, &answer, self.clock.now())
            }
            None => batch,
        };
        Ok((batch, found))
    }

    fn next_version(&self, bucket: &Bucket, key: &str, content: Option<Content>) -> Version {
        let id = (bucket.versioning == Versioning::Enabled).then(|| ids::alphanumeric(&*self.entropy, 32));
        Version { key: key.to_owned(), id, at: self.clock.now(), content }
    }

    /// A version above the latest; a `null` version replaces the one there is.
    async fn add(
        &self,
        batch: Batch,
        bucket: &Bucket,
        latest: Option<&Row<Version>>,
        version: &Version,
    ) -> Result<Batch> {
        let number = latest.map_or(0, |row| number(&row.key));
        let batch = batch.create(&Version::row(bucket, &version.key, number + 1), version);
        if version.id.is_some() {
            return Ok(batch);
        }
        let replaced = match latest {
            Some(row) if row.value.id.is_none() => Some(row.clone()),
            Some(_) => self.version(bucket, &version.key, "null").await?,
            None => None,
        };
        Ok(match replaced {
            Some(row) => self.garbage(batch.remove(&row), row.value.content.map_or(Vec::new(), |c| c.pieces)),
            None => batch,
        })
    }

    /// Deletes as S3 does: a given version for good; else the object, under a delete marker where versions are kept.
    pub(crate) async fn delete(
        &self,
        cx: &Cx,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<Deleted> {
        self.store.update(|| self.try_delete(cx, bucket, key, version)).await
    }

    async fn try_delete(
        &self,
        cx: &Cx,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<(Batch, Deleted)> {
        let row = self.bucket(bucket).await?;
        let bucket = &row.value;
        let batch = Batch::new().expect(&row);
        let gone = match version {
            Some(id) => self.version(bucket, key, id).await?,
            None if bucket.versioning == Versioning::Never => self.latest(bucket, key).await?,
            None => {
                let marker = self.next_version(bucket, key, None);
                let latest = self.latest(bucket, key).await?;
                let batch = self.add(batch, bucket, latest.as_ref(), &marker).await?;
                let batch = self.deleted(cx, batch, bucket, &marker);
                return Ok((batch, Deleted { marker: true, version_id: Some(marker.name().to_owned()) }));
            }
        };
        let Some(gone) = gone else {
            return Ok((Batch::new(), Deleted { marker: false, version_id: version.map(str::to_owned) }));
        };
        let marker = gone.value.content.is_none();
        let batch =
            self.garbage(batch.remove(&gone), gone.value.content.clone().map_or(Vec::new(), |c| c.pieces));
        let batch = if marker { batch } else { self.deleted(cx, batch, bucket, &gone.value) };
        Ok((batch, Deleted { marker, version_id: version.map(str::to_owned) }))
    }

    /// Has blobs removed once whoever reads them has ended.
    pub(crate) fn garbage(&self, batch: Batch, pieces: Vec<Piece>) -> Batch {
        let Some(first) = pieces.first() else { return batch };
        let at = Timestamp::from_second(self.clock.now().as_second() + limits::LINGER);
        let names: Vec<&str> = pieces.iter().map(|piece| &*piece.blob).collect();
        batch.timer(GARBAGE, &Key::new("", "").text(&first.blob), at.unwrap_or(Timestamp::MAX), &names)
    }

    /// Changes a version in place: its tags.
    pub(crate) async fn change_version(
        &self,
        bucket: &Bucket,
        key: &str,
        id: Option<&str>,
        change: impl Fn(&mut Content),
    ) -> Result<Version> {
        self.store
            .update(|| async {
                let row = match id {
                    Some(id) => self.version(bucket, key, id).await?,
                    None => self.latest(bucket, key).await?,
                };
                let missing = || match id {
                    Some(id) => Error::NoSuchVersion(id.to_owned()),
                    None => Error::NoSuchKey { key: key.to_owned(), marker: None },
                };
                let mut row = row.ok_or_else(missing)?;
                change(row.value.content.as_mut().ok_or_else(missing)?);
                Ok((Batch::new().update(&row), row.value))
            })
            .await
    }
}

/// A version's number: how many came before it under its key.
fn number(key: &Key) -> u64 {
    match key.parts().last() {
        Some(store::Part::Number(inverted)) => u64::MAX - inverted,
        _ => 0,
    }
}
