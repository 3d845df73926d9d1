//! Health checks: what a target's checks add up to, in AWS's words.

mod probe;
mod watch;

pub use watch::watch;

use std::fmt;

use serde::{Deserialize, Serialize};
use snapshot::{Health, HealthState};

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The matcher accepts the answer.
    Passed,
    /// It does not.
    Mismatch(u16),
    /// No answer in time, or the security groups let none in.
    Timeout,
    /// Nothing listens there.
    Refused,
    /// No connection for another reason, or not HTTP.
    Failed,
}

/// What is known of a target after its checks. Kept on disk, so that an edge that starts again serves at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// As reported.
    pub health: Health,
    passed: u32,
    failed: u32,
}

impl Default for Checked {
    fn default() -> Self {
        Self { health: initial("Elb.RegistrationInProgress"), passed: 0, failed: 0 }
    }
}

fn initial(reason: &str) -> Health {
    let description = match reason {
        "Elb.RegistrationInProgress" => "Target registration is in progress",
        _ => "Initial health checks in progress",
    };
    Health {
        state: HealthState::Initial,
        reason: Some(reason.to_owned()),
        description: Some(description.to_owned()),
    }
}

impl Checked {
    /// What is known after one more check. A target's first success makes it healthy; later as many in a row as the
    /// thresholds say change it.
    pub fn after(&self, outcome: &Outcome, healthy_threshold: u32, unhealthy_threshold: u32) -> Self {
        let passed = if *outcome == Outcome::Passed { self.passed.saturating_add(1) } else { 0 };
        let failed = if *outcome == Outcome::Passed { 0 } else { self.failed.saturating_add(1) };
        let health = match self.health.state {
            _ if failed >= unhealthy_threshold => unhealthy(outcome),
            HealthState::Initial if passed > 0 => healthy(),
            HealthState::Initial => initial("Elb.InitialHealthChecking"),
            HealthState::Unhealthy if passed >= healthy_threshold => healthy(),
            // The reason stays while it recovers.
            HealthState::Unhealthy | HealthState::Healthy => self.health.clone(),
        };
        Self { health, passed, failed }
    }
}

fn healthy() -> Health {
    Health { state: HealthState::Healthy, reason: None, description: None }
}

fn unhealthy(outcome: &Outcome) -> Health {
    let (reason, description) = match outcome {
        Outcome::Mismatch(code) => {
            ("Target.ResponseCodeMismatch", format!("Health checks failed with these codes: [{code}]"))
        }
        Outcome::Timeout => ("Target.Timeout", "Request timed out".to_owned()),
        Outcome::Refused | Outcome::Failed | Outcome::Passed => {
            ("Target.FailedHealthChecks", "Health checks failed".to_owned())
        }
    };
    Health { state: HealthState::Unhealthy, reason: Some(reason.to_owned()), description: Some(description) }
}

/// A matcher of status codes: `200`, `200,202`, `200-299`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes(Vec<(u16, u16)>);

impl Codes {
    /// Reads one; `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let range = |part: &str| {
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            let (low, high) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
            (low <= high).then_some((low, high))
        };
        text.split(',').map(range).collect::<Option<_>>().map(Self)
    }

    /// Whether the code is one of them.
    pub fn contain(&self, code: u16) -> bool {
        self.0.iter().any(|(low, high)| (*low..=*high).contains(&code))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Mismatch(code) => write!(f, "answered {code}"),
            Self::Timeout => f.write_str("timed out"),
            Self::Refused => f.write_str("refused"),
            Self::Failed => f.write_str("not reached"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// p passed, m mismatched (500), t timed out, r refused, f failed; thresholds 3 and 2. After each, the state's initial.
    fn check(outcomes: &str, states: &str, last: Option<(&str, &str)>) {
        let mut checked = Checked::default();
        let mut seen = String::new();
        for outcome in outcomes.chars() {
            let outcome = match outcome {
                'p' => Outcome::Passed,
                'm' => Outcome::Mismatch(500),
                't' => Outcome::Timeout,
                'r' => Outcome::Refused,
                _ => Outcome::Failed,
            };
            checked = checked.after(&outcome, 3, 2);
            seen.push(match checked.health.state {
                HealthState::Initial => 'i',
                HealthState::Healthy => 'h',
                HealthState::Unhealthy => 'u',
            });
        }
        assert_eq!(seen, states, "{outcomes}");
        let told = checked.health.reason.as_deref().zip(checked.health.description.as_deref());
        assert_eq!(told, last, "{outcomes}");
    }

    #[test]
    fn thresholds_and_reasons() {
        check("p", "h", None);
        check("fp", "ih", None);
        check("f", "i", Some(("Elb.InitialHealthChecking", "Initial health checks in progress")));
        check("ff", "iu", Some(("Target.FailedHealthChecks", "Health checks failed")));
        check("rr", "iu", Some(("Target.FailedHealthChecks", "Health checks failed")));
        check("pmpm", "hhhh", None);
        check(
            "pmm",
            "hhu",
            Some(("Target.ResponseCodeMismatch", "Health checks failed with these codes: [500]")),
        );
        check("ffppfppp", "iuuuuuuh", None);
        check("fft", "iuu", Some(("Target.Timeout", "Request timed out")));
        check("ttpp", "iuuu", Some(("Target.Timeout", "Request timed out")));
    }

    #[test]
    fn matchers() {
        let codes = Codes::parse("200,202-204").unwrap();
        assert_eq!(
            [199, 200, 201, 202, 204, 205].map(|c| codes.contain(c)),
            [false, true, false, true, true, false]
        );
        for wrong in ["", "2xx", "300-200", "200,", "-"] {
            assert_eq!(Codes::parse(wrong), None, "{wrong:?}");
        }
    }
}
