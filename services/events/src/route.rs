//! From events to deliveries.
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use kernel::{Fault, Fut};
use store::{Batch, EVENTS, Event, Key, Message, Record};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::error::Error;
use crate::pattern::Pattern;
use crate::records::{Delivery, Rule, delivery_key};
use crate::{Events, limits};

const CONSUMER: &str = "events.rules";

/// Reads events and makes a delivery for each target of each rule that matches.
pub(crate) struct Route {
    events: Arc<Events>,
    /// Told of each commit that changed a rule.
    changed: Arc<Notify>,
    /// As they were when they were last asked for.
    rules: tokio::sync::Mutex<Rules>,
}

impl Route {
    pub(crate) fn new(events: Arc<Events>) -> Self {
        let changed = events.store.watch(&[Rule::TABLE]);
        Self { events, changed, rules: Default::default() }
    }
}

impl Worker for Route {
    fn name(&self) -> String {
        "events.route".into()
    }
    fn wake(&self) -> Arc<Notify> {
        self.events.store.watch(&[EVENTS])
    }
    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async {
            let routed = self.route().await?;
            Ok(if routed == limits::ROUTED { Next::Again } else { Next::Idle })
        })
    }
}

/// Enabled rules with their patterns, by account and region.
type Rules = HashMap<(String, String), Arc<Vec<(Rule, Pattern)>>>;

impl Route {
    /// Routes a page of events; answers how many it read.
    async fn route(&self) -> Result<usize, Error> {
        let store = &self.events.store;
        let mut cursor = store.subscribe(EVENTS, CONSUMER).await?;
        let messages = store.messages(EVENTS, cursor, limits::ROUTED).await?;
        let mut rules = self.rules.lock().await;
        // Only now: of a rule that was put before one of these events was published, this has been told.
        if pin!(self.changed.notified()).enable() {
            rules.clear();
        }
        let mut batch = Batch::new();
        for (index, message) in messages.iter().enumerate() {
            batch = self.events.deliveries(batch, message, &mut rules).await?;
            if batch.len() >= limits::ROUTE_OPS || index + 1 == messages.len() {
                let deliveries = std::mem::take(&mut batch);
                let idle = deliveries.is_empty();
                let advanced = deliveries.advance(EVENTS, CONSUMER, cursor, message.seq);
                store.commit(if idle { advanced.patient() } else { advanced }).await?;
                cursor = message.seq;
            }
        }
        Ok(messages.len())
    }
}

impl Events {
    async fn deliveries(
        &self,
        mut batch: Batch,
        message: &Message,
        rules: &mut Rules,
    ) -> Result<Batch, Error> {
        let Event { internal, account, region, id, .. } = &*message.event;
        let rules = self.rules(account, region, rules).await?;
        if *internal || rules.is_empty() {
            return Ok(batch);
        }
        // As targets get it, and patterns look at it.
        let event = serde_json::to_value(&*message.event)
            .map_err(|e| store::Error::Refused(format!("an event: {e}")))?;
        let now = self.clock.now();
        for (rule, pattern) in rules.iter() {
            if !pattern.matches(&event) {
                continue;
            }
            for (target_id, target) in &rule.targets {
                let key = delivery_key(account, region, id, &rule.name, target_id);
                let (event, rule) = (event.clone(), rule.name.clone());
                let target = target.clone();
                let delivery =
                    Delivery { event, rule, target, since: now, failures: 0, error: None, dead: None };
                batch = batch.put(&key, &delivery).timer(Delivery::TABLE, &key, now, &());
            }
        }
        Ok(batch)
    }

    async fn rules(
        &self,
        account: &str,
        region: &str,
        known: &mut Rules,
    ) -> Result<Arc<Vec<(Rule, Pattern)>>, Error> {
        let place = (account.to_owned(), region.to_owned());
        if let Some(rules) = known.get(&place) {
            return Ok(rules.clone());
        }
        let rows = self.store.all::<Rule>(Key::new(account, region)).await?;
        let parsed = rows.into_iter().filter(|row| row.value.enabled).filter_map(|row| {
            // It was checked when it was put: a pattern that this version refuses must not stop the others.
            let pattern = Pattern::parse(&row.value.pattern);
            let pattern =
                pattern.inspect_err(|error| tracing::error!(rule = row.value.name, %error, "unreadable"));
            Some((row.value, pattern.ok()?))
        });
        let rules = Arc::new(parsed.collect());
        known.insert(place, Arc::clone(&rules));
        Ok(rules)
    }
}
