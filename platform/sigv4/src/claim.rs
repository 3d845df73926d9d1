//! What a request says of itself, and its proof.
use kernel::Timestamp;

use crate::canonical::{self, Head};
use crate::chunked::Chain;
use crate::key::{SigningKey, hash_hex};
use crate::time::{basic, from_basic, from_date_header};
use crate::{MAX_EXPIRES, Refusal, SKEW};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// What a credential is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `20150830`.
    pub date: String,
    /// As the client has it; botocore signs even global services for its own.
    pub region: String,
    /// The signing name, as in `iam`.
    pub service: String,
}

impl Scope {
    /// As it stands in a string to sign.
    pub(crate) fn text(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }
}

/// What the proof says of the body.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Its SHA-256 is this. Where the client did not say so itself, `verify` was given the hash, and it has been proven.
    Hash([u8; 32]),
    /// Nothing: `UNSIGNED-PAYLOAD`, and presigned URLs of S3.
    Unsigned,
    /// `aws-chunked`, each chunk signed after the one before; the trailer too, where there is one.
    Chunked(Chain),
    /// `aws-chunked` without signatures, with a trailer: `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    UnsignedChunks,
}

/// A request that is whose it says.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The key that signed it.
    pub access_key_id: String,
    /// What it was signed for.
    pub scope: Scope,
    /// What is known of the body.
    pub payload: Payload,
}

/// What the server serves, and so what a credential must be scoped to; `None` accepts any (IAM's and Route 53's region).
#[derive(Clone, Copy, Debug, Default)]
pub struct Expect<'a> {
    /// The signing name.
    pub service: Option<&'a str>,
    /// The region.
    pub region: Option<&'a str>,
}

/// What a signed request says of itself. Nothing of it is proven yet.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Whose key.
    pub access_key_id: String,
    /// The session token, for temporary credentials.
    pub token: Option<String>,
    /// What it is signed for.
    pub scope: Scope,
    s3: bool,
    signed_headers: String,
    signature: String,
    at: Timestamp,
    /// A presigned URL's life in seconds.
    expires: Option<i64>,
    /// `x-amz-content-sha256` as sent, where it is believed.
    content: Option<String>,
}

impl Claim {
    /// Takes a request's signature apart. Anonymous requests are `Ok(None)`; S3 may serve them.
    pub fn read(head: &Head<'_>) -> Result<Option<Self>, Refusal> {
        let claim = match head.header("authorization") {
            Some(header) => Self::from_header(head, header)?,
            None if head.query().any(|(name, _)| name == "X-Amz-Algorithm" || name == "X-Amz-Signature") => {
                Self::from_query(head)?
            }
            None => return Ok(None),
        };
        claim.require_signed(head)?;
        Ok(Some(claim))
    }

    fn from_header(head: &Head<'_>, header: &str) -> Result<Self, Refusal> {
        let (algorithm, rest) = header.split_once(' ').unwrap_or((header, ""));
        if algorithm != ALGORITHM {
            return Err(Refusal::Algorithm(algorithm.chars().take(40).collect()));
        }
        let part = |name: &str| {
            rest.split(',')
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
                .filter(|v| !v.is_empty())
        };
        let date = match head.header("x-amz-date") {
            Some(text) => Some(from_basic(text).ok_or_else(|| not_basic(text))?),
            None => match head.header("date") {
                Some(text) => Some(from_date_header(text).ok_or_else(|| not_basic(text))?),
                None => None,
            },
        };
        let (credential, signed_headers, signature) =
            (part("Credential"), part("SignedHeaders"), part("Signature"));
        let (Some(credential), Some(signed_headers), Some(signature), Some(at)) =
            (credential, signed_headers, signature, date)
        else {
            let lacks = [
                ("'Credential' parameter", credential.is_none()),
                ("'Signature' parameter", signature.is_none()),
                ("'SignedHeaders' parameter", signed_headers.is_none()),
                ("existence of either a 'X-Amz-Date' or a 'Date' header", date.is_none()),
            ];
            let lacks = lacks.iter().filter(|(_, absent)| *absent);
            let text: Vec<_> =
                lacks.map(|(what, _)| format!("Authorization header requires {what}.")).collect();
            return Err(Refusal::Incomplete(text.join(" ")));
        };
        let (access_key_id, scope) = credential_of(credential).map_err(Refusal::Incomplete)?;
        Ok(Self {
            access_key_id,
            token: head.header("x-amz-security-token").map(str::to_owned),
            s3: scope.service == "s3",
            signed_headers: signed_headers.to_owned(),
            signature: signature.to_owned(),
            at,
            expires: None,
            content: content(&scope, head.header("x-amz-content-sha256").map(str::to_owned)),
            scope,
        })
    }

