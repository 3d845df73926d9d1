//! One request: authenticated, decoded, checked, called, answered.
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::header::CONTENT_ENCODING;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use kernel::check;
use kernel::face::Uncollected;
use kernel::ops::not_served;
use kernel::{Body, Cx, Door, Face, Fault, Ops, Wired};
use tracing::Instrument;

use crate::auth::{Auth, Signed};
use crate::limits::{OPERATION_BODY, OPERATION_TIME};
use crate::protocol::{Speech, answer, refusal, validation_code};
use crate::route::{Asked, Route, form, rest, route, rpc_cbor, speaker, target};

/// Everything that is served, to whoever asks by a listener.
pub struct Api {
    /// Every operation.
    pub ops: Arc<Ops>,
    /// Everything else, in the order of their claims.
    pub faces: Vec<Arc<dyn Face>>,
    /// How callers prove who they are.
    pub auth: Auth,
}

impl Api {
    /// Answers one request; spawned, so that a client that leaves cancels nothing.
    pub async fn serve(self: Arc<Self>, door: Door, request: Request<Body>) -> Response<Body> {
        let id = door.request_id.clone();
        let span = tracing::info_span!("request", id = %id, method = %request.method(), path = %request.uri().path());
        let worker = tokio::spawn(async move { self.answer(door, request).await }.instrument(span));
        let mut response =
            worker.await.unwrap_or_else(|died| refused(Speech::of(None), &Fault::internal(died), &id));
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert("x-amzn-requestid", id.clone());
            response.headers_mut().insert("x-amz-request-id", id);
        }
        response
    }

    async fn answer(&self, door: Door, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let face = self.faces.iter().find(|face| face.claims(&head, &door));
        match route(&head) {
            Route::Face => self.face(face, door, head, body).await,
            asked => {
                let id = door.request_id.clone();
                self.operation(asked, door, head, body)
                    .await
                    .unwrap_or_else(|(speech, fault)| refused(speech, &fault, &id))
            }
        }
    }

    /// A face gets a verified caller as a [`Cx`] in the request's extensions, if the request is signed.
    async fn face(
        &self,
        face: Option<&Arc<dyn Face>>,
        door: Door,
        mut head: Parts,
        body: Body,
    ) -> Response<Body> {
        let Some(face) = face else {
            return refused(
                Speech::of(None),
                &Fault::new("UnknownOperationException", 404, "Nothing is served at this path"),
                &door.request_id,
            );
        };
        match self.auth.stream(&head, body).await {
            Ok((signed, body)) => {
                if let Some(signed) = signed {
                    head.extensions.insert(self.enter(&door, &head, signed));
                }
                face.serve(door, Request::from_parts(head, body)).await
            }
            Err(fault) => face.refuse(&fault, &door),
        }
    }

    async fn operation(
        &self,
        asked: Route,
        door: Door,
        head: Parts,
        body: Body,
    ) -> Result<Response<Body>, (Speech, Fault)> {
        let speech = asked.speech();
        let sent = collect(body).await.map_err(|fault| (speech, fault))?;
        // A form names its service in the body, and so the words of a refusal. All else is unpacked and decoded once it
        // is known who sent it: little that is sent may be much that is held.
        let unpacked = || unpacked(&head, &sent).map_err(|fault| (speech, fault));
        let form = if matches!(asked, Route::Form) { Some(unpacked()?) } else { None };
        let speech = form.as_ref().map_or(speech, |form| speaker(&head, form));
        let signed = self.auth.whole(&head, &sent, speech).await.map_err(|fault| (speech, fault))?;
        let body = form.map_or_else(unpacked, Ok)?;
        let asked = self.decode(asked, &head, &body).map_err(|fault| (speech, fault))?;
        let speech = asked.speech();
        let cx = self.enter(&door, &head, signed);
        self.call(&cx, asked).await.map_err(|fault| (speech, fault))
    }

    fn decode(&self, route: Route, head: &Parts, body: &Bytes) -> Result<Asked, Fault> {
        match route {
            Route::Target(service, name) => target(service, name, body),
            Route::Rpc(service, name) => rpc_cbor(service, name, body.clone()),
            Route::Form => form(head, body),
            Route::Rest(service) => {
                let served = service.operations.iter().filter_map(|name| self.ops.wired(service.name, name));
                rest(service, served, head, body.clone())
            }
            Route::Face => Err(Fault::internal("a face's request is no operation")),
        }
    }

    async fn call(&self, cx: &Cx, asked: Asked) -> Result<Response<Body>, Fault> {
        let Asked { service, protocol, operation, input } = asked;
        let wired =
            self.ops.wired(service.name, &operation).ok_or_else(|| not_served(service.name, &operation))?;
        let Wired { schema, call } = *wired;
        let found = input.read(schema, |reader| check::violations(reader, schema.input))??;
        if let Some(fault) = check::fault(validation_code(service, protocol), &found) {
            return Err(fault);
        }
        let call = input.read(schema, |reader| call(cx, reader))??;
        let output = call.await?;
        tracing::debug!(service = service.name, operation, caller = cx.caller.arn, "served");
        Ok(answer(schema, protocol, &*output, &cx.request_id))
    }

    fn enter(&self, door: &Door, head: &Parts, signed: Signed) -> Cx {
        let region = signed.region.unwrap_or_else(|| door.region.clone());
        self.auth.authority.used(&signed.access_key_id, &signed.service, &region);
        let mut cx = self.ops.enter(signed.principal, region, door.request_id.clone());
        cx.base = door.base.clone();
        cx.source_ip = Some(door.peer.ip());
        cx.context.insert("aws:SecureTransport", door.base.starts_with("https://").to_string());
        if let Some(agent) = head.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok())
        {
            cx.context.insert("aws:UserAgent", agent.to_owned());
        }
        cx
    }
}

