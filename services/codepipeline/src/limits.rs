//! AWS's quotas of CodePipeline, and our own bounds.

/// Executions and events of a pipeline that one pass of the retention removes.
pub const RETIRED: usize = 100;
/// Action rows that one commit of it removes.
pub const RETIRED_ROWS: usize = 1000;
/// How often it looks for what is too old.
pub const RETENTION: std::time::Duration = std::time::Duration::from_secs(3600);
/// Stages of a pipeline.
pub const STAGES: usize = 50;
/// Stages of a pipeline at least.
pub const STAGES_MIN: usize = 2;
/// Actions of a stage.
pub const ACTIONS_PER_STAGE: usize = 50;
/// Actions of a pipeline.
pub const ACTIONS: usize = 1000;
/// Pipelines of a Region.
pub const PIPELINES: usize = 1000;
/// Tags of a pipeline.
pub const TAGS: usize = 50;
/// Executions at a time of a QUEUED or PARALLEL pipeline.
pub const CONCURRENT_EXECUTIONS: usize = 50;
/// Actions at a time of one PARALLEL execution.
pub const CONCURRENT_ACTIONS: usize = 5;
/// Failed or stopped PARALLEL executions that stay retryable: no stage remembers them, so that a number must.
pub const RETRYABLE_PARALLEL: usize = 50;
/// Pipeline variables that a declaration may have.
pub const VARIABLES: usize = 50;
/// Characters of a resolved action configuration (100 KB).
pub const RESOLVED_CONFIGURATION: usize = 100 * 1024;
/// Bytes of one action's output variables.
pub const OUTPUT_VARIABLES: usize = 122_880;
/// Bytes of `imagedefinitions.json`.
pub const IMAGE_DEFINITIONS: u64 = 100 * 1024;
/// Characters of an action's error or summary that are kept.
pub const SUMMARY: usize = 2048;
/// See [`SUMMARY`].
pub fn cut(text: &str) -> String {
    text.chars().take(SUMMARY).collect()
}
/// Rules of a condition.
pub const RULES: usize = 5;
/// Bytes that a compiled regular expression of a rule may take.
pub const REGEX: usize = 1 << 20;
/// Characters of a cron expression.
pub const CRON: usize = 500;
/// Characters of a trigger's detail.
pub const TRIGGER_DETAIL: usize = 1024;
/// Events of one decision. A decision always ends by itself; this ends one that a mistake keeps going.
pub const EVENTS_PER_DECISION: usize = 20_000;
/// Tries of a batch that another writer got ahead of.
pub const CONFLICT_TRIES: usize = 8;
/// Bytes of a source artifact from S3 (AWS: 7 GB).
pub const SOURCE_S3: u64 = 7 << 30;
// It is put into the artifact bucket in one piece.
const _: () = assert!(SOURCE_S3 <= api::s3::PUT);
/// Files of an archive that the S3 deploy action extracts.
pub const ARCHIVE_FILES: usize = 100_000;
/// Bytes of all files that the S3 deploy action extracts from one archive.
pub const EXTRACTED: u64 = 16 << 30;
/// Custom action types of a Region, and partners' ones.
pub const ACTION_TYPES: usize = 50;
/// Jobs that one poll answers at most.
pub const JOBS_PER_POLL: usize = 50;
/// Milliseconds for which a job is kept for whoever polled it, before it is offered to others (AWS gives no number; a
/// Jenkins that waits for an executor needs some).
pub const ACKNOWLEDGE: i64 = 2 * 60 * 1000;
/// Milliseconds until a job with a continuation token is offered.
pub const CONTINUATION: i64 = 30 * 1000;
/// Milliseconds in which a function must answer for its job.
pub const FUNCTION_ANSWER: i64 = 20 * 60 * 1000;
/// Milliseconds that one call of a function may take: Lambda's own longest.
pub const FUNCTION_CALL: u64 = 15 * 60 * 1000;
/// Calls of a function for one job, as of Lambda's asynchronous invocations.
pub const FUNCTION_TRIES: u32 = 3;
/// Triggers of a pipeline.
pub const TRIGGERS: usize = 50;
/// Characters of all patterns of a pipeline's triggers (AWS: 200 KB of filters).
pub const TRIGGERS_SIZE: usize = 200 * 1024;
/// Push filters of a trigger, and pull request filters.
pub const TRIGGER_FILTERS: usize = 3;
/// Patterns of a list of a filter.
pub const TRIGGER_PATTERNS: usize = 8;
/// Characters of a pattern.
pub const TRIGGER_PATTERN: usize = 255;
/// Changed files that filters look at.
pub const CHANGED_FILES: usize = 100;
/// Webhooks of a Region.
pub const WEBHOOKS: usize = 300;
/// Bytes of what is sent to a webhook. A push of thousands of commits stays below.
pub const WEBHOOK_BODY: usize = 5 << 20;
/// How long it may take to arrive: whoever is slower would keep a place from others.
pub const WEBHOOK_TIME: std::time::Duration = std::time::Duration::from_secs(30);
/// Deliveries that are dealt with at a time; others wait for a place.
pub const WEBHOOK_DELIVERIES: usize = 16;
