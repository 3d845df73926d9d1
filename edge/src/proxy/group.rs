//! A target group: which of its targets serves the next request.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use snapshot::{Algorithm, HealthCheck, HealthState, TargetGroup};

use super::target::{Lease, Target};
use crate::chance;

/// What of a group may change while it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How the next target is chosen.
    pub algorithm: Algorithm,
    /// How long a leaving target's requests may take.
    pub deregistration_delay: Duration,
    /// How targets are checked.
    pub health: HealthCheck,
}

impl Settings {
    /// Those of a snapshot's group.
    pub fn of(group: &TargetGroup) -> Self {
        Self {
            algorithm: group.algorithm,
            deregistration_delay: Duration::from_secs(group.deregistration_delay_s.into()),
            health: group.health.clone(),
        }
    }
}

/// A target group as the proxy sees it.
#[derive(Debug)]
pub struct Group {
    /// Its ARN.
    pub arn: String,
    /// Its settings.
    pub settings: ArcSwap<Settings>,
    /// All targets of the snapshot, the leaving ones too.
    pub targets: ArcSwap<Vec<Arc<Target>>>,
    eligible: ArcSwap<Vec<Arc<Target>>>,
    next: AtomicUsize,
}

impl Group {
    /// A group without targets.
    pub fn new(arn: &str, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            arn: arn.to_owned(),
            settings: ArcSwap::from_pointee(settings),
            targets: ArcSwap::default(),
            eligible: ArcSwap::default(),
            next: AtomicUsize::new(0),
        })
    }

    /// Recomputes who takes requests, after targets or their health changed.
    pub fn refresh(&self) {
        let targets = self.targets.load();
        let with = |state| {
            let staying = targets.iter().filter(|t| !t.leaving());
            staying.filter(move |t| t.checked().health.state == state).cloned().collect::<Vec<_>>()
        };
        let healthy = with(HealthState::Healthy);
        // Fail open: if all that are known are unhealthy, any of them is a better answer than none.
        let eligible = if healthy.is_empty() { with(HealthState::Unhealthy) } else { healthy };
        self.eligible.store(Arc::new(eligible));
    }

    /// The next target, leased, other than those that were tried; `None` when there is none.
    pub fn pick(&self, tried: &[Arc<Target>]) -> Option<Lease> {
        let eligible = self.eligible.load();
        let fresh = |t: &Arc<Target>| !tried.iter().any(|x| Arc::ptr_eq(x, t));
        let count = eligible.len();
        let start = match self.settings.load().algorithm {
            _ if count < 2 => 0,
            Algorithm::RoundRobin => self.next.fetch_add(1, Ordering::Relaxed),
            Algorithm::WeightedRandom => chance::below(count as u64) as usize,
            Algorithm::LeastOutstandingRequests => {
                let turn = self.next.fetch_add(1, Ordering::Relaxed);
                (turn..turn + count).min_by_key(|i| eligible[i % count].in_flight()).unwrap_or(0)
            }
        };
        let mut order = (0..count).map(|i| &eligible[start.wrapping_add(i) % count]);
        order.find_map(|target| if fresh(target) { target.lease() } else { None })
    }
}
