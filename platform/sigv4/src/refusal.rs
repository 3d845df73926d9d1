//! Why a request is not believed, in the words of each of AWS's protocols.
use kernel::{Fault, Timestamp};

use crate::time::basic;
use crate::{MAX_EXPIRES, SKEW};

/// Who words a refusal: the same reason has another code for another protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// JSON services: `…Exception` codes, status 400.
    Json,
    /// Query and REST-XML services: status 403.
    Query,
    /// EC2: hardly says why.
    Ec2,
    /// S3: codes of its own.
    S3,
}

/// Why a request is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not signed at all.
    #[error("Request is missing Authentication Token")]
    Missing,
    /// Signed by another mechanism (version 2, version 4A, Basic …), named here.
    #[error("Unsupported AWS 'algorithm': '{0}'. Sign with AWS4-HMAC-SHA256.")]
    Algorithm(String),
    /// A part of the `Authorization` header is missing or cannot be read.
    #[error("{0}")]
    Incomplete(String),
    /// A parameter of a presigned URL is missing or cannot be read.
    #[error("{0}")]
    Parameters(String),
    /// The credential is scoped to another date, region, service or terminator.
    #[error("{0}")]
    Scope(String),
    /// A header that must be signed is not.
    #[error("'{0}' must be a 'SignedHeader' in the AWS Authorization.")]
    Unsigned(String),
    /// Nobody has this access key, or its session token is not its own.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// The session token has expired.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
    /// The request's time is too long ago.
    #[error("Signature expired: {} is now earlier than {} ({} - {} min.)",
        basic(*.signed), basic(earlier(*.now, *.life)), basic(*.now), .life / 60)]
    Expired {
        /// The request's own time.
        signed: Timestamp,
        /// Ours.
        now: Timestamp,
        /// How long it was good for, in seconds.
        life: i64,
        /// It came as a presigned URL.
        presigned: bool,
    },
    /// The request's time is still to come.
    #[error("Signature not yet current: {} is still later than {} ({} + {} min.)",
        basic(*.signed), basic(earlier(*.now, -SKEW)), basic(*.now), SKEW / 60)]
    NotYet {
        /// The request's own time.
        signed: Timestamp,
        /// Ours.
        now: Timestamp,
        /// It came as a presigned URL.
        presigned: bool,
    },
    /// Another secret signed it, or something changed on the way.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
         Access Key and signing method. Consult the service documentation for details."
    )]
    Mismatch {
        /// What the client should have derived; empty for chunks and for Git.
        canonical_request: String,
        /// What it should have signed.
        string_to_sign: String,
    },
    /// The body is not the one that was signed.
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    Content,
    /// A chunked body breaks off, or is not as long as it said.
    #[error("{0}")]
    Body(String),
}

fn earlier(now: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(now.as_second().saturating_sub(seconds)).unwrap_or(now)
}

impl Refusal {
    /// The refusal that `Authority::key` means by its fault; any other fault is not about the key.
    pub fn of_key(fault: &Fault) -> Option<Self> {
        match &*fault.code {
            "InvalidClientTokenId" => Some(Self::UnknownKey),
            "ExpiredToken" => Some(Self::ExpiredToken),
            _ => None,
        }
    }

    /// The fault as the protocol words it.
    pub fn fault(&self, dialect: Dialect) -> Fault {
        match dialect {
            Dialect::S3 => self.s3(),
            Dialect::Ec2 => self.ec2(),
            Dialect::Query => self.query(),
            Dialect::Json => self.json(),
        }
    }

    fn query(&self) -> Fault {
        let code = match self {
            Self::Missing => "MissingAuthenticationToken",
            Self::Algorithm(_) | Self::Incomplete(_) | Self::Parameters(_) => "IncompleteSignature",
            Self::UnknownKey => "InvalidClientTokenId",
            Self::ExpiredToken => "ExpiredToken",
            Self::Body(_) => "IncompleteBody",
            _ => "SignatureDoesNotMatch",
        };
        let status = if matches!(self, Self::Body(_)) { 400 } else { 403 };
        Fault::new(code, status, self.explained())
    }

