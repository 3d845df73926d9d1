//! Whether what was sent to a webhook is authentic, and whether its filters match. Pure.
use std::collections::BTreeMap;
use std::net::IpAddr;

use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256};
use http::HeaderMap;
use serde_json::Value;

use super::path::Path;
use super::record::Filter;

/// Whether one of GitHub's signature headers holds for the body; the stronger one counts where both were sent. Compared
/// in constant time.
pub fn signed(secret: &[u8], headers: &HeaderMap, body: &[u8]) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (algorithm, given) = match (header("x-hub-signature-256"), header("x-hub-signature")) {
        (Some(given), _) => (HMAC_SHA256, given.strip_prefix("sha256=")),
        (None, Some(given)) => (HMAC_SHA1_FOR_LEGACY_USE_ONLY, given.strip_prefix("sha1=")),
        (None, None) => return false,
    };
    let given = given.and_then(|digits| hex::decode(digits).ok());
    given.is_some_and(|given| hmac::verify(&hmac::Key::new(algorithm, secret), body, &given).is_ok())
}

/// A range of addresses, as in `192.0.2.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    first: IpAddr,
    bits: u8,
}

impl Range {
    /// Reads it; an address alone is a range of one.
    pub fn read(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().ok()?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { first, bits })
    }

    /// Whether an address is in it. An IPv4 address that came over IPv6 is the IPv4 address.
    pub fn holds(&self, address: IpAddr) -> bool {
        let same = |a: u128, b: u128, width: u8| {
            let rest = u32::from(width - self.bits);
            a.checked_shr(rest).unwrap_or(0) == b.checked_shr(rest).unwrap_or(0)
        };
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }
}

/// Whether every filter selects a value that is what it must be. `configuration` is the target action's.
pub fn pass(filters: &[Filter], configuration: &BTreeMap<String, String>, document: &Value) -> bool {
    filters.iter().all(|filter| {
        let Ok(path) = Path::read(&filter.path) else { return false };
        let found = path.select(document);
        match &filter.equals {
            None => !found.is_empty(),
            Some(equals) => {
                let wanted = resolve(equals, |key| configuration.get(key).map(String::as_str));
                wanted.is_ok_and(|wanted| found.into_iter().any(|value| text(value) == wanted))
            }
        }
    })
}

/// The text with every `{Key}` replaced. Errors: the key that has no value.
pub fn resolve<'a>(text: &str, value: impl Fn(&str) -> Option<&'a str>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((key, after)) = after.split_once('}') else { break };
        out.push_str(before);
        out.push_str(value(key).ok_or(key)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `printf BODY | openssl dgst -sha256 -hmac SECRET`, and the same with `-sha1`.
    const BODY: &[u8] = b"Hello, World!";
    const SECRET: &[u8] = b"It's a Secret to Everybody";
    const SHA256: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[track_caller]
    fn check(headers: &[(&'static str, &str)], body: &[u8], holds: bool) {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), value.parse::<http::HeaderValue>().unwrap())
        });
        let headers: HeaderMap = headers.collect();
        assert_eq!(signed(SECRET, &headers, body), holds, "{headers:?}");
    }

    #[test]
    fn signatures() {
        let sha1 = hmac::sign(&hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET), BODY);
        let sha1 = format!("sha1={}", hex::encode(sha1));
        check(&[("x-hub-signature-256", SHA256)], BODY, true);
        check(&[("x-hub-signature", &sha1)], BODY, true);
        check(&[], BODY, false);
        check(&[("x-hub-signature-256", SHA256)], b"Hello, World?", false);
        check(&[("x-hub-signature-256", &SHA256[..20])], BODY, false);
        check(&[("x-hub-signature-256", &SHA256.replace("sha256=", ""))], BODY, false);
        // A good weak signature does not mend a bad strong one.
        check(&[("x-hub-signature-256", "sha256=00"), ("x-hub-signature", &sha1)], BODY, false);
    }

    #[test]
    fn ranges() {
        let holds = |range: &str, address: &str| Range::read(range).unwrap().holds(address.parse().unwrap());
        assert!(holds("192.0.2.0/24", "192.0.2.77") && !holds("192.0.2.0/24", "192.0.3.1"));
        assert!(holds("192.0.2.1", "192.0.2.1") && !holds("192.0.2.1", "192.0.2.2"));
        assert!(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("192.0.2.0/24", "::ffff:192.0.2.77"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1") && holds("::/0", "2001:db8::1"));
        for wrong in ["192.0.2.0/33", "192.0.2", "x", "192.0.2.0/", "::/129"] {
            assert_eq!(Range::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn filters() {
        let configuration = BTreeMap::from([("Branch".to_owned(), "main".to_owned())]);
        let document = json!({"ref": "refs/heads/main", "n": 7, "commits": [{"id": "a"}, {"id": "b"}]});
        let filter =
            |path: &str, equals: Option<&str>| Filter { path: path.into(), equals: equals.map(Into::into) };
        let passes = |filters: &[Filter]| pass(filters, &configuration, &document);
        assert!(passes(&[]));
        assert!(passes(&[filter("$.ref", Some("refs/heads/{Branch}")), filter("$.n", Some("7"))]));
        assert!(!passes(&[filter("$.ref", Some("refs/heads/{Branch}")), filter("$.n", Some("8"))]));
        assert!(!passes(&[filter("$.ref", Some("refs/heads/{Other}"))]));
        assert!(passes(&[filter("$.commits[*].id", Some("b"))]));
        assert!(passes(&[filter("$.n", None)]) && !passes(&[filter("$.absent", None)]));
    }
}
