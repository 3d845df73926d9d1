//! The one writer: it takes every waiting batch, commits them together, and answers after the fsync.
//!
//! It is a thread with a connection of rusqlite's: a commit of fifty batches is hundreds of statements, and each would
//! cost two changes of threads, more than SQLite takes for it. Reads have connections of their own (`readers.rs`).
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::apply::{apply, checked_first, signed, unsigned};
use crate::batch::Op;
use crate::checkpoint::Checkpoints;
use crate::hold::Hold;
use crate::tail::{Published, Tails};
use crate::wake::Wakes;
use crate::{Batch, Committed, Error, Result, limits, sql};

/// What is asked of the writer.
pub(crate) enum Ask {
    /// Commit a batch.
    Commit(Waiting),
    /// Finish, close the connection, give up the data folder.
    Close(oneshot::Sender<()>),
}

/// A batch and who waits for it.
pub(crate) type Waiting = (Batch, oneshot::Sender<Result<Committed>>);

/// Batches that wait for others to go along with; in the end who waits asks for them.
#[derive(Default)]
pub(crate) struct Patient(Mutex<VecDeque<Waiting>>);

impl Patient {
    /// Takes it up; answers it if too many wait.
    pub(crate) fn add(&self, waiting: Waiting) -> Option<Waiting> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < limits::GROUP {
            all.push_back(waiting);
            return None;
        }
        Some(waiting)
    }

    /// The one that has waited longest.
    pub(crate) fn next(&self) -> Option<Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
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
    pub db: Connection,
    pub asks: mpsc::Receiver<Ask>,
    pub patient: Arc<Patient>,
    pub wakes: Arc<Wakes>,
    pub tails: Arc<Tails>,
    pub fuse: Fuse,
    pub counts: Arc<Counters>,
    pub sequence: u64,
    pub checkpoints: Checkpoints,
    /// For as long as the writer may write.
    pub hold: Hold,
}

impl Writer {
    /// Runs until it is closed or nobody can ask any more.
    pub(crate) fn run(mut self) {
        let mut closing = None;
        while closing.is_none() {
            let Some(first) = self.asks.blocking_recv() else { break };
            let mut group: Vec<Waiting> = Vec::new();
            let mut ask = Some(first);
            while let Some(next) = ask {
                match next {
                    Ask::Commit(waiting) => group.push(waiting),
                    Ask::Close(answer) => closing = Some(answer),
                }
                let full = group.len() >= limits::GROUP || closing.is_some();
                ask = if full { None } else { self.asks.try_recv().ok() };
            }
            group.splice(0..0, std::iter::from_fn(|| self.patient.next()));
            while !group.is_empty() {
                let rest = group.split_off(self.room().min(group.len()));
                self.commit(std::mem::replace(&mut group, rest));
                self.checkpoints.committed(&self.db);
            }
        }
        let Self { db, checkpoints, hold, .. } = self;
        checkpoints.stop();
        if let Err((_, error)) = db.close() {
            tracing::warn!(%error, "the database did not close cleanly");
        }
        drop(hold);
        if let Some(answer) = closing {
            let _ = answer.send(());
        }
    }

    /// An armed fuse counts batches, so each then has a transaction of its own.
    fn room(&self) -> usize {
        if self.fuse.load(Ordering::Acquire) == u64::MAX { 2 * limits::GROUP } else { 1 }
    }

    fn commit(&mut self, group: Vec<Waiting>) {
        if self.fuse.load(Ordering::Acquire) == 0 {
            return answer_all(group, &Error::Closed);
        }
        match self.transaction(&group) {
            Ok(results) => {
                if self.burn() {
                    // The crash came after the commit: it is durable, and nobody was told. Who waits is woken, whatever
                    // it was, to find the store closed.
                    self.wakes.wake_all();
                    return answer_all(group, &Error::Closed);
                }
                self.wakes.wake(done(&group, &results).filter_map(Op::touches));
                for ((_, answer), result) in group.into_iter().zip(results) {
                    let _ = answer.send(result);
                }
            }
            Err(error) => {
                tracing::error!(%error, "a commit failed; nothing of it was kept");
                self.recover();
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

    fn transaction(&mut self, group: &[Waiting]) -> Result<Vec<Result<Committed>>> {
        self.execute(sql::BEGIN)?;
        let (before, mut published) = (self.sequence, Vec::new());
        let mut results = Vec::with_capacity(group.len());
        for (batch, _) in group {
            results.push(self.attempt(batch, &mut published)?);
        }
        if results.iter().all(Result::is_err) {
            self.execute(sql::ROLLBACK)?;
            return Ok(results);
        }
        self.db.prepare_cached(sql::SET_SEQUENCE)?.execute([signed(self.sequence)])?;
        self.execute(sql::COMMIT)?;
        self.tails.committed(before, published, done(group, &results));
        let batches = results.iter().filter(|result| result.is_ok()).count();
        self.counts.batches.fetch_add(batches as u64, Ordering::Relaxed);
        self.counts.commits.fetch_add(1, Ordering::Relaxed);
        Ok(results)
    }

    /// The outer error fails the whole group: the database itself is in trouble.
    fn attempt(&mut self, batch: &Batch, published: &mut Vec<Published>) -> Result<Result<Committed>> {
        let first = checked_first(batch);
        if !first {
            self.execute(sql::SAVEPOINT)?;
        }
        let (before, heard) = (self.sequence, published.len());
        let applied = apply(&self.db, batch, first, &mut self.sequence, published);
        if let Err(error) = applied {
            if matches!(error, Error::Database(_)) {
                return Err(error);
            }
            self.sequence = before;
            published.truncate(heard);
            if !first {
                self.execute(sql::UNDO)?;
                self.execute(sql::RELEASE)?;
            }
            return Ok(Err(error));
        }
        if !first {
            self.execute(sql::RELEASE)?;
        }
        Ok(Ok(Committed { seq: self.sequence }))
    }

    fn execute(&self, statement: &'static str) -> Result<()> {
        self.db.prepare_cached(statement)?.execute([])?;
        Ok(())
    }

    fn recover(&mut self) {
        // Fails when SQLite has rolled back by itself, which is as good.
        let _ = self.execute(sql::ROLLBACK);
        if let Ok(value) = self.db.query_row(sql::SEQUENCE, [], |row| row.get(0)) {
            self.sequence = unsigned(value);
        }
    }
}

/// What was done of a group.
fn done<'a>(group: &'a [Waiting], results: &'a [Result<Committed>]) -> impl Iterator<Item = &'a Op> {
    let done = group.iter().zip(results).filter(|(_, result)| result.is_ok());
    done.flat_map(|((batch, _), _)| &batch.ops)
}

fn answer_all(group: Vec<Waiting>, error: &Error) {
    for (_, answer) in group {
        let _ = answer.send(Err(error.clone()));
    }
}
