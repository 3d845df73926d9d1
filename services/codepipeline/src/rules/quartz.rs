//! Quartz cron expressions: seconds, minutes, hours, days of the month, months, days of the week, and years if given.
//! The unit is the minute: the field of seconds is read and says nothing, as in AWS.
//!
//! By hand: croner, the crate that comes nearest, has no `L-3` and works in another crate's time.
use std::ops::RangeInclusive;

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time, Weekday};

use crate::limits;

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
/// From 1, as Quartz counts them.
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const YEARS: RangeInclusive<u16> = 1970..=2199;

/// An expression.
#[derive(Clone, Debug)]
pub struct Quartz {
    minutes: Vec<u16>,
    hours: Vec<u16>,
    days: Vec<Day>,
    months: Vec<u16>,
    years: Vec<u16>,
}

/// A day that a field asks for. One of the two fields is `?` and asks for none.
#[derive(Clone, Debug, PartialEq)]
enum Day {
    /// Of the month.
    Of(Vec<u16>),
    /// So many days before the last of the month.
    Last(u16),
    /// The weekday nearest to a day of the month.
    Near(u16),
    /// The last weekday of the month.
    LastWeekday,
    /// Of the week.
    Week(Vec<u16>),
    /// The last such day of the month.
    LastOf(u16),
    /// The nth such day of the month.
    Nth(u16, u16),
    /// Several of one field.
    Any(Vec<Day>),
}

/// A field: its name, the values that it takes, and their names, the first of which is the least value.
struct Field {
    name: &'static str,
    range: RangeInclusive<u16>,
    names: &'static [&'static str],
}

impl Quartz {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, naming the field.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > limits::CRON {
            return Err(format!("is longer than {} characters", limits::CRON));
        }
        let upper = text.to_ascii_uppercase();
        let fields: Vec<&str> = upper.split_whitespace().collect();
        let (seconds, minutes, hours, days, months, week, years) = match *fields.as_slice() {
            [s, m, h, days, months, week] => (s, m, h, days, months, week, "*"),
            [s, m, h, days, months, week, years] => (s, m, h, days, months, week, years),
            _ => return Err(wrong_count(fields.len())),
        };
        let field = |name, range| Field { name, range, names: &[] };
        field("seconds", 0..=59).values(seconds)?;
        match (days, week) {
            ("?", "?") => {
                let wrong = "has '?' for the days of the month and for those of the week: give one of them";
                return Err(wrong.into());
            }
            ("?", _) | (_, "?") => {}
            _ => {
                return Err(format!(
                    "has '{days}' in the field of days of the month and '{week}' in that of days of the week: one of them must be '?'"
                ));
            }
        }
        Ok(Self {
            minutes: field("minutes", 0..=59).values(minutes)?,
            hours: field("hours", 0..=23).values(hours)?,
            days: of_month(days)?.into_iter().chain(of_week(week)?).collect(),
            months: Field { name: "months", range: 1..=12, names: &MONTHS }.values(months)?,
            years: field("years", YEARS).values(years)?,
        })
    }

    /// Whether it holds in that minute.
    pub fn matches(&self, at: DateTime) -> bool {
        let (hour, minute) = (small(at.hour()), small(at.minute()));
        self.on(at.date()) && self.hours.contains(&hour) && self.minutes.contains(&minute)
    }

    /// The first minute after `at` in which it holds.
    pub fn next(&self, at: DateTime) -> Option<DateTime> {
        let today = self.times().find(|time| self.on(at.date()) && *time > at.time());
        if let Some(time) = today {
            return Some(at.date().to_datetime(time));
        }
        let first = self.times().next()?;
        let mut date = at.date();
        let last = i16::try_from(*self.years.last()?).ok()?;
        while date.year() <= last {
            date = date.checked_add(1.day()).ok()?;
            if self.on(date) {
                return Some(date.to_datetime(first));
            }
        }
        None
    }

    fn times(&self) -> impl Iterator<Item = Time> {
        self.hours.iter().flat_map(|hour| {
            self.minutes.iter().filter_map(|minute| {
                Time::new(i8::try_from(*hour).ok()?, i8::try_from(*minute).ok()?, 0, 0).ok()
            })
        })
    }

    fn on(&self, date: Date) -> bool {
        let year = u16::try_from(date.year()).unwrap_or_default();
        self.years.binary_search(&year).is_ok()
            && self.months.contains(&small(date.month()))
            && self.days.iter().all(|day| day.is(date))
    }
}

