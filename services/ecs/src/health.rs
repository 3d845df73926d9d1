//! Whether a task does what it should. Pure.
use std::collections::BTreeMap;
use std::time::Duration;

use kernel::Timestamp;

use crate::plan::{self, Health};
use crate::records::{Definition, Service, Status, Target, Task};
use crate::view;

/// State and reason of each target, as ELB tells them.
pub(crate) type Targets = BTreeMap<Target, (String, String)>;

/// What judging a task needs to know of its service.
pub(crate) struct Bench<'a> {
    pub(crate) now: Timestamp,
    /// How long failures do not count after the start.
    pub(crate) grace: Duration,
    /// How long a task without any check must run.
    pub(crate) settle: Duration,
    pub(crate) targets: &'a Targets,
    /// Whether the task's definition has a health check.
    pub(crate) checked: bool,
    /// Whether the task has been healthy.
    pub(crate) served: bool,
}

/// Whether a definition has a container with a health check.
pub(crate) fn checked(definition: &Definition) -> bool {
    definition.containers().iter().any(|c| c.health_check.is_some())
}

/// A task's health: of its containers and of its targets together.
pub(crate) fn judge(task: &Task, bench: &Bench<'_>) -> Health {
    let Some(started) = task.started.filter(|_| task.status == Status::Running) else {
        return Health::Pending;
    };
    let age = Duration::try_from(bench.now.duration_since(started)).unwrap_or_default();
    if !bench.checked && task.targets.is_empty() {
        return if age >= bench.settle { Health::Healthy } else { Health::Pending };
    }
    let own = if bench.checked { of_containers(task) } else { Health::Healthy };
    let all = task.targets.iter().map(|target| of_target(target, bench)).chain([own]);
    let mut worst = Health::Healthy;
    for health in all {
        match health {
            Health::Unhealthy(_) if age < bench.grace => worst = Health::Pending,
            Health::Unhealthy(reason) => return Health::Unhealthy(reason),
            Health::Pending => worst = Health::Pending,
            Health::Unknown if worst == Health::Healthy => worst = Health::Unknown,
            Health::Unknown | Health::Healthy => {}
        }
    }
    worst
}

fn of_containers(task: &Task) -> Health {
    match view::health(task) {
        "HEALTHY" => Health::Healthy,
        "UNHEALTHY" => Health::Unhealthy("failed container health checks.".into()),
        _ => Health::Pending,
    }
}

fn of_target(target: &Target, bench: &Bench<'_>) -> Health {
    match bench.targets.get(target).map(|(state, reason)| (state.as_str(), reason)) {
        Some(("healthy", _)) => Health::Healthy,
        Some(("unhealthy", reason)) => Health::Unhealthy(format!(
            "(port {}) is unhealthy in (target-group {}) due to (reason {reason}).",
            target.port, target.group
        )),
        // The edge has started again, or we have and it has not reported yet: its targets are looked at anew.
        Some(("initial", _)) if bench.served => Health::Unknown,
        // Registered elsewhere, not checked yet, or its group is in no listener's rules.
        _ => Health::Pending,
    }
}

/// The circuit breaker's threshold for a service.
pub(crate) fn threshold(service: &Service) -> usize {
    let desired = usize::try_from(service.desired).unwrap_or(0);
    let configuration = service.given.deployment_configuration.as_ref();
    let breaker = configuration.and_then(|c| c.deployment_circuit_breaker.as_ref());
    match breaker.and_then(|b| b.threshold_configuration.as_ref()) {
        Some(t) => plan::threshold(desired, &t.r#type, usize::try_from(t.value).unwrap_or(1)),
        None => plan::threshold(desired, "BOUNDED_PERCENT", 50),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_is_looked_at_anew_is_not_one_that_never_was_healthy() {
        let target = Target { group: "g".into(), id: "10.0.0.5".into(), port: 8080 };
        let judged = |state: &str, served| {
            let targets = Targets::from([(target.clone(), (state.to_owned(), String::new()))]);
            let (now, grace, settle) = (Timestamp::UNIX_EPOCH, Duration::ZERO, Duration::ZERO);
            of_target(&target, &Bench { now, grace, settle, targets: &targets, checked: false, served })
        };
        assert_eq!((judged("initial", false), judged("initial", true)), (Health::Pending, Health::Unknown));
        assert_eq!((judged("healthy", false), judged("healthy", true)), (Health::Healthy, Health::Healthy));
        assert!(matches!(judged("unhealthy", true), Health::Unhealthy(_)));
        assert_eq!(judged("unused", true), Health::Pending, "nobody is sent there");
    }
}
