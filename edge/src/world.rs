//! What the edge serves now, and how a snapshot becomes that.
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use snapshot::{Refusal, Report, Snapshot, TargetGroup, TargetId, TargetReport, TargetState};
use tokio::sync::Notify;

use crate::dns::Dns;
use crate::health::{self, Checked};
use crate::listeners::{Listeners, Task};
use crate::plan::{Current, Plan};
use crate::proxy::group::{Group, Settings};
use crate::proxy::target::Target;
use crate::workers::Workers;

/// What is kept of health on disk.
pub type Remembered = Vec<(TargetId, Checked)>;

/// What serves.
pub struct World {
    applied: Option<Arc<Snapshot>>,
    kept: u64,
    refused: Option<Refusal>,
    current: Current,
    watches: HashMap<TargetId, Task>,
    remembered: HashMap<TargetId, Checked>,
    listeners: Listeners,
    workers: Arc<Workers>,
    dns: Arc<Dns>,
    changed: Arc<Notify>,
}

impl World {
    /// Nothing yet. `changed` is told whenever [`World::report`] would say something new.
    pub fn new(workers: Arc<Workers>, dns: Arc<Dns>, remembered: Remembered, changed: Arc<Notify>) -> Self {
        Self {
            applied: None,
            kept: 0,
            refused: None,
            current: Current::default(),
            watches: HashMap::new(),
            remembered: remembered.into_iter().collect(),
            listeners: Listeners::default(),
            workers,
            dns,
            changed,
        }
    }

    /// Serves a snapshot from now on, or refuses it whole and says why. An address that cannot be listened on is no
    /// reason: it is reported. Answers whether there is something new to keep.
    pub fn apply(&mut self, snapshot: Arc<Snapshot>) -> Result<bool, String> {
        if self.applied.as_deref() == Some(&*snapshot) {
            return Ok(false);
        }
        let generation = snapshot.generation;
        let result = self.try_apply(snapshot);
        self.refused = result.as_ref().err().map(|reason| Refusal { generation, reason: reason.clone() });
        self.changed.notify_one();
        result.map(|()| true)
    }

    fn try_apply(&mut self, snapshot: Arc<Snapshot>) -> Result<(), String> {
        if let Some(applied) = &self.applied
            && applied.generation >= snapshot.generation
        {
            return Err(format!("it is older than what is served, generation {}", applied.generation));
        }
        let plan = Plan::of(&snapshot, &self.current)?;
        // Nothing fails from here on. Targets first, so that new routes find them.
        for group in &snapshot.balancing.target_groups {
            if let Some(compiled) = plan.groups.get(&group.arn) {
                self.targets(compiled, group);
            }
        }
        for (arn, gone) in self.current.groups.iter().filter(|(arn, _)| !plan.groups.contains_key(*arn)) {
            tracing::debug!(arn, "a target group left");
            let delay = gone.settings.load().deregistration_delay;
            for target in gone.targets.load().iter() {
                self.watches.remove(&target.id);
                target.leave(delay);
            }
        }
        let mut fronts = HashMap::new();
        for (arn, (front, routes)) in plan.fronts {
            if let Some(routes) = routes {
                front.routes.store(Arc::new(routes));
            }
            fronts.insert(arn, front);
        }
        self.dns.view.store(Arc::new(plan.view));
        self.listeners.serve(plan.wanted, &self.workers, &self.dns);
        self.current = Current { groups: plan.groups, fronts, counters: plan.counters };
        tracing::info!(generation = snapshot.generation, "applied a snapshot");
        self.applied = Some(snapshot);
        Ok(())
    }

