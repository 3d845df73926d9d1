//! The Docker engine inside a privileged build: the image's own `dockerd-entrypoint.sh` starts it and returns when it
//! answers, as the file of that name does in AWS's images. Images without one start theirs in the buildspec.
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const ENTRYPOINT: &str = "/usr/local/bin/dockerd-entrypoint.sh";

/// An engine on its way up.
pub struct Starting(Child);

/// Begins to start it; none where the image has no such script.
pub fn start(env: &[(String, String)]) -> io::Result<Option<Starting>> {
    if !Path::new(ENTRYPOINT).is_file() {
        return Ok(None);
    }
    let mut command = Command::new(ENTRYPOINT);
    command.envs(env.iter().map(|(k, v)| (k, v)));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().map(|child| Some(Starting(child)))
}

impl Starting {
    /// Until it answers.
    ///
    /// # Errors
    /// A sentence with what the script said.
    pub fn wait(mut self) -> Result<(), String> {
        let status = self.0.wait().map_err(|e| format!("{ENTRYPOINT}: {e}"))?;
        if status.success() {
            return Ok(());
        }
        let mut said = String::new();
        if let Some(stderr) = self.0.stderr.take() {
            // A sentence of it is enough, whatever it wrote.
            let _ = stderr.take(4096).read_to_string(&mut said);
        }
        Err(format!("the Docker daemon did not start ({status}): {}", said.trim().replace('\n', " | ")))
    }
}
