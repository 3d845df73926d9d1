//! The data folder: opened once, by one control plane.
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use blobs::Blobs;
use kernel::ids;
use store::{Sealer, Store};

use crate::cli::Data;
use crate::exit::Exit;

/// Holds the pid of the control plane that has the folder.
pub const PID: &str = "up.pid";

/// What lies in the data folder.
pub struct Folder {
    /// Its absolute path: containers mount files of it.
    pub dir: PathBuf,
    /// State.
    pub store: Store,
    /// Keys.
    pub sealer: Sealer,
    /// Blobs.
    pub blobs: Blobs,
    /// Names everything of this folder at the engine.
    pub owner: String,
}

impl Folder {
    /// Opens the folder, making it if need be.
    pub async fn open(data: &Data) -> Result<Self, Exit> {
        let shown = data.dir.display();
        let unusable = |e: &dyn std::fmt::Display| {
            Exit::data(format!(
                "cannot use {shown}: {e}; choose another folder with --data, or mend its permissions"
            ))
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&data.dir).map_err(|e| unusable(&e))?;
        let dir = data.dir.canonicalize().map_err(|e| unusable(&e))?;
        let store = Store::open(&dir).await.map_err(|error| match error {
            store::Error::Held(_) => Exit::held(error.to_string()),
            other => unusable(&other),
        })?;
        let sealer = Sealer::open(&dir).map_err(|e| unusable(&e))?;
        let blobs = Blobs::open(&dir).await.map_err(|e| unusable(&e))?;
        let owner = owner(&dir).map_err(|e| unusable(&e))?;
        Ok(Self { dir, store, sealer, blobs, owner })
    }

    /// Leaves our pid for `longshore down`: only meant while the folder's lock is held.
    pub fn leave_pid(&self) -> Result<(), Exit> {
        let written = std::fs::write(self.dir.join(PID), std::process::id().to_string());
        written.map_err(|e| Exit::data(format!("cannot write {PID} in {}: {e}", self.dir.display())))
    }

    /// Whether an edge of this folder runs.
    pub fn edge_runs(&self) -> bool {
        edge_runs(&self.dir)
    }
}

/// Whether an edge of a data folder runs.
pub fn edge_runs(dir: &Path) -> bool {
    // The edge's socket has a short link where the folder's path is long; its lock tells either way.
    locked(&dir.join("edge").join("lock"))
}

/// Whether a control plane has a data folder.
pub fn held(dir: &Path) -> bool {
    locked(&dir.join("lock"))
}

fn locked(lock: &Path) -> bool {
    let Ok(file) = std::fs::File::open(lock) else { return false };
    matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock))
}

/// The folder's id at the engine: made once. Also what `down` removes by.
pub fn owner(dir: &Path) -> std::io::Result<String> {
    let path = dir.join("owner");
    match std::fs::read_to_string(&path) {
        Ok(id) => Ok(id.trim().to_owned()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let id = ids::hex(&kernel::clock::SystemEntropy, 10);
            let new = dir.join("owner.new");
            std::fs::write(&new, &id)?;
            std::fs::File::open(&new)?.sync_all()?;
            std::fs::rename(new, path)?;
            Ok(id)
        }
        Err(e) => Err(e),
    }
}

/// A file that containers may read whoever they run as: its folder must let them through.
pub fn world_readable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path)?.mode();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode | 0o444))
}
