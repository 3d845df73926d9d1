//! Presigned URLs of S3 in version 2: boto3 and version 1 of the CLI still make them in us-east-1.
use std::borrow::Cow;
use std::collections::BTreeMap;

use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, verify};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::{Timestamp, hosts};

use crate::{Head, Refusal};

/// Parameters of a query that are signed; the others are nobody's claim, and S3 ignores those it does not know.
const SIGNED: [&str; 34] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "defaultObjectAcl",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
];

/// What such a URL says of itself. Nothing of it is proven yet.
#[derive(Clone, Debug)]
pub struct QueryClaim {
    /// Whose key.
    pub access_key_id: String,
    /// The session token, for temporary credentials.
    pub token: Option<String>,
    expires: i64,
    signature: Vec<u8>,
}

impl QueryClaim {
    /// Takes the URL apart; `Ok(None)`: it is not presigned in version 2.
    pub fn read(head: &Head<'_>) -> Result<Option<Self>, Refusal> {
        let get = |name: &str| head.query().find(|(n, _)| n == name).map(|(_, value)| value.into_owned());
        let (Some(access_key_id), Some(signature)) = (get("AWSAccessKeyId"), get("Signature")) else {
            return Ok(None);
        };
        let refused = |why: &str| Refusal::Parameters(why.to_owned());
        let expires = get("Expires").and_then(|text| text.parse().ok());
        let expires = expires.ok_or_else(|| refused("Expires must be a number of seconds since 1970"))?;
        let signature = STANDARD.decode(signature).map_err(|_| refused("Signature is not base64"))?;
        let token = head.query().find(|(n, _)| n.eq_ignore_ascii_case("x-amz-security-token"));
        let token = token.map(|(_, value)| value.into_owned());
        Ok(Some(Self { access_key_id, token, expires, signature }))
    }

    /// Proves the claim with the key's secret.
    pub fn verify(&self, head: &Head<'_>, secret: &str, now: Timestamp) -> Result<(), Refusal> {
        let signed = Timestamp::from_second(self.expires).unwrap_or(Timestamp::MAX);
        if now > signed {
            let life = now.as_second() - self.expires;
            return Err(Refusal::Expired { signed, now, life, presigned: true });
        }
        let text = self.text(head);
        let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
        let proven = verify(&key, text.as_bytes(), &self.signature);
        proven.map_err(|_| Refusal::Mismatch { canonical_request: String::new(), string_to_sign: text })
    }

    /// The string to sign: method, two headers, expiry, `x-amz-` headers and the resource.
    fn text(&self, head: &Head<'_>) -> String {
        let given = |name: &str| {
            let sent = head.query().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value);
            sent.or_else(|| head.header(name).map(Cow::Borrowed)).unwrap_or_default()
        };
        let (md5, kind) = (given("content-md5"), given("content-type"));
        // What a client signs as headers it moves into the query.
        let mut amz: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in head.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-amz-")) {
            let value = String::from_utf8_lossy(value.as_bytes());
            let joined = amz.entry(name.as_str().to_owned()).or_default();
            *joined = if joined.is_empty() { value.into_owned() } else { format!("{joined},{value}") };
        }
        for (name, value) in head.query().filter(|(name, _)| name.to_ascii_lowercase().starts_with("x-amz-"))
        {
            amz.insert(name.to_ascii_lowercase(), value.into_owned());
        }
        let amz: String = amz.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        format!("{}\n{md5}\n{kind}\n{}\n{amz}{}", head.method, self.expires, resource(head))
    }
}

/// The resource: path style, whatever the host, with the parameters that name a part of it.
fn resource(head: &Head<'_>) -> String {
    let bucket =
        head.header("host").and_then(hosts::bucket).map_or_else(String::new, |name| format!("/{name}"));
    let mut parts: Vec<String> = head
        .query()
        .filter(|(name, _)| SIGNED.contains(&&**name))
        .map(|(name, value)| if value.is_empty() { name.into_owned() } else { format!("{name}={value}") })
        .collect();
    parts.sort();
    let query = if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) };
    format!("{bucket}{}{query}", head.uri.path())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn check(method: &str, uri: &str, host: &'static str, secret: &str, at: i64) -> Result<String, Refusal> {
        let (uri, mut headers) = (uri.parse().unwrap(), HeaderMap::new());
        headers.insert("host", host.parse().unwrap());
        let head = Head { method, uri: &uri, headers: &headers };
        let claim = QueryClaim::read(&head)?.expect("presigned");
        claim.verify(&head, secret, Timestamp::from_second(at).unwrap())?;
        Ok(claim.access_key_id)
    }

    /// Of botocore 1.43, for the credentials of S3's own examples.
    #[test]
    fn what_botocore_presigns() {
        const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        for (method, uri, host) in VECTORS {
            assert_eq!(
                check(method, uri, host, SECRET, 1_700_000_000).unwrap(),
                "AKIAIOSFODNN7EXAMPLE",
                "{uri}"
            );
            assert!(matches!(check(method, uri, host, "other", 0), Err(Refusal::Mismatch { .. })));
            assert!(matches!(check("DELETE", uri, host, SECRET, 0), Err(Refusal::Mismatch { .. })));
            let late = check(method, uri, host, SECRET, 2_000_000_001);
            assert!(matches!(late, Err(Refusal::Expired { presigned: true, .. })));
        }
    }

    const VECTORS: [(&str, &str, &str); 3] = [
        (
            "GET",
            "/bkt-one/a%20b/c%2Bd?versionId=v1&response-content-type=text%2Fplain%3B%20a%3Db&AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=Hyl1IY2JqAEMlbi0O%2F9P0fU6p8U%3D&Expires=2000000000",
            "127.0.0.1:4566",
        ),
        (
            "GET",
            "/a%20b/c%2Bd?versionId=v1&response-content-type=text%2Fplain%3B%20a%3Db&AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=Hyl1IY2JqAEMlbi0O%2F9P0fU6p8U%3D&Expires=2000000000",
            "bkt-one.s3.amazonaws.com",
        ),
        (
            "PUT",
            "/bkt-one/k?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=viR2k8a%2BCUTbZ66eqnrocDxyuLM%3D&content-type=text%2Fplain&x-amz-meta-who=me&Expires=2000000000",
            "127.0.0.1:4566",
        ),
    ];
}