fn wrong_count(count: usize) -> String {
    format!(
        "has {count} fields: give seconds, minutes, hours, days of the month, months, days of the week and, if wanted, years"
    )
}

fn small(number: i8) -> u16 {
    u16::try_from(number).unwrap_or_default()
}

/// Sunday is 1.
fn weekday(date: Date) -> u16 {
    small(date.weekday().to_sunday_one_offset())
}

impl Day {
    fn is(&self, date: Date) -> bool {
        let day = small(date.day());
        let length = small(date.days_in_month());
        match self {
            Self::Of(days) => days.contains(&day),
            Self::Last(before) => day + before == length,
            Self::Near(wanted) => near(date, *wanted) == Some(date),
            Self::LastWeekday => near(date, length) == Some(date),
            Self::Week(days) => days.contains(&weekday(date)),
            Self::LastOf(wanted) => weekday(date) == *wanted && day + 7 > length,
            Self::Nth(wanted, n) => weekday(date) == *wanted && (day - 1) / 7 + 1 == *n,
            Self::Any(days) => days.iter().any(|day| day.is(date)),
        }
    }
}

/// The weekday nearest to a day of a date's month, within that month.
fn near(date: Date, day: u16) -> Option<Date> {
    let wanted = Date::new(date.year(), date.month(), i8::try_from(day).ok()?).ok()?;
    let days: i32 = match wanted.weekday() {
        Weekday::Saturday if day == 1 => 2,
        Weekday::Saturday => -1,
        Weekday::Sunday if day == small(date.days_in_month()) => -2,
        Weekday::Sunday => 1,
        _ => 0,
    };
    wanted.checked_add(days.days()).ok()
}

fn of_month(text: &str) -> Result<Option<Day>, String> {
    let field = Field { name: "days of the month", range: 1..=31, names: &[] };
    let one = |part: &str| {
        if part == "L" {
            return Ok(Day::Last(0));
        }
        if part == "LW" {
            return Ok(Day::LastWeekday);
        }
        if let Some(before) = part.strip_prefix("L-") {
            let before = before.parse::<u16>().ok().filter(|n| (1..=30).contains(n));
            return before.map(Day::Last).ok_or_else(|| field.wrong(part));
        }
        match part.strip_suffix('W') {
            Some(day) => Ok(Day::Near(field.value(day)?)),
            None => Ok(Day::Of(field.values(part)?)),
        }
    };
    each(text, one)
}

fn of_week(text: &str) -> Result<Option<Day>, String> {
    let field = Field { name: "days of the week", range: 1..=7, names: &WEEKDAYS };
    let one = |part: &str| {
        if part == "L" {
            return Ok(Day::Week(vec![7]));
        }
        if let Some((day, n)) = part.split_once('#') {
            let n = n.parse::<u16>().ok().filter(|n| (1..=5).contains(n)).ok_or_else(|| field.wrong(part))?;
            return Ok(Day::Nth(field.value(day)?, n));
        }
        match part.strip_suffix('L') {
            Some(day) => Ok(Day::LastOf(field.value(day)?)),
            None => Ok(Day::Week(field.values(part)?)),
        }
    };
    each(text, one)
}

/// The parts of a field of days; none if it leaves the choice to the other field.
fn each(text: &str, one: impl Fn(&str) -> Result<Day, String>) -> Result<Option<Day>, String> {
    if matches!(text, "?" | "*") {
        return Ok(None);
    }
    let parts: Vec<Day> = text.split(',').map(one).collect::<Result<_, _>>()?;
    Ok(Some(Day::Any(parts)))
}

