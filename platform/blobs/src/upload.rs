//! Writing a blob.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use sha2::Digest as _;

use crate::{Digest, Error, Name, Result, limits};

/// Where uploads stand until they are named.
pub(crate) const PARTS: &str = "part";

/// A blob being written; it has no name yet. Dropped unfinished, it leaves nothing.
pub struct Upload {
    store: Arc<dyn ObjectStore>,
    part: Path,
    sink: Box<dyn MultipartUpload>,
    gathered: BytesMut,
    hash: sha2::Sha256,
    size: u64,
    limit: u64,
}

/// What was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Of the content.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
}

impl Upload {
    pub(crate) async fn begin(store: Arc<dyn ObjectStore>, limit: u64) -> Result<Self> {
        // Parts live as long as the process, so that a counter names them.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let part =
            Path::from(format!("{PARTS}/{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let sink = store.put_multipart(&part).await.map_err(storage)?;
        let (gathered, hash) = (BytesMut::new(), sha2::Sha256::new());
        Ok(Self { store, part, sink, gathered, hash, size: 0, limit: limit.min(limits::BLOB) })
    }

    /// Appends bytes. Errors: [`Error::TooLarge`] beyond the upload's limit; the upload is then of no more use.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]> + Into<Bytes>) -> Result<()> {
        self.size += bytes.as_ref().len() as u64;
        if self.size > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        self.hash.update(bytes.as_ref());
        if self.gathered.is_empty() && bytes.as_ref().len() >= limits::PART {
            return self.sink.put_part(PutPayload::from(bytes.into())).await.map_err(storage);
        }
        self.gathered.extend_from_slice(bytes.as_ref());
        if self.gathered.len() >= limits::PART { self.flush().await } else { Ok(()) }
    }

    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Ends it under a name; a blob of that name is replaced.
    pub async fn keep(self, name: &Name) -> Result<Stored> {
        let (store, part, stored) = self.finish().await?;
        publish(&*store, &part, name).await?;
        Ok(stored)
    }

    /// Ends it under its content's name in an area; `expected` is checked first, and on [`Error::Digest`] nothing is
    /// kept.
    pub async fn keep_content(self, area: &str, expected: Option<&Digest>) -> Result<(Name, Stored)> {
        let (store, part, stored) = self.finish().await?;
        if let Some(expected) = expected.filter(|expected| **expected != stored.digest) {
            store.delete(&part).await.map_err(storage)?;
            return Err(Error::Digest { expected: *expected, found: stored.digest });
        }
        let name = Name::content(area, &stored.digest)?;
        publish(&*store, &part, &name).await?;
        Ok((name, stored))
    }

    async fn flush(&mut self) -> Result<()> {
        let bytes = self.gathered.split().freeze();
        if bytes.is_empty() {
            return Ok(());
        }
        self.sink.put_part(PutPayload::from(bytes)).await.map_err(storage)
    }

    async fn finish(mut self) -> Result<(Arc<dyn ObjectStore>, Path, Stored)> {
        self.flush().await?;
        self.sink.complete().await.map_err(storage)?;
        let stored = Stored { digest: Digest(self.hash.finalize().into()), size: self.size };
        Ok((self.store, self.part, stored))
    }
}

async fn publish(store: &dyn ObjectStore, part: &Path, name: &Name) -> Result<()> {
    store.rename(part, name.path()).await.map_err(storage)
}

fn storage(error: object_store::Error) -> Error {
    Error::Storage(error.to_string())
}
