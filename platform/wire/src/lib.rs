//! HTTP, AWS's protocols and SigV4: requests become operations.

pub use sigv4;
