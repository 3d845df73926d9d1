//! CloudWatchAlarm: whether an alarm is in one of some states, at once or while it is watched.
//!
//! Before a stage the rule is met as soon as the alarm is in none of the states, for which it has the `WaitTime`. After a
//! stage's success it is watched for all of that: coming into one of the states ends the wait at once, and an alarm that
//! was in one at the beginning has the time to leave it. When a stage has failed it is the other way round, since there
//! a condition that is met has its result: the rule is met as soon as the alarm is in one of the states.
use std::time::Duration;

use api::cloudwatch::{DescribeAlarms, MetricAlarm};
use kernel::{Fut, Timestamp};
use tokio::time::sleep;

use super::{Rule, RuleType, Verdict};
use crate::actions::Failed;
use crate::catalog::{Form, Property, Settings, optional, required};
use crate::engine::{Moment, Progress};
use crate::job::Job;

const STATES: &[&str] = &["ALARM", "OK", "INSUFFICIENT_DATA"];
/// Minutes of a wait: those that a rule may be given at most.
const LONGEST: i64 = 86_400;
/// The clock may be set while a wait lasts: it is looked at again after this.
const LOOK: Duration = Duration::from_secs(60);

const PROPERTIES: &[Property] = &[
    required("AlarmName", Form::Text),
    optional("AlarmStates", Form::Checked(|text| states(text).map(drop))),
    optional("WaitTime", Form::Whole(1, LONGEST)),
];

/// The type.
pub static TYPE: RuleType = RuleType {
    provider: "CloudWatchAlarm",
    inputs: 0..=0,
    timeout: LONGEST,
    skips: false,
    commands: false,
    properties: PROPERTIES,
    check: fits,
    rule: &CloudWatchAlarm,
};

/// The states that are asked for: ALARM, where none is.
fn states(text: &str) -> Result<Vec<&'static str>, String> {
    if text.trim().is_empty() {
        return Ok(vec!["ALARM"]);
    }
    let known = |given: &str| STATES.iter().copied().find(|state| *state == given.trim());
    text.split(',').map(|given| known(given).ok_or_else(|| unknown(given))).collect()
}

fn unknown(given: &str) -> String {
    format!("names the state '{}': give some of {}, separated by commas", given.trim(), STATES.join(", "))
}

/// A wait must end before the rule's time does.
fn fits(settings: &Settings<'_>) -> Result<(), String> {
    let timeout = settings.action.timeout_in_minutes.map_or(LONGEST, i64::from);
    match settings.get("WaitTime").and_then(|text| text.parse::<i64>().ok()) {
        Some(wait) if wait >= timeout => Err(format!(
            "configuration key 'WaitTime': {wait} minutes are not less than the rule's timeoutInMinutes, {timeout}"
        )),
        _ => Ok(()),
    }
}

/// The minutes that are waited: none, where none are given. Variables may have brought anything.
fn wait(text: &str) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let minutes = text.parse().ok().filter(|minutes| (1..=LONGEST).contains(minutes));
    minutes.ok_or_else(|| format!("is '{text}' and must be a whole number from 1 to {LONGEST}"))
}

/// Carries it out.
pub struct CloudWatchAlarm;

impl Rule for CloudWatchAlarm {
    fn check<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Verdict, Failed>> {
        Box::pin(watch(job))
    }
}

async fn watch(job: &Job) -> Result<Verdict, Failed> {
    let wrong = |key: &str, wrong: String| {
        Failed::new("ConfigurationError", format!("The configuration key '{key}' {wrong}"))
    };
    let name = job.need("AlarmName")?;
    let states = states(job.get("AlarmStates").unwrap_or_default()).map_err(|w| wrong("AlarmStates", w))?;
    let minutes = wait(job.get("WaitTime").unwrap_or_default()).map_err(|w| wrong("WaitTime", w))?;
    let begun = job.begun();
    let end = begun + jiff::SignedDuration::from_mins(minutes);
    let sought = Sought { states, moment: job.order.moment.unwrap_or(Moment::BeforeEntry), begun, end };
    let mut events = job.listen();
    let mut told = job.left().summary.is_some();
    loop {
        let seen = look(job, name).await?;
        if let Some(verdict) = sought.judge(&seen, job.now()) {
            return Ok(verdict);
        }
        if !told {
            told = true;
            let summary = Some(format!("The alarm '{name}' is watched until {end}"));
            job.progress(Progress { summary, ..Progress::default() }).await?;
        }
        let left = Duration::try_from(end.duration_since(job.now())).unwrap_or_default();
        tokio::select! {
            () = events.next(|event| event.source == "aws.cloudwatch" && event.detail["alarmName"] == name) => {}
            () = sleep(left.min(LOOK)) => {}
        }
    }
}

