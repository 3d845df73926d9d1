//! The engine's limits.

/// Changes that wait for a reader before it is told to look at everything.
pub const CHANGES: usize = 1024;
/// Bytes kept of a command's output.
pub const EXEC_OUTPUT: usize = 1024 * 1024;
/// Bytes of one log line; longer ones are cut into several.
pub const LOG_LINE: usize = 256 * 1024;
/// Containers of a task (AWS: 10 per task definition; builds add none).
pub const CONTAINERS: usize = 10;
/// Letters of a task's id.
pub const TASK_ID: usize = 128;
/// Bytes of all files that are put into one container before it starts.
pub const FILES: usize = 16 * 1024 * 1024;
