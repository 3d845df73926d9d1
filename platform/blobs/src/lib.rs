//! Bytes too many for the state: artifacts, layers, objects, log segments. A thin trait-free face over `object_store`,
//! local files today.
//!
//! A blob appears whole or not at all, and is on disk before anyone hears of it: an [`Upload`] is written beside the
//! others, synced, and then named. Blobs never change; who wants another content uses another [`Name`], or replaces
//! the blob as a whole. What an upload leaves when the process dies is removed at the next start.

mod error;
pub mod limits;
mod name;
mod read;
#[cfg(test)]
mod tests;
mod upload;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt};

pub use error::{Error, Result};
pub use name::{Digest, Name};
pub use read::Reading;
pub use upload::{Stored, Upload};

/// The blobs of a data folder. Cheap to clone.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
}

impl Blobs {
    /// Opens (or makes) the blobs under `dir`/blobs, and removes what unfinished uploads left. The data folder is
    /// ours alone: the store's lock must be held.
    pub async fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref().join("blobs");
        tokio::task::spawn_blocking(move || {
            let failed = |e: std::io::Error| Error::Storage(format!("{}: {e}", dir.display()));
            let parts = dir.join(upload::PARTS);
            if parts.exists() {
                std::fs::remove_dir_all(&parts).map_err(failed)?;
            }
            std::fs::create_dir_all(&parts).map_err(failed)?;
            let local = LocalFileSystem::new_with_prefix(&dir).map_err(|e| Error::Storage(e.to_string()))?;
            Ok(Self { store: Arc::new(local.with_fsync(true)) })
        })
        .await
        .map_err(|e| Error::Storage(e.to_string()))?
    }

    /// Begins an upload of at most `limit` bytes.
    pub async fn upload(&self, limit: u64) -> Result<Upload> {
        Upload::begin(self.store.clone(), limit).await
    }

    /// Stores bytes at hand.
    pub async fn put(&self, name: &Name, bytes: impl Into<Bytes>) -> Result<Stored> {
        let bytes = bytes.into();
        let mut upload = self.upload(bytes.len() as u64).await?;
        upload.write(bytes).await?;
        upload.keep(name).await
    }

    /// The whole blob in memory; one greater than `limit` is an error.
    pub async fn get(&self, name: &Name, limit: u64) -> Result<Bytes> {
        let reading = self.read(name).await?;
        if reading.size > limit {
            return Err(Error::TooLarge { limit });
        }
        reading.whole().await
    }

    /// The blob as a stream.
    pub async fn read(&self, name: &Name) -> Result<Reading> {
        read::open(&*self.store, name, None).await
    }

    /// A part of the blob as a stream: `start..end`, cut at the blob's end. A start at or behind it is
    /// [`Error::OutOfRange`].
    pub async fn read_range(&self, name: &Name, range: std::ops::Range<u64>) -> Result<Reading> {
        read::open(&*self.store, name, Some(range)).await
    }

    /// Its size in bytes; none when there is no such blob.
    pub async fn size(&self, name: &Name) -> Result<Option<u64>> {
        match self.store.head(name.path()).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Error::of(error, name)),
        }
    }

    /// Whether it is there.
    pub async fn exists(&self, name: &Name) -> Result<bool> {
        Ok(self.size(name).await?.is_some())
    }

    /// Removes it; a missing one is fine.
    pub async fn delete(&self, name: &Name) -> Result<()> {
        match self.store.delete(name.path()).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::of(error, name)),
        }
    }

    /// The names of an area, for collecting garbage. Order is the storage's.
    pub async fn names(&self, area: &str) -> Result<Vec<Name>> {
        use futures::TryStreamExt;
        let prefix = object_store::path::Path::from(area);
        let metas = self.store.list(Some(&prefix)).map_ok(|meta| Name::of(meta.location));
        metas.try_collect().await.map_err(|e: object_store::Error| Error::Storage(e.to_string()))
    }
}

impl std::fmt::Debug for Blobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blobs({})", self.store)
    }
}
