//! The store itself: opening, committing, closing.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, mpsc, oneshot};

use crate::apply::unsigned;
use crate::checkpoint::Checkpoints;
use crate::hold::{Hold, open_private, unusable};
use crate::migrate::migrate;
use crate::readers::Readers;
use crate::tail::Tails;
use crate::wake::Wakes;
use crate::writer::{Ask, Counters, Fuse, Patient, Writer};
use crate::{Batch, Committed, Error, Result, limits, sql};

/// How to open a store.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// For crash tests: after this many commits the store stops as if the process had been killed: the last of
    /// them is durable but its committer hears [`Error::Closed`], and so does every later commit and read.
    pub stop_after: Option<u64>,
}

/// See [`Store::counts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Batches that were done.
    pub batches: u64,
    /// Transactions that they shared, each with an fsync.
    pub commits: u64,
}

/// The state of one data folder. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    asks: mpsc::Sender<Ask>,
    patient: Arc<Patient>,
    readers: Readers,
    tails: Arc<Tails>,
    wakes: Arc<Wakes>,
    fuse: Fuse,
    counts: Arc<Counters>,
}

impl Store {
    /// Opens the state in a data folder, making both if need be. Errors: [`Error::Held`] if another process has it,
    /// [`Error::Folder`], [`Error::Schema`] if a newer Longshore wrote it.
    pub async fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(dir, Options::default()).await
    }

    /// Opens with options.
    pub async fn open_with(dir: impl AsRef<Path>, options: Options) -> Result<Self> {
        let dir = dir.as_ref().to_owned();
        let hold = Hold::take(&dir).await?;
        let file = dir.join("state.db");
        open_private(&file)?;
        let failed = |reason: String| Error::Folder { path: file.clone(), reason };
        let mut db = writing(&file).map_err(|e| failed(e.to_string()))?;
        migrate(&mut db)?;
        let checkpoints = Checkpoints::start(&file).map_err(|e| failed(e.to_string()))?;
        let sequence: i64 = db.query_row(sql::SEQUENCE, [], |row| row.get(0))?;
        let readers = Readers::open(&file).map_err(|e| failed(e.to_string()))?;

        let (sender, asks) = mpsc::channel(limits::QUEUE);
        let (wakes, patient, tails) =
            (Arc::<Wakes>::default(), Arc::<Patient>::default(), Arc::<Tails>::default());
        let fuse: Fuse = Arc::new(AtomicU64::new(options.stop_after.unwrap_or(u64::MAX)));
        let counts = Arc::<Counters>::default();
        let writer = Writer {
            db,
            asks,
            patient: patient.clone(),
            wakes: wakes.clone(),
            tails: tails.clone(),
            fuse: fuse.clone(),
            counts: counts.clone(),
            sequence: unsigned(sequence),
            checkpoints,
            hold,
        };
        std::thread::Builder::new()
            .name("store".into())
            .spawn(|| writer.run())
            .map_err(|e| unusable(&dir, &e))?;
        Ok(Self(Arc::new(Inner { dir, asks: sender, patient, readers, tails, wakes, fuse, counts })))
    }

    /// What the writer has done since the store was opened.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts { batches: read(&self.0.counts.batches), commits: read(&self.0.counts.commits) }
    }

    /// The data folder.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Does the batch, whole or not at all; it is on disk when this returns. An empty batch with expectations
    /// checks them. Errors: [`Error::Conflict`], [`Error::Refused`], [`Error::Closed`], [`Error::Database`].
    pub async fn commit(&self, batch: Batch) -> Result<Committed> {
        if let Some(error) = batch.refused {
            return Err(error);
        }
        let (answer, mut result) = oneshot::channel();
        let waiting = if batch.patient { self.0.patient.add((batch, answer)) } else { Some((batch, answer)) };
        match waiting {
            Some(waiting) => self.0.asks.send(Ask::Commit(waiting)).await.map_err(|_| Error::Closed)?,
            None => {
                if let Ok(result) = tokio::time::timeout(limits::PATIENCE, &mut result).await {
                    return result.map_err(|_| Error::Closed)?;
                }
                self.hurry().await?;
            }
        }
        result.await.map_err(|_| Error::Closed)?
    }

    /// Nobody came along: those who were patient are asked for by one of them.
    async fn hurry(&self) -> Result<()> {
        loop {
            let place = self.0.asks.reserve().await.map_err(|_| Error::Closed)?;
            let Some(waiting) = self.0.patient.next() else { return Ok(()) };
            place.send(Ask::Commit(waiting));
        }
    }

    /// Reads, decides and commits; on a conflict again, a bounded number of times. `decide` reads what it needs and
    /// answers the batch with what to return once it is committed.
    pub async fn update<T, E, D, F>(&self, decide: D) -> std::result::Result<T, E>
    where
        D: Fn() -> F,
        F: Future<Output = std::result::Result<(Batch, T), E>>,
        E: From<Error>,
    {
        let mut tries: u32 = 1;
        loop {
            let (batch, value) = decide().await?;
            match self.commit(batch).await {
                Ok(_) => return Ok(value),
                Err(error) if error.is_conflict() && tries < limits::TRIES => {
                    // Two that read and commit in step would meet again and again.
                    tokio::time::sleep(limits::TRY_DELAY * (tries - 1)).await;
                    tries += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A wake for one waiter: notified after each commit that touched one of these tables, streams
    /// ([`crate::Record::TABLE`]), topics or timer kinds. A wake that comes while nobody waits is kept.
    pub fn watch(&self, names: &[&'static str]) -> Arc<Notify> {
        self.0.wakes.watch(names)
    }

    /// Waits for what is queued, closes the files and gives the folder up. Other clones answer [`Error::Closed`].
    pub async fn close(&self) {
        let (answer, closed) = oneshot::channel();
        if self.0.asks.send(Ask::Close(answer)).await.is_ok() {
            let _ = closed.await;
        }
        self.0.readers.close();
        self.0.tails.clear();
    }

    pub(crate) fn readers(&self) -> Result<&Readers> {
        self.alive().map(|inner| &inner.readers)
    }

    pub(crate) fn tails(&self) -> Result<&Tails> {
        self.alive().map(|inner| &*inner.tails)
    }

    /// Unless a test's crash has come.
    fn alive(&self) -> Result<&Inner> {
        if self.0.fuse.load(Ordering::Acquire) == 0 { Err(Error::Closed) } else { Ok(&self.0) }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.0.dir.display())
    }
}

/// The writer's connection. FULL: a commit is on disk when it answers.
fn writing(file: &Path) -> rusqlite::Result<rusqlite::Connection> {
    let db = rusqlite::Connection::open(file)?;
    db.busy_timeout(limits::BUSY)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    // What a batch would have to be undone by is kept in memory, not in a file beside the database.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    // Negative: kibibytes. What does not fit is written before the commit, and again in it.
    db.pragma_update(None, "cache_size", -limits::CACHE)?;
    Checkpoints::replace(&db);
    db.set_prepared_statement_cache_capacity(limits::STATEMENTS);
    Ok(db)
}
