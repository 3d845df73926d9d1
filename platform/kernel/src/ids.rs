//! Identifiers as AWS forms them, from injected [`Entropy`].
use crate::Entropy;

/// A lower-case version 4 UUID.
pub fn uuid(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// `len` lower-case hexadecimal digits: the tail of `vpc-…`, `sg-…` and the like (AWS uses 17).
pub fn hex(entropy: &dyn Entropy, len: usize) -> String {
    pick(entropy, len, b"0123456789abcdef")
}

/// `len` upper-case letters and digits without look-alikes: the tail of `AKIA…`, `AROA…`, `Z…`.
pub fn upper(entropy: &dyn Entropy, len: usize) -> String {
    pick(entropy, len, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
}

/// `len` letters and digits of both cases: artifact keys, secrets.
pub fn alphanumeric(entropy: &dyn Entropy, len: usize) -> String {
    pick(entropy, len, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
}

fn pick(entropy: &dyn Entropy, len: usize, alphabet: &[u8]) -> String {
    let limit = 256 - 256 % alphabet.len();
    let mut out = String::with_capacity(len);
    let mut bytes = [0; 64];
    while out.len() < len {
        entropy.fill(&mut bytes);
        // A byte past the last whole multiple would favour the alphabet's start.
        let fair = bytes.iter().map(|b| usize::from(*b)).filter(|b| *b < limit);
        out.extend(fair.take(len - out.len()).map(|b| char::from(alphabet[b % alphabet.len()])));
    }
    out
}
