//! Durable timers.
use kernel::Timestamp;
use rusqlite::Row;
use serde_json::Value;

use crate::readers::text;
use crate::rows::page;
use crate::{Error, Key, Result, Store, sql};

/// A timer that is set.
#[derive(Clone, Debug)]
pub struct Timer {
    /// Its key within its kind.
    pub key: Key,
    /// When it is due.
    pub at: Timestamp,
    /// What was put in it.
    pub payload: Value,
}

impl Store {
    /// Timers of a kind that are due at `now`, earliest first. They stay until a batch cancels or sets them anew, so
    /// that a crash between the wake and the deed loses nothing.
    pub async fn due(&self, kind: &'static str, now: Timestamp, limit: usize) -> Result<Vec<Timer>> {
        let timer = |row: &Row<'_>| {
            let key = Key(row.get(0)?);
            let unreadable = |reason: String| Error::Unreadable { kind, key: format!("{key:?}"), reason };
            let at = Timestamp::from_microsecond(row.get(1)?).map_err(|e| unreadable(e.to_string()))?;
            let payload = serde_json::from_str(text(row, 2)?).map_err(|e| unreadable(e.to_string()))?;
            Ok(Timer { key, at, payload })
        };
        self.many(sql::DUE, (kind, now.as_microsecond(), page(limit)), timer).await
    }

    /// When the earliest timer of a kind is due. A worker sleeps until then, or until [`Store::watch`] of the kind
    /// tells that an earlier one was set.
    pub async fn next_due(&self, kind: &'static str) -> Result<Option<Timestamp>> {
        let at: Option<Option<i64>> = self.one(sql::NEXT_DUE, (kind,), |row| Ok(row.get(0)?)).await?;
        Ok(at.flatten().and_then(|at| Timestamp::from_microsecond(at).ok()))
    }
}

/// Microseconds, never before the instant: a timer must not be due early.
pub(crate) fn rounded_up(at: Timestamp) -> i64 {
    let micros = at.as_microsecond();
    if at.as_nanosecond() > i128::from(micros) * 1000 { micros + 1 } else { micros }
}
