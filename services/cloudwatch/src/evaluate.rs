//! What state an alarm's data puts it in: pure.
use kernel::Timestamp;
use serde_json::json;

use crate::limits;
use crate::metric::Series;
use crate::records::{Alarm, State, Value};

/// What is to be done about an alarm.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// The state that it changes to, if it changes.
    pub change: Option<State>,
    /// When time alone may change it again, in seconds since 1970; none where only new data can.
    pub next: Option<i64>,
}

/// The span that an alarm looks at, from (inclusive) and to (exclusive): whole periods that have ended, two more than its
/// own to make up for missing ones.
pub fn span(alarm: &Alarm, now: i64) -> (i64, i64) {
    let end = now - now.rem_euclid(alarm.period);
    (end - (alarm.periods + limits::SPARE_PERIODS) * alarm.period, end)
}

/// Evaluates an alarm over the data of its [`span`].
pub fn plan(alarm: &Alarm, series: &Series, now: Timestamp) -> Plan {
    let (from, to) = span(alarm, now.as_second());
    let points: Vec<(i64, f64)> = series
        .range(from..to)
        .rev()
        .filter_map(|(at, (statistics, _))| Some((*at, statistics.get(&alarm.statistic)?)))
        .take(usize::try_from(alarm.periods).unwrap_or(usize::MAX))
        .collect();
    let value = judge(alarm, &points);
    let change = (value != alarm.state.value).then(|| State {
        value,
        reason: reason(alarm, &points, value),
        data: Some(data(alarm, &points, now)),
        at: now,
        since: None,
    });
    // With nothing in sight, nothing ages. What was set by hand is looked at once more at the period's end.
    let ages = !points.is_empty() || change.is_some();
    Plan { change, next: ages.then_some(to + alarm.period) }
}

fn breaches(alarm: &Alarm, value: f64) -> bool {
    match alarm.comparison.as_str() {
        "GreaterThanThreshold" => value > alarm.threshold,
        "GreaterThanOrEqualToThreshold" => value >= alarm.threshold,
        "LessThanThreshold" => value < alarm.threshold,
        _ => value <= alarm.threshold,
    }
}

/// As AWS's tables of missing data have it: points there are make up for missing ones; what is still missing is filled as
/// the alarm says, and where it does not say, what is there decides alone.
fn judge(alarm: &Alarm, points: &[(i64, f64)]) -> Value {
    let there = points.len() as i64;
    let breaching = points.iter().filter(|(_, value)| breaches(alarm, *value)).count() as i64;
    let filled = alarm.periods - there;
    let alarm_if = |breaching: i64| if breaching >= alarm.to_alarm { Value::Alarm } else { Value::Ok };
    if filled <= 0 || breaching >= alarm.to_alarm {
        return alarm_if(breaching);
    }
    match alarm.missing.as_deref() {
        Some("breaching") => alarm_if(breaching + filled),
        Some("notBreaching") => Value::Ok,
        _ if there > breaching => Value::Ok,
        Some("ignore") => alarm.state.value,
        _ if there > 0 => Value::Alarm,
        _ => Value::InsufficientData,
    }
}

fn reason(alarm: &Alarm, points: &[(i64, f64)], value: Value) -> String {
    if points.is_empty() {
        let periods = alarm.periods;
        return match value {
            Value::InsufficientData => {
                format!("Insufficient Data: no data of the last {periods} periods was received.")
            }
            _ => format!("Threshold Crossed: missing data of {periods} periods counts as {}.", value.name()),
        };
    }
    let shown: Vec<String> = points.iter().map(|(at, value)| format!("{value:?} ({})", stamp(*at))).collect();
    let met = points.iter().filter(|(_, value)| breaches(alarm, *value)).count();
    format!(
        "Threshold Crossed: {met} of {} datapoints [{}] met {} {:?}; {} of {} periods are needed.",
        points.len(),
        shown.join(", "),
        alarm.comparison,
        alarm.threshold,
        alarm.to_alarm,
        alarm.periods
    )
}

fn data(alarm: &Alarm, points: &[(i64, f64)], now: Timestamp) -> String {
    let values: Vec<f64> = points.iter().rev().map(|(_, value)| *value).collect();
    json!({
        "version": "1.0",
        "queryDate": time(now),
        "startDate": points.last().map(|(at, _)| stamp(*at)),
        "statistic": alarm.statistic,
        "period": alarm.period,
        "recentDatapoints": values,
        "threshold": alarm.threshold,
    })
    .to_string()
}

/// `2026-01-02T03:04:05.678+0000`, as alarms write their times.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string()
}

