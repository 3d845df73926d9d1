//! The one writer: it takes every waiting batch, commits them together, and answers after the fsync.
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::apply::{apply, signed, unsigned};
use crate::wake::Wakes;
use crate::{Batch, Committed, Error, Result, limits, sql};

/// What is asked of the writer.
pub(crate) enum Ask {
    /// Commit a batch.
    Commit(Batch, oneshot::Sender<Result<Committed>>),
    /// Finish, close the connection, give up the data folder.
    Close(oneshot::Sender<()>),
}

/// A test's crash: how many more batches are committed before the writer stops; `u64::MAX`: never.
pub(crate) type Fuse = Arc<AtomicU64>;

/// What [`crate::Counts`] tells.
#[derive(Default)]
pub(crate) struct Counters {
    pub batches: AtomicU64,
    pub commits: AtomicU64,
}

pub(crate) struct Writer {
    pub db: SqliteConnection,
    pub asks: mpsc::Receiver<Ask>,
    pub wakes: Arc<Wakes>,
    pub fuse: Fuse,
    pub counts: Arc<Counters>,
    pub sequence: u64,
    /// Held for as long as the writer may write.
    pub lock: File,
}

type Waiting = (Batch, oneshot::Sender<Result<Committed>>);

impl Writer {
    /// Runs until it is closed or nobody can ask any more.
    pub(crate) async fn run(mut self) {
        let mut closing = None;
        while closing.is_none() {
            let Some(first) = self.asks.recv().await else { break };
            let mut group: Vec<Waiting> = Vec::new();
            let mut ask = Some(first);
            let patience = Instant::now() + limits::PATIENCE;
            while let Some(next) = ask {
                match next {
                    Ask::Commit(batch, answer) => group.push((batch, answer)),
                    Ask::Close(answer) => closing = Some(answer),
                }
                let room = self.room();
                ask = match group.len() >= room || closing.is_some() {
                    true => None,
                    false if group.iter().all(|(batch, _)| batch.patient) => {
                        timeout_at(patience, self.asks.recv()).await.ok().flatten()
                    }
                    false => self.asks.try_recv().ok(),
                };
            }
            self.commit(group).await;
        }
        let Self { db, lock, .. } = self;
        if let Err(error) = db.close().await {
            tracing::warn!(%error, "the database did not close cleanly");
        }
        drop(lock);
        if let Some(answer) = closing {
            let _ = answer.send(());
        }
    }

    /// An armed fuse counts batches, so each then has a transaction of its own.
    fn room(&self) -> usize {
        if self.fuse.load(Ordering::Acquire) == u64::MAX { limits::GROUP } else { 1 }
    }

    async fn commit(&mut self, group: Vec<Waiting>) {
        if group.is_empty() {
            return;
        }
        if self.fuse.load(Ordering::Acquire) == 0 {
            return answer_all(group, &Error::Closed);
        }
        match self.transaction(&group).await {
            Ok(results) => {
                if self.burn() {
                    // The crash came after the commit: it is durable, and nobody was told. Who waits is woken, whatever
                    // it was, to find the store closed.
                    self.wakes.wake_all();
                    return answer_all(group, &Error::Closed);
                }
                let done = group.iter().zip(&results).filter(|(_, result)| result.is_ok());
                self.wakes
                    .wake(done.flat_map(|((batch, _), _)| batch.ops.iter().filter_map(|op| op.touches())));
                for ((_, answer), result) in group.into_iter().zip(results) {
                    let _ = answer.send(result);
                }
            }
            Err(error) => {
                tracing::error!(%error, "a commit failed; nothing of it was kept");
                self.recover().await;
                answer_all(group, &error);
            }
        }
    }

    /// Counts a batch against the fuse; true when it has burnt down.
    fn burn(&self) -> bool {
        let left = self.fuse.load(Ordering::Acquire);
        if left != u64::MAX {
            self.fuse.store(left - 1, Ordering::Release);
        }
        left == 1
    }

    async fn transaction(&mut self, group: &[Waiting]) -> Result<Vec<Result<Committed>>> {
        self.execute(sql::BEGIN).await?;
        let mut results = Vec::with_capacity(group.len());
        for (batch, _) in group {
            // One that is alone needs no savepoint: the transaction is its own.
            results.push(self.attempt(batch, group.len() > 1).await?);
        }
        if results.iter().all(Result::is_err) {
            self.execute(sql::ROLLBACK).await?;
            return Ok(results);
        }
        sqlx::query(sql::SET_SEQUENCE).bind(signed(self.sequence)).execute(&mut self.db).await?;
        self.execute(sql::COMMIT).await?;
        let done = results.iter().filter(|result| result.is_ok()).count();
        self.counts.batches.fetch_add(done as u64, Ordering::Relaxed);
        self.counts.commits.fetch_add(1, Ordering::Relaxed);
        Ok(results)
    }

    /// The outer error fails the whole group: the database itself is in trouble.
    async fn attempt(&mut self, batch: &Batch, shared: bool) -> Result<Result<Committed>> {
        if shared {
            self.execute(sql::SAVEPOINT).await?;
        }
        let before = self.sequence;
        let applied = apply(&mut self.db, batch, &mut self.sequence).await;
        if let Err(error) = applied {
            if matches!(error, Error::Database(_)) {
                return Err(error);
            }
            self.sequence = before;
            if shared {
                self.execute(sql::UNDO).await?;
                self.execute(sql::RELEASE).await?;
            }
            return Ok(Err(error));
        }
        if shared {
            self.execute(sql::RELEASE).await?;
        }
        Ok(Ok(Committed { seq: self.sequence }))
    }

    async fn execute(&mut self, statement: &'static str) -> Result<()> {
        sqlx::query(statement).execute(&mut self.db).await?;
        Ok(())
    }

    async fn recover(&mut self) {
        // Fails when SQLite has rolled back by itself, which is as good.
        let _ = self.execute(sql::ROLLBACK).await;
        if let Ok(value) = sqlx::query_scalar::<_, i64>(sql::SEQUENCE).fetch_one(&mut self.db).await {
            self.sequence = unsigned(value);
        }
    }
}

fn answer_all(group: Vec<Waiting>, error: &Error) {
    for (_, answer) in group {
        let _ = answer.send(Err(error.clone()));
    }
}
