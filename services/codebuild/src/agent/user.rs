//! `run-as`: users as the image's `/etc/passwd` knows them (a static binary has no other way to ask).
use std::path::{Path, PathBuf};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The primary group's id.
    pub gid: u32,
    /// The home folder.
    pub home: PathBuf,
}

/// Looks a user up, by name.
///
/// # Errors
/// A sentence that names the user and the file.
pub fn find(name: &str, passwd: &Path) -> Result<User, String> {
    let text = std::fs::read_to_string(passwd)
        .map_err(|e| format!("run-as: {} cannot be read: {e}", passwd.display()))?;
    let entry = text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|f| f[0] == name);
    let user = entry.filter(|f| f.len() >= 6).and_then(|f| {
        Some(User {
            name: name.to_owned(),
            uid: f[2].parse().ok()?,
            gid: f[3].parse().ok()?,
            home: f[5].into(),
        })
    });
    user.ok_or_else(|| format!("run-as: there is no user {name:?} in the build image's {}", passwd.display()))
}
