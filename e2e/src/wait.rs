//! Waiting for what a client would wait for.
use std::time::{Duration, Instant};

/// How long anything may take on a machine that has other work: ten times what was seen.
const PATIENCE: Duration = Duration::from_secs(300);

/// Asks until there is an answer; fails the test with `what` when there is none in five minutes. External clients can
/// only ask again, as the CLI's own waiters do.
pub fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, ask)
}

/// [`eventually`], with a limit of its own.
pub fn within<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        pause();
    }
}

/// Lets time pass, where it is time itself that a test varies.
#[allow(clippy::disallowed_methods, reason = "a moment at random")]
pub fn moment(time: Duration) {
    std::thread::sleep(time);
}

/// The one place where the suite waits for others.
#[allow(clippy::disallowed_methods, reason = "other programs give no wake")]
fn pause() {
    std::thread::sleep(Duration::from_millis(100));
}
