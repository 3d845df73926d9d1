//! Targets that leave go once the edge says that they are drained.
use std::sync::Arc;

use kernel::{Fault, Fut};
use snapshot::{Report, Snapshot, TargetId, TargetState};
use store::{Batch, Key, Record};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::Elb;
use crate::error::Error;
use crate::names::arn;
use crate::records::{Listener, Rule, Target, TargetGroup};

/// Removes drained targets from their groups.
pub struct Drain(pub Arc<Elb>);

impl Worker for Drain {
    fn name(&self) -> String {
        "elb.drain".into()
    }

    fn wake(&self) -> Arc<Notify> {
        // A target may also stop being used: then nobody is to drain it.
        let wake = self.0.store.watch(&[TargetGroup::TABLE, Listener::TABLE, Rule::TABLE]);
        let (mut reports, waker) = (self.0.hub.reports(), wake.clone());
        // Ends with the hub.
        tokio::spawn(async move {
            while reports.changed().await.is_ok() {
                waker.notify_one();
            }
        });
        wake
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async {
            let elb = &self.0;
            for row in elb.every::<TargetGroup>(Key::all()).await? {
                if row.value.targets.iter().all(|target| target.draining.is_none()) {
                    continue;
                }
                let (account, region) = (row.key.account(), row.key.region());
                let group = &row.value;
                let arn = arn(&account, &region, format!("targetgroup/{}/{}", group.name, group.id));
                let used = elb.uses(&Key::new(&account, &region)).await?.contains_key(&arn);
                let gone =
                    |target: &Target| target.draining.is_some() && (!used || elb.drained(&arn, target));
                let mut left = row.clone();
                left.value.targets.retain(|target| !gone(target));
                if left.value.targets.len() < row.value.targets.len() {
                    // A conflict: another pass is on its way.
                    match elb.store.commit(Batch::new().update(&left)).await {
                        Err(error) if !error.is_conflict() => return Err(Error::from(error).into()),
                        _ => {}
                    }
                }
            }
            Ok(Next::Idle)
        })
    }
}

impl Elb {
    /// Whether the edge serves a snapshot in which the target leaves, and says that it is drained: an older report
    /// may speak of an earlier life of the same address.
    fn drained(&self, group: &str, target: &Target) -> bool {
        let (snapshots, reports) = (self.hub.snapshots(), self.hub.reports());
        let (snapshot, report) = (snapshots.borrow().clone(), reports.borrow().clone());
        snapshot.zip(report).is_some_and(|(snapshot, report)| agreed(&snapshot, &report, group, target))
    }
}

fn agreed(snapshot: &Snapshot, report: &Report, group: &str, target: &Target) -> bool {
    let id = TargetId { group: group.to_owned(), ip: target.address().into(), port: target.port };
    let groups = snapshot.balancing.target_groups.iter().filter(|g| g.arn == group);
    let told = groups
        .flat_map(|g| &g.targets)
        .any(|t| (t.ip, t.port) == (id.ip, id.port) && t.state != TargetState::Registered);
    let done = report.targets.iter().any(|t| t.id == id && t.drained);
    told && done && report.applied >= snapshot.generation
}
