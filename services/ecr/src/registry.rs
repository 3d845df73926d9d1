//! What both doors do: layers in, images in, images found and removed.
use blobs::{Digest, Name};
use bytes::Bytes;
use http_body_util::BodyExt;
use kernel::{Body, Cx, ids};
use serde_json::json;
use store::{Batch, Event, Key, Row};

use crate::manifest::{self, Manifest};
use crate::records::{Image, Layer, Repository, Tag};
use crate::{AREA, Ecr, Error, Result, limits};

/// How a client names an image: one of the two, or both.
#[derive(Clone, Debug, Default)]
pub struct ImageId {
    /// `sha256:…`.
    pub digest: Option<String>,
    /// A tag.
    pub tag: Option<String>,
}

/// An image that is about to be put.
pub struct Put<'a> {
    /// The repository.
    pub repository: &'a str,
    /// The manifest, byte for byte.
    pub manifest: Bytes,
    /// The media type the client declared.
    pub media_type: Option<&'a str>,
    /// The tag it gets.
    pub tag: Option<&'a str>,
    /// The digest it must have.
    pub digest: Option<&'a str>,
}

impl Ecr {
    fn under(cx: &Cx, repository: &str, id: &str) -> Key {
        Self::key(cx, repository).text(id)
    }

    /// The layer, if the repository holds it.
    pub async fn layer(&self, cx: &Cx, repository: &str, digest: &str) -> Result<Option<Row<Layer>>> {
        Ok(self.store.get(&Self::under(cx, repository, digest)).await?)
    }

    /// Begins an upload; answers its id.
    pub async fn begin_upload(&self, cx: &Cx, repository: &str) -> Result<String> {
        self.repository(cx, repository).await?;
        let id = ids::uuid(&*self.entropy);
        let upload = self.blobs.upload(limits::LAYER).await?;
        self.uploads.open(Self::key(cx, repository), id.clone(), upload, self.clock.now())?;
        Ok(id)
    }

