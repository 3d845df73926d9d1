//! Notifications of approvals. There is no SNS: the configuration names an HTTP endpoint for a topic, which is sent what
//! SNS sends to its HTTP subscribers. At least once: a message stays a timer until the endpoint took it, or gave up on.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::{Request, Uri, header};
use jiff::SignedDuration;
use kernel::{Access, Fault, Fut, Timestamp};
use outside::Outside;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Batch, EVENTS, Event, Timer};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::actions::{Failed, approval};
use crate::desk::{Ask, Desk};
use crate::engine::{Failure, Kind, Progress};
use crate::error::Error;
use crate::job::acting;
use crate::limits;
use crate::records::{ActionRow, Pipeline, Place};

/// The endpoints of topics, by the topic's ARN.
pub type Topics = BTreeMap<String, Uri>;

/// The kind of the timers of messages; the payload is [`Letter`].
const POST: &str = "codepipeline.post";
/// This worker among the outbox's consumers.
const CONSUMER: &str = "codepipeline.approvals";
/// Messages and timers taken at a time.
const PAGE: usize = 100;
/// Messages on their way at once.
const AT_ONCE: usize = 8;
/// An endpoint that has not answered by then has not taken the message: SNS's own limit.
const ANSWER: Duration = Duration::from_secs(15);
/// Tries of a message, as SNS's default policy for HTTP has them.
const TRIES: u32 = 50;
/// The longest pause between tries, in seconds.
const PAUSE: i64 = 300;

/// A message to an endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Letter {
    topic: String,
    /// The same on every try: who has seen it knows.
    id: String,
    subject: String,
    message: String,
    written: Timestamp,
    tries: u32,
}

/// The worker: hears of approvals that begin, and sends what is due.
pub struct Post {
    desk: Arc<Desk>,
    topics: Topics,
    outside: Outside,
}

impl Post {
    /// On a desk.
    pub fn new(desk: Arc<Desk>, topics: Topics, outside: Outside) -> Self {
        Self { desk, topics, outside }
    }

    async fn pass(&self) -> Result<Next, Error> {
        let store = &self.desk.store;
        let from = store.subscribe(EVENTS, CONSUMER).await?;
        let messages = store.messages(EVENTS, from, PAGE).await?;
        let mut batch = Batch::new();
        for message in &messages {
            batch = self.heard(&message.event, batch).await?;
        }
        if let Some(last) = messages.last() {
            let idle = batch.is_empty();
            let advanced = batch.advance(EVENTS, CONSUMER, from, last.seq);
            store.commit(if idle { advanced.patient() } else { advanced }).await?;
        }
        let due = store.due(POST, self.desk.now(), PAGE).await?;
        for some in due.chunks(AT_ONCE) {
            join_all(some.iter().map(|timer| self.deliver(timer)))
                .await
                .into_iter()
                .collect::<Result<(), _>>()?;
        }
        match messages.len() == PAGE || due.len() == PAGE {
            true => Ok(Next::Again),
            false => Ok(store.next_due(POST).await?.into()),
        }
    }

    /// Writes the message of an approval that begins, into the batch that also passes the event.
    async fn heard(&self, event: &Event, batch: Batch) -> Result<Batch, Error> {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let detail = &event.detail;
        let begins = event.source == "aws.codepipeline"
            && detail["state"] == "STARTED"
            && detail["type"]["category"] == approval::TYPE.category;
        if !begins {
            return Ok(batch);
        }
        let (account, region, name) = (&event.account, &event.region, text(&detail["pipeline"]));
        let Some(pipeline) = self.desk.store.get::<Pipeline>(&Place::row(account, region, &name)).await?
        else {
            return Ok(batch);
        };
        let uid = pipeline.value.uid.clone();
        let place = Place { account: account.clone(), region: region.clone(), name, uid };
        let key = place.action(&text(&detail["execution-id"]), &text(&detail["action-execution-id"]));
        let Some(row) = self.desk.store.get::<ActionRow>(&key).await? else { return Ok(batch) };
        let row = row.value;
        let declared = row.action.configuration.as_ref();
        if declared.and_then(|c| c.get("NotificationArn")).is_none_or(String::is_empty) {
            return Ok(batch);
        }
        match self.letter(&place, &pipeline.value, &row).await {
            Ok(letter) => Ok(batch.timer(POST, &key, letter.written, &letter)),
            Err(failed) if failed.code == "SystemUnavailable" => {
                Err(Error::Fault(Fault::internal(failed.message)))
            }
            Err(failed) => self.fail(&place, &row.run.id, failed).await.map(|()| batch),
        }
    }

