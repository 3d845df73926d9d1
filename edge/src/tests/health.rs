//! Health checks and what they do to requests.
use std::sync::atomic::Ordering;

use snapshot::*;

use super::backend::Backend;
use super::rig::*;

async fn until(rig: &Rig, state: HealthState, reason: Option<&str>, description: Option<&str>) {
    rig.until(|report| {
        let health = &report.targets[0].health;
        health.state == state
            && health.reason.as_deref() == reason
            && health.description.as_deref() == description
    })
    .await;
}

#[tokio::test]
async fn a_target_sickens_and_heals_with_reasons() {
    let (rig, ip) = (Rig::new(), address());
    let (a, b) = (Backend::new("a").await, Backend::new("b").await);
    a.health.store(500, Ordering::Relaxed);
    rig.serve(simple(ip, &[a.at])).await;
    let mismatch = Some("Health checks failed with these codes: [500]");
    until(&rig, HealthState::Unhealthy, Some("Target.ResponseCodeMismatch"), mismatch).await;
    assert!(get(ip, "/").await.1.starts_with("a "), "all are unhealthy: fail open");

    let two = simple(ip, &[a.at, b.at]);
    rig.serve(two.clone()).await;
    rig.until(|report| report.targets.iter().any(|t| t.health.state == HealthState::Healthy)).await;
    for _ in 0..4 {
        assert!(get(ip, "/").await.1.starts_with("b "), "one is healthy: it serves alone");
    }
    a.health.store(200, Ordering::Relaxed);
    rig.serve_healthy(two).await;
}

#[tokio::test]
async fn a_closed_security_group_is_a_timeout_and_opening_it_heals() {
    let (rig, ip) = (Rig::new(), address());
    let a = Backend::new("a").await;
    let mut all = simple(ip, &[a.at]);
    all.target_groups[0].targets[0].admitted = false;
    rig.serve(all.clone()).await;
    until(&rig, HealthState::Unhealthy, Some("Target.Timeout"), Some("Request timed out")).await;
    assert_eq!(get(ip, "/").await.0, 504);
    assert_eq!(a.served.load(Ordering::Relaxed), 0, "nothing passes");
    all.target_groups[0].targets[0].admitted = true;
    rig.serve_healthy(all).await;
    assert_eq!(get(ip, "/").await.0, 200);
}

#[tokio::test]
async fn nobody_and_nothing_behind_a_target() {
    let (rig, ip) = (Rig::new(), address());
    rig.serve(simple(ip, &[(address(), 9).into()])).await;
    until(&rig, HealthState::Unhealthy, Some("Target.FailedHealthChecks"), Some("Health checks failed"))
        .await;
}

/// Its checks are an hour apart: it can only have been looked at in between.
#[tokio::test]
async fn a_new_target_is_healthy_as_soon_as_it_comes_up() {
    let (rig, ip) = (Rig::new(), address());
    let free = tokio::net::TcpListener::bind((address(), 0)).await.unwrap();
    let at = free.local_addr().unwrap();
    drop(free);
    let mut all = simple(ip, &[at]);
    all.target_groups[0].health.interval_ms = 3_600_000;
    rig.serve(all).await;
    let progress = Some("Initial health checks in progress");
    until(&rig, HealthState::Initial, Some("Elb.InitialHealthChecking"), progress).await;
    let _late = Backend::at("late", at).await;
    until(&rig, HealthState::Healthy, None, None).await;
    assert!(get(ip, "/").await.1.starts_with("late "));
}

/// An hour apart as well, and too slow for its first checks: it passes as many in a row as it has to.
#[tokio::test]
async fn a_target_that_came_up_too_late_is_healthy_as_soon_as_it_does() {
    let (rig, ip) = (Rig::new(), address());
    let free = tokio::net::TcpListener::bind((address(), 0)).await.unwrap();
    let at = free.local_addr().unwrap();
    drop(free);
    let mut all = simple(ip, &[at]);
    let health = &mut all.target_groups[0].health;
    (health.interval_ms, health.unhealthy_threshold, health.healthy_threshold) = (3_600_000, 1, 3);
    rig.serve(all).await;
    let failed = Some("Health checks failed");
    until(&rig, HealthState::Unhealthy, Some("Target.FailedHealthChecks"), failed).await;
    let _late = Backend::at("late", at).await;
    until(&rig, HealthState::Healthy, None, None).await;
}
