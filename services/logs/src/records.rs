//! What is stored.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use store::{Key, Record};

use crate::limits;

/// A log group; key (account, region, name).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Ours, never reused: streams hang on it, so that a deleted group's are out of sight at once.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Milliseconds since 1970.
    pub created: i64,
    /// Days; none keeps events for ever.
    pub retention: Option<i32>,
    /// `STANDARD` or `INFREQUENT_ACCESS`.
    pub class: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Record for Group {
    const TABLE: &'static str = "logs.group";
}

impl Group {
    /// Events before this time (milliseconds) are gone.
    pub fn cutoff(&self, now: i64) -> i64 {
        self.retention.map_or(i64::MIN, |days| now - i64::from(days) * limits::DAY)
    }
}

/// A log stream; key (account, region, group id, name).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stream {
    /// Ours, never reused: chunks hang on it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Milliseconds since 1970.
    pub created: i64,
    /// Time of its earliest event.
    pub first: Option<i64>,
    /// Time of its latest event.
    pub last: Option<i64>,
    /// When events last came in.
    pub ingested: Option<i64>,
    /// Number of the next event.
    pub next: u64,
    /// Chunks that were put.
    pub chunks: u64,
    /// Bytes of all events that were put.
    pub bytes: u64,
}

impl Record for Stream {
    const TABLE: &'static str = "logs.stream";
}

impl Stream {
    /// Takes a chunk in; answers whether the stream's rows are now enough to be gathered.
    pub fn take(&mut self, chunk: &Chunk, now: i64) -> bool {
        self.first = Some(self.first.map_or(chunk.from, |first| first.min(chunk.from)));
        self.last = Some(self.last.map_or(chunk.to, |last| last.max(chunk.to)));
        self.ingested = Some(now);
        self.next += chunk.count;
        let before = (self.chunks / limits::HOT_CHUNKS, self.bytes / limits::HOT_BYTES);
        self.chunks += 1;
        self.bytes += chunk.bytes;
        before != (self.chunks / limits::HOT_CHUNKS, self.bytes / limits::HOT_BYTES)
    }
}

/// A stream whose rows are to be gathered; key (account, region, stream id). A row of its own, since a stream's row
/// belongs to those who put.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Due;

impl Record for Due {
    const TABLE: &'static str = "logs.due";
}

/// A run of a stream's events; key (account, region, stream id, number of the first).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Chunk {
    /// Time of the earliest.
    pub from: i64,
    /// Time of the latest.
    pub to: i64,
    /// How many.
    pub count: u64,
    /// Bytes of their messages.
    pub bytes: u64,
    /// Where they are.
    pub place: Place,
}

/// Where a chunk's events are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In a row of [`Lines`] with the chunk's key.
    Row,
    /// In a blob that holds the JSON of [`Lines`].
    Segment(String),
}

impl Record for Chunk {
    const TABLE: &'static str = "logs.chunk";
}

/// The events of a chunk, in the order they came.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Lines(pub Vec<Line>);

impl Record for Lines {
    const TABLE: &'static str = "logs.lines";
}

/// An event: time, ingestion time (milliseconds since 1970), message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line(pub i64, pub i64, pub String);

/// What a deletion left to remove; key (account, region, id).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Trash {
    /// All streams of a group's id.
    Group,
    /// All chunks of a stream's id.
    Stream,
}

impl Record for Trash {
    const TABLE: &'static str = "logs.trash";
}

/// The key of a chunk.
pub fn chunk_key(scope: &Key, stream: &str, first: u64) -> Key {
    scope.clone().text(stream).number(first)
}
