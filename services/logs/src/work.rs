//! Background work: gathering rows into segments, letting old events go, removing what deletions left.
use std::sync::Arc;
use std::time::Duration;

use ::work::{Next, Worker};
use blobs::Name;
use kernel::{Fault, Fut};
use store::{Batch, Key, Record, Row};
use tokio::sync::Notify;

use crate::error::Error;
use crate::records::{Chunk, Due, Group, Line, Lines, Place, Stream, Trash};
use crate::scan::number;
use crate::{AREA, Logs, limits};

/// Gathers a stream's rows into segments.
pub(crate) struct Compact(pub Arc<Logs>);
/// Lets go what is older than its group's retention.
pub(crate) struct Retain(pub Arc<Logs>);
/// Removes what hung on deleted groups and streams.
pub(crate) struct Purge(pub Arc<Logs>);

impl Worker for Compact {
    fn name(&self) -> String {
        "logs.compact".into()
    }
    fn wake(&self) -> Arc<Notify> {
        self.0.store.watch(&[Due::TABLE])
    }
    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async {
            let due = self.0.store.list_by_seq::<Due>(Key::all(), 0, limits::PASS).await;
            let due = due.map_err(Error::from)?;
            let mut failed = None;
            for row in &due {
                // One stream's trouble is not the others'.
                failed = self.0.compact(row).await.err().or(failed);
            }
            let next = if due.len() == limits::PASS { Next::Again } else { Next::Idle };
            failed.map_or(Ok(next), |error| Err(error.into()))
        })
    }
}

impl Worker for Retain {
    fn name(&self) -> String {
        "logs.retain".into()
    }
    fn wake(&self) -> Arc<Notify> {
        // Readers see nothing past its retention; freeing its space can wait for the interval.
        Arc::new(Notify::new())
    }
    fn interval(&self) -> Duration {
        Duration::from_secs(3600)
    }
    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async {
            let now = self.0.now();
            let mut failed = None;
            for group in self.0.store.all::<Group>(Key::all()).await.map_err(Error::from)? {
                failed = self.0.retire(&group, group.value.cutoff(now)).await.err().or(failed);
            }
            failed.map_or(Ok(Next::Idle), |error| Err(error.into()))
        })
    }
}

impl Worker for Purge {
    fn name(&self) -> String {
        "logs.purge".into()
    }
    fn wake(&self) -> Arc<Notify> {
        self.0.store.watch(&[Trash::TABLE])
    }
    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async {
            let trash = self.0.store.list_by_seq::<Trash>(Key::all(), 0, limits::PASS).await;
            let trash = trash.map_err(Error::from)?;
            let mut failed = None;
            for row in &trash {
                let purged = match row.value {
                    Trash::Group => self.0.purge_group(row).await,
                    Trash::Stream => self.0.purge_stream(row).await,
                };
                failed = purged.err().or(failed);
            }
            let next = if trash.is_empty() { Next::Idle } else { Next::Again };
            failed.map_or(Ok(next), |error| Err(error.into()))
        })
    }
}

fn scope_of(key: &Key) -> Key {
    Key::new(&key.account(), &key.region())
}

fn without(batch: Batch, chunk: &Row<Chunk>) -> Batch {
    batch.delete::<Chunk>(&chunk.key).delete::<Lines>(&chunk.key)
}

/// Only retention and deletion take rows from under the gathering: nobody needs what they took.
fn unless_changed(done: Result<(), Error>) -> Result<(), Error> {
    match done {
        Err(Error::Aborted) => Ok(()),
        done => done,
    }
}

impl Logs {
    /// Gathers the rows of a stream, segment by segment.
    async fn compact(&self, due: &Row<Due>) -> Result<(), Error> {
        let chunks = self.store.all::<Chunk>(&due.key).await?;
        let rows: Vec<Row<Chunk>> =
            chunks.into_iter().filter(|chunk| chunk.value.place == Place::Row).collect();
        let mut rest = &rows[..];
        while let Some(first) = rest.first() {
            let mut bytes = 0;
            let many = rest.iter().take_while(|chunk| {
                bytes += chunk.value.bytes;
                bytes <= limits::SEGMENT
            });
            let (gathered, after) = rest.split_at(many.count().max(1));
            unless_changed(self.gather(first, gathered).await)?;
            rest = after;
        }
        // Put anew meanwhile, it stays for the next pass.
        unless_changed(self.store.commit(Batch::new().remove(due)).await.map(drop).map_err(Error::from))
    }

