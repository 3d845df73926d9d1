//! The outbox: what was published in batches, read by consumers with durable cursors.
use std::sync::Arc;

use rusqlite::Row;

use crate::apply::{signed, unsigned};
use crate::readers::text;
use crate::rows::page;
use crate::{Batch, Error, Event, Key, Result, Store, sql};

/// A published message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its place: what [`crate::Batch::advance`] moves to.
    pub seq: u64,
    /// What was published.
    pub event: Arc<Event>,
}

impl Store {
    /// Messages of a topic behind `after`, in the order they were committed, at most `limit`.
    pub async fn messages(&self, topic: &'static str, after: u64, limit: usize) -> Result<Vec<Message>> {
        if let Some(messages) = self.tails()?.messages(topic, after, limit) {
            return Ok(messages);
        }
        let message = |row: &Row<'_>| {
            let seq = unsigned(row.get(0)?);
            let event = serde_json::from_str(text(row, 1)?).map_err(|e| Error::Unreadable {
                kind: topic,
                key: format!("{:?}", Key::all().number(seq)),
                reason: e.to_string(),
            })?;
            Ok(Message { seq, event: Arc::new(event) })
        };
        self.many(sql::MESSAGES, (topic, signed(after), page(limit)), message).await
    }

    /// Up to where a consumer has dealt with a topic. One that is new is made known first: from then on, messages
    /// are kept for it until it has advanced past them.
    pub async fn subscribe(&self, topic: &'static str, consumer: &'static str) -> Result<u64> {
        if let Some(cursor) = self.known(topic, consumer).await? {
            return Ok(cursor);
        }
        match self.commit(Batch::new().advance(topic, consumer, 0, 0)).await {
            Err(error) if !error.is_conflict() => Err(error),
            _ => self.cursor(topic, consumer).await,
        }
    }

    /// A consumer's cursor; 0 when it has not subscribed.
    pub async fn cursor(&self, topic: &'static str, consumer: &'static str) -> Result<u64> {
        Ok(self.known(topic, consumer).await?.unwrap_or(0))
    }

    async fn known(&self, topic: &'static str, consumer: &'static str) -> Result<Option<u64>> {
        if let Some(cursor) = self.tails()?.cursor(topic, consumer) {
            return Ok(Some(cursor));
        }
        self.one(sql::CURSOR, (topic, consumer), |row| Ok(unsigned(row.get(0)?))).await
    }
}
