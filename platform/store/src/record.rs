//! Records: what tables and streams hold, versioned from the first day.
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Key, Result, limits};

/// A stored type: a row of a table or an event of a stream.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Table (or stream kind), as in `codebuild.build`: crate, dot, singular. Never changes.
    const TABLE: &'static str;
    /// The format that this type writes. Raise it with each change that `serde(default)` cannot carry.
    const VERSION: u32 = 1;
    /// Names of the secondary indexes.
    const INDEXES: &'static [&'static str] = &[];
    /// How many parts the prefixes have under which many rows are listed by their creation: those lists are seeks,
    /// however many rows there are beside them. Rows written before a number was added here are not in its lists.
    const LISTED: &'static [usize] = &[];

    /// Reads a body of an earlier version.
    fn migrate(from: u32, _body: Value) -> std::result::Result<Self, String> {
        Err(format!("there is no migration from version {from} to {}", Self::VERSION))
    }

    /// (index name, value) under which [`crate::Store::find`] finds it.
    fn indexes(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// What is read from a record's rows: the record, or a part of it. What a part leaves out is passed over and not made,
/// which is most of the time that a list of long records takes.
pub trait View: DeserializeOwned {
    /// The record, of whose current format the view has some fields.
    type Of: Record;

    /// The view of a record that was migrated.
    fn of(record: Self::Of) -> std::result::Result<Self, String> {
        serde_json::to_value(record).and_then(serde_json::from_value).map_err(|e| e.to_string())
    }
}

impl<R: Record> View for R {
    type Of = R;

    fn of(record: R) -> std::result::Result<R, String> {
        Ok(record)
    }
}

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Row<R> {
    /// Its key.
    pub key: Key,
    /// The record.
    pub value: R,
    /// The store's sequence when it was created: lists order by it.
    pub created: u64,
    /// The store's sequence when it was last written: what [`crate::Batch::expect`] compares.
    pub version: u64,
}

/// The JSON of a value, within its limit.
pub(crate) fn encode(what: &str, value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string(value).map_err(|e| Error::Refused(format!("{what}: {e}")))?;
    if text.len() > limits::BODY {
        return Err(Error::Refused(format!("{what}: {} bytes exceed {}", text.len(), limits::BODY)));
    }
    Ok(text)
}

/// A stored body as a view of today's type.
pub(crate) fn decode<V: View>(key: &Key, format: u32, body: &str) -> Result<V> {
    let unreadable =
        |reason: String| Error::Unreadable { kind: V::Of::TABLE, key: format!("{key:?}"), reason };
    if format > V::Of::VERSION {
        let reason = format!("version {format} is newer than this Longshore's {}", V::Of::VERSION);
        return Err(unreadable(reason));
    }
    if format == V::Of::VERSION {
        return serde_json::from_str(body).map_err(|e| unreadable(e.to_string()));
    }
    let body = serde_json::from_str(body).map_err(|e| unreadable(e.to_string()))?;
    V::Of::migrate(format, body).and_then(V::of).map_err(unreadable)
}
