//! What CloudWatch bounds, and what we do.

/// Seconds of the finest period: data is kept by the minute.
pub const MINUTE: i64 = 60;
/// Seconds that one row of data spans.
pub const HOUR: i64 = 3600;
/// Seconds that data is kept, which is AWS's time for periods of a minute.
pub const RETENTION: i64 = 15 * 86_400;
/// Seconds that an alarm's history is kept, as on AWS.
pub const HISTORY: i64 = 30 * 86_400;
/// Seconds that a datum's time may lie back.
pub const TOO_OLD: i64 = 14 * 86_400;
/// Seconds that it may lie ahead.
pub const TOO_NEW: i64 = 2 * 3600;
/// Data of one PutMetricData.
pub const DATA: usize = 1000;
/// Values of one datum.
pub const VALUES: usize = 150;
/// Dimensions of a metric.
pub const DIMENSIONS: usize = 30;
/// Metrics in a region. AWS has no such limit; a disk has.
pub const METRICS: u64 = 50_000;
/// The greatest magnitude of a value: 2 to the 360th.
pub const MAGNITUDE: f64 = 2.348_542_582_773_833_3e108;
/// The greatest count of a value, up to which doubles count exactly.
pub const COUNT: f64 = 9_007_199_254_740_992.0;
/// Alarms in a region.
pub const ALARMS: u64 = 5000;
/// Alarms of one DeleteAlarms, EnableAlarmActions or DescribeAlarms by name.
pub const NAMED: usize = 100;
/// Seconds that an alarm may look back with periods under an hour, and with longer ones.
pub const LOOK_BACK: i64 = 86_400;
/// See [`LOOK_BACK`].
pub const LONG_LOOK_BACK: i64 = 7 * 86_400;
/// Periods beyond its own that an alarm looks for data in, when some is missing.
pub const SPARE_PERIODS: i64 = 2;
/// Tags of an alarm.
pub const TAGS: usize = 50;
/// Alarms, and items of history, of one answer unless less is asked for.
pub const PAGE: usize = 100;
/// Metrics of one ListMetrics answer.
pub const METRICS_PAGE: usize = 500;
/// Data points of one GetMetricStatistics.
pub const STATISTICS: i64 = 1440;
/// Queries of one GetMetricData.
pub const QUERIES: usize = 500;
/// Data points of one GetMetricData.
pub const DATAPOINTS: i64 = 100_800;
/// Alarms that one pass evaluates, and rows that one pass forgets.
pub const PASS: usize = 200;
