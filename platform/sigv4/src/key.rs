//! Hashes and the derived signing key.
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};

use crate::Scope;

/// SHA-256.
pub fn hash(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

/// SHA-256 as AWS writes it: lower-case hexadecimal.
pub fn hash_hex(bytes: &[u8]) -> String {
    hex::encode(hash(bytes))
}

/// The key of one secret for one day, region and service.
#[derive(Clone)]
pub struct SigningKey(Arc<Key>);

impl SigningKey {
    /// Derives it: the secret itself signs nothing.
    pub fn derive(secret: &str, scope: &Scope) -> Self {
        let mut key = mac(format!("AWS4{secret}").as_bytes(), &scope.date);
        for part in [&scope.region, &scope.service] {
            key = mac(&key, part);
        }
        Self(Arc::new(Key::new(HMAC_SHA256, &mac(&key, "aws4_request"))))
    }

    /// The signature of a string to sign, in hexadecimal.
    pub fn sign(&self, text: &str) -> String {
        hex::encode(sign(&self.0, text.as_bytes()))
    }

    /// Whether the signature is that of the text, compared in constant time.
    pub fn verify(&self, text: &str, signature: &str) -> bool {
        verify_slices_are_equal(self.sign(text).as_bytes(), signature.as_bytes()).is_ok()
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}
