//! The outbox: what was published in batches, read by consumers with durable cursors.
use serde_json::Value;

use crate::apply::{signed, unsigned};
use crate::rows::page;
use crate::{Error, Key, Result, Store, sql};

/// A published message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its place: what [`crate::Batch::advance`] moves to.
    pub seq: u64,
    /// What was published.
    pub payload: Value,
}

impl Store {
    /// Messages of a topic behind `after`, in the order they were committed, at most `limit`.
    pub async fn messages(&self, topic: &'static str, after: u64, limit: usize) -> Result<Vec<Message>> {
        let query = sqlx::query_as(sql::MESSAGES).bind(topic).bind(signed(after)).bind(page(limit));
        let found: Vec<(i64, String)> = query.fetch_all(self.reader()?).await?;
        let message = |(seq, body): (i64, String)| {
            let payload = serde_json::from_str(&body).map_err(|e| Error::Unreadable {
                kind: topic,
                key: format!("{:?}", Key::all().number(unsigned(seq))),
                reason: e.to_string(),
            })?;
            Ok(Message { seq: unsigned(seq), payload })
        };
        found.into_iter().map(message).collect()
    }

    /// Up to where a consumer has dealt with a topic; 0 at first. A consumer that is to hear everything commits
    /// `advance(topic, name, 0, 0)` before it relies on messages being kept for it.
    pub async fn cursor(&self, topic: &'static str, consumer: &'static str) -> Result<u64> {
        let query = sqlx::query_scalar(sql::CURSOR).bind(topic).bind(consumer);
        Ok(query.fetch_optional(self.reader()?).await?.map_or(0, unsigned))
    }
}
