//! Jobs that nobody was offered yet. None of them is stored: each follows from a run that is outstanding, and a restart
//! opens it again with that run. The first offer stores it.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use store::{Key, Row};
use tokio::sync::Notify;

use super::row::offer;
use super::{JobRow, Standing};
use crate::desk::Desk;

/// Where a job is looked for: the account and Region, and what [`offer`] makes of its type and its queryable value.
type Shelf = (Key, String);

/// See the module.
#[derive(Default)]
pub struct Openings {
    /// In the order in which they were opened.
    jobs: Mutex<HashMap<Shelf, Vec<(Key, JobRow)>>>,
    wake: Arc<Notify>,
}

impl Openings {
    /// Offers a job until it is stored, or what this answers is dropped: its run has ended.
    pub fn open(&self, key: Key, job: JobRow) -> Opening<'_> {
        if let Some(work) = &job.work {
            let shelf = (home(&key), offer(&work.kind, work.query.as_deref()));
            self.with(|jobs| jobs.entry(shelf).or_default().push((key.clone(), job)));
            self.wake.notify_one();
        }
        Opening { of: self, key }
    }

    /// Woken when there is one more. For one waiter.
    #[cfg(any(test, feature = "bench"))]
    pub fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    /// The oldest of a shelf, at most `most`.
    pub(super) fn on(&self, home: &Key, index: &str, most: usize) -> Vec<Row<JobRow>> {
        let shelf = (home.clone(), index.to_owned());
        let first = |jobs: &[(Key, JobRow)]| jobs.iter().take(most).cloned().map(unstored).collect();
        self.with(|jobs| jobs.get(&shelf).map(|jobs| first(jobs)).unwrap_or_default())
    }

    pub(super) fn get(&self, key: &Key) -> Option<Row<JobRow>> {
        self.with(|jobs| jobs.values().flatten().find(|(of, _)| of == key).cloned().map(unstored))
    }

    /// It is stored now, or over.
    pub(super) fn close(&self, key: &Key) {
        self.with(|jobs| {
            jobs.retain(|_, shelf| {
                shelf.retain(|(of, _)| of != key);
                !shelf.is_empty()
            });
        });
    }

    fn with<T>(&self, what: impl FnOnce(&mut HashMap<Shelf, Vec<(Key, JobRow)>>) -> T) -> T {
        what(&mut self.jobs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn home(key: &Key) -> Key {
    Key::new(&key.account(), &key.region())
}

/// A row that the store does not have: [`stored`] tells.
fn unstored((key, value): (Key, JobRow)) -> Row<JobRow> {
    Row { key, value, created: 0, version: 0 }
}

/// A job, stored or not yet.
pub(super) async fn job(desk: &Desk, key: &Key) -> store::Result<Option<Row<JobRow>>> {
    // In this order: it is stored before it is no longer open.
    match desk.openings.get(key) {
        Some(open) => Ok(Some(open)),
        None => desk.store.get(key).await,
    }
}

/// How the job of a run stands: AWS's status, and what is waited for. Nothing where the run has none.
pub async fn stands(desk: &Desk, key: &Key) -> store::Result<Option<(String, String)>> {
    let Some(row) = job(desk, key).await? else { return Ok(None) };
    if !stored(&row) {
        return Ok(Some(("Created".into(), "no worker has polled for its job yet".into())));
    }
    let over = matches!(row.value.standing, Standing::Ended(_));
    let now = desk.now().as_millisecond();
    Ok((!over).then(|| (row.value.status().to_owned(), row.value.waits(now))))
}

/// Whether the store has a row.
pub(super) fn stored(row: &Row<JobRow>) -> bool {
    row.version > 0
}

/// A job that is open as long as this is kept.
pub struct Opening<'a> {
    of: &'a Openings,
    key: Key,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.of.close(&self.key);
    }
}
