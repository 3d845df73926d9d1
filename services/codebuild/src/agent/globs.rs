//! Which files an artifact holds: CodeBuild's patterns over a folder.
//!
//! `*` stays within a folder, `**` crosses folders, hidden files are files like others. A pattern without
//! wildcards is looked up, so that a single jar does not cost a walk through the whole source.
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::limits;

/// A file of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Its contents.
    File(PathBuf),
    /// A link that stays one, with its target.
    Link(PathBuf),
}

/// Files by their names relative to the base.
pub type Items = BTreeMap<String, Item>;

/// The base directories that `pattern` names below `root` (an absolute one stands for itself).
pub fn bases(root: &Path, pattern: Option<&str>) -> Result<Vec<PathBuf>, String> {
    let Some(pattern) = pattern else { return Ok(vec![root.to_owned()]) };
    let missing = || format!("no matching base directory path found for {pattern}");
    if !has_wildcard(pattern) {
        let path = root.join(pattern);
        return if path.is_dir() { Ok(vec![path]) } else { Err(missing()) };
    }
    let set = globs(&[pattern.trim_end_matches('/').to_owned()])?;
    let mut found = Vec::new();
    walk(root, "", 0, true, &mut |name, path, is_dir| {
        if is_dir && set.is_match(name) {
            found.push(path.to_owned());
        }
        Ok(())
    })?;
    if found.is_empty() { Err(missing()) } else { Ok(found) }
}

/// The files below `base` that `files` name and `exclude` does not.
pub fn select(base: &Path, files: &[String], exclude: &[String], keep_links: bool) -> Result<Items, String> {
    let exclude = globs(exclude)?;
    let (wild, plain): (Vec<String>, Vec<String>) = files.iter().cloned().partition(|f| has_wildcard(f));
    let mut items = Items::new();
    let mut add = |name: &str, path: &Path| -> Result<(), String> {
        if exclude.is_match(name) {
            return Ok(());
        }
        items.insert(name.to_owned(), item(base, path, keep_links)?);
        if items.len() > limits::ARTIFACT_FILES {
            return Err(format!("an artifact has more than {} files", limits::ARTIFACT_FILES));
        }
        Ok(())
    };
    for name in plain {
        let name = clean(&name)?;
        let path = base.join(&name);
        if path.is_file() || (keep_links && path.is_symlink()) {
            add(&name, &path)?;
        }
    }
    if !wild.is_empty() {
        let set = globs(&wild)?;
        walk(base, "", 0, !keep_links, &mut |name, path, is_dir| {
            if !is_dir && set.is_match(name) { add(name, path) } else { Ok(()) }
        })?;
    }
    Ok(items)
}

/// A link is kept only if it stays inside; its target is read, never followed.
fn item(base: &Path, path: &Path, keep_links: bool) -> Result<Item, String> {
    if !keep_links || !path.is_symlink() {
        return Ok(Item::File(path.to_owned()));
    }
    let target = fs::read_link(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let from = path.parent().unwrap_or(base);
    if leaves(base, from, &target) {
        return Err(format!(
            "the link {} leads out of the base directory, to {}",
            path.display(),
            target.display()
        ));
    }
    Ok(Item::Link(target))
}

fn leaves(base: &Path, from: &Path, target: &Path) -> bool {
    let Ok(below) = from.strip_prefix(base) else { return true };
    let mut depth = below.components().count();
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return true,
        }
    }
    false
}

type Visit<'a> = dyn FnMut(&str, &Path, bool) -> Result<(), String> + 'a;

/// Everything below a folder, in the order of names. Folders are followed through links if asked, but never
/// into themselves.
fn walk(dir: &Path, prefix: &str, depth: usize, follow: bool, visit: &mut Visit<'_>) -> Result<(), String> {
    let unreadable = |e: std::io::Error| format!("{}: {e}", dir.display());
    if depth > limits::WALK_DEPTH {
        return Err(format!("{}: folders nest deeper than {}", dir.display(), limits::WALK_DEPTH));
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        names.push(entry.map_err(unreadable)?.file_name());
    }
    names.sort();
    for name in names {
        let path = dir.join(&name);
        let relative = match name.to_str() {
            Some(name) if prefix.is_empty() => name.to_owned(),
            Some(name) => format!("{prefix}/{name}"),
            None => return Err(format!("{}: the name is not valid UTF-8", path.display())),
        };
        let is_link = path.is_symlink();
        let is_dir = path.is_dir() && (follow || !is_link) && !(is_link && is_ancestor(&path, dir));
        if !is_dir && !path.is_file() && !is_link {
            continue;
        }
        if !is_dir && is_link && follow && !path.is_file() {
            continue;
        }
        visit(&relative, &path, is_dir)?;
        if is_dir {
            walk(&path, &relative, depth + 1, follow, visit)?;
        }
    }
    Ok(())
}

/// Whether a link leads to a folder that holds it.
fn is_ancestor(link: &Path, dir: &Path) -> bool {
    let Ok(target) = fs::metadata(link) else { return true };
    let same =
        |other: &Path| fs::metadata(other).is_ok_and(|m| (m.dev(), m.ino()) == (target.dev(), target.ino()));
    dir.ancestors().any(same)
}

fn has_wildcard(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '{'])
}

/// A pattern as it is matched: relative, without `./`, and never upwards.
fn clean(pattern: &str) -> Result<String, String> {
    if pattern.starts_with('/') || pattern.split('/').any(|part| part == "..") {
        return Err(format!(
            "artifacts/files: {pattern:?} leaves the base directory; set base-directory instead"
        ));
    }
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    Ok(parts.join("/"))
}

fn globs(patterns: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(glob(&clean(pattern)?).map_err(|e| format!("the pattern {pattern:?} cannot be used: {e}"))?);
    }
    set.build().map_err(|e| format!("the patterns cannot be used: {e}"))
}

fn glob(pattern: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(pattern).literal_separator(true).build()
}
