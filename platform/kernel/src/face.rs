//! What is not an operation: streaming HTTP with limits of its own (registry, git, S3, credentials, metadata).
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

use crate::{Fault, Fut, Ops};

/// A streaming body, in either direction.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A body of bytes at hand.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer of plain text.
pub fn plain(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(full(text.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Why there is no whole body.
#[derive(Debug, thiserror::Error)]
pub enum Uncollected {
    /// It broke off, or is not what was signed.
    #[error("the body could not be read: {0}")]
    Broken(String),
    /// It is larger than it may be, in bytes.
    #[error("the body exceeds {0} bytes")]
    TooLarge(usize),
    /// It came too slowly.
    #[error("the body did not arrive within {} seconds", .0.as_secs())]
    Slow(Duration),
}

impl Uncollected {
    /// As HTTP says it.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Broken(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow(_) => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

/// The whole of a body, of at most `limit` bytes, if it comes within a time: whoever is slower keeps a place from others.
pub async fn collect(body: &mut Body, limit: usize, within: Duration) -> Result<Bytes, Uncollected> {
    let gathered = tokio::time::timeout(within, gather(body, limit)).await;
    gathered.unwrap_or(Err(Uncollected::Slow(within)))
}

async fn gather(body: &mut Body, limit: usize) -> Result<Bytes, Uncollected> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|e| Uncollected::Broken(e.to_string()))?.into_data() else { continue };
        if whole.len() + data.len() > limit {
            return Err(Uncollected::TooLarge(limit));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// Where a request came in.
#[derive(Clone)]
pub struct Door {
    /// Who connected.
    pub peer: SocketAddr,
    /// The listener's own address: a gateway's for containers.
    pub local: SocketAddr,
    /// What the caller used to reach us, as in `http://127.0.0.1:4566`: names in answers derive from it.
    pub base: String,
    /// Account and region that a request without any of its own belongs to.
    pub account: String,
    /// See `account`.
    pub region: String,
    /// In every log line and answer.
    pub request_id: String,
    /// The way in for a caller that the face has authenticated: `ops.enter(..)`.
    pub ops: Arc<Ops>,
}

/// A part of the server that speaks HTTP itself. A request signed with SigV4 has been verified before it comes here: its
/// caller is a [`crate::Cx`] in the request's extensions, and its body is decoded and checked as it streams. Faces that
/// authenticate otherwise (Basic, source address) do so themselves; all authorize through a `Cx`, as operations do.
pub trait Face: Send + Sync + 'static {
    /// Whether the request is this face's, by host, path or method. The first face of the list that claims it serves it.
    fn claims(&self, head: &Parts, door: &Door) -> bool;
    /// Serves it; the future is spawned, so a client that leaves cancels nothing.
    fn serve<'a>(&'a self, door: Door, request: Request<Body>) -> Fut<'a, Response<Body>>;
    /// How this face tells of a request whose signature does not hold; faces with error shapes of their own say it in those.
    fn refuse(&self, fault: &Fault, _door: &Door) -> Response<Body> {
        let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        plain(status, fault.to_string())
    }
}

/// A body as a member of an operation that streams: `Sync`, since `access` looks at the input before `handle` takes it.
pub struct Stream(std::sync::Mutex<Body>);

impl Stream {
    /// Wraps a body.
    pub fn new(body: Body) -> Self {
        Self(std::sync::Mutex::new(body))
    }

    /// The body, to read on.
    pub fn body_mut(&mut self) -> &mut Body {
        self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The body.
    pub fn into_body(self) -> Body {
        self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl From<Bytes> for Stream {
    fn from(bytes: Bytes) -> Self {
        Self::new(full(bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    /// A body of these pieces; an empty one is where it breaks off.
    fn pieces(all: &[&'static str]) -> Body {
        let frame = |piece: &&'static str| match *piece {
            "" => Err("broken".into()),
            piece => Ok(Frame::data(Bytes::from_static(piece.as_bytes()))),
        };
        let frames: Vec<_> = all.iter().map(frame).collect();
        BodyExt::boxed_unsync(StreamBody::new(futures::stream::iter(frames)))
    }

    #[tokio::test]
    async fn bodies_are_collected_within_bounds() {
        let long = Duration::from_secs(60);
        let collected = async |all: &[&'static str]| collect(&mut pieces(all), 4, long).await;
        assert_eq!(collected(&["ab", "cd"]).await.unwrap(), "abcd");
        assert_eq!(collected(&[]).await.unwrap(), "");
        assert!(matches!(collected(&["ab", "cde"]).await, Err(Uncollected::TooLarge(4))));
        assert!(matches!(collected(&["ab", ""]).await, Err(Uncollected::Broken(why)) if why == "broken"));
        let never = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>();
        let mut never = BodyExt::boxed_unsync(StreamBody::new(never).map_err(|never| match never {}));
        let slow = collect(&mut never, 4, Duration::from_millis(1)).await.unwrap_err();
        assert_eq!(slow.to_string(), "the body did not arrive within 0 seconds");
    }
}
