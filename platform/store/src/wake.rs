//! Wakes: who waits for a table, stream, topic or timer kind hears of each commit that touched it.
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;

#[derive(Default)]
pub(crate) struct Wakes(Mutex<HashMap<&'static str, Vec<Weak<Notify>>>>);

impl Wakes {
    pub(crate) fn watch(&self, names: &[&'static str]) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            let list = waiting.entry(name).or_default();
            list.retain(|weak| weak.strong_count() > 0);
            list.push(Arc::downgrade(&notify));
        }
        notify
    }

    pub(crate) fn wake(&self, touched: impl Iterator<Item = &'static str>) {
        let touched: BTreeSet<&str> = touched.collect();
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for name in touched {
            for notify in waiting.get(name).into_iter().flatten().filter_map(Weak::upgrade) {
                notify.notify_one();
            }
        }
    }

    /// Wakes everyone: there will be no further commit.
    pub(crate) fn wake_all(&self) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.values().flatten().filter_map(Weak::upgrade).for_each(|notify| notify.notify_one());
    }
}