    fn targets(&mut self, group: &Arc<Group>, wanted: &TargetGroup) {
        let settings = Settings::of(wanted);
        let checks_changed = group.settings.load().health != settings.health;
        let delay = settings.deregistration_delay;
        group.settings.store(Arc::new(settings));
        let old = group.targets.load_full();
        let mut held: BTreeMap<(IpAddr, u16), Arc<Target>> =
            old.iter().map(|target| ((target.id.ip, target.id.port), target.clone())).collect();
        let mut targets = Vec::with_capacity(wanted.targets.len());
        for want in &wanted.targets {
            let id = TargetId { group: group.arn.clone(), ip: want.ip, port: want.port };
            let held = held.remove(&(want.ip, want.port));
            let new = |checked| {
                let (workers, changed) = (self.workers.count(), self.changed.clone());
                Target::new(id.clone(), wanted.protocol, want.admitted, checked, workers, changed)
            };
            match want.state {
                TargetState::Registered => {
                    let staying = held.filter(|target| !target.leaving());
                    let target =
                        staying.unwrap_or_else(|| new(self.remembered.remove(&id).unwrap_or_default()));
                    target.admit(want.admitted);
                    if checks_changed {
                        target.wake.notify_one();
                    }
                    self.watches.entry(id).or_insert_with(|| {
                        let watch = health::watch(group.clone(), target.clone(), self.changed.clone());
                        Task(tokio::spawn(watch))
                    });
                    targets.push(target);
                }
                TargetState::Draining { since_ms } => {
                    self.watches.remove(&id);
                    let target = held.unwrap_or_else(|| new(Checked::default()));
                    target.leave(delay.saturating_sub(since(since_ms)));
                    targets.push(target);
                }
            }
        }
        for (_, gone) in held {
            self.watches.remove(&gone.id);
            gone.leave(delay);
        }
        group.targets.store(Arc::new(targets));
        group.refresh();
    }

    /// Tries again to listen where it could not: nothing tells us that another program has gone.
    pub fn retry(&mut self) {
        if self.listeners.retry(&self.workers, &self.dns) {
            self.changed.notify_one();
        }
    }

    /// The generation is on disk: from now on it is reported, because an edge that dies comes back with it.
    pub fn kept(&mut self, generation: u64) {
        self.kept = self.kept.max(generation);
        self.changed.notify_one();
    }

    /// Listens no more; open connections end after what they are doing.
    pub fn end(&mut self) {
        self.watches.clear();
        self.listeners = Listeners::default();
    }

    /// A snapshot that could not even be read.
    pub fn unreadable(&mut self, reason: String) {
        self.refused = Some(Refusal { generation: 0, reason });
        self.changed.notify_one();
    }

    /// The edge's levels.
    pub fn report(&self) -> Report {
        let groups = self.current.groups.values();
        let targets = groups.flat_map(|group| group.targets.load().iter().map(of).collect::<Vec<_>>());
        let mut targets: Vec<_> = targets.collect();
        targets.sort_by(|a, b| a.id.cmp(&b.id));
        let mut traffic: Vec<_> =
            self.current.counters.iter().map(|(arn, counters)| counters.traffic(arn)).collect();
        traffic.sort_by(|a, b| a.load_balancer.cmp(&b.load_balancer));
        let unbound = self.listeners.unbound().to_vec();
        Report { applied: self.kept, refused: self.refused.clone(), unbound, targets, traffic }
    }

    /// What to keep of the targets' health.
    pub fn health(&self) -> Remembered {
        let groups = self.current.groups.values();
        let targets =
            groups.flat_map(|group| group.targets.load().to_vec()).filter(|target| !target.leaving());
        let mut health: Remembered = targets.map(|target| (target.id.clone(), target.checked())).collect();
        health.sort_by(|a, b| a.0.cmp(&b.0));
        health
    }
}

fn of(target: &Arc<Target>) -> TargetReport {
    TargetReport {
        id: target.id.clone(),
        health: target.checked().health,
        in_flight: target.in_flight(),
        drained: target.drained(),
    }
}

fn since(ms: i64) -> Duration {
    let then = UNIX_EPOCH + Duration::from_millis(ms.try_into().unwrap_or(0));
    SystemTime::now().duration_since(then).unwrap_or_default()
}
