//! AWS Signature Version 4, verified: headers and presigned URLs, S3's chunked bodies, CodeCommit's Git form; and the
//! URLs of S3 that are still presigned in version 2.
//!
//! Verification has two steps, so that the key is looked up in between, by whoever knows keys:
//! [`Claim::read`] takes apart what the request says of itself, [`Claim::verify`] proves it with the secret. What the
//! proof says of the body is a [`Payload`]; [`body::guard`] holds a streamed body to it.
//!
//! It is a crate of its own, apart from the HTTP server, because git and S3 authenticate inside their services.

pub mod body;
mod canonical;
pub mod chunked;
mod claim;
pub mod git;
mod key;
mod refusal;
pub mod sign;
#[cfg(test)]
mod tests;
mod time;
pub mod v2;

pub use canonical::Head;
pub use claim::{Claim, Expect, Payload, Scope, Verified};
pub use key::{hash, hash_hex};
pub use refusal::{Dialect, Refusal};

/// How far a client's clock may differ from ours, in seconds.
pub const SKEW: i64 = 15 * 60;
/// The longest life of a presigned URL, in seconds.
pub const MAX_EXPIRES: i64 = 7 * 24 * 3600;
