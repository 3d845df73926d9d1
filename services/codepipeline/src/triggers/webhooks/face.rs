//! The URL of a webhook.
use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use kernel::face::{collect, plain};
use kernel::{Body, Door, Face, Fault, Fut};
use serde_json::Value;
use store::{Batch, Key, Row};
use tokio::sync::Semaphore;

use super::record::{Authentication, BY_TOKEN, Webhook};
use super::{Webhooks, judge};
use crate::error::Error;
use crate::limits;
use crate::records::{Pipeline, Place};
use crate::start::{self, Wish};

/// Before a webhook's token. No bucket can have this name, so that the path is nobody else's.
pub const PREFIX: &str = "/-/webhooks/";

/// Where webhooks are delivered.
pub struct WebhookFace {
    webhooks: Arc<Webhooks>,
    places: Semaphore,
}

/// What a delivery is answered: a status and a line of text.
type Answer = (StatusCode, String);

fn answer<T>(status: StatusCode, text: &str) -> Result<T, Answer> {
    Err((status, text.to_owned()))
}

impl WebhookFace {
    pub(super) fn new(webhooks: Arc<Webhooks>) -> Self {
        Self { webhooks, places: Semaphore::new(limits::WEBHOOK_DELIVERIES) }
    }

    async fn deliver(&self, door: &Door, request: Request<Body>) -> Result<String, Answer> {
        let (head, mut body) = request.into_parts();
        let Ok(_place) = self.places.acquire().await else {
            return answer(StatusCode::SERVICE_UNAVAILABLE, "the server stops");
        };
        let row = self.find(&head).await?;
        if head.method != Method::POST {
            return answer(StatusCode::METHOD_NOT_ALLOWED, "a webhook takes POST");
        }
        let body = collect(&mut body, limits::WEBHOOK_BODY, limits::WEBHOOK_TIME).await;
        let body = body.map_err(|why| (why.status(), why.to_string()))?;
        self.authentic(&row, door, &head, &body)?;
        let document: Value = match serde_json::from_slice(&body) {
            Ok(document) => document,
            Err(error) => {
                let text = format!("the body is not JSON ({error}): choose content type application/json");
                return answer(StatusCode::BAD_REQUEST, &text);
            }
        };
        self.start(&row, door, &document, delivery(&row.value, &head, &body)).await
    }

    /// The webhook of the path's token, whoever asks.
    async fn find(&self, head: &Parts) -> Result<Row<Webhook>, Answer> {
        let token = head.uri.path().strip_prefix(PREFIX).unwrap_or_default();
        let store = &self.webhooks.service.desk.store;
        let found = store.find::<Webhook>(Key::all(), BY_TOKEN, token, 0, 1).await;
        match found.map_err(|error| trouble(error.into()))?.into_iter().next() {
            Some(row) => Ok(row),
            None => answer(StatusCode::NOT_FOUND, "no webhook has this URL"),
        }
    }

    fn authentic(&self, row: &Row<Webhook>, door: &Door, head: &Parts, body: &Bytes) -> Result<(), Answer> {
        match &row.value.authentication {
            Authentication::Unauthenticated => Ok(()),
            Authentication::Ip(range) => {
                match judge::Range::read(range).is_some_and(|range| range.holds(door.peer.ip())) {
                    true => Ok(()),
                    false => answer(StatusCode::FORBIDDEN, "your address is not in the webhook's range"),
                }
            }
            Authentication::GithubHmac(sealed) => {
                let opened =
                    self.webhooks.service.desk.sealer.open_sealed(&Webhook::sealing(&row.key), sealed);
                let secret = opened.map_err(|error| trouble(error.into()))?;
                match judge::signed(&secret, &head.headers, body) {
                    true => Ok(()),
                    false => answer(StatusCode::UNAUTHORIZED, "no signature of the body holds"),
                }
            }
        }
    }

