//! What is not an operation: streaming HTTP with limits of its own (registry, git, S3, credentials, metadata).
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
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
