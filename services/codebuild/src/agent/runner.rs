//! Runs commands and carries what they say into the journal: one loop that waits for output, for the shell's
//! answer, for a request to stop and for the deadline.
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::journal::{Event, Journal};
use super::output::Lines;
use super::shell::{Shell, Start, State, quote, read_capped};
use super::user::User;
use super::{docker, limits, now_ms, stamp};
use crate::buildspec::Shell as Kind;

/// Why a build goes no further, whatever its buildspec says.
#[derive(Debug)]
pub enum Halt {
    /// Past its deadline.
    TimedOut,
    /// Asked to stop.
    Stopped,
    /// The agent itself cannot go on: a full disk, a shell that does not start.
    Broken(io::Error),
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// See the module.
pub struct Runner {
    journal: Journal,
    lines: Lines,
    partial_since: Option<i64>,
    /// What a line must match for `on-failure: RETRY`, and whether one has.
    pub watch: Option<(regex::Regex, bool)>,
    output: PipeReader,
    output_end: PipeWriter,
    control: File,
    heard: Vec<u8>,
    dir: PathBuf,
    deadline_ms: i64,
    kind: Kind,
    /// Whether every command has a shell of its own (version 0.1).
    pub shell_per_command: bool,
    env: BTreeMap<String, OsString>,
    cwd: PathBuf,
    user: Option<User>,
    shell: Option<Shell>,
    state: Option<State>,
    generations: u64,
    steps: u64,
    /// How the script ended that starts the build's own Docker engine.
    engine: Option<i32>,
}

impl Runner {
    /// `dir` is the agent's own folder, made here. Commands inherit the agent's environment.
    pub fn new(journal: Journal, dir: PathBuf, secrets: &[String], deadline_ms: i64) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let control = dir.join("control");
        nix::unistd::mkfifo(&control, nix::sys::stat::Mode::from_bits_truncate(0o622))?;
        fs::set_permissions(&control, fs::Permissions::from_mode(0o622))?;
        let control = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(&control)?;
        let (output, output_end) = io::pipe()?;
        fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let env = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v))).collect();
        Ok(Self {
            journal,
            lines: Lines::new(secrets),
            partial_since: None,
            watch: None,
            output,
            output_end,
            control,
            heard: Vec::new(),
            cwd: dir.clone(),
            dir,
            deadline_ms,
            kind: Kind::Sh,
            shell_per_command: false,
            env,
            user: None,
            shell: None,
            state: None,
            generations: 0,
            steps: 0,
            engine: None,
        })
    }

    /// The pipe through which anybody asks for a stop: write `stop` and a newline.
    pub fn control_path(&self) -> PathBuf {
        self.dir.join("control")
    }

    /// Begins to start the build's own Docker engine; false where the image has no script for it.
    pub fn start_engine(&self, script: &Path, env: &[(String, String)]) -> io::Result<bool> {
        docker::start(script, env, &self.output_end, self.control_path())
    }

    /// Waits for the end of [`Runner::start_engine`]'s script and gives its exit status.
    pub fn engine_started(&mut self) -> Result<i32, Halt> {
        loop {
            self.check()?;
            self.pump(false)?;
            if let Some(status) = self.engine {
                self.pump(true)?;
                return Ok(status);
            }
            self.sleep(self.deadline_ms)?;
        }
    }

    /// Before the first command: which shell, and where it starts.
    pub fn prepare(&mut self, kind: Kind, shell_per_command: bool, cwd: &Path) {
        (self.kind, self.shell_per_command, self.cwd) = (kind, shell_per_command, cwd.to_owned());
    }

    /// A line of the agent's own, as AWS's reads.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        let at = now_ms();
        for (i, line) in text.lines().enumerate() {
            let line = self.lines.mask(line);
            let line = if i == 0 { format!("[Container] {} {line}", stamp()) } else { line };
            self.journal.output(at, &line);
        }
        self.journal.flush()
    }

    /// An event, after all output so far.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        self.pump(true)?;
        self.journal.event(now_ms(), event)
    }

    /// Sets a variable for all later commands.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Halt> {
        self.env.insert(name.to_owned(), value.into());
        if self.shell.is_some() || self.state.is_some() {
            self.quiet(&format!("export {name}={}", quote(value)))?;
        }
        Ok(())
    }

    /// Whether a variable is set in the environment that the first shell gets.
    pub fn is_set(&self, name: &str) -> bool {
        self.env.contains_key(name)
    }

    /// Later commands run as this user; a running shell ends and hands on to another.
    pub fn become_user(&mut self, user: Option<User>) -> Result<(), Halt> {
        if user == self.user {
            return Ok(());
        }
        self.end_shell()?;
        let home = user.as_ref().map_or_else(|| "/root".into(), |u| u.home.to_string_lossy().into_owned());
        self.user = user;
        self.set("HOME", &home)
    }

    /// Runs a command and gives its exit status.
    pub fn command(&mut self, command: &str) -> Result<i32, Halt> {
        self.say(&format!("Running command {command}"))?;
        let code = self.quiet(command)?;
        if self.shell_per_command {
            self.end_shell()?;
            self.state = None;
        }
        Ok(code)
    }

    /// The text with its `$` expressions evaluated by the shell (as in a here-document, where quotes are literal).
    pub fn expand(&mut self, text: &str) -> Result<String, Halt> {
        if !text.contains(['$', '`']) {
            return Ok(text.to_owned());
        }
        let bytes = self.ask(|file| format!("cat >{file} <<LONGSHORE_END\n{text}\nLONGSHORE_END"))?;
        Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned())
    }

    /// The values of variables that are set.
    pub fn values(&mut self, names: &[String]) -> Result<Vec<(String, String)>, Halt> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let print =
            |name: &String| format!("if [ \"${{{name}+x}}\" ]; then printf '{name}=%s\\0' \"${name}\"; fi; ");
        let prints: String = names.iter().map(print).collect();
        let bytes = self.ask(|file| format!("{{ {prints} }} >{file}"))?;
        let pairs = bytes.split(|b| *b == 0).filter_map(|pair| {
            let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        });
        Ok(pairs.collect())
    }

    /// Ends the shell, so that nothing of it runs on but what it left in the background.
    pub fn end_shell(&mut self) -> Result<(), Halt> {
        if let Some(shell) = &mut self.shell {
            shell.close();
            self.wait(None)?;
        }
        Ok(())
    }

    /// Runs a script that leaves its answer in the file it is given.
    fn ask(&mut self, script: impl FnOnce(&str) -> String) -> Result<Vec<u8>, Halt> {
        self.ensure_shell()?;
        let Some(file) = self.shell.as_ref().map(|shell| shell.answer("answer")) else {
            return Ok(Vec::new());
        };
        self.quiet(&script(&quote(&file.to_string_lossy())))?;
        // A shell that the build has broken (`set -u`, a closed output) leaves no answer.
        Ok(read_capped(&file).unwrap_or_default())
    }

    fn quiet(&mut self, script: &str) -> Result<i32, Halt> {
        self.ensure_shell()?;
        // A new file each time: a background job may still read the one before.
        let next = self.dir.join("script.sh.next");
        fs::write(&next, format!("{script}\n"))?;
        fs::rename(&next, self.dir.join("script.sh"))?;
        self.steps += 1;
        if let Some(shell) = &mut self.shell {
            shell.step(self.steps);
        }
        self.wait(Some(self.steps))
    }

    fn ensure_shell(&mut self) -> Result<(), Halt> {
        if self.shell.is_none() {
            self.generations += 1;
            let env: Vec<_> = self.env.iter().map(|(k, v)| (OsString::from(k), v.clone())).collect();
            self.shell = Some(Shell::start(&Start {
                kind: self.kind,
                generation: self.generations,
                dir: &self.dir,
                env: &env,
                state: self.state.as_ref(),
                cwd: &self.cwd,
                user: self.user.as_ref(),
                output: &self.output_end,
            })?);
        }
        Ok(())
    }

    /// Waits for the step's end, or for the shell's.
    fn wait(&mut self, step: Option<u64>) -> Result<i32, Halt> {
        loop {
            self.sleep(self.deadline_ms)?;
            self.pump(false)?;
            for said in self.listen()? {
                match said {
                    Said::Done { generation, step: done, status }
                        if Some(done) == step && self.is_current(generation) =>
                    {
                        self.pump(true)?;
                        return Ok(status);
                    }
                    Said::Exit { generation, status } if self.is_current(generation) => {
                        self.pump(true)?;
                        let left = self.shell.take().and_then(|shell| shell.state());
                        self.state = left.or_else(|| self.state.take());
                        return Ok(status);
                    }
                    Said::Stop => return Err(self.kill(Halt::Stopped)),
                    Said::Done { .. } | Said::Exit { .. } | Said::Engine { .. } => {}
                }
            }
            if now_ms() >= self.deadline_ms {
                return Err(self.kill(Halt::TimedOut));
            }
        }
    }

    fn is_current(&self, generation: u64) -> bool {
        self.shell.as_ref().is_some_and(|shell| shell.generation == generation)
    }

    /// Whether a stop was asked for or the deadline has passed, between commands.
    pub fn check(&mut self) -> Result<(), Halt> {
        if self.listen()?.into_iter().any(|said| matches!(said, Said::Stop)) {
            return Err(self.kill(Halt::Stopped));
        }
        if now_ms() >= self.deadline_ms { Err(self.kill(Halt::TimedOut)) } else { Ok(()) }
    }

    /// Ends everything in the shell's group: asked first, then forced.
    fn kill(&mut self, why: Halt) -> Halt {
        let Some(shell) = &self.shell else { return why };
        let generation = shell.generation;
        shell.kill(Signal::SIGTERM);
        let until = now_ms() + limits::KILL_GRACE_MS;
        while now_ms() < until && self.sleep(until).is_ok() {
            let _ = self.pump(false);
            let said = self.listen().unwrap_or_default();
            if said.iter().any(|s| matches!(s, Said::Exit { generation: g, .. } if *g == generation)) {
                break;
            }
        }
        if let Some(shell) = self.shell.take() {
            shell.kill(Signal::SIGKILL);
        }
        let _ = self.pump(true);
        why
    }

    /// Until there is something to read, a partial line has waited long enough, or `until`.
    fn sleep(&mut self, until: i64) -> io::Result<()> {
        let partial = self.partial_since.map_or(i64::MAX, |since| since + limits::PARTIAL_LINE_MS);
        let wait = (until.min(partial) - now_ms()).clamp(0, 3_600_000);
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        let mut fds = [
            PollFd::new(self.control.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.output.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves what is in the pipe into the journal; `all` closes an unfinished line as well.
    fn pump(&mut self, all: bool) -> io::Result<()> {
        let mut chunk = [0; 64 << 10];
        let at = now_ms();
        let (journal, watch) = (&mut self.journal, &mut self.watch);
        let mut line = |text: &str| {
            if let Some((pattern, matched)) = watch {
                *matched = *matched || pattern.is_match(text);
            }
            journal.output(at, text);
        };
        loop {
            match self.output.read(&mut chunk) {
                Ok(n) => self.lines.push(&chunk[..n], &mut line),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if all || self.partial_since.is_some_and(|since| at - since >= limits::PARTIAL_LINE_MS) {
            self.lines.finish(&mut line);
        }
        self.partial_since = self.lines.waits().then(|| self.partial_since.unwrap_or(at));
        self.journal.flush()
    }

    fn listen(&mut self) -> io::Result<Vec<Said>> {
        let mut chunk = [0; 4096];
        match self.control.read(&mut chunk) {
            Ok(n) => self.heard.extend_from_slice(&chunk[..n]),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        let mut said = Vec::new();
        while let Some(end) = self.heard.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            match Said::parse(&String::from_utf8_lossy(&line)) {
                Some(Said::Engine { status }) => self.engine = Some(status),
                other => said.extend(other),
            }
        }
        self.heard.truncate(4096);
        Ok(said)
    }
}

/// What stands in the control pipe.
enum Said {
    Done { generation: u64, step: u64, status: i32 },
    Exit { generation: u64, status: i32 },
    Engine { status: i32 },
    Stop,
}

impl Said {
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["stop"] => Some(Self::Stop),
            ["engine", s] => Some(Self::Engine { status: s.parse().ok()? }),
            ["exit", g, s] => Some(Self::Exit { generation: g.parse().ok()?, status: s.parse().ok()? }),
            ["done", g, n, s] => Some(Self::Done {
                generation: g.parse().ok()?,
                step: n.parse().ok()?,
                status: s.parse().ok()?,
            }),
            _ => None,
        }
    }
}
