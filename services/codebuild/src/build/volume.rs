//! A build's volume: a folder of the host that its container sees, `in` read-only and `out` writable.
//!
//! What is in `out` was written by a build and is not trusted: files are opened without following links, only plain
//! files are read, and never more than the reader asks for.
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;

use crate::agent::{journal, plan::Plan};

/// Where the container sees the two folders.
pub const IN: &str = "/longshore/in";
/// See [`IN`].
pub const OUT: &str = "/longshore/out";
/// The plan's name in [`IN`].
pub const PLAN: &str = "plan.json";

/// See the module.
#[derive(Clone, Debug)]
pub struct Volume(PathBuf);

impl Volume {
    /// The volume of a build below a data folder. Nothing is made yet.
    pub fn new(data: &Path, uuid: &str) -> Self {
        Self(data.join("builds").join(uuid))
    }

    /// Makes the folders, unless they are there.
    pub fn create(&self) -> io::Result<()> {
        for folder in [self.input(), self.output()] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        Ok(())
    }

    /// What is mounted at [`IN`].
    pub fn input(&self) -> PathBuf {
        self.0.join("in")
    }

    /// What is mounted at [`OUT`].
    pub fn output(&self) -> PathBuf {
        self.0.join("out")
    }

    /// Whether the agent has its plan: from then on nothing in the folder changes.
    pub fn has_plan(&self) -> bool {
        self.input().join(PLAN).exists()
    }

    /// Gives the agent its plan, whole or not at all.
    pub fn put_plan(&self, plan: &Plan) -> io::Result<()> {
        let (next, path) = (self.input().join("plan.next"), self.input().join(PLAN));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        file.write_all(&serde_json::to_vec(plan)?)?;
        file.sync_all()?;
        fs::rename(next, path)
    }

    /// The journal from an offset, at most `limit` bytes; nothing while there is no journal.
    pub fn journal(&self, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        let file = match self.open(journal::FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        let size = file.metadata()?.len();
        if size < offset {
            return Err(io::Error::other("the journal has become shorter"));
        }
        let mut bytes = vec![0; usize::try_from(size - offset).unwrap_or(limit).min(limit)];
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
                0 => break,
                n => filled += n,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// A file that the agent left.
    pub fn open(&self, name: &str) -> io::Result<File> {
        if name.contains('/') || name.starts_with('.') {
            return Err(io::Error::other(format!("{name:?} is not the name of a file")));
        }
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(self.output().join(name))?;
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::other(format!("{name:?} is not a plain file")))
        }
    }

    /// Removes all of it; fine when there is nothing.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Hears of what is written from now on.
    pub fn watch(&self) -> io::Result<Watch> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        inotify.add_watch(&self.output(), AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE)?;
        // Its successor asks for an unsafe block, for descriptors that others may close. Nobody else has this one.
        #[allow(deprecated)]
        let queue = AsyncFd::new(Queue(inotify))?;
        Ok(Watch(queue))
    }
}

/// See [`Volume::watch`].
pub struct Watch(AsyncFd<Queue>);

struct Queue(Inotify);

impl AsRawFd for Queue {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Watch {
    /// Until something was written. May be dropped and asked again without missing anything.
    pub async fn changed(&self) -> io::Result<()> {
        loop {
            let mut ready = self.0.readable().await?;
            match ready.get_inner().0.read_events() {
                Ok(_) => return Ok(()),
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_wrote_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let volume = Volume::new(dir.path(), "uuid");
        volume.create().unwrap();
        assert_eq!(volume.journal(0, 10).unwrap(), b"");
        let out = |name: &str| volume.output().join(name);
        fs::write(dir.path().join("secret"), "1 o secret\n").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret"), out(journal::FILE)).unwrap();
        assert!(volume.journal(0, 10).is_err());
        fs::remove_file(out(journal::FILE)).unwrap();
        nix::unistd::mkfifo(&out(journal::FILE), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(volume.journal(0, 10).is_err());
        fs::remove_file(out(journal::FILE)).unwrap();
        fs::write(out(journal::FILE), "0123456789abc").unwrap();
        assert_eq!(volume.journal(10, 2).unwrap(), b"ab");
        assert!(volume.journal(14, 2).is_err());
        assert!(volume.open("../in/plan.json").is_err());
        volume.remove().unwrap();
        volume.remove().unwrap();
    }
}