fn stamp(second: i64) -> String {
    Timestamp::from_second(second).map(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{Name, Statistics};

    fn alarm(periods: i64, to_alarm: i64, missing: &str) -> Alarm {
        let at = Timestamp::UNIX_EPOCH;
        Alarm {
            name: "a".into(),
            description: None,
            metric: Name { namespace: "n".into(), metric: "m".into(), dimensions: Default::default() },
            statistic: "Average".into(),
            unit: None,
            period: 60,
            periods,
            to_alarm,
            datapoints_to_alarm: None,
            comparison: "GreaterThanThreshold".into(),
            threshold: 1.0,
            missing: Some(missing.into()),
            actions_enabled: true,
            tags: Default::default(),
            updated: at,
            state: State {
                value: Value::InsufficientData,
                reason: String::new(),
                data: None,
                at,
                since: None,
            },
        }
    }

    /// `0` is within the threshold, `X` outside, `-` missing; the last one's period has just ended.
    fn evaluated(alarm: &Alarm, drawn: &str) -> Value {
        let now = 100 * 60;
        let count = drawn.len() as i64;
        let series = drawn.chars().enumerate().filter(|(_, c)| *c != '-').map(|(index, c)| {
            let value = if c == 'X' { 2.0 } else { 0.0 };
            (now - (count - index as i64) * 60, (Statistics::of(value, 1.0), None))
        });
        let plan = plan(alarm, &series.collect(), Timestamp::from_second(now).unwrap());
        plan.change.map_or(alarm.state.value, |state| state.value)
    }

    #[test]
    fn missing_data_is_treated_as_awss_tables_have_it() {
        use Value::{Alarm as A, InsufficientData as I, Ok as O};
        // For `ignore`, the state that the alarm has, which these begin with, is retained.
        for (to_alarm, drawn, [missing, ignore, breaching, not_breaching]) in [
            (3, "0-X-X", [O, O, O, O]),
            (3, "0----", [O, O, O, O]),
            (3, "-----", [I, I, A, O]),
            (3, "0XX-X", [A, A, A, A]),
            (3, "--X--", [A, I, A, O]),
            (2, "0-X-X", [A, A, A, A]),
            (2, "00X0X", [A, A, A, A]),
            (2, "0-X--", [O, O, A, O]),
            (2, "----0", [O, O, A, O]),
            (2, "----X", [A, I, A, O]),
        ] {
            let treatments = [
                ("missing", missing),
                ("ignore", ignore),
                ("breaching", breaching),
                ("notBreaching", not_breaching),
            ];
            for (treatment, wanted) in treatments {
                let found = evaluated(&alarm(3, to_alarm, treatment), drawn);
                assert_eq!(found, wanted, "{to_alarm} of 3, {drawn}, {treatment}");
            }
        }
    }

    #[test]
    fn every_comparison_and_statistic() {
        let both = Statistics::of(1.0, 1.0).and(Statistics::of(4.0, 3.0));
        for (statistic, value) in
            [("SampleCount", 4.0), ("Sum", 13.0), ("Average", 3.25), ("Minimum", 1.0), ("Maximum", 4.0)]
        {
            assert_eq!(both.get(statistic), Some(value), "{statistic}");
        }
        assert_eq!(both.get("p99"), None);
        for (comparison, breaching) in [
            ("GreaterThanThreshold", [false, false, true]),
            ("GreaterThanOrEqualToThreshold", [false, true, true]),
            ("LessThanThreshold", [true, false, false]),
            ("LessThanOrEqualToThreshold", [true, true, false]),
        ] {
            let alarm = Alarm { comparison: comparison.into(), ..alarm(1, 1, "missing") };
            assert_eq!([0.5, 1.0, 1.5].map(|value| breaches(&alarm, value)), breaching, "{comparison}");
        }
    }

    #[test]
    fn an_alarm_waits_for_time_only_while_data_ages() {
        let now = Timestamp::from_second(6030).unwrap();
        let quiet = plan(&alarm(1, 1, "missing"), &Series::new(), now);
        assert_eq!(quiet, Plan { change: None, next: None });
        let one = Series::from([(5940, (Statistics::of(2.0, 1.0), None))]);
        assert_eq!(plan(&alarm(1, 1, "missing"), &one, now).next, Some(6060));
        // The period under way is not looked at before it has ended.
        let current = Series::from([(6000, (Statistics::of(2.0, 1.0), None))]);
        assert_eq!(plan(&alarm(1, 1, "missing"), &current, now).change, None);
    }
}
