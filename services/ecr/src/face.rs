//! The registry protocol (OCI distribution specification 1.1) at `/v2/`: what docker, skopeo and engines speak.

mod blobs;
mod manifests;
mod route;
mod uploads;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use kernel::face::full;
use kernel::images::registry;
use kernel::{Body, Cx, Door, Face, Fut, Stream};
use serde_json::json;

use crate::{Ecr, Error, Result, token};
use route::Path;

/// The registry, on every listener.
pub struct RegistryFace {
    ecr: Arc<Ecr>,
}

/// One request, authenticated.
struct Call<'a> {
    ecr: &'a Ecr,
    cx: Cx,
    head: Parts,
    body: Stream,
}

type Answer = Result<Response<Body>>;

impl RegistryFace {
    pub(crate) fn new(ecr: Arc<Ecr>) -> Self {
        Self { ecr }
    }

    async fn answer(&self, door: Door, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let Some(cx) = self.enter(&door, &head) else { return unauthorized(&door) };
        let path = head.uri.path().to_owned();
        let method = head.method.clone();
        let call = Call { ecr: &self.ecr, cx, head, body: Stream::new(body) };
        let answered = match route::read(&path) {
            Some(path) => call.dispatch(&method, path).await,
            None => Err(Error::Unsupported("This path of the registry")),
        };
        answered.unwrap_or_else(|error| refused(&error))
    }

    /// The caller by a registry token, in the account and region of the host name, or the server's own.
    fn enter(&self, door: &Door, head: &Parts) -> Option<Cx> {
        let header = head.headers.get(AUTHORIZATION)?.to_str().ok()?;
        let basic = STANDARD.decode(header.strip_prefix("Basic ")?.trim()).ok()?;
        let (user, password) = std::str::from_utf8(&basic).ok()?.split_once(':')?;
        let principal =
            token::read(&self.ecr.sealer, password, self.ecr.clock.now()).filter(|_| user == "AWS")?;
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let named = registry(host.split(':').next().unwrap_or_default());
        let region = named.map_or_else(|| door.region.clone(), |(_, region)| region.to_owned());
        let mut cx = door.ops.enter(principal, region, door.request_id.clone());
        cx.base = door.base.clone();
        cx.source_ip = Some(door.peer.ip());
        // Another account's registry: its repositories' policies decide.
        Some(Ecr::registry(&cx, named.map(|(account, _)| account)))
    }
}

impl Face for RegistryFace {
    fn claims(&self, head: &Parts, _: &Door) -> bool {
        head.uri.path() == "/v2" || head.uri.path().starts_with("/v2/")
    }

    fn serve<'a>(&'a self, door: Door, request: Request<Body>) -> Fut<'a, Response<Body>> {
        Box::pin(self.answer(door, request))
    }
}

impl Call<'_> {
    async fn dispatch(self, method: &Method, path: Path<'_>) -> Answer {
        match (method.as_str(), path) {
            ("GET" | "HEAD", Path::Base) => json_answer(StatusCode::OK, &json!({})),
            ("GET" | "HEAD", Path::Blob(name, digest)) => self.get_blob(name, digest).await,
            ("POST", Path::Uploads(name)) => self.start_upload(name).await,
            ("PATCH", Path::Upload(name, id)) => self.patch_upload(name, id).await,
            ("PUT", Path::Upload(name, id)) => self.put_upload(name, id).await,
            ("GET", Path::Upload(name, id)) => self.upload_status(name, id).await,
            ("DELETE", Path::Upload(name, id)) => self.cancel_upload(name, id).await,
            ("GET" | "HEAD", Path::Manifest(name, reference)) => self.get_manifest(name, reference).await,
            ("PUT", Path::Manifest(name, reference)) => self.put_manifest(name, reference).await,
            ("DELETE", Path::Manifest(name, reference)) => self.delete_manifest(name, reference).await,
            ("GET", Path::Tags(name)) => self.list_tags(name).await,
            _ => Err(Error::Unsupported("This method on this path of the registry")),
        }
    }

    /// The permission that the API's counterpart asks for (reference of IAM actions of ECR).
    async fn allow(&self, action: &'static str, repository: &str) -> Result<()> {
        let access = self.ecr.access(&self.cx, action, repository).await?;
        Ok(self.cx.authorize(&[access]).await?)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// A parameter of the query string, decoded.
    fn parameter(&self, name: &str) -> Option<String> {
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs =
            self.head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| decode(value)).next()
    }
}

/// An answer without a body.
fn empty(status: StatusCode, headers: &[(&'static str, String)]) -> Response<Body> {
    let mut response = Response::new(full(""));
    *response.status_mut() = status;
    set(response.headers_mut(), headers);
    response
}

fn set(into: &mut HeaderMap, headers: &[(&'static str, String)]) {
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            into.insert(*name, value);
        }
    }
}

fn json_answer(status: StatusCode, value: &serde_json::Value) -> Answer {
    let mut response = Response::new(full(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn error_body(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let body = json!({"errors": [{"code": code, "message": message}]});
    let mut response = Response::new(full(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn refused(error: &Error) -> Response<Body> {
    let (code, status) = error.registry();
    if status.is_server_error() {
        tracing::error!(%error, "the registry failed");
        return error_body(status, code, "an internal error; the server's log has it");
    }
    error_body(status, code, &error.to_string())
}

/// Docker logs in when it is told so.
fn unauthorized(door: &Door) -> Response<Body> {
    let mut response = error_body(
        StatusCode::UNAUTHORIZED,
        "UNAUTHORIZED",
        "Not Authorized: log in with the password of `aws ecr get-login-password`; tokens live twelve hours",
    );
    let realm = format!("Basic realm=\"{}/\",service=\"ecr.amazonaws.com\"", door.base);
    set(response.headers_mut(), &[("www-authenticate", realm)]);
    response
}