    async fn gather(&self, first: &Row<Chunk>, rows: &[Row<Chunk>]) -> Result<(), Error> {
        let mut lines: Vec<Line> = Vec::new();
        for chunk in rows {
            let Some(more) = self.lines(chunk).await? else { return Err(Error::Aborted) };
            lines.extend(more.0);
        }
        let Some(mut chunk) = crate::ops::chunk(&lines) else { return Ok(()) };
        // Named by its first event: what a crash leaves here, the next try replaces.
        let name = Name::new(AREA, &format!("{}/{:020}", first.key.part(2), number(&first.key)))?;
        let bytes = serde_json::to_vec(&Lines(lines)).map_err(|e| blobs::Error::Storage(e.to_string()))?;
        let _naming = self.naming.lock().await;
        self.blobs.put(&name, bytes).await?;
        chunk.place = Place::Segment(name.to_string());
        let batch = rows.iter().fold(Batch::new(), |batch, row| without(batch.expect(row), row));
        let done = self.store.commit(batch.put(&first.key, &chunk)).await;
        if done.as_ref().is_err_and(store::Error::is_conflict) {
            self.blobs.delete(&name).await?;
        }
        Ok(done.map(drop)?)
    }

    /// Lets chunks go whose events are all older than the cutoff.
    async fn retire(&self, group: &Row<Group>, cutoff: i64) -> Result<(), Error> {
        let mut failed = None;
        for stream in self.store.all::<Stream>(scope_of(&group.key).text(&group.value.id)).await? {
            if stream.value.first.is_some_and(|first| first < cutoff) {
                failed = self.retire_stream(&stream.key, cutoff).await.err().or(failed);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Rows go before what they name, so that readers never miss it: what is left between is swept.
    async fn retire_stream(&self, stream: &Key, cutoff: i64) -> Result<(), Error> {
        let mut failed = None;
        for chunk in &self.store.update(|| self.retired(stream, cutoff)).await? {
            failed = self.drop_segment(chunk).await.err().or(failed);
        }
        failed.map_or(Ok(()), Err)
    }

    /// The batch that removes a stream's old chunks, and these.
    async fn retired(&self, stream: &Key, cutoff: i64) -> Result<(Batch, Vec<Row<Chunk>>), Error> {
        let Some(mut row) = self.store.get::<Stream>(stream).await? else { return Ok(Default::default()) };
        let chunks = self.store.all::<Chunk>(scope_of(stream).text(&row.value.id)).await?;
        let (old, kept): (Vec<_>, Vec<_>) = chunks.into_iter().partition(|chunk| chunk.value.to < cutoff);
        let stream = &mut row.value;
        stream.first = kept.iter().map(|chunk| chunk.value.from).min();
        let gone: u64 = old.iter().map(|chunk| chunk.value.bytes).sum();
        stream.bytes = stream.bytes.saturating_sub(gone);
        Ok((old.iter().fold(Batch::new().update(&row), without), old))
    }

    async fn purge_group(&self, trash: &Row<Trash>) -> Result<(), Error> {
        let scope = scope_of(&trash.key);
        let streams = self.store.list::<Stream>(&trash.key, None, limits::PASS).await?;
        let batch = streams.iter().fold(Batch::new(), |batch, stream| {
            batch.delete::<Stream>(&stream.key).put(&scope.clone().text(&stream.value.id), &Trash::Stream)
        });
        let batch = if streams.is_empty() { batch.delete::<Trash>(&trash.key) } else { batch };
        self.store.commit(batch).await?;
        Ok(())
    }

    async fn purge_stream(&self, trash: &Row<Trash>) -> Result<(), Error> {
        let chunks = self.store.list::<Chunk>(&trash.key, None, limits::PASS).await?;
        let batch = chunks.iter().fold(Batch::new(), without);
        let batch = match chunks.is_empty() {
            true => batch.delete::<Trash>(&trash.key).delete::<Due>(&trash.key),
            false => batch,
        };
        for chunk in &chunks {
            self.drop_segment(chunk).await?;
        }
        self.store.commit(batch).await?;
        Ok(())
    }

    async fn drop_segment(&self, chunk: &Row<Chunk>) -> Result<(), Error> {
        match &chunk.value.place {
            Place::Row => Ok(()),
            Place::Segment(name) => Ok(self.blobs.delete(&name.parse()?).await?),
        }
    }
}
