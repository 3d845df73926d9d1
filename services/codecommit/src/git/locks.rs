//! Locks that a git left which was killed: nobody could push to that branch again.
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Error, Repo, Result};

impl Repo {
    /// Removes the locks of refs that are older than this: git itself holds one for as long as it writes a file.
    pub async fn unlock(&self, older: Duration) -> Result<()> {
        let path = self.path.clone();
        let before = SystemTime::now() - older;
        let sweep = move || {
            let refs = sweep(&path.join("refs"), before, true);
            refs.and_then(|()| sweep(&path, before, false))
        };
        let swept =
            tokio::task::spawn_blocking(sweep).await.unwrap_or_else(|died| Err(io::Error::other(died)));
        swept.map_err(|e| Error::Folder { path: self.path.clone(), reason: e.to_string() })
    }
}

fn sweep(folder: &Path, before: SystemTime, deep: bool) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() && deep {
                folders.push(entry.path());
            }
            let lock = kind.is_file() && entry.path().extension().is_some_and(|end| end == "lock");
            if lock && entry.metadata()?.modified()? < before {
                tracing::warn!(lock = %entry.path().display(), "a git that was killed left a lock; it is removed");
                match std::fs::remove_file(entry.path()) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Git;
    use super::*;

    #[tokio::test]
    async fn old_locks_go_and_a_push_of_now_keeps_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let repo = Git::new(folder.path()).create("r").await.unwrap();
        let locks = ["packed-refs.lock", "refs/heads/main.lock", "refs/heads/a/b.lock"]
            .map(|lock| repo.path.join(lock));
        std::fs::create_dir_all(repo.path.join("refs/heads/a")).unwrap();
        for lock in &locks {
            std::fs::write(lock, "").unwrap();
        }
        repo.unlock(Duration::from_secs(3600)).await.unwrap();
        assert!(locks.iter().all(|lock| lock.exists()));
        let long_ago = SystemTime::now() - Duration::from_secs(7200);
        for lock in &locks[1..] {
            std::fs::File::options().write(true).open(lock).unwrap().set_modified(long_ago).unwrap();
        }
        repo.unlock(Duration::from_secs(3600)).await.unwrap();
        assert_eq!(locks.map(|lock| lock.exists()), [true, false, false]);
        assert!(repo.path.join("HEAD").exists());
    }
}
