//! Secrets at rest: AES-256-GCM in an envelope that names its key.
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// A sealed secret, as records keep it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    key: String,
    nonce: String,
    data: String,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({})", self.key)
    }
}

/// Sealing or opening failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SealError {
    /// The key file cannot be used.
    #[error("cannot use the key file {path}: {reason}")]
    KeyFile {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// It was sealed under a key that is not here, for another context, or was altered.
    #[error("a stored secret cannot be opened: {0}")]
    Unopenable(&'static str),
    /// The cipher failed.
    #[error("a secret cannot be sealed")]
    Unsealable,
}

impl From<SealError> for kernel::Fault {
    fn from(error: SealError) -> Self {
        Self::internal(error)
    }
}

/// The keys of a data folder. Cheap to clone.
#[derive(Clone)]
pub struct Sealer(Arc<Keys>);

struct Keys {
    current: String,
    keys: BTreeMap<String, RandomizedNonceKey>,
}

/// The key file: every key that may still be needed, and the one that seals.
#[derive(Serialize, Deserialize)]
struct KeyFile {
    version: u32,
    current: String,
    keys: BTreeMap<String, String>,
}

impl Sealer {
    /// Reads `seal.key` (mode 0600) in the data folder, or makes it with a new key.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, SealError> {
        let path = dir.as_ref().join("seal.key");
        let failed = |reason: String| SealError::KeyFile { path: path.display().to_string(), reason };
        let text = match read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => create(&path).map_err(|e| failed(e.to_string()))?,
            Err(e) => return Err(failed(e.to_string())),
        };
        let file: KeyFile = serde_json::from_str(&text).map_err(|e| failed(e.to_string()))?;
        if file.version != 1 {
            return Err(failed(format!("version {} is unknown", file.version)));
        }
        let mut keys = BTreeMap::new();
        for (id, key) in file.keys {
            let bytes = STANDARD.decode(key).map_err(|e| failed(e.to_string()))?;
            let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes);
            keys.insert(id, key.map_err(|_| failed("a key is not 32 bytes".into()))?);
        }
        if !keys.contains_key(&file.current) {
            return Err(failed(format!("the current key {} is missing", file.current)));
        }
        Ok(Self(Arc::new(Keys { current: file.current, keys })))
    }

    /// Seals a secret for a context (the table and key it will stand in): opened elsewhere it is refused.
    pub fn seal(&self, context: &str, secret: &[u8]) -> Result<Sealed, SealError> {
        let key = self.0.keys.get(&self.0.current).ok_or(SealError::Unsealable)?;
        let mut data = secret.to_vec();
        let nonce = key
            .seal_in_place_append_tag(Aad::from(context.as_bytes()), &mut data)
            .map_err(|_| SealError::Unsealable)?;
        Ok(Sealed {
            key: self.0.current.clone(),
            nonce: STANDARD.encode(nonce.as_ref()),
            data: STANDARD.encode(data),
        })
    }

    /// Opens what was sealed for this context.
    pub fn open_sealed(&self, context: &str, sealed: &Sealed) -> Result<Vec<u8>, SealError> {
        let key = self.0.keys.get(&sealed.key).ok_or(SealError::Unopenable("its key is not in seal.key"))?;
        let bad = |_| SealError::Unopenable("its envelope is damaged");
        let nonce = STANDARD.decode(&sealed.nonce).map_err(bad)?;
        let nonce = Nonce::try_assume_unique_for_key(&nonce)
            .map_err(|_| SealError::Unopenable("its envelope is damaged"))?;
        let mut data = STANDARD.decode(&sealed.data).map_err(bad)?;
        let opened = key
            .open_in_place(nonce, Aad::from(context.as_bytes()), &mut data)
            .map_err(|_| SealError::Unopenable("it was altered, or sealed for something else"))?;
        Ok(opened.to_vec())
    }

    /// Seals text.
    pub fn seal_text(&self, context: &str, secret: &str) -> Result<Sealed, SealError> {
        self.seal(context, secret.as_bytes())
    }

    /// Opens text.
    pub fn open_text(&self, context: &str, sealed: &Sealed) -> Result<String, SealError> {
        String::from_utf8(self.open_sealed(context, sealed)?)
            .map_err(|_| SealError::Unopenable("it is not text"))
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        return Err(std::io::Error::other("others may read it: chmod 600 it"));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Written whole and synced before it is named: a crash leaves no half of a key.
fn create(path: &Path) -> std::io::Result<String> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| std::io::Error::other("no random bytes"))?;
    let mut id = [0; 8];
    rand::fill(&mut id).map_err(|_| std::io::Error::other("no random bytes"))?;
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let keys = BTreeMap::from([(id.clone(), STANDARD.encode(bytes))]);
    let text = serde_json::to_string_pretty(&KeyFile { version: 1, current: id, keys })?;
    let part = path.with_extension("key.part");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(text)
}
