//! What blobs are called.
use std::fmt;
use std::str::FromStr;

use object_store::path::Path;

use crate::{Error, Result, limits};

/// A blob's name: an area (the service that owns it) and plain segments. Users' own names (S3 keys) never become
/// blob names: their rows hold a generated one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Path);

impl Name {
    /// `area/id`, where both are segments of `[A-Za-z0-9._-]` joined by `/`.
    pub fn new(area: &str, id: &str) -> Result<Self> {
        format!("{area}/{id}").parse()
    }

    /// The name of a content within an area.
    pub fn content(area: &str, digest: &Digest) -> Result<Self> {
        let hex = digest.hex();
        Self::new(area, &format!("sha256/{}/{hex}", &hex[..2]))
    }

    pub(crate) fn of(path: Path) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref())
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let segment = |s: &str| !s.is_empty() && !s.starts_with('.') && s.chars().all(plain);
        let bad = || Error::BadName(text.to_owned());
        if text.len() > limits::NAME || !text.contains('/') || !text.split('/').all(segment) {
            return Err(bad());
        }
        Path::parse(text).map(Self).map_err(|_| bad())
    }
}

/// A SHA-256, written `sha256:HEX`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Of bytes at hand.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut digest = [0; 32];
        let hex = text.strip_prefix("sha256:").filter(|hex| !hex.contains(|c: char| c.is_ascii_uppercase()));
        let decoded = hex.is_some_and(|hex| hex::decode_to_slice(hex, &mut digest).is_ok());
        if decoded { Ok(Self(digest)) } else { Err(Error::BadName(text.to_owned())) }
    }
}
