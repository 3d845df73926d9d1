//! What EventBridge bounds, and what we do.
use std::time::Duration;

/// Rules of the bus, in a region.
pub const RULES: u64 = 300;
/// Targets of a rule.
pub const TARGETS: usize = 5;
/// Tags of a rule.
pub const TAGS: usize = 50;
/// Characters of an event pattern.
pub const PATTERN: usize = 4096;
/// Nested objects in an event pattern.
pub const PATTERN_DEPTH: usize = 32;
/// Alternatives that one `$or` may list.
pub const OR: usize = 1000;
/// Bytes of all entries of a PutEvents.
pub const ENTRIES: usize = 256 * 1024;
/// Items of one answer.
pub const PAGE: usize = 100;
/// Messages that routing reads at once.
pub const ROUTED: usize = 200;
/// Operations that routing gathers before it commits.
pub const ROUTE_OPS: usize = 2000;
/// Connections in a region.
pub const CONNECTIONS: u64 = 3000;
/// API destinations in a region.
pub const DESTINATIONS: u64 = 3000;
/// Calls of an API destination in a second, unless it says otherwise.
pub const RATE: i32 = 300;
/// How long an API destination may take, as on AWS.
pub const ENDPOINT_CALL: Duration = Duration::from_secs(5);
/// Connections whose tokens are kept.
pub const TOKENS: usize = 3000;
/// Bytes of a token: what an HTTP header still carries everywhere is less.
pub const TOKEN: usize = 16 * 1024;
/// How long a token is used at most, and where its answer does not say for how long it is valid.
pub const TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// So long before its end a token is used no more: a delivery takes time.
pub const TOKEN_MARGIN: Duration = Duration::from_secs(30);
/// Characters of the reason for a connection's state.
pub const REASON: usize = 512;
/// Deliveries under way at once.
pub const BESIDE: usize = 16;
/// Deliveries that one pass does.
pub const DELIVERED: usize = 100;
/// Tries of a delivery unless its target says otherwise, after the first.
pub const ATTEMPTS: u32 = 185;
/// Age of an event at which its deliveries are given up, unless their target says otherwise.
pub const AGE: Duration = Duration::from_secs(24 * 3600);
/// Delay before the second try; it doubles with each further one.
pub const BACKOFF: Duration = Duration::from_secs(1);
/// The greatest delay.
pub const BACKOFF_CAP: Duration = Duration::from_secs(300);
/// How long a target may take; a try that takes longer failed, and the token keeps it from happening twice.
pub const CALL: Duration = Duration::from_secs(30);
