//! Values of the API as s3s writes them, and refusals as S3 words them.
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use kernel::{Body, Fault, Timestamp};
use s3s::dto::ETag;
use s3s::{S3Error, S3ErrorCode};

use crate::error::Error;

/// An instant.
pub fn time(at: Timestamp) -> s3s::dto::Timestamp {
    let since = Duration::try_from(at.as_duration()).unwrap_or_default();
    (UNIX_EPOCH + since).into()
}

/// An ETag from its text without quotes.
pub fn tag(text: &str) -> ETag {
    ETag::Strong(text.to_owned())
}

/// Sets the members that tell checksums.
macro_rules! checksums {
    ($output:expr, $sums:expr) => {
        $output.checksum_crc32 = $sums.get("CRC32").cloned();
        $output.checksum_crc32c = $sums.get("CRC32C").cloned();
        $output.checksum_crc64nvme = $sums.get("CRC64NVME").cloned();
        $output.checksum_sha1 = $sums.get("SHA1").cloned();
        $output.checksum_sha256 = $sums.get("SHA256").cloned();
    };
}
pub(super) use checksums;

/// Headers by name.
pub fn headers(kept: &BTreeMap<String, String>) -> HeaderMap {
    let pairs = kept.iter().filter_map(|(name, value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    });
    pairs.collect()
}

/// The error as s3s renders it.
pub fn failed(error: Error, request_id: &str) -> S3Error {
    let marker = match &error {
        Error::NoSuchKey { marker: Some(id), .. } | Error::DeleteMarker(id) => Some(id.clone()),
        _ => None,
    };
    let mut failed = worded(error.into(), request_id);
    if let Some(id) = marker {
        let told =
            [("x-amz-delete-marker".to_owned(), "true".to_owned()), ("x-amz-version-id".to_owned(), id)];
        failed.set_headers(headers(&BTreeMap::from(told)));
    }
    failed
}

fn worded(fault: Fault, request_id: &str) -> S3Error {
    if let Some(detail) = &fault.detail {
        tracing::error!(request_id, code = %fault.code, detail, "failed");
    }
    let (code, status) = match &*fault.code {
        "AccessDeniedException" => ("AccessDenied", 403),
        "InternalFailure" => ("InternalError", 500),
        code => (code, fault.status),
    };
    let code = S3ErrorCode::from_str(code).unwrap_or(S3ErrorCode::InternalError);
    let mut error = S3Error::with_message(code, fault.message);
    error.set_request_id(request_id.to_owned());
    if let Ok(status) = StatusCode::from_u16(status) {
        error.set_status_code(status);
    }
    error
}

/// The answer that tells a fault.
pub fn refusal(fault: Fault, request_id: &str) -> Response<Body> {
    match worded(fault, request_id).to_http_response() {
        Ok(response) => response.map(|body| body.boxed_unsync()),
        Err(_) => kernel::face::plain(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
    }
}
