//! The control plane's handle on the edge.
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::{Balancing, Naming, Platform, Report, Snapshot};

/// Composes snapshots of what the services publish and hands on what the edge reports. In memory: the services'
/// records are the truth, and they publish again when the control plane starts.
#[derive(Debug)]
pub struct Hub {
    parts: Mutex<Parts>,
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    reports: watch::Sender<Option<Arc<Report>>>,
}

#[derive(Debug, Default)]
struct Parts {
    generation: u64,
    balancing: Option<Balancing>,
    naming: Option<Naming>,
    platform: Option<Platform>,
}

/// A publisher's part of the snapshot.
pub trait Part: PartialEq + Sized + private::Slot {}
impl<T: PartialEq + private::Slot> Part for T {}

mod private {
    /// Which of the parts it is; sealed, for the edge knows these three.
    pub trait Slot: Sized {
        #[allow(private_interfaces)]
        fn slot(parts: &mut super::Parts) -> &mut Option<Self>;
    }
}

impl private::Slot for Balancing {
    #[allow(private_interfaces)]
    fn slot(parts: &mut Parts) -> &mut Option<Self> {
        &mut parts.balancing
    }
}

impl private::Slot for Naming {
    #[allow(private_interfaces)]
    fn slot(parts: &mut Parts) -> &mut Option<Self> {
        &mut parts.naming
    }
}

impl private::Slot for Platform {
    #[allow(private_interfaces)]
    fn slot(parts: &mut Parts) -> &mut Option<Self> {
        &mut parts.platform
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            parts: Mutex::default(),
            snapshots: watch::Sender::new(None),
            reports: watch::Sender::new(None),
        }
    }
}

impl Hub {
    /// Nothing published yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Replaces a part. Answers the generation that carries it, or 0 while other parts are missing; the same part
    /// again makes no new generation.
    pub fn publish<P: Part>(&self, part: P) -> u64 {
        self.change(|parts| {
            let slot = P::slot(parts);
            let changed = slot.as_ref() != Some(&part);
            *slot = Some(part);
            changed
        })
    }

    /// Lets the next generation be newer than one that an edge already serves (from a control plane before this one).
    pub fn resume_after(&self, generation: u64) {
        self.change(|parts| {
            let behind = parts.generation <= generation;
            parts.generation = parts.generation.max(generation);
            behind
        });
    }

    /// The newest snapshot; `None` until every part is there.
    pub fn snapshots(&self) -> watch::Receiver<Option<Arc<Snapshot>>> {
        self.snapshots.subscribe()
    }

    /// The edge's last report; `None` until one arrived.
    pub fn reports(&self) -> watch::Receiver<Option<Arc<Report>>> {
        self.reports.subscribe()
    }

    /// Takes in what an edge reports: the link's to call.
    pub fn report(&self, report: Report) {
        self.reports.send_if_modified(|held| {
            let changed = held.as_deref() != Some(&report);
            if changed {
                *held = Some(Arc::new(report));
            }
            changed
        });
    }

    fn change(&self, change: impl FnOnce(&mut Parts) -> bool) -> u64 {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut parts);
        let Parts { balancing: Some(balancing), naming: Some(naming), platform: Some(platform), .. } =
            &*parts
        else {
            return 0;
        };
        if changed {
            let generation = parts.generation + 1;
            let snapshot = Snapshot {
                generation,
                balancing: balancing.clone(),
                naming: naming.clone(),
                platform: platform.clone(),
            };
            // Under the lock, so that generations arrive in order.
            self.snapshots.send_replace(Some(Arc::new(snapshot)));
            parts.generation = generation;
        }
        parts.generation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_whole_or_nothing_and_generations_grow() {
        let hub = Hub::default();
        let snapshots = hub.snapshots();
        let generation = || snapshots.borrow().as_ref().map(|s| s.generation);
        assert_eq!(hub.publish(Balancing::default()), 0);
        assert_eq!(hub.publish(Naming::default()), 0);
        assert_eq!(generation(), None, "the platform's part is missing");
        assert_eq!(hub.publish(Platform::default()), 1);
        assert_eq!(hub.publish(Naming::default()), 1, "the same again is no news");
        assert_eq!(generation(), Some(1));
        hub.resume_after(40);
        assert_eq!(generation(), Some(41), "an edge ahead of us is overtaken");
        hub.resume_after(40);
        assert_eq!(generation(), Some(41), "and only once");
        let served = crate::Served { name: "sts.amazonaws.com".into(), addresses: vec![] };
        assert_eq!(hub.publish(Platform { served: vec![served], ..Platform::default() }), 42);
    }
}
