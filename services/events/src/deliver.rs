//! From deliveries to calls of their targets.
use std::sync::Arc;
use std::time::Duration;

use api::codepipeline::{PipelineVariable, SourceRevisionOverride, StartPipelineExecution};
use api::events as shape;
use api::logs::{CreateLogStream, DescribeLogStreams, InputLogEvent, PutLogEvents};
use kernel::{Arn, Cx, Fault, Fut, Ops, Shape, Timestamp};
use serde_json::Value;
use sha2::{Digest, Sha256};
use store::{Batch, Key, Record, Row};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::error::Error;
use crate::input::{Matched, input, is_shaped};
use crate::records::{Delivery, rule_arn};
use crate::{Events, PRINCIPAL, limits};

/// Does the deliveries that are due.
pub(crate) struct Deliver {
    pub events: Arc<Events>,
    pub ops: Arc<Ops>,
}

impl Worker for Deliver {
    fn name(&self) -> String {
        "events.deliver".into()
    }
    fn wake(&self) -> Arc<Notify> {
        self.events.store.watch(&[Delivery::TABLE])
    }
    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async {
            let store = &self.events.store;
            let now = self.events.clock.now();
            let due = store.due(Delivery::TABLE, now, limits::DELIVERED).await.map_err(Error::from)?;
            for timer in &due {
                self.one(&timer.key).await?;
            }
            let next = store.next_due(Delivery::TABLE).await.map_err(Error::from)?;
            Ok(Next::from(next))
        })
    }
}

impl Deliver {
    /// One delivery: done, to be tried again, or given up. Only this worker changes deliveries.
    async fn one(&self, key: &Key) -> Result<(), Error> {
        let store = &self.events.store;
        let gone = Batch::new().delete::<Delivery>(key).cancel(Delivery::TABLE, key);
        let Some(mut row) = store.get::<Delivery>(key).await? else {
            store.commit(gone).await?;
            return Ok(());
        };
        let called = tokio::time::timeout(limits::CALL, self.call(&row)).await;
        let batch = match called.unwrap_or_else(|_| Err(Fault::internal("the target did not answer in time")))
        {
            Ok(()) => gone,
            Err(fault) => {
                let now = self.events.clock.now();
                row.value.failures += 1;
                row.value.error = Some(fault.to_string());
                let (rule, target) = (&row.value.rule, &row.value.target.0.id);
                match retry_at(&row.value, &fault, now) {
                    Some(at) => {
                        tracing::warn!(rule, target, ?fault, %at, "a delivery failed and will be tried again");
                        Batch::new().put(key, &row.value).timer(Delivery::TABLE, key, at, &())
                    }
                    None => {
                        tracing::error!(rule, target, ?fault, "a delivery failed and was given up");
                        gone
                    }
                }
            }
        };
        store.commit(batch).await?;
        Ok(())
    }

    async fn call(&self, row: &Row<Delivery>) -> Result<(), Fault> {
        let (account, region, delivery) = (row.key.account(), row.key.region(), &row.value);
        let target = &delivery.target.0;
        let arn = rule_arn(&account, &region, &delivery.rule);
        let matched = Matched {
            event: &delivery.event,
            rule_arn: &arn,
            rule_name: &delivery.rule,
            ingested: delivery.since,
        };
        let token = token(&row.key);
        let mut cx = self.ops.as_service(PRINCIPAL, &account, &region, &token);
        // As AWS does for the calls that it makes for a rule; a pipeline tells by it what triggered it.
        cx.context.insert("aws:SourceArn", arn.clone());
        let input = input(target, &matched);
        match Kind::of(target).map_err(Fault::from)? {
            Kind::Pipeline(name) => {
                let input = input.filter(|_| is_shaped(target));
                start(&cx, target, name, token, input.as_deref()).await
            }
            Kind::LogGroup(group) => match input {
                Some(text) => log(&cx, group, token, text, delivery).await,
                None => Ok(()),
            },
        }
    }
}

/// Targets that are served.
pub(crate) enum Kind {
    /// A pipeline, by name.
    Pipeline(String),
    /// A log group, by name.
    LogGroup(String),
}

impl Kind {
    pub(crate) fn of(target: &shape::Target) -> Result<Self, Error> {
        let arn: Arn = target.arn.parse().map_err(|_| {
            Error::invalid(format!(
                "Parameter {} is not valid. Reason: Provided Arn is not in correct format.",
                target.arn
            ))
        })?;
        match (arn.service.as_str(), arn.resource.strip_prefix("log-group:")) {
            ("codepipeline", _) => Ok(Self::Pipeline(arn.resource)),
            ("logs", Some(group)) => Ok(Self::LogGroup(group.strip_suffix(":*").unwrap_or(group).to_owned())),
            _ => Err(Error::invalid(format!(
                "Target {} ({}) is not served by Longshore: a target is the ARN of a pipeline or of a log group.",
                target.id, target.arn
            ))),
        }
    }
}

