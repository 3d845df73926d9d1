//! What headers say of an object and of a request's body.
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use kernel::Timestamp;
use percent_encoding::percent_decode_str;
use s3s::dto::{ETagCondition, Tag, Tagging, TimestampFormat};

use super::settings::tags_of;
use crate::bodies::Promise;
use crate::conditions::Tag as Wanted;
use crate::error::{Error, Result};
use crate::limits;
use crate::records::Content;

/// Headers that are kept with an object, besides its type and the user's metadata.
const KEPT: [&str; 5] =
    ["cache-control", "content-disposition", "content-encoding", "content-language", "expires"];

/// A header's text.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// What a write asks for and would not get.
pub fn refuse_unserved(headers: &HeaderMap) -> Result<()> {
    let refused = |message: String| Err(Error::NotImplemented(message));
    let key = header(headers, "x-amz-server-side-encryption-aws-kms-key-id");
    match header(headers, "x-amz-server-side-encryption") {
        None | Some("AES256") => {}
        // Without a key of the caller's, both mean the service's own: CodePipeline's Jenkins plugin asks for this one.
        Some("aws:kms") if key.is_none() => {}
        Some(other) => {
            return refused(format!("x-amz-server-side-encryption {other} is not served: use AES256."));
        }
    }
    let unserved = ["GLACIER", "DEEP_ARCHIVE", "OUTPOSTS", "SNOW", "EXPRESS_ONEZONE"];
    if let Some(class) = header(headers, "x-amz-storage-class").filter(|class| unserved.contains(class)) {
        return refused(format!("The storage class {class} is not served."));
    }
    for name in [
        "x-amz-server-side-encryption-customer-algorithm",
        "x-amz-website-redirect-location",
        "x-amz-object-lock-mode",
        "x-amz-object-lock-legal-hold",
        "x-amz-write-offset-bytes",
    ] {
        if headers.contains_key(name) {
            return refused(format!("The header {name} is not served."));
        }
    }
    Ok(())
}

/// What an object will have besides its bytes.
pub fn described(headers: &HeaderMap) -> Result<Content> {
    let kept = KEPT.iter().filter_map(|name| Some(((*name).to_owned(), header(headers, name)?.to_owned())));
    let metadata: BTreeMap<String, String> = headers
        .iter()
        .filter_map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            Some((name.as_str().strip_prefix("x-amz-meta-")?.to_owned(), text))
        })
        .collect();
    if metadata.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > limits::METADATA {
        let message = format!(
            "Your metadata headers exceed the maximum allowed metadata size of {} bytes",
            limits::METADATA
        );
        return Err(Error::coded("MetadataTooLarge", 400, message));
    }
    Ok(Content {
        content_type: header(headers, "content-type").map(str::to_owned),
        headers: kept.collect(),
        metadata,
        tags: header(headers, "x-amz-tagging").map(tags_in).transpose()?.unwrap_or_default(),
        storage_class: header(headers, "x-amz-storage-class").filter(|c| *c != "STANDARD").map(str::to_owned),
        ..Content::default()
    })
}

/// `x-amz-tagging`: a query.
fn tags_in(text: &str) -> Result<BTreeMap<String, String>> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = text
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let tag_set = pairs.map(|(k, v)| Tag { key: Some(decode(k)), value: Some(decode(v)) }).collect();
    tags_of(Tagging { tag_set }, limits::OBJECT_TAGS)
}

const ALGORITHMS: [&str; 5] = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"];

/// The checksums that headers tell.
pub fn told(headers: &HeaderMap) -> BTreeMap<String, Option<String>> {
    let value = |name: &str| header(headers, &format!("x-amz-checksum-{}", name.to_ascii_lowercase()));
    ALGORITHMS.iter().filter_map(|name| Some(((*name).to_owned(), Some(value(name)?.to_owned())))).collect()
}

/// What a body must be, by the request's headers; a trailer's value is compared when it has come.
pub fn promise(headers: &HeaderMap) -> Result<Promise> {
    let mut checksums = told(headers);
    let trailer = header(headers, "x-amz-trailer").unwrap_or_default().to_ascii_uppercase();
    let mut wanted: Vec<String> = trailer
        .split(',')
        .filter_map(|name| name.trim().strip_prefix("X-AMZ-CHECKSUM-"))
        .map(str::to_owned)
        .collect();
    wanted.extend(header(headers, "x-amz-sdk-checksum-algorithm").map(str::to_ascii_uppercase));
    for name in wanted {
        checksums.entry(name).or_default();
    }
    let md5 = header(headers, "content-md5").map(|text| {
        let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() == 16);
        bytes.ok_or_else(|| Error::coded("InvalidDigest", 400, "The Content-MD5 you specified was invalid."))
    });
    Ok(Promise { md5: md5.transpose()?, checksums })
}

/// The content that a condition means.
pub fn condition(tag: Option<ETagCondition>) -> Option<Wanted> {
    tag.map(|tag| match tag {
        ETagCondition::Any => Wanted::Any,
        ETagCondition::ETag(tag) => Wanted::Is(tag.into_value()),
    })
}

/// An instant that s3s has read.
pub fn instant(at: Option<s3s::dto::Timestamp>) -> Option<Timestamp> {
    // Through text: the type that s3s wraps is no dependency of ours.
    let mut text = Vec::new();
    at?.format(TimestampFormat::EpochSeconds, &mut text).ok()?;
    let seconds = String::from_utf8(text).ok()?.split('.').next()?.parse().ok()?;
    Timestamp::from_second(seconds).ok()
}