async fn look(job: &Job, name: &str) -> Result<MetricAlarm, Failed> {
    let ask = DescribeAlarms { alarm_names: Some(vec![name.to_owned()]), ..DescribeAlarms::default() };
    let found = job.cx.call(ask).await?.metric_alarms.unwrap_or_default();
    let missing = || Failed::new("ConfigurationError", format!("There is no alarm named '{name}'"));
    found.into_iter().next().ok_or_else(missing)
}

/// What is looked for.
struct Sought {
    states: Vec<&'static str>,
    moment: Moment,
    begun: Timestamp,
    end: Timestamp,
}

impl Sought {
    /// What the alarm's state comes to now; none while it has to be waited.
    fn judge(&self, alarm: &MetricAlarm, now: Timestamp) -> Option<Verdict> {
        let state = alarm.state_value.as_deref().unwrap_or_default();
        let inside = self.states.contains(&state);
        let came = inside && alarm.state_transitioned_timestamp.is_some_and(|at| at > self.begun);
        let over = now >= self.end;
        let name = alarm.alarm_name.as_deref().unwrap_or_default();
        let reason = alarm.state_reason.as_deref().unwrap_or_default();
        let met = || Verdict::Met(Progress::default());
        let unmet = || Verdict::Unmet(format!("The alarm '{name}' is in state {state}: {reason}"));
        match self.moment {
            Moment::OnFailure if inside => Some(met()),
            Moment::OnFailure => over.then(unmet),
            Moment::BeforeEntry if !inside => Some(met()),
            Moment::BeforeEntry => over.then(unmet),
            Moment::OnSuccess if came || (over && inside) => Some(unmet()),
            Moment::OnSuccess => over.then(met),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Watched from 100 to 160 s; the alarm is in `state` since `since`. `+` met, `-` not, `.` wait.
    fn judged(moment: Moment, state: &str, since: i64, now: i64) -> char {
        let at = |second| Timestamp::from_second(second).unwrap();
        let sought = Sought { states: vec!["ALARM"], moment, begun: at(100), end: at(160) };
        let alarm = MetricAlarm {
            state_value: Some(state.into()),
            state_transitioned_timestamp: Some(at(since)),
            ..MetricAlarm::default()
        };
        match sought.judge(&alarm, at(now)) {
            Some(Verdict::Met(_)) => '+',
            Some(_) => '-',
            None => '.',
        }
    }

    #[test]
    fn an_entry_opens_once_the_alarm_is_out() {
        let entry = |state, since, now| judged(Moment::BeforeEntry, state, since, now);
        assert_eq!((entry("OK", 50, 100), entry("OK", 120, 121)), ('+', '+'));
        assert_eq!((entry("ALARM", 50, 110), entry("ALARM", 50, 160)), ('.', '-'));
    }

    #[test]
    fn a_success_holds_while_the_alarm_keeps_out() {
        let gate = |state, since, now| judged(Moment::OnSuccess, state, since, now);
        assert_eq!((gate("OK", 50, 110), gate("OK", 50, 160)), ('.', '+'));
        assert_eq!((gate("ALARM", 50, 110), gate("ALARM", 50, 160)), ('.', '-'), "it has the time to leave");
        assert_eq!((gate("OK", 120, 130), gate("OK", 120, 160)), ('.', '+'), "it left");
        assert_eq!(gate("ALARM", 120, 121), '-', "it came");
        assert_eq!(gate("INSUFFICIENT_DATA", 120, 160), '+');
    }

    #[test]
    fn a_failed_stage_waits_for_the_alarm() {
        let failed = |state, since, now| judged(Moment::OnFailure, state, since, now);
        assert_eq!((failed("ALARM", 50, 101), failed("ALARM", 120, 121)), ('+', '+'));
        assert_eq!((failed("OK", 50, 110), failed("OK", 50, 160)), ('.', '-'));
    }

    #[test]
    fn states_are_listed() {
        assert_eq!(states(""), Ok(vec!["ALARM"]));
        assert_eq!(states("OK, INSUFFICIENT_DATA"), Ok(vec!["OK", "INSUFFICIENT_DATA"]));
        assert!(states("OK,alarm").unwrap_err().contains("'alarm'"));
        assert!(states("OK,").is_err());
    }

    #[test]
    fn waits_are_bounded() {
        assert_eq!((wait(""), wait("1"), wait("86400")), (Ok(0), Ok(1), Ok(86_400)));
        for wrong in ["0", "-1", "86401", "soon", "99999999999999999999"] {
            assert!(wait(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
    }
}
