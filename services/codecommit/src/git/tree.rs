//! Whole trees as maps: changed in memory, compared path by path.
use std::collections::BTreeMap;

use super::{Error, Repo, Result, run};

/// A file of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `100644`, `100755`, `120000` (a symbolic link), `160000` (a submodule) or `040000` (a folder).
    pub mode: String,
    /// The object.
    pub id: String,
}

/// A tree's files by path, or one folder's entries by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<String, Entry>);

/// A path whose entry differs between two trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path.
    pub path: String,
    /// What was there.
    pub before: Option<Entry>,
    /// What is there.
    pub after: Option<Entry>,
}

/// Why a file cannot stand at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A folder has this path.
    IsFolder,
    /// A part of the path is a file.
    ThroughFile(String),
}

impl Repo {
    /// All files of a tree or commit.
    pub async fn files(&self, tree: &str) -> Result<Tree> {
        self.listed(&["-r", "-z", "--full-tree", tree]).await
    }

    /// The entries of one folder, by name.
    pub async fn folder(&self, tree: &str) -> Result<Tree> {
        self.listed(&["-z", "--full-tree", tree]).await
    }

    async fn listed(&self, args: &[&str]) -> Result<Tree> {
        let out = run(self.command("ls-tree").args(args), Vec::new()).await?;
        let mut tree = BTreeMap::new();
        for line in out.split(|b| *b == 0).filter(|line| !line.is_empty()) {
            let line = String::from_utf8_lossy(line);
            let strange = || Error::Strange { command: "ls-tree", what: line.to_string() };
            let (head, path) = line.split_once('\t').ok_or_else(strange)?;
            let words: Vec<&str> = head.split_whitespace().collect();
            let [mode, _, id] = words[..] else { return Err(strange()) };
            tree.insert(path.to_owned(), Entry { mode: mode.to_owned(), id: id.to_owned() });
        }
        Ok(Tree(tree))
    }
}

impl Tree {
    /// Puts a file, if the other files leave room for it.
    pub fn put(&mut self, path: &str, entry: Entry) -> std::result::Result<(), Violation> {
        if self.has_below(path) {
            return Err(Violation::IsFolder);
        }
        let through =
            path.match_indices('/').map(|(at, _)| &path[..at]).find(|part| self.0.contains_key(*part));
        if let Some(file) = through {
            return Err(Violation::ThroughFile(file.to_owned()));
        }
        self.0.insert(path.to_owned(), entry);
        Ok(())
    }

    /// Whether there are files under a path.
    pub fn has_below(&self, path: &str) -> bool {
        let prefix = format!("{path}/");
        self.0.range(prefix.clone()..).next().is_some_and(|(next, _)| next.starts_with(&prefix))
    }
}

/// What differs, by path.
pub fn diff(before: &Tree, after: &Tree) -> Vec<Change> {
    let gone = before.0.iter().filter(|(path, _)| !after.0.contains_key(*path));
    let gone =
        gone.map(|(path, entry)| Change { path: path.clone(), before: Some(entry.clone()), after: None });
    let new = after.0.iter().filter_map(|(path, entry)| {
        let was = before.0.get(path);
        let changed = Change { path: path.clone(), before: was.cloned(), after: Some(entry.clone()) };
        (was != Some(entry)).then_some(changed)
    });
    let mut changes: Vec<Change> = gone.chain(new).collect();
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_do_not_share_a_path() {
        let entry = |id: &str| Entry { mode: "100644".into(), id: id.into() };
        let mut tree = Tree::default();
        assert_eq!(tree.put("a/b", entry("1")), Ok(()));
        assert_eq!(tree.put("a/b", entry("2")), Ok(()));
        assert_eq!(tree.put("a", entry("3")), Err(Violation::IsFolder));
        assert_eq!(tree.put("a/b/c", entry("3")), Err(Violation::ThroughFile("a/b".into())));
        assert_eq!(tree.put("a.b", entry("3")), Ok(()));
        let mut after = tree.clone();
        after.0.remove("a.b");
        after.put("z", entry("4")).unwrap();
        let told: Vec<_> = diff(&tree, &after)
            .into_iter()
            .map(|c| (c.path, c.before.is_some(), c.after.is_some()))
            .collect();
        assert_eq!(told, [("a.b".into(), true, false), ("z".into(), false, true)]);
    }
}