/// The same for every try of a delivery: what it starts is started once. 32 hexadecimal digits.
fn token(key: &Key) -> String {
    let digest = Sha256::digest(key.to_hex());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

async fn start(
    cx: &Cx,
    target: &shape::Target,
    name: String,
    token: String,
    input: Option<&str>,
) -> Result<(), Fault> {
    let role = target.role_arn.as_deref().unwrap_or_default();
    let cx = cx.as_role(PRINCIPAL, role, &token).await?;
    // A target's input may override what the pipeline runs with; any other input means nothing to a pipeline.
    let input: Value = input.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let start = StartPipelineExecution {
        name,
        client_request_token: Some(token),
        source_revisions: shapes::<SourceRevisionOverride>(&input["sourceRevisions"])?,
        variables: shapes::<PipelineVariable>(&input["variables"])?,
    };
    cx.call(start).await.map(drop)
}

fn shapes<T: Shape>(value: &Value) -> Result<Option<Vec<T>>, Fault> {
    let Some(items) = value.as_array() else { return Ok(None) };
    items.iter().map(kernel::json::from_value).collect::<Result<Vec<T>, Fault>>().map(Some)
}

/// A log stream of its own holds the event: that it has one already tells that an earlier try got through.
async fn log(cx: &Cx, group: String, stream: String, text: String, delivery: &Delivery) -> Result<(), Fault> {
    let (log_group_name, log_stream_name) = (group.clone(), stream.clone());
    match cx.call(CreateLogStream { log_group_name, log_stream_name }).await {
        Ok(_) => {}
        Err(fault) if fault.is("ResourceAlreadyExistsException") => {
            let (log_group_name, prefix) = (Some(group.clone()), Some(stream.clone()));
            let describe = DescribeLogStreams {
                log_group_name,
                log_stream_name_prefix: prefix,
                ..DescribeLogStreams::default()
            };
            let found = cx.call(describe).await?.log_streams.unwrap_or_default();
            if found.iter().any(|stream| stream.last_event_timestamp.is_some()) {
                return Ok(());
            }
        }
        Err(fault) => return Err(fault),
    }
    let (timestamp, message) = line(text, delivery);
    let put = PutLogEvents {
        log_group_name: group,
        log_stream_name: stream,
        log_events: vec![InputLogEvent { timestamp, message }],
        ..PutLogEvents::default()
    };
    cx.call(put).await.map(drop)
}

/// The event as it is, unless the target's template made `{"timestamp": …, "message": …}` of it.
fn line(text: String, delivery: &Delivery) -> (i64, String) {
    let since = delivery.since.as_millisecond();
    let shaped: Option<Value> = serde_json::from_str(&text).ok().filter(|_| is_shaped(&delivery.target.0));
    match shaped.as_ref().and_then(|shaped| shaped.get("message")?.as_str()) {
        Some(message) => {
            let at = shaped.as_ref().and_then(|shaped| shaped["timestamp"].as_i64());
            (at.unwrap_or(since), message.to_owned())
        }
        None => (since, text),
    }
}

/// When a failed delivery is tried again; none when trying again cannot help, or was tried enough.
fn retry_at(delivery: &Delivery, fault: &Fault, now: Timestamp) -> Option<Timestamp> {
    let policy = delivery.target.0.retry_policy.as_ref();
    let attempts = policy.and_then(|policy| u32::try_from(policy.maximum_retry_attempts?).ok());
    let age = policy.and_then(|policy| u64::try_from(policy.maximum_event_age_in_seconds?).ok());
    let passing = fault.status >= 500 && fault.status != 501
        || ["ThrottlingException", "ConcurrentPipelineExecutionsLimitExceededException", "ConflictException"]
            .iter()
            .any(|code| fault.is(code));
    if !passing || delivery.failures > attempts.unwrap_or(limits::ATTEMPTS) {
        return None;
    }
    let delay = limits::BACKOFF.saturating_mul(1 << (delivery.failures - 1).min(16)).min(limits::BACKOFF_CAP);
    let at = now.checked_add(delay).ok()?;
    let until = delivery.since.checked_add(age.map_or(limits::AGE, Duration::from_secs)).ok()?;
    (at <= until).then_some(at)
}
