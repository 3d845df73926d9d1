//! The edge's folder: its lock, its key, and the files it resumes from.
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;
use serde::de::DeserializeOwned;
use snapshot::Snapshot;

use crate::Error;

const SNAPSHOT: &str = "snapshot.json";
const SEALED: &str = "sealed:1:";

/// A locked folder. The lock ends with the value, or with the process.
pub struct Folder {
    path: PathBuf,
    key: RandomizedNonceKey,
    _lock: Flock<File>,
}

impl Folder {
    /// The edge's folder within Longshore's data folder.
    pub fn of(data: &Path) -> PathBuf {
        data.join("edge")
    }

    /// Creates it where it is missing, locks it, and loads or makes its key.
    pub fn open(data: &Path) -> Result<Self, Error> {
        let path = Self::of(data);
        let broken = |error| Error::Folder { path: path.clone(), error };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(broken)?;
        let lock = private().create(true).truncate(false).open(path.join("lock")).map_err(broken)?;
        let lock =
            Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|_| Error::Held(path.clone()))?;
        let key = key(&path).map_err(broken)?;
        Ok(Self { path, key, _lock: lock })
    }

    /// Where the control plane connects.
    pub fn socket(data: &Path) -> PathBuf {
        Self::of(data).join("edge.sock")
    }

    /// Waits until no edge holds the folder. Blocks.
    pub fn wait_free(data: &Path) -> io::Result<()> {
        let lock = private().open(Self::of(data).join("lock"))?;
        Flock::lock(lock, FlockArg::LockExclusive).map(drop).map_err(|(_, error)| error.into())
    }

    /// Replaces a file: whole or not at all, readable by us alone. Blocks.
    pub fn write<T: Serialize>(&self, name: &str, value: &T) -> io::Result<()> {
        let fresh = self.path.join(format!("{name}.new"));
        let mut file = private().create(true).truncate(true).open(&fresh)?;
        file.write_all(&serde_json::to_vec(value)?)?;
        file.sync_all()?;
        fs::rename(&fresh, self.path.join(name))?;
        File::open(&self.path)?.sync_all()
    }

    /// A file's value; `None` where there is none. Blocks.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        match fs::read(self.path.join(name)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Keeps a snapshot, its private keys sealed. Blocks.
    pub fn write_snapshot(&self, snapshot: &Snapshot) -> io::Result<()> {
        let mut sealed = snapshot.clone();
        each_key(&mut sealed, |pem| self.seal(pem))?;
        self.write(SNAPSHOT, &sealed)
    }

    /// The snapshot that was kept last. Blocks.
    pub fn read_snapshot(&self) -> io::Result<Option<Snapshot>> {
        let mut snapshot = self.read::<Snapshot>(SNAPSHOT)?;
        if let Some(snapshot) = &mut snapshot {
            each_key(snapshot, |sealed| self.open_sealed(sealed))?;
        }
        Ok(snapshot)
    }

    fn seal(&self, plain: &str) -> io::Result<String> {
        let mut bytes = plain.as_bytes().to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::empty(), &mut bytes);
        let nonce = nonce.map_err(|_| io::Error::other("sealing a private key failed"))?;
        let sealed = [nonce.as_ref().as_slice(), &bytes].concat();
        Ok(format!("{SEALED}{}", BASE64_STANDARD.encode(sealed)))
    }

    fn open_sealed(&self, sealed: &str) -> io::Result<String> {
        let wrong =
            || io::Error::new(io::ErrorKind::InvalidData, "a private key was sealed under another key");
        let bytes =
            sealed.strip_prefix(SEALED).and_then(|b| BASE64_STANDARD.decode(b).ok()).ok_or_else(wrong)?;
        let (nonce, rest) = bytes.split_at_checked(NONCE_LEN).ok_or_else(wrong)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut rest = rest.to_vec();
        let plain = self.key.open_in_place(nonce, Aad::empty(), &mut rest).map_err(|_| wrong())?;
        String::from_utf8(plain.to_vec()).map_err(|_| wrong())
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

fn key(folder: &Path) -> io::Result<RandomizedNonceKey> {
    let path = folder.join("key");
    let mut bytes = [0; 32];
    match File::open(&path) {
        Ok(mut file) => {
            if file.metadata()?.permissions().mode() & 0o077 != 0 {
                return Err(io::Error::other("the file `key` is readable by others; chmod 600 it"));
            }
            file.read_exact(&mut bytes)?;
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("no randomness for a key"))?;
            // Whole or not at all: half a key would keep every later edge from starting.
            let new = folder.join("key.new");
            let mut file = private().create(true).truncate(true).open(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(new, path)?;
            File::open(folder)?.sync_all()?;
        }
        Err(e) => return Err(e),
    }
    RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| io::Error::other("the file `key` holds no key"))
}

fn each_key(snapshot: &mut Snapshot, change: impl Fn(&str) -> io::Result<String>) -> io::Result<()> {
    let listeners = snapshot.balancing.load_balancers.iter_mut().flat_map(|lb| &mut lb.listeners);
    for certificate in listeners.flat_map(|listener| &mut listener.certificates) {
        certificate.key_pem = change(&certificate.key_pem)?;
    }
    Ok(())
}
