//! The URLs: where providers deliver, and where `longshore connect` says where a connection's repositories are.
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use kernel::face::{self, full, plain};
use kernel::{Body, Cx, Door, Face, Fault, Fut};
use serde_json::{Value, json};
use store::{Batch, Key, Row};
use tokio::sync::Semaphore;

use super::{Provider, payload, proof};
use crate::connect::Asked;
use crate::records::{BY_HOOK, Connection, Delivered, Followed};
use crate::{CodeConnections, limits};

/// Before the id of a connection. No bucket can have this name, so that the path is nobody else's.
pub const CONNECTIONS: &str = "/-/connections/";
/// Before the token of a connection's webhook.
pub const HOOKS: &str = "/-/connection-hooks/";

/// Connections over HTTP, beside AWS's operations.
pub struct ConnectionsFace {
    service: Arc<CodeConnections>,
    places: Semaphore,
}

type Answer<T> = Result<T, (StatusCode, String)>;

fn refuse<T>(status: StatusCode, text: &str) -> Answer<T> {
    Err((status, text.to_owned()))
}

async fn collect(mut body: Body, limit: usize) -> Answer<Bytes> {
    let whole = face::collect(&mut body, limit, limits::BODY).await;
    whole.map_err(|why| (why.status(), why.to_string()))
}

impl ConnectionsFace {
    pub(crate) fn new(service: Arc<CodeConnections>) -> Self {
        Self { service, places: Semaphore::new(limits::DELIVERIES) }
    }

    /// `GET` shows a connection's webhook; `PUT` says where its repositories are, and shows it.
    async fn connect(&self, door: &Door, request: Request<Body>) -> Result<Response<Body>, Fault> {
        let (head, body) = request.into_parts();
        let Some(cx) = head.extensions.get::<Cx>() else {
            return Ok(plain(StatusCode::FORBIDDEN, "sign the request: `longshore connect` does\n"));
        };
        let id = head.uri.path().strip_prefix(CONNECTIONS).unwrap_or_default();
        let asked = match head.method {
            Method::GET => None,
            Method::PUT => {
                let body = match collect(body, limits::CONNECT_BODY).await {
                    Ok(body) => body,
                    Err((status, text)) => return Ok(plain(status, text)),
                };
                let asked: Result<Asked, _> = serde_json::from_slice(&body);
                Some(asked.map_err(|e| Fault::client("InvalidInputException", format!("the body: {e}")))?)
            }
            _ => return Ok(plain(StatusCode::METHOD_NOT_ALLOWED, "GET or PUT\n")),
        };
        let shown = self.service.connect(cx, id, asked).await?;
        let mut answer = json!({
            "connectionArn": shown.arn,
            "connectionStatus": shown.status,
            "url": shown.url,
        });
        if shown.delivers {
            answer["webhookUrl"] = json!(format!("{}{HOOKS}{}", door.base, shown.hook));
            answer["webhookSecret"] = json!(shown.secret);
        }
        let mut response = Response::new(full(answer.to_string()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    async fn deliver(&self, request: Request<Body>) -> Answer<&'static str> {
        let (head, body) = request.into_parts();
        let Ok(_place) = self.places.acquire().await else {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "the server stops");
        };
        let row = self.find(&head).await?;
        if head.method != Method::POST {
            return refuse(StatusCode::METHOD_NOT_ALLOWED, "a webhook takes POST");
        }
        let Some(provider) = Provider::of(&row.value.provider) else {
            return refuse(StatusCode::NOT_FOUND, "no webhook has this URL");
        };
        let body = collect(body, limits::HOOK_BODY).await?;
        let secret = self.service.sealer.open_text(&Connection::sealing(&row.key), &row.value.hook_secret);
        let secret = secret.map_err(|error| trouble(error.into()))?;
        if !proof::holds(provider, &secret, &head.headers, &body) {
            return refuse(StatusCode::UNAUTHORIZED, "the delivery's signature or token does not hold");
        }
        let document: Value = match serde_json::from_slice(&body) {
            Ok(document) => document,
            Err(e) => {
                let text =
                    format!("the body is not JSON ({e}): choose content type application/json at the sender");
                return refuse(StatusCode::BAD_REQUEST, &text);
            }
        };
        self.take(&row, provider, &head, &document, &body).await
    }

    async fn find(&self, head: &Parts) -> Answer<Row<Connection>> {
        let token = head.uri.path().strip_prefix(HOOKS).unwrap_or_default();
        let found = self.service.store.find::<Connection>(Key::all(), BY_HOOK, token, 0, 1).await;
        let found = found.map_err(|error| trouble(error.into()))?;
        match found.into_iter().next() {
            Some(row) => Ok(row),
            None => refuse(StatusCode::NOT_FOUND, "no webhook has this URL"),
        }
    }

    /// Keeps what was delivered, once: what it comes to is for the worker. Replays are known by the body, since nothing
    /// else is signed.
    async fn take(
        &self,
        row: &Row<Connection>,
        provider: Provider,
        head: &Parts,
        document: &Value,
        body: &Bytes,
    ) -> Answer<&'static str> {
        let Some((repository, told)) = payload::read(provider, &head.headers, document) else {
            return Ok("authentic, but of no repository: nothing follows");
        };
        let (account, region, id) = (row.key.account(), row.key.region(), &row.value.id);
        let store = &self.service.store;
        let now = self.service.clock.now();
        let digest = hex::encode(digest(&SHA256, body));
        let token = Key::new(&account, &region).text("connection-hook").text(id).text(&digest);
        let known = Followed::key(&account, &region, id, &repository);
        let kept = store.update(|| async {
            if store.recall(&token, "").await?.is_some() {
                return Ok((Batch::new(), "taken before: nothing follows"));
            }
            let Some(mut followed) = store.get::<Followed>(&known).await? else {
                return Ok((Batch::new(), "authentic, but no pipeline follows this repository"));
            };
            let mut batch = Batch::new().remember(&token, "", &json!(true), now);
            if !followed.value.hooked {
                followed.value.hooked = true;
                batch = batch.update(&followed);
            }
            for (index, told) in told.iter().enumerate() {
                let key = Delivered::key(&account, &region, id, &digest, index);
                let (repository, told) = (repository.clone(), told.clone());
                batch = batch.put(&key, &Delivered { repository, told, tries: 0, due: now });
            }
            Ok::<_, crate::Error>((batch, "taken"))
        });
        kept.await.map_err(|error| trouble(error.into()))
    }
}

/// A failure that is ours: the sender may try again.
fn trouble(fault: Fault) -> (StatusCode, String) {
    tracing::error!(detail = fault.detail, "a delivery cannot be taken: {fault}");
    (StatusCode::SERVICE_UNAVAILABLE, "the delivery cannot be taken now; send it again".into())
}

impl Face for ConnectionsFace {
    fn claims(&self, head: &Parts, _: &Door) -> bool {
        [CONNECTIONS, HOOKS].iter().any(|prefix| head.uri.path().starts_with(prefix))
    }

    fn serve<'a>(&'a self, door: Door, request: Request<Body>) -> Fut<'a, Response<Body>> {
        Box::pin(async move {
            if request.uri().path().starts_with(CONNECTIONS) {
                return self.connect(&door, request).await.unwrap_or_else(|fault| self.refuse(&fault, &door));
            }
            let (status, text) = match self.deliver(request).await {
                Ok(text) => (StatusCode::OK, text.to_owned()),
                Err(refused) => refused,
            };
            plain(status, format!("{text}\n"))
        })
    }
}
