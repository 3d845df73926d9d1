//! AWS's quotas.

/// Certificates of an account in a region.
pub const CERTIFICATES: u64 = 2500;
/// Names of a certificate.
pub const NAMES: usize = 10;
/// Tags of a certificate.
pub const TAGS: usize = 50;
/// Items of a page, unless the caller wants fewer.
pub const PAGE: usize = 100;
/// Certificates of a chain.
pub const CHAIN: usize = 10;
/// Hours until a request that nobody proves is given up.
pub const VALIDATION_HOURS: i64 = 72;
/// Days that an issued certificate is good for: ACM's 13 months.
pub const DAYS: i64 = 395;
/// Days that the authority's own certificate is good for.
pub const CA_DAYS: i64 = 3650;
/// Zones that are looked through for one pass.
pub const ZONES: usize = 10_000;