impl Field {
    /// The values that a text asks for, in order: `*`, a value, a range, each with a step, and lists of these.
    fn values(&self, text: &str) -> Result<Vec<u16>, String> {
        let mut values = Vec::new();
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (
                    range,
                    Some(step.parse::<u16>().ok().filter(|s| *s > 0).ok_or_else(|| self.wrong(part))?),
                ),
                None => (part, None),
            };
            let (first, last) = match (range, range.split_once('-')) {
                ("*", _) => (*self.range.start(), *self.range.end()),
                (_, Some((first, last))) => (self.value(first)?, self.value(last)?),
                // A start with a step runs to the end.
                (value, None) => {
                    let first = self.value(value)?;
                    (first, if step.is_some() { *self.range.end() } else { first })
                }
            };
            let step = usize::from(step.unwrap_or(1));
            match first <= last {
                true => values.extend((first..=last).step_by(step)),
                // Over the end: FRI-MON, 22-2.
                false => {
                    values.extend((first..=*self.range.end()).chain(*self.range.start()..=last).step_by(step))
                }
            }
        }
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    fn value(&self, text: &str) -> Result<u16, String> {
        let least = usize::from(*self.range.start());
        let named = self.names.iter().position(|name| *name == text).map(|index| index + least);
        let value = named.and_then(|value| u16::try_from(value).ok()).or_else(|| text.parse().ok());
        value.filter(|value| self.range.contains(value)).ok_or_else(|| self.wrong(text))
    }

    fn wrong(&self, text: &str) -> String {
        let (name, least, most) = (self.name, self.range.start(), self.range.end());
        let names = match (self.names.first(), self.names.last()) {
            (Some(first), Some(last)) => format!(" or {first} to {last}"),
            _ => String::new(),
        };
        format!("has '{text}' in the field of {name}, which takes {least} to {most}{names}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next minutes after midnight of the first of January 2026, a Thursday.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let cron = Quartz::parse(text).unwrap();
        let mut at: DateTime = "2025-12-31T23:59".parse().unwrap();
        for expected in expected {
            at = cron.next(at).unwrap_or_else(|| panic!("{text}: nothing after {at}"));
            assert_eq!(at, expected.parse().unwrap(), "{text}");
            assert!(cron.matches(at), "{text} at {at}");
        }
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let error = Quartz::parse(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }

    #[test]
    fn finds_the_next_minute() {
        check(
            "0 0/20 9-10 ? * MON-FRI",
            &["2026-01-01T09:00", "2026-01-01T09:20", "2026-01-01T09:40", "2026-01-01T10:00"],
        );
        check("* 30 8 L * ?", &["2026-01-31T08:30", "2026-02-28T08:30"]);
        check("* 0 0 L-3 * ?", &["2026-01-28T00:00", "2026-02-25T00:00"]);
        check("* 0 0 LW * ?", &["2026-01-30T00:00", "2026-02-27T00:00", "2026-03-31T00:00"]);
        // The 15th of February is a Sunday, the first of August a Saturday.
        check("* 0 0 15W 2 ?", &["2026-02-16T00:00"]);
        check("* 0 0 1W 8 ?", &["2026-08-03T00:00"]);
        check("* 0 12 ? * 6L", &["2026-01-30T12:00", "2026-02-27T12:00"]);
        check("* 0 12 ? * FRI#3", &["2026-01-16T12:00", "2026-02-20T12:00"]);
        check("* 0 0 ? * L", &["2026-01-03T00:00"]);
        check(
            "* 0 0 ? * fri-mon",
            &[
                "2026-01-02T00:00",
                "2026-01-03T00:00",
                "2026-01-04T00:00",
                "2026-01-05T00:00",
                "2026-01-09T00:00",
            ],
        );
        check("* 0 0 29 feb ? *", &["2028-02-29T00:00", "2032-02-29T00:00"]);
        check("* 0 0 1,15 * ? 2027/2", &["2027-01-01T00:00", "2027-01-15T00:00"]);
        check("* 0 22-1/2 ? 1 THU", &["2026-01-01T00:00", "2026-01-01T22:00"]);
        assert_eq!(Quartz::parse("* 0 0 31 2 ?").unwrap().next("2026-01-01T00:00".parse().unwrap()), None);
    }

    #[test]
    fn says_what_is_wrong() {
        refused("* * * * *", "has 5 fields");
        refused("* * * * * ? * *", "has 8 fields");
        refused("* 60 * * * ?", "'60' in the field of minutes, which takes 0 to 59");
        refused("* * 24 * * ?", "field of hours");
        refused("* * * ? FOO *", "'FOO' in the field of months, which takes 1 to 12 or JAN to DEC");
        refused("* * * ? * 8", "days of the week");
        refused("* * * ? * 6#6", "days of the week");
        refused("* * * 32 * ?", "days of the month");
        refused("* * * L-31 * ?", "days of the month");
        refused("* * * ? * ? ", "give one of them");
        let both = "has '13' in the field of days of the month and 'FRI' in that of days of the week: one of them must be '?'";
        refused("* * * 13 * FRI", both);
        refused("* * * * * *", "must be '?'");
        refused("* 0/0 * * * ?", "'0/0' in the field of minutes");
        refused("* * * * * ? 1969", "field of years");
        refused("61 * * * * ?", "field of seconds");
        refused(&"*".repeat(1000), "is longer than");
    }
}
