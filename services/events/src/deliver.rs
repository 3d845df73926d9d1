//! From deliveries to calls of their targets.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, stream};
use kernel::{Fault, Fut, Ops, Timestamp};
use sha2::{Digest, Sha256};
use store::{Batch, Key, Record, Row};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::error::Error;
use crate::records::{Dead, Delivery, Destination, rule_arn};
use crate::targets::{self, Kind, dead_letters};
use crate::{Events, PRINCIPAL, limits};

/// Does the deliveries that are due.
pub(crate) struct Deliver {
    pub events: Arc<Events>,
    pub ops: Arc<Ops>,
    pub rates: Rates,
}

/// How often each API destination was called in the second under way: (second, calls).
pub(crate) type Rates = Mutex<HashMap<Key, (i64, i64)>>;

impl Worker for Deliver {
    fn name(&self) -> String {
        "events.deliver".into()
    }
    fn wake(&self) -> Arc<Notify> {
        self.events.store.watch(&[Delivery::TABLE])
    }
    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async move {
            let store = &self.events.store;
            let now = self.events.clock.now();
            let due = store.due(Delivery::TABLE, now, limits::DELIVERED).await.map_err(Error::from)?;
            // Beside one another, so that a target that is slow keeps nobody else waiting behind it for long.
            let all = stream::iter(due).map(|timer| async move { self.one(&timer.key).await });
            let done: Vec<_> = all.buffered(limits::BESIDE).collect().await;
            done.into_iter().collect::<Result<(), Error>>()?;
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
        let Some(row) = store.get::<Delivery>(key).await? else {
            store.commit(gone).await?;
            return Ok(());
        };
        if let Some(at) = self.too_often(&row).await? {
            store.commit(Batch::new().timer(Delivery::TABLE, key, at, &())).await?;
            return Ok(());
        }
        let called = tokio::time::timeout(limits::CALL, self.call(&row)).await;
        let batch = match called.unwrap_or_else(|_| Err(Fault::internal("the target did not answer in time")))
        {
            Ok(()) => gone,
            Err(fault) => self.failed(row, &fault, gone),
        };
        store.commit(batch).await?;
        Ok(())
    }

    async fn call(&self, row: &Row<Delivery>) -> Result<(), Fault> {
        let (account, region) = (row.key.account(), row.key.region());
        let token = token(&row.key);
        let mut cx = self.ops.as_service(PRINCIPAL, &account, &region, &token);
        // As AWS does for the calls that it makes for a rule; a pipeline tells by it what triggered it.
        cx.context.insert("aws:SourceArn", rule_arn(&account, &region, &row.value.rule));
        targets::call(&self.events, &cx, &row.key, &row.value, token).await
    }

    /// What becomes of a delivery that failed: another try, a dead letter, or nothing.
    fn failed(&self, row: Row<Delivery>, fault: &Fault, gone: Batch) -> Batch {
        let (key, mut delivery) = (row.key, row.value);
        let now = self.events.clock.now();
        delivery.failures += 1;
        delivery.error = Some(fault.to_string());
        let (rule, target) = (delivery.rule.clone(), delivery.target.0.id.clone());
        let chance = self.chance();
        match retry_at(&delivery, fault, now, chance) {
            Retry::At(at) => {
                tracing::warn!(rule, target, ?fault, %at, "a delivery failed and will be tried again");
                Batch::new().put(&key, &delivery).timer(Delivery::TABLE, &key, at, &())
            }
            Retry::Never(exhausted) => {
                tracing::error!(rule, target, ?fault, exhausted, "a delivery failed and was given up");
                if delivery.dead.is_some()
                    || !dead_letters(&delivery.target.0).is_ok_and(|group| group.is_some())
                {
                    return gone;
                }
                let retries = delivery.failures - 1;
                let (code, message) = (fault.code.to_string(), fault.message.clone());
                let exhausted = exhausted.to_owned();
                delivery.dead = Some(Dead { code, message, retries, exhausted, at: now });
                delivery.failures = 0;
                Batch::new().put(&key, &delivery).timer(Delivery::TABLE, &key, now, &())
            }
        }
    }

    /// Between 0 and 1.
    fn chance(&self) -> f64 {
        let mut bytes = [0; 4];
        self.events.entropy.fill(&mut bytes);
        f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX)
    }

    /// When an API destination may be called again that was called as often as it may be in this second.
    async fn too_often(&self, row: &Row<Delivery>) -> Result<Option<Timestamp>, Error> {
        let Ok(Kind::Endpoint(name)) = Kind::of(&row.value.target.0) else { return Ok(None) };
        let key = Key::new(&row.key.account(), &row.key.region()).text(name);
        let Some(destination) = self.events.store.get::<Destination>(&key).await? else { return Ok(None) };
        let second = self.events.clock.now().as_second();
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.retain(|_, (of, _)| *of == second);
        let (_, calls) = rates.entry(key).or_insert((second, 0));
        if *calls >= i64::from(destination.value.rate) {
            return Ok(Timestamp::from_second(second + 1).ok());
        }
        *calls += 1;
        Ok(None)
    }
}

/// The same for every try of a delivery: what it starts is started once. 32 hexadecimal digits.
fn token(key: &Key) -> String {
    let digest = Sha256::digest(key.to_hex());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// What follows a failure.
enum Retry {
    /// Another try.
    At(Timestamp),
    /// None: why, as AWS says it in a dead letter.
    Never(&'static str),
}

/// When a failed delivery is tried again; never when trying again cannot help, or was tried enough. `chance` is between 0
/// and 1: those that failed together do not come back together.
fn retry_at(delivery: &Delivery, fault: &Fault, now: Timestamp, chance: f64) -> Retry {
    // A dead letter is not the target's: its policy is ours.
    let policy = delivery.target.0.retry_policy.as_ref().filter(|_| delivery.dead.is_none());
    let attempts = policy.and_then(|policy| u32::try_from(policy.maximum_retry_attempts?).ok());
    let age = policy.and_then(|policy| u64::try_from(policy.maximum_event_age_in_seconds?).ok());
    let passing = fault.status >= 500 && fault.status != 501
        || ["ThrottlingException", "ConcurrentPipelineExecutionsLimitExceededException", "ConflictException"]
            .iter()
            .any(|code| fault.is(code));
    if !passing {
        return Retry::Never("NoRetry");
    }
    if delivery.failures > attempts.unwrap_or(limits::ATTEMPTS) {
        return Retry::Never("MaximumRetryAttempts");
    }
    let delay = limits::BACKOFF.saturating_mul(1 << (delivery.failures - 1).min(16)).min(limits::BACKOFF_CAP);
    let at = now.checked_add(delay.mul_f64(0.5 + chance / 2.0)).ok();
    let since = delivery.dead.as_ref().map_or(delivery.since, |dead| dead.at);
    let until = since.checked_add(age.map_or(limits::AGE, Duration::from_secs)).ok();
    match at.filter(|at| until.is_some_and(|until| *at <= until)) {
        Some(at) => Retry::At(at),
        None => Retry::Never("MaximumEventAgeInSeconds"),
    }
}