    fn from_query(head: &Head<'_>) -> Result<Self, Refusal> {
        let get = |name: &str| head.query().find(|(n, _)| n == name).map(|(_, value)| value.into_owned());
        let names =
            ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders"];
        let [Some(algorithm), Some(credential), Some(signature), Some(date), Some(signed_headers)] =
            names.map(get)
        else {
            return Err(Refusal::Parameters(format!(
                "Query-string authentication version 4 requires the {} and X-Amz-Expires parameters.",
                names.join(", ")
            )));
        };
        if algorithm != ALGORITHM {
            return Err(Refusal::Algorithm(algorithm.chars().take(40).collect()));
        }
        let (access_key_id, scope) = credential_of(&credential).map_err(Refusal::Parameters)?;
        let expires = match get("X-Amz-Expires") {
            Some(text) => text
                .parse()
                .ok()
                .filter(|seconds| (0..=MAX_EXPIRES).contains(seconds))
                .ok_or_else(|| Refusal::expires(&text))?,
            None => SKEW,
        };
        let at = from_basic(&date).ok_or_else(|| {
            Refusal::Parameters(
                "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"".into(),
            )
        })?;
        Ok(Self {
            access_key_id,
            token: get("X-Amz-Security-Token")
                .or_else(|| head.header("x-amz-security-token").map(str::to_owned)),
            s3: scope.service == "s3",
            signed_headers,
            signature,
            at,
            expires: Some(expires),
            content: content(
                &scope,
                get("X-Amz-Content-Sha256")
                    .or_else(|| head.header("x-amz-content-sha256").map(str::to_owned)),
            ),
            scope,
        })
    }

    /// The host, and whatever AWS reads meaning from, must be under the signature.
    fn require_signed(&self, head: &Head<'_>) -> Result<(), Refusal> {
        let signed = |name: &str| self.signed_headers.split(';').any(|s| s == name);
        if !signed("host") && !signed(":authority") {
            return Err(Refusal::Unsigned("Host' or ':authority".into()));
        }
        // A browser's SDK adds this one after signing.
        let ours = |name: &&str| name.starts_with("x-amz-") && *name != "x-amz-user-agent";
        match head.headers.keys().map(http::HeaderName::as_str).filter(ours).find(|name| !signed(name)) {
            // Presigned URLs of S3 carry it as UNSIGNED-PAYLOAD without signing it.
            Some("x-amz-content-sha256") if self.expires.is_some() => Ok(()),
            Some(name) => Err(Refusal::Unsigned(name.to_owned())),
            None => Ok(()),
        }
    }

    /// Whether `verify` needs the hash of the whole body: the client has not said what it is.
    pub fn needs_body(&self) -> bool {
        self.content.is_none() && !(self.s3 && self.expires.is_some())
    }

