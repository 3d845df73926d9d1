//! Connections that read.
//!
//! A read is one statement, of a few pages that mostly are in memory. It is done where it is asked for: handing it to
//! another thread and waiting for the answer takes several times as long as SQLite does.
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags, Params, Row};

use crate::{Error, Result, Store, limits};

/// The connections that nobody reads with at the moment.
pub(crate) struct Readers {
    file: PathBuf,
    /// None: closed.
    idle: Mutex<Option<Vec<Connection>>>,
}

impl Readers {
    /// For a database that is there. Opens one connection, to see that it can.
    pub(crate) fn open(file: &Path) -> rusqlite::Result<Self> {
        let first = reading(file)?;
        Ok(Self { file: file.to_owned(), idle: Mutex::new(Some(vec![first])) })
    }

    /// Who reads meanwhile ends its read; later ones are refused.
    pub(crate) fn close(&self) {
        self.idle().take();
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Option<Vec<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that no other reads with: there are as many as threads read at once, and some are kept.
    fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let kept = self.idle().as_mut().ok_or(Error::Closed)?.pop();
        let db = kept.map_or_else(|| reading(&self.file), Ok)?;
        let found = read(&db);
        if let Some(idle) = self.idle().as_mut().filter(|idle| idle.len() < limits::READERS) {
            idle.push(db);
        }
        found
    }
}

fn reading(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags)?;
    db.busy_timeout(limits::BUSY)?;
    db.set_prepared_statement_cache_capacity(limits::STATEMENTS);
    Ok(db)
}

/// A column as it lies in the database: a body is read as its type without a copy of its text.
pub(crate) fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str> {
    Ok(row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?)
}

impl Store {
    /// The one row of a statement, if there is one.
    pub(crate) async fn one<T>(
        &self,
        statement: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.many(statement, params, read).await?.pop())
    }

    /// The rows of a statement.
    pub(crate) async fn many<T>(
        &self,
        statement: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        // Nothing here waits: a task that reads on and on lets others on now and then.
        tokio::task::coop::consume_budget().await;
        let found = self.readers()?.with(|db| {
            let mut statement = db.prepare_cached(statement)?;
            let mut rows = statement.query(params)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read(row)?);
            }
            Ok(found)
        })?;
        if found.len() >= limits::SHORT {
            tokio::task::yield_now().await;
        }
        Ok(found)
    }
}
