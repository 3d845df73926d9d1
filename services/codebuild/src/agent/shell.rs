//! A shell process: the text that drives it and the files through which it talks.
//!
//! One shell serves all commands of a 0.2 buildspec. It reads step numbers from its standard input, takes the
//! command from a file into itself (so that variables, functions and the folder stay), and reports
//! the status into the control pipe. After each command, and when a command ends the shell (`exit`, `set -e`), it
//! leaves its environment and folder in files, from which the next shell goes on.
use std::ffi::OsString;
use std::fs;
use std::io::{self, PipeWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::limits;
use super::user::User;
use crate::buildspec::Shell as Kind;

/// What a shell hands on to the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// `export -p`.
    pub env: Vec<u8>,
    /// Its folder.
    pub cwd: PathBuf,
}

/// How a shell is started.
pub struct Start<'a> {
    /// Which shell.
    pub kind: Kind,
    /// A number of its own.
    pub generation: u64,
    /// The agent's folder: `script.sh`, `control`, a folder for each shell.
    pub dir: &'a Path,
    /// The environment, where no earlier shell left one.
    pub env: &'a [(OsString, OsString)],
    /// What the shell before left.
    pub state: Option<&'a State>,
    /// The folder, where no earlier shell left one.
    pub cwd: &'a Path,
    /// Who runs it, unless it is the agent's own user.
    pub user: Option<&'a User>,
    /// Takes standard output and standard error.
    pub output: &'a PipeWriter,
}

/// A running shell.
pub struct Shell {
    /// The number of [`Start::generation`].
    pub generation: u64,
    pid: u32,
    stdin: Option<ChildStdin>,
    dir: PathBuf,
}

impl Shell {
    /// Starts it in a process group of its own. When it ends, `exit GENERATION STATUS` is in the control pipe.
    pub fn start(start: &Start<'_>) -> io::Result<Self> {
        let own = start.dir.join(format!("shell-{}", start.generation));
        fs::DirBuilder::new().mode(0o755).create(&own)?;
        let restore = start.state.map(|state| {
            let path = own.join("restore");
            fs::write(&path, &state.env).map(|()| path)
        });
        let restore = restore.transpose()?;
        let mut command = Command::new(program(start.kind)?);
        command.arg("-c").arg(driver(start.dir, &own, restore.as_deref(), start.generation)).env_clear();
        if start.state.is_none() {
            command.envs(start.env.iter().map(|(k, v)| (k, v)));
        }
        if let Some(user) = start.user {
            chown(&own, Some(user.uid), Some(user.gid))?;
            command.uid(user.uid).gid(user.gid);
        }
        let cwd = start.state.map_or(start.cwd, |state| &state.cwd);
        command.current_dir(if cwd.is_dir() { cwd } else { start.cwd });
        command.stdin(Stdio::piped()).stdout(start.output.try_clone()?).stderr(start.output.try_clone()?);
        let mut child = command.process_group(0).spawn()?;
        let (pid, stdin) = (child.id(), child.stdin.take());
        watch(child, format!("exit {}", start.generation), start.dir.join("control"))?;
        Ok(Self { generation: start.generation, pid, stdin, dir: own })
    }

    /// Asks for the command in `script.sh`. A shell that is gone has said so in the control pipe.
    pub fn step(&mut self, number: u64) {
        if let Some(stdin) = &mut self.stdin {
            let _ = writeln!(stdin, "{number}");
        }
    }

    /// Lets it end by itself, after what it is doing.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// Signals the whole group.
    pub fn kill(&self, signal: nix::sys::signal::Signal) {
        if let Ok(group) = i32::try_from(self.pid) {
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), signal);
        }
    }

    /// What it left; none if it never got that far.
    pub fn state(&self) -> Option<State> {
        let env = read_capped(&self.dir.join("env")).ok()?;
        let cwd = read_capped(&self.dir.join("cwd")).ok()?;
        let cwd = String::from_utf8_lossy(&cwd).trim_end_matches('\n').into();
        Some(State { env, cwd })
    }

    /// The file `name` in the shell's own folder: where scripts leave answers.
    pub fn answer(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Reads a small file that the build may have replaced by anything.
pub fn read_capped(path: &Path) -> io::Result<Vec<u8>> {
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let mut bytes = Vec::new();
    file.take(limits::SHELL_ANSWER_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A word that a shell reads as exactly this text.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn program(kind: Kind) -> io::Result<PathBuf> {
    match kind {
        Kind::Sh => Ok("/bin/sh".into()),
        Kind::Bash => find("bash").ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "env/shell asks for bash, which the build image does not have",
            )
        }),
    }
}

/// A program in the agent's own PATH.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The statements around a command are silenced for the sake of `set -x`; the command's own redirections stay.
fn driver(dir: &Path, own: &Path, restore: Option<&Path>, generation: u64) -> String {
    let q = |path: &Path| quote(&path.to_string_lossy());
    let (script, control) = (q(&dir.join("script.sh")), q(&dir.join("control")));
    let (env, cwd) = (q(&own.join("env")), q(&own.join("cwd")));
    let restore = restore.map(|file| format!("{{ . {}; }} 2>/dev/null\n", q(file))).unwrap_or_default();
    let save = format!("export -p >{env}; pwd >{cwd}");
    format!(
        "{restore}trap '{{ LONGSHORE_STATUS=$?; {}; }} 2>/dev/null; exit $LONGSHORE_STATUS' EXIT\n\
         while {{ IFS= read -r LONGSHORE_STEP; }} 2>/dev/null; do\n\
         . {script} </dev/null\n\
         {{ LONGSHORE_STATUS=$?; {save}; echo \"done {generation} $LONGSHORE_STEP $LONGSHORE_STATUS\" >{control}; }} 2>/dev/null\n\
         done\n",
        save.replace('\'', "'\\''")
    )
}

pub fn watch(mut child: Child, word: String, control: PathBuf) -> io::Result<()> {
    let tell = move || {
        let code =
            child.wait().map_or(255, |s| s.code().or_else(|| s.signal().map(|n| 128 + n)).unwrap_or(255));
        if let Ok(mut pipe) = fs::OpenOptions::new().write(true).open(control) {
            let _ = pipe.write_all(format!("{word} {code}\n").as_bytes());
        }
    };
    std::thread::Builder::new().name("shell".into()).spawn(tell).map(drop)
}
