//! What a client may send.
use std::time::Duration;

/// Body of an operation, in bytes: the largest is a layer part of ECR, 20 MiB as base64, with room around it.
pub const OPERATION_BODY: usize = 32 << 20;
/// How long it may take to arrive.
pub const OPERATION_TIME: Duration = Duration::from_secs(300);
/// Request line and headers together, in bytes.
pub const HEADERS: usize = 64 << 10;
/// A client that has not sent its headers by then is cut off.
pub const HEADER_TIME: Duration = Duration::from_secs(30);
/// A client that sends nothing of a body for this long, while it is waited for, is cut off.
pub const BODY_SILENCE: Duration = Duration::from_secs(60);
/// Connections of one listener at once; further ones wait to be accepted.
pub const CONNECTIONS: usize = 1024;
/// A TLS handshake that takes longer is cut off.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Nesting of an XML body or a Query parameter's name.
pub const DEPTH: usize = 64;
/// Parameters of one Query request.
pub const PARAMETERS: usize = 10_000;
