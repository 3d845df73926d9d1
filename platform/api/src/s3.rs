//! S3's objects as services call them in process; over the network S3 is a face that calls the same operations.
//! Bodies stream; they are never held whole.
use std::collections::BTreeMap;

use kernel::{Operation, Stream, Timestamp};

/// Reads an object: `s3:GetObject`, or `s3:GetObjectVersion` with a version.
#[derive(Clone, Debug, Default)]
pub struct GetObject {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// A version other than the latest.
    pub version_id: Option<String>,
    /// First byte and last byte, both inclusive.
    pub range: Option<(u64, Option<u64>)>,
}

/// An object.
pub struct GetObjectOutput {
    /// Its bytes (of the range, if one was asked for).
    pub body: Stream,
    /// What is known of it.
    pub object: Object,
}

/// What is known of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// The whole object's size in bytes.
    pub size: u64,
    /// With its quotes, as S3 gives it.
    pub e_tag: String,
    /// Absent in buckets that never were versioned.
    pub version_id: Option<String>,
    /// When it was put.
    pub last_modified: Timestamp,
    /// Its `Content-Type`.
    pub content_type: Option<String>,
    /// Other standard headers kept with it (`Cache-Control`, `Content-Encoding` …), lower-case names.
    pub headers: BTreeMap<String, String>,
    /// `x-amz-meta-…`, without the prefix, lower-case names.
    pub metadata: BTreeMap<String, String>,
}

/// Looks at an object: the permissions of [`GetObject`].
#[derive(Clone, Debug, Default)]
pub struct HeadObject {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// A version other than the latest.
    pub version_id: Option<String>,
}

/// Deletes an object: `s3:DeleteObject`. In a bucket with versions it goes under a delete marker. One that is not
/// there is deleted already.
#[derive(Clone, Debug, Default)]
pub struct DeleteObject {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key.
    pub key: String,
}

/// Bytes of what a service may put in one piece: S3's greatest object. Over the network a PUT has 5 GiB at most, and more
/// goes in parts; what would need them in process is the network's alone.
pub const PUT: u64 = 5 << 40;

/// Writes an object of at most [`PUT`] bytes, whole or not at all: `s3:PutObject`.
pub struct PutObject {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// Its bytes.
    pub body: Stream,
    /// Its `Content-Type`.
    pub content_type: Option<String>,
    /// Other standard headers to keep, lower-case names.
    pub headers: BTreeMap<String, String>,
    /// `x-amz-meta-…`, without the prefix, lower-case names.
    pub metadata: BTreeMap<String, String>,
    /// A canned ACL; setting one needs `s3:PutObjectAcl` as well.
    pub acl: Option<String>,
}

/// [`PutObject`] by a caller that may be killed and call again: with the same token, within two days, it puts nothing
/// more and answers what it answered.
pub struct PutObjectOnce {
    /// What the object is put for; another object has another token.
    pub token: String,
    /// The object.
    pub put: PutObject,
}

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub struct PutObjectOutput {
    /// With its quotes.
    pub e_tag: String,
    /// In versioned buckets.
    pub version_id: Option<String>,
}

macro_rules! operation {
    ($($name:ident => $output:ty),*) => {$(
        impl Operation for $name {
            const SERVICE: &'static str = "s3";
            const NAME: &'static str = stringify!($name);
            type Output = $output;
        }
    )*};
}

operation!(DeleteObject => (), GetObject => GetObjectOutput, HeadObject => Object, PutObject => PutObjectOutput, PutObjectOnce => PutObjectOutput);