    fn json(&self) -> Fault {
        let code = match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::Algorithm(_) | Self::Incomplete(_) | Self::Parameters(_) => "IncompleteSignatureException",
            Self::UnknownKey => "UnrecognizedClientException",
            Self::ExpiredToken => "ExpiredTokenException",
            Self::Body(_) => "IncompleteBody",
            _ => "InvalidSignatureException",
        };
        Fault::client(code, self.explained())
    }

    fn ec2(&self) -> Fault {
        match self {
            Self::Missing => Fault::new("MissingAuthenticationToken", 403, self.to_string()),
            Self::Expired { .. } | Self::NotYet { .. } | Self::ExpiredToken => {
                Fault::client("RequestExpired", "Request has expired.")
            }
            Self::Algorithm(_) | Self::Incomplete(_) | Self::Parameters(_) => self.query(),
            _ => {
                Fault::new("AuthFailure", 401, "AWS was not able to validate the provided access credentials")
            }
        }
    }

    fn s3(&self) -> Fault {
        let skewed = "The difference between the request time and the current time is too large.";
        match self {
            Self::Missing => Fault::new("AccessDenied", 403, "Access Denied"),
            Self::Algorithm(_) => Fault::client(
                "InvalidRequest",
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
            ),
            Self::Incomplete(why) | Self::Scope(why) => {
                Fault::client("AuthorizationHeaderMalformed", format!("The authorization header is malformed; {why}"))
            }
            Self::Parameters(why) => Fault::client("AuthorizationQueryParametersError", why.clone()),
            Self::Unsigned(name) => Fault::new(
                "AccessDenied",
                403,
                "There were headers present in the request which were not signed",
            )
            .with("HeadersNotSigned", name.clone()),
            Self::UnknownKey => Fault::new(
                "InvalidAccessKeyId",
                403,
                "The AWS Access Key Id you provided does not exist in our records.",
            ),
            Self::ExpiredToken => Fault::client("ExpiredToken", "The provided token has expired."),
            Self::Expired { presigned: true, now, life, .. } => {
                Fault::new("AccessDenied", 403, "Request has expired")
                    .with("X-Amz-Expires", life.to_string())
                    .with("ServerTime", kernel::json::iso8601(*now))
            }
            Self::NotYet { presigned: true, .. } => Fault::new("AccessDenied", 403, "Request is not yet valid"),
            Self::Expired { signed, now, .. } | Self::NotYet { signed, now, .. } => {
                Fault::new("RequestTimeTooSkewed", 403, skewed)
                    .with("RequestTime", basic(*signed))
                    .with("ServerTime", kernel::json::iso8601(*now))
                    .with("MaxAllowedSkewMilliseconds", (SKEW * 1000).to_string())
            }
            Self::Mismatch { canonical_request, string_to_sign } => Fault::new(
                "SignatureDoesNotMatch",
                403,
                "The request signature we calculated does not match the signature you provided. Check your key and \
                 signing method.",
            )
            .with("StringToSign", string_to_sign.clone())
            .with("CanonicalRequest", canonical_request.clone()),
            Self::Content => Fault::client("XAmzContentSHA256Mismatch", self.to_string()),
            Self::Body(why) => Fault::client("IncompleteBody", why.clone()),
        }
    }

    /// The message, with what the client should have signed: nothing in it is not the client's own.
    fn explained(&self) -> String {
        match self {
            Self::Mismatch { canonical_request, string_to_sign } if !canonical_request.is_empty() => format!(
                "{self}\n\nThe Canonical String for this request should have been\n'{canonical_request}'\n\n\
                 The String-to-Sign should have been\n'{string_to_sign}'\n"
            ),
            _ => self.to_string(),
        }
    }

    pub(crate) fn expires(value: &str) -> Self {
        let why = match value.parse::<i64>() {
            Err(_) => "X-Amz-Expires should be a number".to_owned(),
            Ok(seconds) if seconds < 0 => "X-Amz-Expires must be non-negative".to_owned(),
            Ok(_) => format!(
                "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less \
                 than {MAX_EXPIRES} seconds"
            ),
        };
        Self::Parameters(why)
    }
}