/// The refusal, its detail logged.
fn refused(speech: Speech, fault: &Fault, request_id: &str) -> Response<Body> {
    match &fault.detail {
        Some(detail) => tracing::error!(request_id, code = %fault.code, detail, "failed"),
        None => tracing::debug!(request_id, code = %fault.code, message = fault.message, "refused"),
    }
    refusal(speech, fault, request_id)
}

async fn collect(mut body: Body) -> Result<Bytes, Fault> {
    let whole = kernel::face::collect(&mut body, OPERATION_BODY, OPERATION_TIME).await;
    whole.map_err(|why| match why {
        Uncollected::Broken(why) => {
            Fault::client("IncompleteBody", format!("The body could not be read: {why}"))
        }
        Uncollected::TooLarge(_) => too_large(),
        Uncollected::Slow(_) => {
            let seconds = OPERATION_TIME.as_secs();
            Fault::new("RequestTimeout", 408, format!("The body did not arrive within {seconds} seconds"))
        }
    })
}

fn too_large() -> Fault {
    let message = format!("The body is larger than {OPERATION_BODY} bytes, the most that an operation takes");
    Fault::new("RequestEntityTooLarge", 413, message)
}

/// The body as the client meant it: clients pack long ones of some operations (PutMetricData).
fn unpacked(head: &Parts, body: &Bytes) -> Result<Bytes, Fault> {
    match head.headers.get(CONTENT_ENCODING) {
        None => return Ok(body.clone()),
        Some(encoding) if encoding == "gzip" => {}
        // `aws-chunked` and the like are of faces; what we cannot undo, the protocol will not be able to read.
        Some(_) => return Ok(body.clone()),
    }
    let mut whole = Vec::new();
    let read = GzDecoder::new(&body[..]).take(OPERATION_BODY as u64 + 1).read_to_end(&mut whole);
    read.map_err(|e| {
        Fault::client("SerializationException", format!("The body is not gzip as it says: {e}"))
    })?;
    if whole.len() > OPERATION_BODY { Err(too_large()) } else { Ok(whole.into()) }
}
