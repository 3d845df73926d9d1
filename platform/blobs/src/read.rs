//! Reading a blob.
use std::ops::Range;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use object_store::{GetOptions, GetRange, ObjectStore};

use crate::{Error, Name, Result};

/// A blob, or a part of it, being read.
pub struct Reading {
    /// Size of the whole blob.
    pub size: u64,
    /// The bytes that come: `start..end`.
    pub range: Range<u64>,
    /// They, in pieces.
    pub bytes: BoxStream<'static, Result<Bytes>>,
}

impl Reading {
    /// All of them in memory; the caller has looked at the range.
    pub async fn whole(self) -> Result<Bytes> {
        let mut pieces: Vec<Bytes> = self.bytes.try_collect().await?;
        Ok(if pieces.len() == 1 { pieces.remove(0) } else { pieces.concat().into() })
    }

    /// As a streaming body.
    pub fn body(self) -> kernel::Body {
        StreamBody::new(self.bytes.map(|piece| piece.map(Frame::data).map_err(Into::into))).boxed_unsync()
    }
}

impl From<Reading> for kernel::Stream {
    fn from(reading: Reading) -> Self {
        Self::new(reading.body())
    }
}

pub(crate) async fn open(store: &dyn ObjectStore, name: &Name, range: Option<Range<u64>>) -> Result<Reading> {
    use object_store::ObjectStoreExt;
    if let Some(range) = &range {
        // The storage words a range behind the end in its own ways: decide it here.
        let size = store.head(name.path()).await.map_err(|e| Error::of(e, name))?.size;
        if range.start >= size || range.is_empty() {
            return Err(Error::OutOfRange { size });
        }
    }
    let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
    let got = store.get_opts(name.path(), options).await.map_err(|e| Error::of(e, name))?;
    let (size, range) = (got.meta.size, got.range.clone());
    let bytes = got.into_stream().map_err(|e| Error::Storage(e.to_string())).boxed();
    Ok(Reading { size, range, bytes })
}
