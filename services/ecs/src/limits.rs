//! Limits, AWS's where AWS has them.
use std::time::Duration;

/// Containers of a task definition.
pub const CONTAINERS: usize = 10;
/// Tasks that one RunTask starts.
pub const RUN: i32 = 10;
/// Names that one describe call takes: clusters, tasks.
pub const DESCRIBE: usize = 100;
/// Services that one DescribeServices takes.
pub const DESCRIBE_SERVICES: usize = 10;
/// Entries of a list page.
pub const PAGE: i32 = 100;
/// Tasks that one read of a worker takes; it reads on until there are no more.
pub const ROWS: usize = 500;
/// Tags of a resource.
pub const TAGS: usize = 50;
/// Desired tasks of a service.
pub const DESIRED: i32 = 5000;
/// Target groups of a service.
pub const TARGET_GROUPS: usize = 5;
/// Events that a service keeps.
pub const EVENTS: usize = 100;
/// Deployments that a service remembers after they ended.
pub const HISTORY: usize = 20;
/// Stopped tasks can be described for this long.
pub const STOPPED_FOR: Duration = Duration::from_secs(3600);
/// Tasks that one pass of a service starts: the scheduler's burst.
pub const STARTS: usize = 20;
/// Between two starts when tasks fail before they run, at most.
pub const BACKOFF: Duration = Duration::from_secs(15 * 60);
/// Log events of one put, and their bytes with 26 for each.
pub const LOG_EVENTS: usize = 1000;
/// Bytes of one put of log events.
pub const LOG_BYTES: usize = 900_000;
/// Bytes of one log event.
pub const LOG_EVENT: usize = 250_000;
/// Engines that cannot be reached, and services that fail, are asked again after this.
pub const RETRY: Duration = Duration::from_secs(5);
/// Target health is looked at again after this even where no report came.
pub const HEALTH: Duration = Duration::from_secs(5);
