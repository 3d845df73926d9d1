//! Carries the write-ahead log over to the database, beside the writer.
//!
//! A checkpoint writes and syncs thousands of pages; SQLite's own comes with a commit, and whoever's it is waits for
//! it. Here a thread with a connection of its own does it while commits go on. The log begins anew only once all of it
//! was carried over, which commits that never rest would put off for ever: when it is long, the writer itself carries
//! over what came in meanwhile, a few pages.
use std::cell::Cell;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::{limits, sql};

thread_local! {
    /// Pages in the log after this thread's last commit: SQLite tells a function, not a closure.
    static LOGGED: Cell<u32> = const { Cell::new(0) };
}

/// The writer's side.
pub(crate) struct Checkpoints {
    ask: SyncSender<()>,
    done: Receiver<()>,
    thread: JoinHandle<()>,
    /// The thread was asked and has not answered.
    busy: bool,
    /// Pages in the log when it was last asked.
    asked: u32,
    /// The log was long then: what the thread leaves is for the writer.
    long: bool,
}

impl Checkpoints {
    /// Starts the thread for a database.
    pub(crate) fn start(file: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let db = Connection::open(file)?;
        db.busy_timeout(limits::BUSY)?;
        db.pragma_update(None, "synchronous", "FULL")?;
        // One question at a time: nobody waits for a place.
        let ((ask, asks), (tell, done)) = (sync_channel(1), sync_channel(1));
        let thread = std::thread::Builder::new().name("checkpoint".into());
        let thread = thread.spawn(move || run(&db, &asks, &tell))?;
        Ok(Self { ask, done, thread, busy: false, asked: 0, long: false })
    }

    /// Takes the place of SQLite's own on the connection of the thread that commits.
    pub(crate) fn replace(db: &Connection) {
        db.wal_hook(Some(|_, pages| {
            LOGGED.set(u32::try_from(pages).unwrap_or(0));
            Ok(())
        }));
    }

    /// To be called after a commit, when who waits for it has been answered.
    pub(crate) fn committed(&mut self, db: &Connection) {
        let logged = LOGGED.get();
        if self.still_busy(logged >= limits::LOG_MOST) {
            return;
        }
        if std::mem::take(&mut self.long) {
            return carry_over(db);
        }
        if logged < self.asked {
            // It has begun anew.
            self.asked = 0;
        }
        if logged - self.asked >= limits::CHECKPOINT {
            (self.busy, self.asked, self.long) = (true, logged, logged >= limits::LOG);
            // It is gone only after a panic, which was told.
            let _ = self.ask.try_send(());
        }
    }

    /// Whether the thread is at work; with `wait`, until it is not: the disk is slower than what is committed.
    fn still_busy(&mut self, wait: bool) -> bool {
        if self.busy && wait {
            let _ = self.done.recv();
            self.busy = false;
        }
        self.busy = self.busy && self.done.try_recv() == Err(TryRecvError::Empty);
        self.busy
    }

    /// Ends the thread. The rest of the log is carried over when the database is closed.
    pub(crate) fn stop(self) {
        drop(self.ask);
        let _ = self.thread.join();
    }
}

fn run(db: &Connection, asks: &Receiver<()>, tell: &SyncSender<()>) {
    while asks.recv().is_ok() {
        carry_over(db);
        let _ = tell.try_send(());
    }
}

/// Carries over all that no reader still needs in the log; what it leaves, the next one takes.
fn carry_over(db: &Connection) {
    if let Err(error) = db.prepare_cached(sql::CHECKPOINT).and_then(|mut run| run.query_row([], |_| Ok(()))) {
        tracing::warn!(%error, "the log of the state could not be carried over to the database");
    }
}
