//! The other side: signing requests of our own, for `longshore watch` and the tests' clients.
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use kernel::Timestamp;

use crate::Scope;
use crate::canonical::{self, Head};
use crate::key::{SigningKey, hash_hex};
use crate::time::basic;

/// Whose key signs, and for what.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    /// The key's id.
    pub access_key_id: &'a str,
    /// Its secret.
    pub secret: &'a str,
    /// The session token of temporary credentials.
    pub token: Option<&'a str>,
    /// The region.
    pub region: &'a str,
    /// The signing name, as in `codepipeline`.
    pub service: &'a str,
}

impl Signer<'_> {
    /// Adds the date, the token and the signature to the headers, which must hold the `host` already. `None` where a
    /// value cannot stand in a header.
    pub fn sign(
        &self,
        method: &str,
        uri: &Uri,
        headers: &mut HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Option<()> {
        let stamp = basic(now);
        headers.insert("x-amz-date", HeaderValue::from_str(&stamp).ok()?);
        if let Some(token) = self.token {
            headers.insert("x-amz-security-token", HeaderValue::from_str(token).ok()?);
        }
        let scope = Scope {
            date: stamp[..8].to_owned(),
            region: self.region.to_owned(),
            service: self.service.to_owned(),
        };
        let mut signed: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        signed.sort_unstable();
        let names = signed.join(";");
        let head = Head { method, uri, headers };
        let request = canonical::request(&head, &signed, &hash_hex(body), self.service == "s3");
        let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{}\n{}", scope.text(), hash_hex(request.as_bytes()));
        let signature = SigningKey::derive(self.secret, &scope).sign(&text);
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={names}, Signature={signature}",
            self.access_key_id,
            scope.text()
        );
        headers.insert(http::header::AUTHORIZATION, HeaderValue::from_str(&value).ok()?);
        Some(())
    }
}
