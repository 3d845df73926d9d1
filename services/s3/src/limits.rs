//! What this crate bounds; S3's own numbers, but for the last.

/// Bytes of one PUT over the network, and of one part.
pub const PUT: u64 = 5 << 30;
/// Bytes of an object of many parts.
pub const OBJECT: u64 = 5 << 40;
/// Parts of an upload.
pub const PARTS: usize = 10_000;
/// Bytes of a part other than the last.
pub const PART: u64 = 5 << 20;
/// Bytes of the user's metadata of an object.
pub const METADATA: usize = 2 << 10;
/// Tags of an object.
pub const OBJECT_TAGS: usize = 10;
/// Tags of a bucket.
pub const BUCKET_TAGS: usize = 50;
/// Bytes of a bucket's policy.
pub const POLICY: usize = 20 << 10;
/// Buckets of an account.
pub const BUCKETS: u64 = 10_000;
/// Entries of one page of any list, and keys of one DeleteObjects.
pub const PAGE: usize = 1000;
/// Bytes of an XML body: a thousand of the longest keys, and room around them.
pub const XML: usize = 4 << 20;
/// How long a replaced object's bytes are kept, in seconds, so that whoever reads them may end.
pub const LINGER: i64 = 3600;
/// Blobs or rows that a worker deals with in one pass.
pub const PASS: usize = 1000;
