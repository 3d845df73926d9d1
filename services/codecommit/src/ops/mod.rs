//! The operations, a family each.
mod archive;
mod branch;
mod clone;
mod commit;
mod file;
mod repository;
mod tags;
mod write;

use crate::error::{Result, coded};
use crate::git::Repo;

/// What stands for [`crate::git::Entry::mode`] in the API.
fn mode(git: &str) -> String {
    match git {
        "100755" => "EXECUTABLE",
        "120000" => "SYMLINK",
        _ => "NORMAL",
    }
    .to_owned()
}

/// A path within a tree: without a slash at its ends.
fn path(text: &str) -> Result<&str> {
    let trimmed = text.strip_prefix('/').unwrap_or(text);
    let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
    let bad = |part: &str| part.is_empty() || matches!(part, "." | ".." | ".git");
    if trimmed.len() > crate::limits::PATH || trimmed.contains(['\0', '\n']) {
        return Err(coded!(InvalidPathException, "The path is too long or has a line end in it"));
    }
    if !trimmed.is_empty() && trimmed.split('/').any(bad) {
        return Err(coded!(
            InvalidPathException,
            "The path '{text}' is not valid: it has an empty part, '.', '..' or '.git'"
        ));
    }
    Ok(trimmed)
}

/// The commit that a specifier names; the default branch's when there is none.
async fn resolved(repo: &Repo, specifier: Option<&str>, default: Option<&str>) -> Result<String> {
    let specifier = specifier.filter(|text| !text.is_empty()).or(default).unwrap_or("HEAD");
    let found = repo.resolve(specifier).await?;
    found.ok_or_else(|| coded!(CommitDoesNotExistException, "No commit is named by '{specifier}'"))
}
