//! Writing objects: blobs, trees and commits.
use super::{Repo, Result, Tree, run};

/// Who makes a commit through the API.
#[derive(Clone, Debug)]
pub struct Author {
    /// Name.
    pub name: String,
    /// Address; may be empty.
    pub email: String,
    /// Seconds since 1970.
    pub at: i64,
}

fn id(out: &[u8]) -> String {
    String::from_utf8_lossy(out).trim().to_owned()
}

impl Repo {
    /// A file's content; answers its id.
    pub async fn write_blob(&self, content: Vec<u8>) -> Result<String> {
        let out = run(self.command("hash-object").args(["-w", "-t", "blob", "--stdin"]), content).await?;
        Ok(id(&out))
    }

    /// A tree of files; answers its id.
    pub async fn write_tree(&self, tree: &Tree) -> Result<String> {
        let index = tempfile_in(self);
        let lines = tree.0.iter().map(|(path, entry)| format!("{} {}\t{path}\0", entry.mode, entry.id));
        let mut update = self.command("update-index");
        let update = update.args(["-z", "--index-info"]).env("GIT_INDEX_FILE", &index.0);
        run(update, lines.collect::<String>().into_bytes()).await?;
        let out = run(self.command("write-tree").env("GIT_INDEX_FILE", &index.0), Vec::new()).await?;
        Ok(id(&out))
    }

    /// A commit; answers its id.
    pub async fn write_commit(
        &self,
        tree: &str,
        parent: Option<&str>,
        author: &Author,
        message: &str,
    ) -> Result<String> {
        let mut command = self.command("commit-tree");
        command.arg(tree).args(parent.map(|parent| ["-p", parent]).into_iter().flatten());
        let date = format!("@{} +0000", author.at);
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), &author.name)
                .env(format!("GIT_{who}_EMAIL"), &author.email);
            command.env(format!("GIT_{who}_DATE"), &date);
        }
        Ok(id(&run(&mut command, message.as_bytes().to_vec()).await?))
    }
}

/// An index of a write, removed after it.
struct Index(std::path::PathBuf);

impl Drop for Index {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn tempfile_in(repo: &Repo) -> Index {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    Index(repo.path().join(format!("index-{}-{next}", std::process::id())))
}
