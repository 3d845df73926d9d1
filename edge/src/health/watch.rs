//! Checking one target for as long as it stays.
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Outcome;
use super::probe::probe;
use crate::proxy::group::Group;
use crate::proxy::target::Target;

/// Checks a target every interval, and at once when its admission or the settings change. `changed` is told when its
/// health does.
pub async fn watch(group: Arc<Group>, target: Arc<Target>, changed: Arc<Notify>) {
    loop {
        let started = Instant::now();
        let settings = group.settings.load_full();
        let check = &settings.health;
        let outcome = match target.admitted() {
            true => probe(target.addr, check).await,
            false => Outcome::Timeout,
        };
        let before = target.checked();
        let after = before.after(&outcome, check.healthy_threshold, check.unhealthy_threshold);
        target.set_checked(after.clone());
        if after.health != before.health {
            group.refresh();
            changed.notify_one();
            let state = after.health.state;
            tracing::info!(target = %target.addr, group = %group.arn, ?state, %outcome, "a target's health changed");
        }
        tokio::select! {
            () = sleep_until(started + Duration::from_millis(check.interval_ms.max(1))) => {}
            () = target.wake.notified() => {}
        }
    }
}