    /// Starts the pipeline if the filters match: once for a delivery, however often it comes.
    async fn start(
        &self,
        row: &Row<Webhook>,
        door: &Door,
        document: &Value,
        delivery: Option<String>,
    ) -> Result<String, Answer> {
        let webhook = &row.value;
        let (account, region) = (row.key.account(), row.key.region());
        let desk = &self.webhooks.service.desk;
        let found = desk.store.get::<Pipeline>(&Place::row(&account, &region, &webhook.pipeline)).await;
        let Some(pipeline) = found.map_err(|error| trouble(error.into()))? else {
            let error = Error::PipelineNotFound { account, name: webhook.pipeline.clone() };
            return self.failed(row, error).await;
        };
        let declaration = &pipeline.value.declaration;
        let mut targets = declaration.stages.first().into_iter().flat_map(|stage| &stage.actions);
        let target = targets.find(|action| action.name == webhook.action);
        let configuration = target.and_then(|action| action.configuration.clone());
        if !judge::pass(&webhook.filters, &configuration.unwrap_or_default(), document) {
            return Ok("authentic, but the filters do not match: nothing was started".into());
        }
        let arn = Webhook::arn(&account, &region, &webhook.name);
        let place =
            Place { account, region, name: webhook.pipeline.clone(), uid: pipeline.value.uid.clone() };
        let wish = Wish {
            trigger: start::caused("Webhook", &arn),
            // Under the webhook's own token: another one of the same name, later, is another.
            token: delivery.map(|delivery| format!("webhook/{}/{delivery}", webhook.token)),
            variables: BTreeMap::new(),
            overrides: Vec::new(),
        };
        match start::start(desk, &place, declaration, &door.request_id, wish).await {
            Ok(id) => {
                self.note(row, None).await;
                Ok(format!("execution {id} was started by this delivery"))
            }
            Err(error) => self.failed(row, error).await,
        }
    }

    /// What the sender cannot mend by sending again is kept for ListWebhooks to show.
    async fn failed<T>(&self, row: &Row<Webhook>, error: Error) -> Result<T, Answer> {
        let fault = error.fault();
        if fault.status >= 500 || fault.is("ConcurrentModification") {
            return Err(trouble(fault));
        }
        self.note(row, Some((fault.code.to_string(), fault.message.clone()))).await;
        answer(StatusCode::UNPROCESSABLE_ENTITY, &format!("nothing was started: {}", fault.message))
    }

    /// For reads alone: a change of the webhook meanwhile, or a crash, loses no more than the note.
    async fn note(&self, row: &Row<Webhook>, trouble: Option<(String, String)>) {
        let desk = &self.webhooks.service.desk;
        let mut row = Row { value: row.value.clone(), key: row.key.clone(), ..*row };
        row.value.triggered = Some(desk.now());
        row.value.trouble = trouble;
        if let Err(error) = desk.store.commit(Batch::new().update(&row)).await
            && !error.is_conflict()
        {
            tracing::warn!(webhook = row.value.name, "a delivery cannot be noted: {error}");
        }
    }
}

/// What makes a delivery the same as an earlier one. A signature covers the body alone, so that a replay is known by
/// the body; without a signature the sender's id of the delivery is as good as the rest of it.
fn delivery(webhook: &Webhook, head: &Parts, body: &Bytes) -> Option<String> {
    match webhook.authentication {
        Authentication::GithubHmac(_) => Some(hex::encode(digest(&SHA256, body))),
        Authentication::Ip(_) | Authentication::Unauthenticated => {
            let id = head.headers.get("x-github-delivery")?;
            Some(hex::encode(digest(&SHA256, id.as_bytes())))
        }
    }
}

/// A failure that is ours: the sender may try again.
fn trouble(fault: Fault) -> Answer {
    tracing::error!(detail = fault.detail, "a webhook cannot be served: {fault}");
    (StatusCode::SERVICE_UNAVAILABLE, "the delivery cannot be taken now; send it again".into())
}

impl Face for WebhookFace {
    fn claims(&self, head: &Parts, _: &Door) -> bool {
        head.uri.path().starts_with(PREFIX)
    }

    fn serve<'a>(&'a self, door: Door, request: Request<Body>) -> Fut<'a, Response<Body>> {
        Box::pin(async move {
            let (status, text) = match self.deliver(&door, request).await {
                Ok(text) => (StatusCode::OK, text),
                Err(refused) => refused,
            };
            plain(status, format!("{text}\n"))
        })
    }
}
