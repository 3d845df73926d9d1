//! Objects' bytes: written once into blobs, read from them in pieces.
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blobs::{Blobs, Name};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use kernel::{Body, Entropy, ids};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use sigv4::{Dialect, Refusal};

use crate::error::{Error, Result};
use crate::records::Piece;

/// What streams fail with.
pub type StdError = Box<dyn std::error::Error + Send + Sync>;

const AREA: &str = "s3";

/// Where objects' bytes are.
pub struct Bodies {
    blobs: Blobs,
    /// Blobs are named after the run of the process that wrote them: what an earlier run wrote and no row names is
    /// garbage for certain.
    run: String,
    next: AtomicU64,
}

/// What a body must be.
#[derive(Clone, Debug, Default)]
pub struct Promise {
    /// MD5 of it.
    pub md5: Option<Vec<u8>>,
    /// Checksums to take, by algorithm, and what they must be (base64) where that is known before the body ends.
    pub checksums: BTreeMap<String, Option<String>>,
}

/// What was written.
pub struct Written {
    /// Where.
    pub piece: Piece,
    /// MD5 of it, hexadecimal.
    pub md5: String,
    /// The checksums that were to be taken.
    pub checksums: BTreeMap<String, String>,
}

impl Bodies {
    /// Over these blobs.
    pub fn new(blobs: Blobs, entropy: &dyn Entropy) -> Self {
        Self { blobs, run: ids::hex(entropy, 16), next: AtomicU64::new(0) }
    }

    /// Writes a body of at most `limit` bytes and holds it to its promise; nothing is kept when it fails.
    pub async fn write<S>(&self, mut body: S, limit: u64, promise: &Promise) -> Result<Written>
    where
        S: Stream<Item = std::result::Result<Bytes, StdError>> + Send + Unpin,
    {
        let mut upload = self.blobs.upload(limit).await?;
        let (mut md5, mut sums) = (Md5::new(), hasher(promise.checksums.keys().map(String::as_str))?);
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(broken)?;
            md5.update(&bytes);
            sums.update(&bytes);
            upload.write(bytes).await.map_err(|e| too_large(e, limit))?;
        }
        let md5 = md5.finalize();
        if promise.md5.as_ref().is_some_and(|promised| promised.as_slice() != md5.as_ref() as &[u8]) {
            return Err(Error::BadDigest("Content-MD5".into()));
        }
        let checksums = values(sums.finalize());
        keeps(&promise.checksums, &checksums)?;
        let size = upload.size();
        let name = self.name()?;
        upload.keep(&name).await?;
        Ok(Written {
            piece: Piece { blob: name.to_string(), size },
            md5: hex::encode(md5.as_ref() as &[u8]),
            checksums,
        })
    }

    /// The bytes of a range of pieces that follow each other. The first piece is open when this returns.
    pub async fn read(&self, pieces: &[Piece], range: Range<u64>) -> Result<Body> {
        let (mut slices, mut start) = (Vec::new(), 0);
        for piece in pieces {
            let end = start + piece.size;
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                slices.push((piece.blob.parse::<Name>()?, from - start..to - start));
            }
            start = end;
        }
        let mut slices = slices.into_iter();
        let Some((name, slice)) = slices.next() else { return Ok(kernel::face::full(Bytes::new())) };
        let first = self.blobs.read_range(&name, slice).await?.bytes;
        let blobs = self.blobs.clone();
        let rest = stream::iter(slices).then(move |(name, slice)| {
            let blobs = blobs.clone();
            async move { blobs.read_range(&name, slice).await.map(|reading| reading.bytes) }
        });
        let bytes = first.chain(rest.try_flatten());
        Ok(StreamBody::new(bytes.map(|piece| piece.map(Frame::data).map_err(Into::into))).boxed_unsync())
    }

    /// Removes what a piece holds.
    pub async fn delete(&self, blob: &str) -> Result<()> {
        Ok(self.blobs.delete(&blob.parse()?).await?)
    }

    /// Removes what was written and did not become an object. What fails here is swept at the next start.
    pub async fn discard(&self, pieces: &[Piece]) {
        for piece in pieces {
            if let Err(error) = self.delete(&piece.blob).await {
                tracing::warn!(blob = piece.blob, %error, "cannot be removed now");
            }
        }
    }

    /// Blobs that earlier runs of the process wrote.
    pub async fn of_earlier_runs(&self) -> Result<Vec<String>> {
        let ours = format!("{AREA}/{}/", self.run);
        let names = self.blobs.names(AREA).await?.into_iter().map(|name| name.to_string());
        Ok(names.filter(|name| !name.starts_with(&ours)).collect())
    }

    fn name(&self) -> Result<Name> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(Name::new(AREA, &format!("{}/{}/{next}", self.run, next / 1000))?)
    }
}

