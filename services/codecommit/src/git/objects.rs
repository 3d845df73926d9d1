//! Reading objects: `git cat-file --batch`.
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use super::{Error, Repo, Result, start};
use crate::limits;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file's content.
    Blob,
    /// A folder.
    Tree,
    /// A commit.
    Commit,
    /// An annotated tag.
    Tag,
}

/// An object.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its id.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// Its size in bytes.
    pub size: u64,
    /// Its content; none if it is larger than was asked for.
    pub content: Option<Vec<u8>>,
}

/// A commit as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: String,
    /// Its tree.
    pub tree: String,
    /// Its parents, the first first.
    pub parents: Vec<String>,
    /// Who wrote the change.
    pub author: Signature,
    /// Who made the commit.
    pub committer: Signature,
    /// Why.
    pub message: String,
    /// Further headers.
    pub other: String,
}

/// Who, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// Name.
    pub name: String,
    /// Address.
    pub email: String,
    /// Seconds since 1970, a space, the offset: `1767225600 +0000`.
    pub date: String,
}

/// A running `git cat-file --batch`.
pub struct Reader {
    _child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

const COMMAND: &str = "cat-file";

fn strange(what: impl Into<String>) -> Error {
    Error::Strange { command: COMMAND, what: what.into() }
}

impl Repo {
    /// Begins reading.
    pub fn reader(&self) -> Result<Reader> {
        let mut command = self.command(COMMAND);
        command.arg("--batch").stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
        let mut child = command.spawn().map_err(start)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else { return Err(strange("no pipes")) };
        Ok(Reader { _child: child, stdin, stdout: BufReader::new(stdout) })
    }

    /// The object that an expression (an id, a full ref, `COMMIT:path`) names, its content up to `limit` bytes.
    pub async fn object(&self, name: &str, limit: u64) -> Result<Option<Object>> {
        self.reader()?.object(name, limit).await
    }

    /// The commit that a specifier names: an id, a branch, a tag, a full ref or `HEAD`.
    pub async fn resolve(&self, specifier: &str) -> Result<Option<String>> {
        if !plain(specifier) {
            return Ok(None);
        }
        let mut reader = self.reader()?;
        let mut candidates = vec![format!("refs/heads/{specifier}"), format!("refs/tags/{specifier}")];
        if is_id(specifier) || specifier == "HEAD" || specifier.starts_with("refs/") {
            candidates.insert(0, specifier.to_owned());
        }
        for candidate in candidates {
            if let Some(found) = reader.object(&format!("{candidate}^{{commit}}"), 0).await? {
                return Ok(Some(found.id));
            }
        }
        Ok(None)
    }

    /// A commit by its id.
    pub async fn commit(&self, id: &str) -> Result<Option<Commit>> {
        self.reader()?.commit(id).await
    }
}

impl Reader {
    /// A commit by its id; the object may be of another kind, and is none then.
    pub async fn commit(&mut self, id: &str) -> Result<Option<Commit>> {
        match self.object(id, limits::OBJECT).await? {
            Some(Object { id, kind: Kind::Commit, content: Some(content), .. }) => {
                parse(&id, &content).map(Some).ok_or_else(|| strange("a commit without a tree"))
            }
            _ => Ok(None),
        }
    }

    /// See [`Repo::object`].
    pub async fn object(&mut self, name: &str, limit: u64) -> Result<Option<Object>> {
        // A line is a question: one that would be two is about nothing.
        if name.contains(['\n', '\0']) || name.len() > limits::PATH * 2 {
            return Ok(None);
        }
        let asked = timeout(limits::COMMAND, self.ask(name, limit)).await;
        asked.map_err(|_| git_client::Error::Slow(COMMAND.into()))?
    }

