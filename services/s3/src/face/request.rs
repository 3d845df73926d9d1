//! A request as s3s takes it: path style, and without what was signed.
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body::Frame;
use kernel::{Body, Cx, hosts};
use percent_encoding::percent_decode_str;

use crate::error::{Error, Result};

/// What a signature adds to a query, in lower case.
const SIGNED: [&str; 10] = [
    "awsaccesskeyid",
    "expires",
    "signature",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
    "x-amz-security-token",
];

/// Trailers of a body, once it has been read.
#[derive(Clone, Default)]
pub struct Trailers(Arc<Mutex<HeaderMap>>);

impl Trailers {
    /// One of them.
    pub fn get(&self, name: &str) -> Option<String> {
        let trailers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trailers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    }
}

/// The request as s3s takes it.
pub fn plain(request: Request<Body>, cx: Cx) -> Result<Request<s3s::Body>> {
    let (mut head, body) = request.into_parts();
    // Its file would be held in memory, and its policy be what authorizes it.
    let form = |kind: &HeaderValue| kind.as_bytes().to_ascii_lowercase().starts_with(b"multipart/form-data");
    if head.headers.get(CONTENT_TYPE).is_some_and(form) {
        return Err(Error::NotImplemented("Uploads by a browser's form are not served: sign a PUT.".into()));
    }
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    let query = unsigned(head.uri.query().unwrap_or_default(), &mut head.headers)?;
    let path = match host.as_deref().and_then(hosts::bucket) {
        Some(bucket) => format!("/{bucket}{}", head.uri.path()),
        None => head.uri.path().to_owned(),
    };
    let uri = if query.is_empty() { path } else { format!("{path}?{query}") };
    head.uri = uri
        .parse::<Uri>()
        .map_err(|_| Error::coded("InvalidURI", 400, "Couldn't parse the specified URI"))?;
    head.headers.remove(AUTHORIZATION);
    if let Some(length) = head.headers.remove("x-amz-decoded-content-length") {
        head.headers.insert(CONTENT_LENGTH, length);
    }
    head.headers.remove("x-amz-content-sha256");
    without_chunked(&mut head.headers);
    let trailers = Trailers::default();
    head.extensions.insert(cx);
    head.extensions.insert(trailers.clone());
    let body = s3s::Body::http_body_unsync(Trailing { body, trailers });
    Ok(Request::from_parts(head, body))
}

/// The query without the signature's own parameters; headers that a presigned URL carries in it become headers.
fn unsigned(query: &str, headers: &mut HeaderMap) -> Result<String> {
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let lower = name.to_ascii_lowercase();
        if SIGNED.contains(&&*lower) {
            continue;
        }
        if lower.starts_with("x-amz-") {
            let value = percent_decode_str(value).decode_utf8_lossy();
            let header = (HeaderName::try_from(&*lower), HeaderValue::try_from(&*value));
            let (Ok(name), Ok(value)) = header else {
                return Err(Error::Argument(format!("The parameter {name} cannot be a header")));
            };
            headers.insert(name, value);
        } else {
            kept.push(pair);
        }
    }
    Ok(kept.join("&"))
}

/// `aws-chunked` is how the body came, not how it is encoded.
fn without_chunked(headers: &mut HeaderMap) {
    let Some(text) = headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()) else { return };
    let left: Vec<&str> = text.split(',').map(str::trim).filter(|part| *part != "aws-chunked").collect();
    match HeaderValue::try_from(left.join(",")) {
        Ok(value) if !value.is_empty() => drop(headers.insert(CONTENT_ENCODING, value)),
        _ => drop(headers.remove(CONTENT_ENCODING)),
    }
}

/// A body that keeps its trailers: s3s drops them.
struct Trailing {
    body: Body,
    trailers: Trailers,
}

impl http_body::Body for Trailing {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(std::pin::Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            self.trailers.0.lock().unwrap_or_else(PoisonError::into_inner).clone_from(trailers);
        }
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presigned_headers_become_headers() {
        let mut headers = HeaderMap::new();
        let query = "X-Amz-Signature=a&versionId=3&X-Amz-Meta-Who=a%20b&X-Amz-Date=x";
        assert_eq!(unsigned(query, &mut headers).unwrap(), "versionId=3");
        assert_eq!(headers["x-amz-meta-who"], "a b");
    }
}