    async fn letter(&self, place: &Place, pipeline: &Pipeline, row: &ActionRow) -> Result<Letter, Failed> {
        let misconfigured = |message: String| Failed::new("ConfigurationError", message);
        let unresolved = || misconfigured("A variable of the approval's configuration has no value".into());
        let configuration = row.resolved.as_ref().ok_or_else(unresolved)?;
        let topic = configuration.get("NotificationArn").cloned().unwrap_or_default();
        if !self.topics.contains_key(&topic) {
            return Err(misconfigured(format!(
                "The configuration key 'NotificationArn' names {topic}, for which the server's configuration has no endpoint: name one under sns-topics"
            )));
        }
        let ops = self.desk.ops().ok_or_else(|| Failed::from(Fault::internal("the server ends")))?;
        let roles = (pipeline.declaration.role_arn.as_str(), row.action.role_arn.as_deref());
        let cx = acting(&ops, place, roles, &row.run.id).await?;
        cx.authorize(&[Access::new("sns:Publish", topic.clone())]).await?;
        Ok(Letter {
            topic,
            id: row.run.id.clone(),
            subject: format!(
                "APPROVAL NEEDED: AWS CodePipeline {} for action {}",
                place.name, row.action.name
            ),
            message: message(place, row, configuration),
            written: self.desk.now(),
            tries: 0,
        })
    }

    /// Ends an approval that nobody can be told of, if it still waits.
    async fn fail(&self, place: &Place, run: &str, failed: Failed) -> Result<(), Error> {
        let failure = Failure { code: failed.code.into(), message: limits::cut(&failed.message) };
        let told = self.desk.tell(place, Some(run), |state| {
            let kind = Kind::ActionFailed {
                id: run.to_owned(),
                failure: failure.clone(),
                progress: Progress::default(),
                by: None,
            };
            Ok(Ask::of(state.is_running(run).then_some(kind), ()))
        });
        match told.await {
            Err(Error::PipelineNotFound { .. }) => Ok(()),
            other => other,
        }
    }

    /// Sends a message that is due; one that was not taken is due again later.
    async fn deliver(&self, timer: &Timer) -> Result<(), Error> {
        let store = &self.desk.store;
        let drop = Batch::new().cancel(POST, &timer.key);
        let Ok(mut letter) = serde_json::from_value::<Letter>(timer.payload.clone()) else {
            store.commit(drop).await?;
            return Ok(());
        };
        let Err(reason) = self.send(&letter).await else {
            store.commit(drop).await?;
            return Ok(());
        };
        letter.tries += 1;
        if letter.tries >= TRIES {
            tracing::error!(topic = letter.topic, id = letter.id, "a notification is given up: {reason}");
            store.commit(drop).await?;
            return Ok(());
        }
        tracing::warn!(topic = letter.topic, id = letter.id, "a notification is tried again: {reason}");
        let pause = SignedDuration::from_secs((1_i64 << letter.tries.min(16)).min(PAUSE));
        let next = self.desk.now().checked_add(pause).unwrap_or(Timestamp::MAX);
        store.commit(Batch::new().timer(POST, &timer.key, next, &letter)).await?;
        Ok(())
    }

    async fn send(&self, letter: &Letter) -> Result<(), String> {
        let uri =
            self.topics.get(&letter.topic).ok_or("the configuration names no endpoint for it any more")?;
        let body = json!({
            "Type": "Notification",
            "MessageId": letter.id,
            "TopicArn": letter.topic,
            "Subject": letter.subject,
            "Message": letter.message,
            "Timestamp": letter.written.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        });
        let request = Request::post(uri.clone())
            .header(header::CONTENT_TYPE, "text/plain; charset=UTF-8")
            .header(header::USER_AGENT, "Longshore")
            .header("x-amz-sns-message-type", "Notification")
            .header("x-amz-sns-message-id", &letter.id)
            .header("x-amz-sns-topic-arn", &letter.topic)
            .body(Bytes::from(body.to_string()))
            .map_err(|e| e.to_string())?;
        let answer = self.outside.send(request, ANSWER).await.map_err(|e| e.to_string())?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(format!("{uri} answered {}", answer.status())),
        }
    }
}

/// The message: members as AWS has them; those that the approval has no value for are left out.
fn message(place: &Place, row: &ActionRow, configuration: &BTreeMap<String, String>) -> String {
    let Place { region, name, .. } = place;
    let (stage, action, token) = (&row.stage, &row.action.name, &row.run.id);
    let link = format!("https://console.aws.amazon.com/codepipeline/home?region={region}#/view/{name}");
    let ends = row.run.begun.saturating_add(approval::minutes(&row.action).saturating_mul(60_000));
    let expires = Timestamp::from_millisecond(ends).unwrap_or_default().strftime("%Y-%m-%dT%H:%MZ");
    let mut approval = json!({
        "pipelineName": name,
        "stageName": stage,
        "actionName": action,
        "token": token,
        "expires": expires.to_string(),
        "approvalReviewLink": format!("{link}/{stage}/{action}/approve/{token}"),
    });
    for (member, key) in [("externalEntityLink", "ExternalEntityLink"), ("customData", "CustomData")] {
        if let Some(value) = configuration.get(key).filter(|value| !value.is_empty()) {
            approval[member] = json!(value);
        }
    }
    json!({ "region": region, "consoleLink": link, "approval": approval }).to_string()
}

impl Worker for Post {
    fn name(&self) -> String {
        "codepipeline.post".into()
    }

    fn wake(&self) -> Arc<Notify> {
        self.desk.store.watch(&[EVENTS, POST])
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async { Ok(self.pass().await?) })
    }
}