    async fn ask(&mut self, name: &str, limit: u64) -> Result<Option<Object>> {
        let lost = |e: std::io::Error| strange(e.to_string());
        self.stdin.write_all(format!("{name}\n").as_bytes()).await.map_err(lost)?;
        let mut line = String::new();
        self.stdout.read_line(&mut line).await.map_err(lost)?;
        let words: Vec<&str> = line.trim_end().rsplitn(3, ' ').collect();
        let [size, kind, id] = words[..] else { return missing(&line) };
        let kind = match kind {
            "blob" => Kind::Blob,
            "tree" => Kind::Tree,
            "commit" => Kind::Commit,
            "tag" => Kind::Tag,
            _ => return missing(&line),
        };
        let size: u64 = size.parse().map_err(|_| strange(&*line))?;
        let content = if size <= limit {
            let mut content = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
            self.stdout.read_exact(&mut content).await.map_err(lost)?;
            Some(content)
        } else {
            tokio::io::copy(&mut (&mut self.stdout).take(size), &mut tokio::io::sink())
                .await
                .map_err(lost)?;
            None
        };
        // A line end closes each content.
        self.stdout.read_u8().await.map_err(lost)?;
        Ok(Some(Object { id: id.to_owned(), kind, size, content }))
    }
}

fn missing(line: &str) -> Result<Option<Object>> {
    let none = ["missing", "ambiguous"].iter().any(|word| line.trim_end().ends_with(word));
    if none { Ok(None) } else { Err(strange(line)) }
}

/// A full object id.
pub fn is_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Names nothing but a ref or an object: none of Git's expressions.
fn plain(text: &str) -> bool {
    let special = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    !text.is_empty()
        && !text.starts_with('-')
        && !text.contains(special)
        && !text.contains("..")
        && !text.contains("@{")
}

fn parse(id: &str, content: &[u8]) -> Option<Commit> {
    let text = String::from_utf8_lossy(content);
    let (head, message) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut commit = Commit {
        id: id.to_owned(),
        tree: String::new(),
        parents: Vec::new(),
        author: Signature::default(),
        committer: Signature::default(),
        message: message.to_owned(),
        other: String::new(),
    };
    for line in head.lines() {
        match line.split_once(' ') {
            Some(("tree", id)) => commit.tree = id.to_owned(),
            Some(("parent", id)) => commit.parents.push(id.to_owned()),
            Some(("author", who)) => commit.author = signature(who),
            Some(("committer", who)) => commit.committer = signature(who),
            _ => {
                let separator = if commit.other.is_empty() { "" } else { "\n" };
                commit.other = format!("{}{separator}{line}", commit.other);
            }
        }
    }
    (!commit.tree.is_empty()).then_some(commit)
}

/// `Name <address> 1767225600 +0000`.
fn signature(text: &str) -> Signature {
    let (name, rest) = text.split_once(" <").unwrap_or(("", text.strip_prefix('<').unwrap_or(text)));
    let (email, date) = rest.rsplit_once("> ").unwrap_or((rest, ""));
    Signature { name: name.to_owned(), email: email.to_owned(), date: date.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_read() {
        let text = b"tree t\nparent a\nparent b\nauthor A B <a@b> 1 +0100\ncommitter <c@d> 2 +0000\ngpgsig x\n y\n\nWhy\n\nMore\n";
        let commit = parse("id", text).unwrap();
        assert_eq!((commit.tree.as_str(), commit.parents.join(" ")), ("t", "a b".into()));
        let who = |s: &Signature| format!("{}|{}|{}", s.name, s.email, s.date);
        assert_eq!(
            (who(&commit.author), who(&commit.committer)),
            ("A B|a@b|1 +0100".into(), "|c@d|2 +0000".into())
        );
        assert_eq!((commit.message.as_str(), commit.other.as_str()), ("Why\n\nMore\n", "gpgsig x\n y"));
    }

    #[test]
    fn expressions_are_no_names() {
        for text in ["", "-x", "a~1", "a^{tree}", "a:b", "a..b", "HEAD@{1}", "a b", "a\nb"] {
            assert!(!plain(text), "{text}");
        }
        assert!(plain("feature/x-1") && plain("refs/tags/v1.0"));
    }
}