    /// Proves the claim with the key's secret. `body` is the SHA-256 of the whole body, if it is at hand; it must be
    /// where [`Claim::needs_body`].
    pub fn verify(
        &self,
        head: &Head<'_>,
        secret: &str,
        expect: Expect<'_>,
        body: Option<[u8; 32]>,
        now: Timestamp,
    ) -> Result<Verified, Refusal> {
        self.check_scope(expect)?;
        self.check_time(now)?;
        let content = match (&self.content, body) {
            (Some(content), _) => content.clone(),
            (None, Some(hash)) if self.needs_body() => hex::encode(hash),
            (None, None) if self.needs_body() => hash_hex(b""),
            (None, _) => UNSIGNED.to_owned(),
        };
        let signed: Vec<&str> = self.signed_headers.split(';').collect();
        let canonical_request = canonical::request(head, &signed, &content, self.s3);
        let (stamp, scope) = (basic(self.at), self.scope.text());
        let string_to_sign =
            format!("{ALGORITHM}\n{stamp}\n{scope}\n{}", hash_hex(canonical_request.as_bytes()));
        let key = SigningKey::derive(secret, &self.scope);
        if !key.verify(&string_to_sign, &self.signature) {
            return Err(Refusal::Mismatch { canonical_request, string_to_sign });
        }
        let chain = |trailer| Chain::new(key, stamp, scope, self.signature.clone(), trailer);
        let payload = match content.as_str() {
            UNSIGNED => Payload::Unsigned,
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Payload::UnsignedChunks,
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Payload::Chunked(chain(false)),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Payload::Chunked(chain(true)),
            text => Payload::Hash(hash_of(text)?),
        };
        match (&payload, body) {
            (Payload::Hash(signed), Some(found)) if *signed != found => Err(Refusal::Content),
            _ => {
                Ok(Verified { access_key_id: self.access_key_id.clone(), scope: self.scope.clone(), payload })
            }
        }
    }

    fn check_scope(&self, expect: Expect<'_>) -> Result<(), Refusal> {
        let day = &basic(self.at)[..8];
        if self.scope.date != day {
            return Err(Refusal::Scope(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != \
                 '{day}', from '{}'.",
                self.scope.date,
                basic(self.at)
            )));
        }
        if let Some(service) = expect.service.filter(|service| *service != self.scope.service) {
            return Err(Refusal::Scope(format!(
                "Credential should be scoped to correct service: '{service}'."
            )));
        }
        if expect.region.is_some_and(|region| region != self.scope.region) {
            return Err(Refusal::Scope(format!(
                "Credential should be scoped to a valid region, not '{}'.",
                self.scope.region
            )));
        }
        Ok(())
    }

    fn check_time(&self, now: Timestamp) -> Result<(), Refusal> {
        let (signed, presigned) = (self.at, self.expires.is_some());
        let (age, life) = (now.as_second() - signed.as_second(), self.expires.unwrap_or(SKEW));
        match age {
            age if age > life => Err(Refusal::Expired { signed, now, life, presigned }),
            age if age < -SKEW => Err(Refusal::NotYet { signed, now, presigned }),
            _ => Ok(()),
        }
    }
}

fn not_basic(text: &str) -> Refusal {
    let text: String = text.chars().take(60).collect();
    Refusal::Incomplete(format!(
        "Date must be in ISO-8601 'basic format'. Got '{text}'. See http://en.wikipedia.org/wiki/ISO_8601"
    ))
}

/// What the client says of the body. S3 alone takes a body on trust, or signed by pieces; elsewhere such a word says
/// nothing, the body itself is hashed, and the signature does not match.
fn content(scope: &Scope, sent: Option<String>) -> Option<String> {
    sent.filter(|text| scope.service == "s3" || hash_of(text).is_ok())
}

/// `AKID/20150830/us-east-1/iam/aws4_request`.
fn credential_of(text: &str) -> Result<(String, Scope), String> {
    let parts: Vec<&str> = text.split('/').collect();
    match parts[..] {
        [id, date, region, service, "aws4_request"] if !id.is_empty() => {
            Ok((id.into(), Scope { date: date.into(), region: region.into(), service: service.into() }))
        }
        [_, _, _, _, term] => {
            Err(format!("Credential should be scoped with a valid terminator: 'aws4_request', not '{term}'."))
        }
        _ => Err(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{text}'"
        )),
    }
}

fn hash_of(text: &str) -> Result<[u8; 32], Refusal> {
    let mut out = [0; 32];
    hex::decode_to_slice(text, &mut out).map_err(|_| {
        Refusal::Incomplete(
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
             STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value."
                .into(),
        )
    })?;
    Ok(out)
}
