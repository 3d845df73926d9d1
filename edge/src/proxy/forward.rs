//! From a request to a target's answer.
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until};

use super::answer::Answer;
use super::connect::{self, ConnectError};
use super::front::Routes;
use super::group::Group;
use super::headers;
use super::pool::{Connection, Outgoing};
use super::serve::Client;
use super::target::Lease;
use super::upgrade::tunnel;
use crate::limits;

/// Forwards a request to one of the group's targets; the error is the status to answer.
pub async fn forward(
    client: &Arc<Client>,
    routes: &Routes,
    group: &Group,
    mut request: Request<Incoming>,
) -> Result<Response<Answer>, u16> {
    let on_client = request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>();
    let (mut head, body) = request.into_parts();
    let upgrade = headers::upgrade(&head);
    headers::prepare(&mut head, client, routes, upgrade.as_ref())?;
    let (body, uploading) = match body.is_end_stream() {
        true => (Outgoing::Empty, None),
        false => {
            let uploading = Arc::new(AtomicBool::new(true));
            (Outgoing::Streaming { body, uploading: uploading.clone() }, Some(uploading))
        }
    };
    let exchange = Exchange { client, uploading: uploading.as_deref(), idle: routes.idle };
    let (mut response, lease) = exchange.run(group, Request::from_parts(head, body)).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let (Some(protocol), Some(on_client)) = (upgrade, on_client) else { return Err(502) };
        return Ok(switch(client, routes, response, lease, (protocol, on_client)));
    }
    headers::remove_hop_by_hop(response.headers_mut());
    Ok(response.map(|(incoming, connection)| {
        Answer::Target(TargetBody { incoming, ended: false, keep: Some((connection, lease)) })
    }))
}

fn switch(
    client: &Arc<Client>,
    routes: &Routes,
    mut response: Response<(Incoming, Connection)>,
    lease: Lease,
    (asked, on_client): (HeaderValue, hyper::upgrade::OnUpgrade),
) -> Response<Answer> {
    let on_target = hyper::upgrade::on(&mut response);
    tokio::spawn(tunnel(on_client, on_target, lease, client.activity.clone(), routes.idle));
    let protocol = response.headers().get(header::UPGRADE).cloned().unwrap_or(asked);
    headers::remove_hop_by_hop(response.headers_mut());
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(header::UPGRADE, protocol);
    response.map(|_| Answer::Full(None))
}

struct Exchange<'a> {
    client: &'a Client,
    /// Whether some of the client's body is still to be sent; none where it has none.
    uploading: Option<&'a AtomicBool>,
    idle: Duration,
}

/// A request that got no answer.
struct Undone {
    status: u16,
    /// The request, where nothing of it reached the target: another may have it.
    request: Option<Request<Outgoing>>,
}

impl Undone {
    fn lost(status: u16) -> Self {
        Self { status, request: None }
    }
}

type Exchanged = Response<(Incoming, Connection)>;

impl Exchange<'_> {
    async fn run(&self, group: &Group, request: Request<Outgoing>) -> Result<(Exchanged, Lease), u16> {
        let (mut request, mut tried, mut status) = (request, Vec::new(), 503);
        while tried.len() < limits::ATTEMPTS {
            let Some(lease) = group.pick(&tried) else { break };
            match self.ask(&lease, request).await {
                Ok(response) => return Ok((response, lease)),
                Err(Undone { status: why, request: None }) => return Err(why),
                Err(Undone { status: why, request: Some(back) }) => (status, request) = (why, back),
            }
            tried.push(lease.target().clone());
        }
        Err(status)
    }

    /// Asks one target: on a connection that waits, or on a new one. A connection that waited may be closed by the
    /// target just as the request is sent; then the request is sent once more on a new one, if the target cannot have
    /// seen it or if seeing it twice does no harm.
    async fn ask(&self, lease: &Lease, mut request: Request<Outgoing>) -> Result<Exchanged, Undone> {
        let target = lease.target();
        if let Some(mut connection) = target.pool.take()
            && connection.sender.ready().await.is_ok()
        {
            let spare = repeatable(&request).then(|| copy(&request));
            match self.send(connection, request).await {
                Err(Undone { request: Some(back), .. }) => request = back,
                Err(Undone { status: 502, request: None }) if let Some(spare) = spare => request = spare,
                decided => return decided,
            }
        }
        match connect::open(target, self.idle).await {
            Ok(connection) => self.send(connection, request).await,
            Err(ConnectError::Timeout) => Err(Undone::lost(504)),
            Err(error) => {
                tracing::debug!(target = %target.addr, %error, "a target was not reached");
                Err(Undone { status: 502, request: Some(request) })
            }
        }
    }

    async fn send(
        &self,
        mut connection: Connection,
        request: Request<Outgoing>,
    ) -> Result<Exchanged, Undone> {
        let waiting = connection.activity.busy();
        let mut answer = pin!(connection.sender.try_send_request(request));
        let mut sleep = pin!(sleep_until(Instant::now() + self.idle));
        let response = loop {
            tokio::select! {
                biased;
                response = &mut answer => break response,
                () = &mut sleep => {
                    let uploading = self.uploading.is_some_and(|it| it.load(Ordering::Relaxed));
                    let due = self.client.activity.silent_at(self.idle);
                    match uploading {
                        true if due > Instant::now() => sleep.as_mut().reset(due),
                        true => return Err(Undone::lost(408)),
                        false => return Err(Undone::lost(504)),
                    }
                }
            }
        };
        drop(waiting);
        match response {
            Ok(response) => Ok(response.map(|incoming| (incoming, connection))),
            Err(mut error) => {
                let request = error.take_message();
                tracing::debug!(error = %error.error(), sent = request.is_none(), "a target gave no answer");
                Err(Undone { status: 502, request })
            }
        }
    }
}

/// Whether sending it twice does what sending it once does.
fn repeatable(request: &Request<Outgoing>) -> bool {
    let idempotent = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
    );
    idempotent && matches!(request.body(), Outgoing::Empty)
}

fn copy(request: &Request<Outgoing>) -> Request<Outgoing> {
    let mut copy = Request::new(Outgoing::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// A target's answer. At its end the connection goes back to the pool and the request is no longer in flight.
#[derive(Debug)]
pub struct TargetBody {
    incoming: Incoming,
    ended: bool,
    keep: Option<(Connection, Lease)>,
}

impl TargetBody {
    fn end(&mut self) {
        if let Some((connection, lease)) = self.keep.take()
            && !lease.target().leaving()
        {
            lease.target().pool.put(connection);
        }
    }
}

impl Body for TargetBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.incoming).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) {
            self.ended = true;
            self.end();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for TargetBody {
    fn drop(&mut self) {
        // One that was not read to its end cannot be reused: dropping its sender closes it.
        if self.ended || self.incoming.is_end_stream() {
            self.end();
        }
    }
}