    /// Appends to an upload what starts at `first`; answers how many bytes it has.
    pub async fn append(
        &self,
        cx: &Cx,
        repository: &str,
        id: &str,
        first: Option<u64>,
        body: &mut Body,
    ) -> Result<u64> {
        let session = self.uploads.find(&Self::key(cx, repository), id, self.clock.now())?;
        let mut turn = session.lock().await;
        let upload = turn.as_mut().ok_or_else(|| Error::UploadNotFound(id.to_owned()))?;
        if let Some(given) = first.filter(|first| *first != upload.size()) {
            return Err(Error::Part { expected: upload.size(), given });
        }
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.map_err(|e| Error::Body(e.to_string()))?.into_data() {
                upload.write(data).await?;
            }
        }
        Ok(upload.size())
    }

    /// How many bytes an upload has.
    pub async fn uploaded(&self, cx: &Cx, repository: &str, id: &str) -> Result<u64> {
        let session = self.uploads.find(&Self::key(cx, repository), id, self.clock.now())?;
        let turn = session.lock().await;
        turn.as_ref().map(blobs::Upload::size).ok_or_else(|| Error::UploadNotFound(id.to_owned()))
    }

    /// Ends an upload as the layer of that digest. A wrong digest keeps nothing.
    pub async fn complete(&self, cx: &Cx, repository: &str, id: &str, digest: &str) -> Result<()> {
        let expected = manifest::digest(digest)?;
        let key = Self::key(cx, repository);
        let session = self.uploads.find(&key, id, self.clock.now())?;
        let upload = session.lock().await.take().ok_or_else(|| Error::UploadNotFound(id.to_owned()))?;
        self.uploads.close(&key, id);
        let _naming = self.naming.read().await;
        let (_, stored) = upload.keep_content(AREA, Some(&expected)).await.map_err(|error| match error {
            blobs::Error::Digest { expected, found } => {
                Error::Digest { expected: expected.to_string(), found: found.to_string() }
            }
            other => other.into(),
        })?;
        self.link(cx, repository, digest, stored.size).await
    }

    async fn link(&self, cx: &Cx, repository: &str, digest: &str, size: u64) -> Result<()> {
        let layer = Layer { digest: digest.to_owned(), size, pushed: self.clock.now() };
        let row = self.repository(cx, repository).await?;
        self.store
            .commit(Batch::new().expect(&row).put(&Self::under(cx, repository, digest), &layer))
            .await?;
        Ok(())
    }

    /// Lets a repository hold a layer of another one; `false` where that one does not hold it.
    pub async fn mount(&self, cx: &Cx, repository: &str, from: &str, digest: &str) -> Result<bool> {
        let _naming = self.naming.read().await;
        let Some(layer) = self.layer(cx, from, digest).await? else { return Ok(false) };
        self.link(cx, repository, digest, layer.value.size).await?;
        Ok(true)
    }

    /// The blob of a layer that the repository holds.
    pub async fn blob(&self, cx: &Cx, repository: &str, digest: &str) -> Result<(Name, u64)> {
        self.repository(cx, repository).await?;
        let layer = self
            .layer(cx, repository, digest)
            .await?
            .ok_or_else(|| Error::LayerNotFound(digest.to_owned()))?;
        Ok((Name::content(AREA, &manifest::digest(digest)?)?, layer.value.size))
    }

    /// Puts an image; answers its digest, and whether it and its tag were there before.
    pub async fn put_image(&self, cx: &Cx, put: Put<'_>) -> Result<(Image, bool)> {
        let read = manifest::read(&put.manifest, put.media_type)?;
        let digest = Digest::of(&put.manifest).to_string();
        if let Some(expected) = put.digest.filter(|expected| *expected != digest) {
            return Err(Error::Digest { expected: expected.to_owned(), found: digest });
        }
        if let Some(tag) = put.tag.filter(|tag| !is_tag(tag)) {
            return Err(Error::InvalidParameter(
                "imageTag",
                format!("'{tag}' must match [A-Za-z0-9_][A-Za-z0-9._-]{{0,127}}"),
            ));
        }
        let _naming = self.naming.read().await;
        let name = Name::content(AREA, &Digest::of(&put.manifest))?;
        self.blobs.put(&name, put.manifest.clone()).await?;
        self.store.update(|| self.putting(cx, &put, &read, &digest)).await
    }

    async fn putting(
        &self,
        cx: &Cx,
        put: &Put<'_>,
        read: &Manifest,
        digest: &str,
    ) -> Result<(Batch, (Image, bool))> {
        let repository = self.repository(cx, put.repository).await?;
        self.require(cx, put.repository, read).await?;
        let key = Self::under(cx, put.repository, digest);
        let known: Option<Row<Image>> = self.store.get(&key).await?;
        let image = Image {
            digest: digest.to_owned(),
            media_type: read.media_type.clone(),
            artifact_type: read.artifact_type.clone(),
            size: read.size,
            pushed: self.clock.now(),
            pulled: None,
            blobs: read.blobs.clone(),
            images: read.images.clone(),
        };
        let mut batch = Batch::new().expect(&repository).expect_same(&key, known.as_ref());
        let mut news = known.is_none();
        if let Some(tag) = put.tag {
            let key = Self::under(cx, put.repository, tag);
            let held: Option<Row<Tag>> = self.store.get(&key).await?;
            let moves = held.as_ref().is_none_or(|row| row.value.digest != digest);
            if held.is_some() && moves && repository.value.mutability.holds(tag) {
                return Err(Error::TagImmutable(tag.to_owned(), put.repository.to_owned()));
            }
            news |= moves;
            batch = batch.expect_same(&key, held.as_ref()).put(&key, &Tag { digest: digest.to_owned() });
        }
        if !news {
            return Ok((Batch::new(), (known.map_or(image, |row| row.value), true)));
        }
        let event = self.event(cx, "PUSH", put.repository, digest, put.tag);
        Ok((batch.put(&key, &image).event(event), (image, false)))
    }

    /// Everything that a manifest names must be in the repository.
    async fn require(&self, cx: &Cx, repository: &str, read: &Manifest) -> Result<()> {
        let mut missing = Vec::new();
        for digest in &read.blobs {
            if self.layer(cx, repository, digest).await?.is_none() {
                missing.push(digest.clone());
            }
        }
        if !missing.is_empty() {
            return Err(Error::LayersNotFound(missing.join(", ")));
        }
        for digest in &read.images {
            if self.store.get::<Image>(&Self::under(cx, repository, digest)).await?.is_none() {
                missing.push(digest.clone());
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(Error::ImagesNotFound(missing.join(", "))) }
    }

    fn event(&self, cx: &Cx, action: &str, repository: &str, digest: &str, tag: Option<&str>) -> Event {
        let id = ids::uuid(&*self.entropy);
        let mut detail = json!({"result": "SUCCESS", "repository-name": repository, "image-digest": digest, "action-type": action});
        if let Some(tag) = tag {
            detail["image-tag"] = tag.into();
        }
        Event::new("aws.ecr", "ECR Image Action", cx.account(), &cx.region, id, self.clock.now())
            .detail(detail)
    }

    /// The image that a client names.
    pub async fn image(&self, cx: &Cx, repository: &str, id: &ImageId) -> Result<Row<Image>> {
        let missing = || Error::ImageNotFound {
            digest: id.digest.clone().unwrap_or_else(|| "null".into()),
            tag: id.tag.clone().unwrap_or_else(|| "null".into()),
            repository: repository.to_owned(),
        };
        let digest = match (&id.digest, &id.tag) {
            (digest, Some(tag)) => {
                let row: Option<Row<Tag>> = self.store.get(&Self::under(cx, repository, tag)).await?;
                let named = row.map(|row| row.value.digest).ok_or_else(missing)?;
                if digest.as_ref().is_some_and(|digest| *digest != named) {
                    return Err(missing());
                }
                named
            }
            (Some(digest), None) => digest.clone(),
            (None, None) => return Err(Error::InvalidParameter("imageIds", "name a digest or a tag".into())),
        };
        self.store.get(&Self::under(cx, repository, &digest)).await?.ok_or_else(missing)
    }

    /// The manifest of an image, byte for byte.
    pub async fn manifest(&self, image: &Image) -> Result<Bytes> {
        Ok(self
            .blobs
            .get(&Name::content(AREA, &manifest::digest(&image.digest)?)?, limits::MANIFEST as u64)
            .await?)
    }

    /// Tags of a repository: tag to digest, by name.
    pub async fn tags(&self, cx: &Cx, repository: &str) -> Result<Vec<(String, String)>> {
        let rows = self.store.all::<Tag>(&Self::key(cx, repository)).await?;
        Ok(rows.into_iter().map(|row| (row.key.last(), row.value.digest)).collect())
    }

    /// Images of a repository, oldest first.
    pub async fn images(&self, cx: &Cx, repository: &str) -> Result<Vec<Row<Image>>> {
        let mut rows = self.store.all::<Image>(&Self::key(cx, repository)).await?;
        rows.sort_by_key(|row| row.created);
        Ok(rows)
    }

    /// Removes a tag, or by digest an image with all its tags. One that an index holds stays.
    pub async fn delete_image(&self, cx: &Cx, repository: &str, id: &ImageId) -> Result<Vec<ImageId>> {
        let image = self.image(cx, repository, id).await?;
        let digest = image.value.digest.clone();
        let tags: Vec<String> = self
            .tags(cx, repository)
            .await?
            .into_iter()
            .filter(|(_, d)| *d == digest)
            .map(|(tag, _)| tag)
            .collect();
        if let (None, Some(tag)) = (&id.digest, &id.tag)
            && tags.len() > 1
        {
            let batch = Batch::new().delete::<Tag>(&Self::under(cx, repository, tag)).event(self.event(
                cx,
                "DELETE",
                repository,
                &digest,
                Some(tag),
            ));
            self.store.commit(batch).await?;
            return Ok(vec![ImageId { digest: Some(digest), tag: Some(tag.clone()) }]);
        }
        let mut batch = Batch::new().remove(&image);
        for tag in &tags {
            batch = batch.delete::<Tag>(&Self::under(cx, repository, tag)).event(self.event(
                cx,
                "DELETE",
                repository,
                &digest,
                Some(tag),
            ));
        }
        if tags.is_empty() {
            batch = batch.event(self.event(cx, "DELETE", repository, &digest, None));
        }
        self.store.commit(batch).await?;
        let gone = tags.into_iter().map(|tag| ImageId { digest: Some(digest.clone()), tag: Some(tag) });
        let gone: Vec<ImageId> = gone.collect();
        Ok(if gone.is_empty() { vec![ImageId { digest: Some(digest), tag: None }] } else { gone })
    }

    /// The index that holds an image, if one does.
    pub async fn holder(&self, cx: &Cx, repository: &str, digest: &str) -> Result<Option<String>> {
        let images = self.images(cx, repository).await?;
        Ok(images
            .into_iter()
            .find(|row| row.value.images.iter().any(|held| held == digest))
            .map(|row| row.value.digest))
    }

    /// Everything of a repository, removed with it. Images go with the repository, so that none is ever without its
    /// layers; layers go after them, and what a kill leaves of those the sweep finds.
    pub async fn delete_repository(&self, cx: &Cx, row: &Row<Repository>) -> Result<()> {
        let key = Self::key(cx, &row.value.name);
        // Nobody may put an image beside those that were read here, nor hold a layer in a new repository of the name.
        let _naming = self.naming.write().await;
        let mut batch = Batch::new().remove(row);
        for image in self.store.all::<Image>(&key).await? {
            batch = batch.delete::<Image>(&image.key);
        }
        for tag in self.store.all::<Tag>(&key).await? {
            batch = batch.delete::<Tag>(&tag.key);
        }
        self.store.commit(batch).await?;
        for layers in self.store.all::<Layer>(&key).await?.chunks(limits::DROPPED) {
            let gone = layers.iter().fold(Batch::new(), |gone, layer| gone.delete::<Layer>(&layer.key));
            self.store.commit(gone).await?;
        }
        Ok(())
    }
}

/// `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}` (OCI distribution specification).
pub fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128 && text.starts_with(word) && text.chars().all(|c| word(c) || c == '.' || c == '-')
}
