//! The container engine: whether it answers, why not, and how far its clock is from ours.
use std::time::Duration;

use engine::{Away, Error, Info};
use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;

use super::Wrong;

/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// What answers; and how far its clock is from ours, if it tells the time.
pub async fn check() -> (Result<String, Wrong>, Option<SignedDuration>) {
    let begun = Timestamp::now();
    let late = |_| Err(Error::Unreachable(Away::Silent(format!("no answer within {} s", ANSWER.as_secs()))));
    let asked = timeout(ANSWER, engine_docker::look(None)).await.unwrap_or_else(late);
    let time = asked.as_ref().ok().and_then(|info| info.time);
    let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    (judged(asked, host.as_deref()), time.map(|time| offset(begun, time, Timestamp::now())))
}

fn judged(asked: Result<Info, Error>, host: Option<&str>) -> Result<String, Wrong> {
    let why = "builds and tasks need it, the APIs do not";
    match asked {
        Ok(info) => Ok(info.version),
        Err(Error::Unreachable(away)) => {
            let mend = match (&away, host) {
                (Away::Absent(_), Some(host)) => {
                    format!("start the engine of DOCKER_HOST={host}, or unset DOCKER_HOST; {why}")
                }
                (Away::Absent(_), None) => {
                    format!("install docker.io and start dockerd (`sudo systemctl start docker`); {why}")
                }
                (away, _) => away.advice().to_owned(),
            };
            Err(Wrong::new(away.to_string(), mend))
        }
        Err(other) => Err(Wrong::new(
            other.to_string(),
            "look at the engine's log (`journalctl -u docker`); it must serve API 1.41 or later",
        )),
    }
}

/// How far `time` is from a clock of ours that was between `begun` and `ended` when it was told.
fn offset(begun: Timestamp, time: Timestamp, ended: Timestamp) -> SignedDuration {
    let nearest = if time < begun { begun } else { time.min(ended) };
    time.duration_since(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_depends_on_why_it_does_not_answer() {
        for (away, host, mend) in [
            (Away::Absent("none".into()), None, "systemctl start docker"),
            (
                Away::Absent("none".into()),
                Some("tcp://vm:2375"),
                "start the engine of DOCKER_HOST=tcp://vm:2375",
            ),
            (Away::Forbidden("denied".into()), None, "usermod -aG docker"),
            (Away::Forbidden("denied".into()), Some("unix:///s"), "usermod -aG docker"),
            (Away::Silent("cut".into()), None, "journalctl -u docker"),
        ] {
            let wrong = judged(Err(Error::Unreachable(away)), host).unwrap_err();
            assert!(wrong.mend.contains(mend), "{wrong:?}");
        }
    }

    #[test]
    fn the_time_that_an_answer_takes_is_no_offset() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (time, seconds) in [(90, -10), (100, 0), (105, 0), (110, 0), (500, 390)] {
            assert_eq!(offset(at(100), at(time), at(110)), SignedDuration::from_secs(seconds), "{time}");
        }
    }
}
