//! How `aws codecommit credential-helper` signs: a user name and a password that Git sends as Basic credentials.
use kernel::Timestamp;

use crate::key::{SigningKey, hash_hex};
use crate::time::from_basic;
use crate::{Refusal, SKEW, Scope};

/// What the credential helper's user name and password say. Nothing of it is proven yet.
#[derive(Clone, Debug)]
pub struct GitClaim {
    /// Whose key.
    pub access_key_id: String,
    /// The session token, for temporary credentials: it follows a `%` in the user name.
    pub token: Option<String>,
    stamp: String,
    signature: String,
    at: Timestamp,
}

impl GitClaim {
    /// Takes user name and password apart; `None` if they have not this form: they may be Git credentials of a user.
    pub fn read(user_name: &str, password: &str) -> Option<Self> {
        let (stamp, signature) = password.split_once('Z')?;
        let at = from_basic(stamp)?;
        (signature.len() == 64 && signature.bytes().all(|b| b.is_ascii_hexdigit())).then_some(())?;
        let (id, token) = match user_name.split_once('%') {
            Some((id, token)) => (id, Some(token.to_owned())),
            None => (user_name, None),
        };
        Some(Self { access_key_id: id.into(), token, stamp: stamp.into(), signature: signature.into(), at })
    }

    /// Proves the claim with the key's secret. `host` may have a port, which is not signed; `path` is that of the
    /// repository (`/v1/repos/NAME`), whatever of it Git asks for; `region` is the client's.
    pub fn verify(
        &self,
        secret: &str,
        host: &str,
        path: &str,
        region: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let (signed, age) = (self.at, now.as_second() - self.at.as_second());
        if age > SKEW {
            return Err(Refusal::Expired { signed, now, life: SKEW, presigned: false });
        }
        if age < -SKEW {
            return Err(Refusal::NotYet { signed, now, presigned: false });
        }
        let host = host.split_once(':').map_or(host, |(name, _)| name);
        let canonical = format!("GIT\n{path}\n\nhost:{host}\n\nhost\n");
        let scope =
            Scope { date: self.stamp[..8].into(), region: region.into(), service: "codecommit".into() };
        let text =
            format!("AWS4-HMAC-SHA256\n{}\n{}\n{}", self.stamp, scope.text(), hash_hex(canonical.as_bytes()));
        if SigningKey::derive(secret, &scope).verify(&text, &self.signature) {
            return Ok(());
        }
        Err(Refusal::Mismatch { canonical_request: canonical, string_to_sign: text })
    }
}
