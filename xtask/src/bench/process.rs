//! Processes of others: bounded in time, and ended by us alone if we started them.
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Between two looks at what tells nothing by itself.
const LOOK: Duration = Duration::from_millis(20);

/// The unit of processor times in /proc, per second: Linux tells programs 100 on every machine that we run on.
const TICKS: f64 = 100.0;

/// A command that ends within its time or is ended.
pub struct Patient {
    command: Command,
    name: String,
}

impl Patient {
    /// May take so many seconds.
    pub fn new(program: impl AsRef<OsStr>, seconds: u32) -> Self {
        let mut command = Command::new("timeout");
        command.arg("--kill-after=5").arg(seconds.to_string()).arg(program.as_ref()).stdin(Stdio::null());
        Self { command, name: program.as_ref().to_string_lossy().into_owned() }
    }

    /// Its arguments.
    pub fn args<T: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.command.args(args);
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Variables of its environment.
    pub fn envs<'a>(mut self, variables: impl IntoIterator<Item = &'a (String, String)>) -> Self {
        self.command.envs(variables.into_iter().map(|(name, value)| (name, value)));
        self
    }

    /// Where it runs.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// What it prints, without the space around; an error says what it complained of.
    pub fn text(mut self) -> Result<String, String> {
        let output = self.command.output().map_err(|e| format!("{}: {e}", self.name))?;
        if !output.status.success() {
            let (said, complained) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let all = format!("{said}\n{complained}");
            let last: Vec<&str> = all.lines().filter(|line| !line.trim().is_empty()).rev().take(8).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            return Err(format!("{} ended with {}: {}", self.name, output.status, last.join("\n  ")));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// A process that serves until this is dropped: then it is told to terminate, and waited for.
pub struct Serving(Child);

impl Serving {
    /// Starts it.
    pub fn start(command: &mut Command) -> Result<Self, String> {
        command.spawn().map(Self).map_err(|e| format!("{}: {e}", command.get_program().to_string_lossy()))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Its output, if it was piped.
    pub fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.0.stdout.take()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let pid = self.pid().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).stderr(Stdio::null()).status();
        let ended = until("the end of a process", 20, || Ok(self.0.try_wait().ok().flatten()));
        if ended.is_err() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Lets time pass: what is measured tells nobody when it is done or at rest.
#[allow(clippy::disallowed_methods, reason = "other programs are measured, which wake nobody here")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Looks until there is something, for so many seconds.
pub fn until<T>(
    what: &str,
    seconds: u64,
    mut look: impl FnMut() -> Result<Option<T>, String>,
) -> Result<T, String> {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > end {
            return Err(format!("{what} did not come within {seconds} s"));
        }
        pause(LOOK);
    }
}

/// The time of day, in seconds: what processes and records can be compared by.
pub fn now() -> Result<f64, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| format!("the clock: {e}"))?;
    Ok(now.as_secs_f64())
}

/// Seconds of processor time that processes and their children have used so far.
pub fn cpu(pids: &[u32]) -> Result<f64, String> {
    let mut ticks = 0.0;
    for pid in pids {
        let file = |name: String| std::fs::read_to_string(&name).map_err(|e| format!("{name}: {e}"));
        let children = file(format!("/proc/{pid}/task/{pid}/children"))?;
        let all = std::iter::once(pid.to_string()).chain(children.split_whitespace().map(str::to_owned));
        for pid in all {
            // The name stands in brackets and may hold spaces; user and system time are the 12th and 13th after it.
            let stat = file(format!("/proc/{pid}/stat"))?;
            let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
            ticks += fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>();
        }
    }
    Ok(ticks / TICKS)
}
