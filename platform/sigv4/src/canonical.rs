//! The canonical request: the one text that client and server both derive from a request.
use std::borrow::Cow;

use http::{HeaderMap, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// All but the unreserved characters of RFC 3986.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &STRICT.remove(b'/');

/// What of a request is signed, its body aside.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// As in `POST`.
    pub method: &'a str,
    /// As received: the path still encoded.
    pub uri: &'a Uri,
    /// As received.
    pub headers: &'a HeaderMap,
}

impl<'a> Head<'a> {
    /// The only value of a header, or the first.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The decoded pairs of the query string, in the order sent.
    pub(crate) fn query(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + 'a {
        self.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
    }

    /// HTTP/2 carries the host in the request's target alone.
    fn values(&self, name: &str) -> Vec<String> {
        let sent: Vec<String> = self
            .headers
            .get_all(name)
            .iter()
            .map(|value| squeeze(&String::from_utf8_lossy(value.as_bytes())))
            .collect();
        match (name, sent.is_empty(), self.uri.authority()) {
            ("host", true, Some(authority)) => vec![authority.as_str().to_owned()],
            _ => sent,
        }
    }
}

/// S3 signs the path as it is sent, encoded once; all other services normalise it and encode it again.
pub fn path(raw: &str, s3: bool) -> String {
    if s3 {
        return raw.to_owned();
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in raw.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    let slash = if !kept.is_empty() && raw.ends_with('/') { "/" } else { "" };
    utf8_percent_encode(&format!("/{}{slash}", kept.join("/")), PATH).to_string()
}

/// The query string, each pair encoded anew and sorted; a presigned URL's own signature is left out.
pub fn query(head: &Head<'_>) -> String {
    let encode = |text: &str| utf8_percent_encode(text, STRICT).to_string();
    let mut pairs: Vec<(String, String)> = head
        .query()
        .filter(|(name, _)| name != "X-Amz-Signature")
        .map(|(name, value)| (encode(&name), encode(&value)))
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// The canonical request over the headers named in `signed`.
pub fn request(head: &Head<'_>, signed: &[&str], payload: &str, s3: bool) -> String {
    let mut text = format!("{}\n{}\n{}\n", head.method, path(head.uri.path(), s3), query(head));
    for name in signed {
        text.push_str(name);
        text.push(':');
        text.push_str(&head.values(name).join(","));
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&signed.join(";"));
    text.push('\n');
    text.push_str(payload);
    text
}

/// A plus sign is a space, as forms have it; clients that mean a plus send `%2B`.
fn decode(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(text).decode_utf8_lossy()
}

/// Trims a value and makes each run of spaces one.
fn squeeze(value: &str) -> String {
    value.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ").trim().to_owned()
}
