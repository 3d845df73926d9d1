//! The Docker engine inside a privileged build: the image's own `dockerd-entrypoint.sh` starts it, as the file of that
//! name does in AWS's images, and the build goes on when it has returned. In AWS's images the engine answers then; in
//! Longshore's its socket is there, and clients wait on it. Images without the file start theirs in the buildspec.
use std::io::{self, PipeWriter};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::shell::watch;

/// Where images have it.
pub const ENTRYPOINT: &str = "/usr/local/bin/dockerd-entrypoint.sh";

/// Runs the script, if there is one. What it and the engine's end say to standard error is part of the build's output; its
/// own end is `engine STATUS` in the control pipe.
pub fn start(
    script: &Path,
    env: &[(String, String)],
    output: &PipeWriter,
    control: PathBuf,
) -> io::Result<bool> {
    if !script.is_file() {
        return Ok(false);
    }
    let mut command = Command::new(script);
    command.envs(env.iter().map(|(k, v)| (k, v))).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output.try_clone()?);
    watch(command.spawn()?, "engine".into(), control)?;
    Ok(true)
}
