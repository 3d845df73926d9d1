//! Puts a source where the build works: an archive is unpacked, nothing outside of its folder and within limits; a
//! clone is copied.
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use super::limits;

/// Puts what is at `source` into the folder `into`, which is there and empty.
///
/// # Errors
/// A sentence that says what cannot be read or written.
pub fn put(source: &Path, into: &Path) -> Result<(), String> {
    if !source.is_dir() {
        return unpack(source, into).map(drop);
    }
    copy(source, into).map_err(|e| format!("the clone of the source cannot be copied: {e}"))?;
    // Git's index remembers the files as they were where the clone was made. An image without git needs no index.
    let mut git = Command::new("git");
    git.arg("-C").arg(into).args(["update-index", "-q", "--refresh"]);
    drop(git.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status());
    Ok(())
}

/// Copies a folder's content: files, folders, and links as links.
fn copy(from: &Path, into: &Path) -> io::Result<()> {
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(from.join(&folder))? {
            let (entry, kind) = entry.and_then(|entry| entry.file_type().map(|kind| (entry, kind)))?;
            let name = folder.join(entry.file_name());
            let target = into.join(&name);
            if kind.is_symlink() {
                symlink(fs::read_link(entry.path())?, &target)?;
            } else if kind.is_dir() {
                fs::create_dir(&target)?;
                folders.push(name);
            } else {
                fs::copy(entry.path(), &target)?;
            }
        }
    }
    Ok(())
}

/// Unpacks `zip` into `into`, which must be empty: then nothing can stand there that leads elsewhere, and
/// links are made last.
///
/// # Errors
/// A sentence that names the entry: a name that leaves the folder, a broken archive, a limit.
fn unpack(zip: &Path, into: &Path) -> Result<u64, String> {
    let said = |e: &dyn std::fmt::Display| format!("the source archive cannot be read: {e}");
    let file = File::open(zip).map_err(|e| said(&e))?;
    let mut archive = zip::ZipArchive::new(io::BufReader::new(file)).map_err(|e| said(&e))?;
    if archive.len() > limits::SOURCE_ENTRIES {
        return Err(format!(
            "the source archive has {} entries, at most {} are allowed",
            archive.len(),
            limits::SOURCE_ENTRIES
        ));
    }
    let (mut left, mut files, mut links) = (limits::SOURCE_BYTES, 0, Vec::new());
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|e| said(&e))?;
        let name = inside(&entry.name().map_err(|e| said(&e))?)?;
        let path = into.join(&name);
        let failed = |e: io::Error| format!("{} of the source archive: {e}", name.display());
        if entry.is_dir() {
            fs::create_dir_all(&path).map_err(failed)?;
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        if entry.is_symlink() {
            let mut target = String::new();
            entry.by_ref().take(4096).read_to_string(&mut target).map_err(failed)?;
            links.push((path, target));
            continue;
        }
        let mode = entry.unix_mode().unwrap_or(0o644);
        let mut out = File::create(&path).map_err(failed)?;
        let copied = io::copy(&mut entry.by_ref().take(left + 1), &mut out).map_err(failed)?;
        left = left.checked_sub(copied).ok_or_else(|| {
            format!("the source archive unpacks to more than {} bytes", limits::SOURCE_BYTES)
        })?;
        out.set_permissions(Permissions::from_mode(if mode & 0o111 == 0 { 0o644 } else { 0o755 }))
            .map_err(failed)?;
        files += 1;
    }
    for (path, target) in links {
        symlink(&target, &path).map_err(|e| format!("{} of the source archive: {e}", path.display()))?;
        files += 1;
    }
    Ok(files)
}

/// The entry's name as a path below the folder.
fn inside(name: &str) -> Result<PathBuf, String> {
    let refuse = || format!("the source archive names {name:?}, which is outside of the source folder");
    if name.contains(['\\', '\0']) || name.starts_with('/') {
        return Err(refuse());
    }
    let mut path = PathBuf::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => return Err(refuse()),
        }
    }
    if path.as_os_str().is_empty() && !name.trim_matches(['.', '/']).is_empty() {
        Err(refuse())
    } else {
        Ok(path)
    }
}
