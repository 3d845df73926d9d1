//! Reading events by time, over chunks that may overlap.
use std::collections::VecDeque;

use blobs::Name;
use serde::{Deserialize, Serialize};
use store::{Key, Row};

use crate::error::Error;
use crate::records::{Chunk, Line, Lines, Place, Stream};
use crate::{Logs, limits};

/// A place in the order of events: time, stream, number within the stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Position(pub i64, pub String, pub u64);

impl Position {
    /// Before all events of this time.
    pub(crate) fn at(time: i64) -> Self {
        Self(time, String::new(), 0)
    }

    /// Right behind this one.
    pub(crate) fn after(&self) -> Self {
        Self(self.0, self.1.clone(), self.2 + 1)
    }
}

/// An event that was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub position: Position,
    /// The stream's own id.
    pub stream: String,
    pub ingested: i64,
    pub message: String,
}

/// What to look for.
pub(crate) struct Scan<'a> {
    pub scope: Key,
    pub streams: Vec<Row<Stream>>,
    /// Inclusive.
    pub lower: Position,
    /// Exclusive.
    pub upper: Position,
    /// Latest first.
    pub backward: bool,
    pub limit: usize,
    pub keep: &'a (dyn Fn(&str) -> bool + Sync),
}

/// What was found, in the scan's direction.
pub(crate) struct Page {
    pub found: Vec<Found>,
    /// Where to go on: the new lower bound (forward), or upper bound (backward). None: nothing is left.
    pub rest: Option<Position>,
}

/// A chunk that may hold what is looked for.
struct Candidate<'a> {
    chunk: Row<Chunk>,
    first: u64,
    stream: &'a Stream,
}

impl Logs {
    /// Finds what the scan looks for. What is gathered into a segment while it is read is read again.
    pub(crate) async fn scan(&self, scan: Scan<'_>) -> Result<Page, Error> {
        for _ in 0..limits::RESCANS {
            if let Some(page) = self.scan_once(&scan).await? {
                return Ok(page);
            }
        }
        Err(Error::Aborted)
    }

    async fn scan_once(&self, scan: &Scan<'_>) -> Result<Option<Page>, Error> {
        let mut chunks: VecDeque<Candidate<'_>> = self.candidates(scan).await?.into();
        let (mut waiting, mut found) = (Vec::new(), Vec::new());
        let (mut bytes, mut scanned) = (0, 0);
        while let Some(candidate) = chunks.pop_front() {
            scanned += candidate.chunk.value.bytes;
            let Some(wanted) = self.wanted(scan, &candidate).await? else { return Ok(None) };
            waiting.extend(wanted);
            // What later chunks cannot come before is ripe.
            let horizon = chunks.front().map(|next| &next.chunk.value);
            waiting.sort_by(|a: &Found, b: &Found| order(scan, &a.position, &b.position));
            let ripe = waiting.iter().take_while(|event| match horizon {
                None => true,
                Some(next) if scan.backward => event.position.0 > next.to,
                Some(next) => event.position.0 < next.from,
            });
            let ripe = ripe.count();
            for event in waiting.drain(..ripe) {
                let full = bytes + event.message.len() > limits::PAGE_BYTES && !found.is_empty();
                if found.len() == scan.limit || full {
                    let rest = found.last().map(|last: &Found| beyond(scan, &last.position));
                    return Ok(Some(Page { found, rest }));
                }
                bytes += event.message.len();
                found.push(event);
            }
            let rest = horizon.and_then(|next| progress(scan, next)).filter(|_| scanned > limits::SCAN_BYTES);
            if rest.is_some() {
                return Ok(Some(Page { found, rest }));
            }
        }
        Ok(Some(Page { found, rest: None }))
    }

    /// Chunks that overlap the bounds, in the order they are needed.
    async fn candidates<'a>(&self, scan: &'a Scan<'_>) -> Result<Vec<Candidate<'a>>, Error> {
        let (lower, upper) = (scan.lower.0, scan.upper.0);
        let mut candidates = Vec::new();
        for row in &scan.streams {
            let stream = &row.value;
            let overlaps = stream.last.is_some_and(|last| last >= lower)
                && stream.first.is_some_and(|first| first <= upper);
            if !overlaps {
                continue;
            }
            let chunks = self.store.all::<Chunk>(scan.scope.clone().text(&stream.id)).await?;
            let within = chunks.into_iter().filter(|row| row.value.to >= lower && row.value.from <= upper);
            candidates.extend(within.map(|chunk| Candidate { first: number(&chunk.key), chunk, stream }));
        }
        if scan.backward {
            candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.chunk.value.to));
        } else {
            candidates.sort_by_key(|candidate| candidate.chunk.value.from);
        }
        Ok(candidates)
    }

    /// The chunk's events that are looked for; none when it is no longer where its row said.
    async fn wanted(&self, scan: &Scan<'_>, candidate: &Candidate<'_>) -> Result<Option<Vec<Found>>, Error> {
        let Some(lines) = self.lines(&candidate.chunk).await? else { return Ok(None) };
        let events = (candidate.first..).zip(lines.0).map(|(number, Line(at, ingested, message))| Found {
            position: Position(at, candidate.stream.name.clone(), number),
            stream: candidate.stream.id.clone(),
            ingested,
            message,
        });
        let within = |event: &Found| event.position >= scan.lower && event.position < scan.upper;
        Ok(Some(events.filter(|event| within(event) && (scan.keep)(&event.message)).collect()))
    }

    /// A chunk's lines; none when it was removed, or gathered into a segment, since its row was read.
    pub(crate) async fn lines(&self, chunk: &Row<Chunk>) -> Result<Option<Lines>, Error> {
        match &chunk.value.place {
            Place::Row => Ok(self.store.get::<Lines>(&chunk.key).await?.map(|row| row.value)),
            Place::Segment(name) => {
                let name: Name = name.parse()?;
                let bytes = match self.blobs.get(&name, limits::SEGMENT_READ).await {
                    Err(blobs::Error::NotFound(_)) => return Ok(None),
                    read => read?,
                };
                let lines = serde_json::from_slice(&bytes)
                    .map_err(|e| blobs::Error::Storage(format!("segment {name} is damaged: {e}")))?;
                Ok(Some(lines))
            }
        }
    }
}

fn order(scan: &Scan<'_>, a: &Position, b: &Position) -> std::cmp::Ordering {
    if scan.backward { b.cmp(a) } else { a.cmp(b) }
}

/// Where a scan that has looked through enough goes on: at the next chunk, unless that is where it began.
fn progress(scan: &Scan<'_>, next: &Chunk) -> Option<Position> {
    if scan.backward {
        Some(Position::at(next.to.saturating_add(1))).filter(|rest| *rest < scan.upper)
    } else {
        Some(Position::at(next.from)).filter(|rest| *rest > scan.lower)
    }
}

fn beyond(scan: &Scan<'_>, last: &Position) -> Position {
    if scan.backward { last.clone() } else { last.after() }
}

/// The number of a chunk's first event: the last part of its key.
pub(crate) fn number(key: &Key) -> u64 {
    match key.parts().pop() {
        Some(store::Part::Number(number)) => number,
        _ => 0,
    }
}
