//! What a load balancer answers by itself.
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, SERVER};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::forward::TargetBody;
use super::rule::Facts;

/// The body of an answer.
#[derive(Debug)]
pub enum Answer {
    /// Ours.
    Full(Option<Bytes>),
    /// A target's.
    Target(TargetBody),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Target(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Target(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Target(body) => body.size_hint(),
        }
    }
}

const NAME: HeaderValue = HeaderValue::from_static("awselb/2.0");

/// An error in the form that ALB gives it.
pub fn error(status: u16) -> Response<Answer> {
    let title = match status {
        408 => "408 Request Time-out".to_owned(),
        504 => "504 Gateway Time-out".to_owned(),
        503 => "503 Service Temporarily Unavailable".to_owned(),
        _ => match StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()) {
            Some(reason) => format!("{status} {reason}"),
            None => status.to_string(),
        },
    };
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    );
    own(status, Some(HeaderValue::from_static("text/html")), page.into())
}

fn own(status: u16, content_type: Option<HeaderValue>, body: Bytes) -> Response<Answer> {
    let mut response = Response::new(Answer::Full((!body.is_empty()).then_some(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(SERVER, NAME);
    if let Some(content_type) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    response
}

/// A fixed response.
#[derive(Debug)]
pub struct Fixed {
    status: u16,
    content_type: HeaderValue,
    body: Bytes,
}

impl Fixed {
    /// Checks its members; the error names the wrong one.
    pub fn compile(status: u16, content_type: Option<&str>, body: &str) -> Result<Self, String> {
        StatusCode::from_u16(status).map_err(|_| format!("{status} is no status code"))?;
        let content_type = content_type.unwrap_or("text/plain; charset=utf-8");
        let content_type =
            HeaderValue::from_str(content_type).map_err(|_| format!("{content_type:?} is no media type"))?;
        Ok(Self { status, content_type, body: Bytes::copy_from_slice(body.as_bytes()) })
    }

    /// The answer.
    pub fn answer(&self) -> Response<Answer> {
        own(self.status, Some(self.content_type.clone()), self.body.clone())
    }
}

/// A redirect, with its placeholders.
#[derive(Debug)]
pub struct Redirect {
    /// 301 or 302.
    pub status: u16,
    /// `#{protocol}` and the like stand for the request's own, here and below.
    pub protocol: String,
    /// The host.
    pub host: String,
    /// The port; always written out, as ALB does.
    pub port: String,
    /// Begins with a slash.
    pub path: String,
    /// Without its question mark.
    pub query: String,
}

impl Redirect {
    /// The answer to a request that came in by this protocol and port.
    pub fn answer(&self, facts: &Facts<'_>, protocol: &str, port: u16) -> Response<Answer> {
        let uri = &facts.head.uri;
        let (path, query) = (uri.path(), uri.query().unwrap_or_default());
        let port = port.to_string();
        let value = |name: &str| match name {
            "protocol" => Some(protocol),
            "host" => Some(facts.host),
            "port" => Some(&*port),
            "path" => Some(path.strip_prefix('/').unwrap_or(path)),
            "query" => Some(query),
            _ => None,
        };
        let fill = |template| fill(template, value);
        let mut location = format!(
            "{}://{}:{}{}",
            fill(&self.protocol).to_ascii_lowercase(),
            fill(&self.host),
            fill(&self.port),
            fill(&self.path)
        );
        let query = fill(&self.query);
        if !query.is_empty() {
            location.push('?');
            location.push_str(&query);
        }
        match HeaderValue::from_str(&location) {
            Ok(location) => {
                let mut response = error(self.status);
                response.headers_mut().insert(LOCATION, location);
                response
            }
            Err(_) => error(400),
        }
    }
}

/// Replaces `#{name}`, in one pass: what a client sent is never looked at for placeholders.
fn fill<'a>(template: &str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("#{") {
        out.push_str(before);
        let known = after.split_once('}').and_then(|(name, after)| Some((value(name)?, after)));
        rest = match known {
            Some((value, after)) => {
                out.push_str(value);
                after
            }
            None => {
                out.push_str("#{");
                after
            }
        };
    }
    out.push_str(rest);
    out
}