/// A body as the stream that [`Bodies::write`] takes.
pub fn data(body: Body) -> impl Stream<Item = std::result::Result<Bytes, StdError>> + Send + Unpin {
    Box::pin(body.into_data_stream())
}

/// A small body in memory.
pub async fn whole(body: Body, limit: usize) -> Result<Vec<u8>> {
    let (mut body, mut whole) = (data(body), Vec::new());
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(broken)?;
        if whole.len() + bytes.len() > limit {
            return Err(Error::TooLarge(limit as u64));
        }
        whole.extend_from_slice(&bytes);
    }
    Ok(whole)
}

/// The checksums of these algorithms. Errors: one of them is none of S3's.
pub fn hasher<'a>(algorithms: impl Iterator<Item = &'a str>) -> Result<ChecksumHasher> {
    let mut hasher = ChecksumHasher::default();
    for algorithm in algorithms {
        match algorithm {
            "CRC32" => hasher.crc32 = Some(Default::default()),
            "CRC32C" => hasher.crc32c = Some(Default::default()),
            "CRC64NVME" => hasher.crc64nvme = Some(Default::default()),
            "SHA1" => hasher.sha1 = Some(Default::default()),
            "SHA256" => hasher.sha256 = Some(Default::default()),
            other => {
                let message = format!(
                    "Checksum algorithm '{other}' is not one of CRC32, CRC32C, CRC64NVME, SHA1, SHA256"
                );
                return Err(Error::Request(message));
            }
        }
    }
    Ok(hasher)
}

/// Checksums by algorithm.
pub fn values(sums: s3s::dto::Checksum) -> BTreeMap<String, String> {
    let found = [
        ("CRC32", sums.checksum_crc32),
        ("CRC32C", sums.checksum_crc32c),
        ("CRC64NVME", sums.checksum_crc64nvme),
        ("SHA1", sums.checksum_sha1),
        ("SHA256", sums.checksum_sha256),
    ];
    found.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Whether what was found is what was promised.
pub fn keeps(promised: &BTreeMap<String, Option<String>>, found: &BTreeMap<String, String>) -> Result<()> {
    match promised.iter().find(|(name, value)| value.as_ref().is_some_and(|v| found.get(*name) != Some(v))) {
        Some((name, _)) => Err(Error::BadDigest(name.clone())),
        None => Ok(()),
    }
}

/// ETag and checksums of an object of parts: digests of the parts' own digests, as AWS composes them.
pub fn composed(
    parts: &[(&str, &BTreeMap<String, String>)],
    algorithm: Option<&str>,
) -> Result<(String, BTreeMap<String, String>)> {
    let (mut md5, mut sums) = (Md5::new(), hasher(algorithm.into_iter())?);
    for (e_tag, checksums) in parts {
        md5.update(&hex::decode(e_tag).unwrap_or_default());
        let sum = algorithm.and_then(|name| checksums.get(name)).and_then(|sum| STANDARD.decode(sum).ok());
        sums.update(&sum.unwrap_or_default());
    }
    let count = parts.len();
    let sums = values(sums.finalize()).into_iter().map(|(name, sum)| (name, format!("{sum}-{count}")));
    Ok((format!("{}-{count}", hex::encode(md5.finalize().as_ref() as &[u8])), sums.collect()))
}

fn too_large(error: blobs::Error, limit: u64) -> Error {
    match error {
        blobs::Error::TooLarge { .. } => Error::TooLarge(limit),
        other => other.into(),
    }
}

fn broken(error: StdError) -> Error {
    match error.downcast::<Refusal>() {
        Ok(refusal) => Error::Fault(refusal.fault(Dialect::S3)),
        Err(other) => Error::Incomplete(other.to_string()),
    }
}
