//! Checking one target for as long as it stays.
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use snapshot::{HealthCheck, HealthState};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::Outcome;
use super::probe::probe;
use crate::limits;
use crate::proxy::group::Group;
use crate::proxy::target::Target;

/// Checks a target every interval, and at once when its admission or the settings change. One that comes up where
/// nothing listened is checked at once too, and again as often as it takes until it is healthy: a rollout should not
/// wait out intervals. `changed` is told when its health does.
pub async fn watch(group: Arc<Group>, target: Arc<Target>, changed: Arc<Notify>) {
    let mut refused: Option<Instant> = None;
    let mut came_up = false;
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
        refused = (outcome == Outcome::Refused).then_some(refused.unwrap_or(started));
        came_up &= outcome == Outcome::Passed && after.health.state != HealthState::Healthy;
        let pause = if came_up { limits::LOOK } else { Duration::from_millis(check.interval_ms.max(1)) };
        tokio::select! {
            () = comes_up(target.addr, check, refused.unwrap_or(started)), if refused.is_some() => came_up = true,
            () = sleep_until(started + pause) => {}
            () = target.wake.notified() => {}
        }
    }
}

/// Until a target where nothing listened `since` passes a check. Another namespace's port tells nobody when it opens, so
/// it is looked at; a refused connection costs little, and no process there hears of it. The longer it takes the rarer
/// are the looks. They count for nothing: a target that listens and does not pass is left to its checks.
async fn comes_up(target: SocketAddr, check: &HealthCheck, since: Instant) {
    loop {
        sleep(limits::LOOK.max(since.elapsed() / limits::LOOKS)).await;
        match probe(target, check).await {
            Outcome::Refused => {}
            Outcome::Passed => return,
            _ => return pending().await,
        }
    }
}
