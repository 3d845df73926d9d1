//! What this crate bounds.

/// Bytes that an upload gathers before it writes them.
pub const PART: usize = 1 << 20;
/// Characters of a name.
pub const NAME: usize = 512;
/// Bytes of one upload, whatever its caller allows: 5 TiB, S3's own.
pub const BLOB: u64 = 5 << 40;
