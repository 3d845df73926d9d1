//! What CloudWatch Logs bounds, and what we do.

/// Bytes of a PutLogEvents batch, each event counted with [`EVENT_OVERHEAD`].
pub const BATCH: usize = 1 << 20;
/// Added to each event's UTF-8 bytes.
pub const EVENT_OVERHEAD: usize = 26;
/// Bytes of one event.
pub const EVENT: usize = 1 << 20;
/// Milliseconds that a batch may span.
pub const BATCH_SPAN: i64 = 24 * 3600 * 1000;
/// Milliseconds into the future.
pub const TOO_NEW: i64 = 2 * 3600 * 1000;
/// Milliseconds into the past.
pub const TOO_OLD: i64 = 14 * 24 * 3600 * 1000;
/// Milliseconds of a day of retention.
pub const DAY: i64 = 24 * 3600 * 1000;
/// Days that a group may keep its events.
pub const RETENTION: [i32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];
/// Tags of a group.
pub const TAGS: usize = 50;
/// Events of one answer.
pub const PAGE: usize = 10_000;
/// Bytes of messages in one answer.
pub const PAGE_BYTES: usize = 1 << 20;
/// Bytes that one FilterLogEvents looks through before it answers with what it has and a token.
pub const SCAN_BYTES: u64 = 64 << 20;
/// Groups, and streams, of one answer.
pub const DESCRIBED: usize = 50;
/// Rows of a stream before they are gathered into a segment.
pub const HOT_CHUNKS: u64 = 64;
/// Bytes of a stream's rows before they are gathered.
pub const HOT_BYTES: u64 = 1 << 20;
/// Bytes of a segment, about.
pub const SEGMENT: u64 = 4 << 20;
/// Bytes of a segment that are read at most.
pub const SEGMENT_READ: u64 = 64 << 20;
/// Characters of a filter pattern.
pub const PATTERN: usize = 1024;
/// Nested parentheses in a filter pattern.
pub const PATTERN_DEPTH: usize = 16;
/// Times that a scan begins anew because segments were gathered meanwhile.
pub const RESCANS: usize = 8;
/// How often segments that no chunk names are looked for.
pub const SWEEP: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
/// Rows that one pass of a worker looks at.
pub const PASS: usize = 200;
