//! DeploymentWindow: the rule is met while a cron expression holds; until then it waits.
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use kernel::{Fut, Timestamp};

use super::quartz::Quartz;
use super::{Rule, RuleType, Verdict};
use crate::actions::Failed;
use crate::catalog::{Form, Property, anything, optional, required};
use crate::engine::Progress;
use crate::job::Job;

const PROPERTIES: &[Property] = &[
    required("Cron", Form::Checked(|text| Quartz::parse(text).map(drop))),
    optional("TimeZone", Form::Checked(|text| zone(text).map(drop))),
];

/// The type. It may wait for as long as a rule may be given.
pub static TYPE: RuleType = RuleType {
    provider: "DeploymentWindow",
    inputs: 0..=0,
    timeout: 86_400,
    skips: false,
    commands: false,
    properties: PROPERTIES,
    check: anything,
    rule: &DeploymentWindow,
};

/// Abbreviations that AWS's table has, each with one place that keeps its time.
const ABBREVIATIONS: &[(&str, &str)] = &[
    ("ACT", "Australia/Darwin"),
    ("AET", "Australia/Sydney"),
    ("AGT", "America/Argentina/Buenos_Aires"),
    ("ART", "Africa/Cairo"),
    ("AST", "America/Anchorage"),
    ("BET", "America/Sao_Paulo"),
    ("BST", "Asia/Dhaka"),
    ("CAT", "Africa/Harare"),
    ("CET", "Europe/Paris"),
    ("CNT", "America/St_Johns"),
    ("CST", "America/Chicago"),
    ("CTT", "Asia/Shanghai"),
    ("EAT", "Africa/Addis_Ababa"),
    ("ECT", "Europe/Paris"),
    ("EET", "Europe/Helsinki"),
    ("EST", "America/New_York"),
    ("GMT", "UTC"),
    ("IET", "America/Indiana/Indianapolis"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("MET", "Europe/Paris"),
    ("MIT", "Pacific/Apia"),
    ("MST", "America/Denver"),
    ("NET", "Asia/Yerevan"),
    ("NST", "Pacific/Auckland"),
    ("PLT", "Asia/Karachi"),
    ("PNT", "America/Phoenix"),
    ("PRT", "America/Puerto_Rico"),
    ("PST", "America/Los_Angeles"),
    ("SST", "Pacific/Guadalcanal"),
    ("VST", "Asia/Ho_Chi_Minh"),
    ("WET", "Europe/Lisbon"),
];

/// The zone that a text names: `Region/City`, `UTC`, `UTC+HH:MM`, or an abbreviation. From the binary's own database: a
/// stored rule means the same on every host, also on one that has none.
fn zone(text: &str) -> Result<TimeZone, String> {
    let unknown = || {
        Err(format!(
            "'{text}' is no time zone of the IANA database: give one as Region/City, UTC, UTC+HH:MM, UTC-HH:MM, or an abbreviation such as PST"
        ))
    };
    if let Some(offset) = text.strip_prefix("UTC") {
        return offset_of(offset).map_or_else(unknown, |offset| Ok(TimeZone::fixed(offset)));
    }
    let name = ABBREVIATIONS.iter().find(|(short, _)| *short == text).map_or(text, |(_, name)| name);
    if name != text || text.contains('/') {
        return TimeZoneDatabase::bundled().get(name).or_else(|_| unknown());
    }
    unknown()
}

fn offset_of(text: &str) -> Option<Offset> {
    if text.is_empty() {
        return Some(Offset::UTC);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    let (hours, minutes) = rest.split_once(':').filter(|(h, m)| digits(h) && digits(m))?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let fits = hours <= 18 && minutes < 60;
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok().filter(|_| fits)
}

/// Carries it out.
pub struct DeploymentWindow;

impl Rule for DeploymentWindow {
    fn check<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Verdict, Failed>> {
        Box::pin(async {
            let wrong = |key: &str, wrong: String| {
                Failed::new("ConfigurationError", format!("The configuration key '{key}' {wrong}"))
            };
            let cron = Quartz::parse(job.need("Cron")?).map_err(|w| wrong("Cron", w))?;
            let name = job.get("TimeZone").filter(|name| !name.is_empty()).unwrap_or("UTC");
            let zone = zone(name).map_err(|w| wrong("TimeZone", w))?;
            window(&cron, &zone, job.now())
        })
    }
}

fn window(cron: &Quartz, zone: &TimeZone, now: Timestamp) -> Result<Verdict, Failed> {
    let local = now.to_zoned_datetime(zone.clone());
    if cron.matches(local.datetime()) {
        return Ok(Verdict::Met(Progress::default()));
    }
    // Where a change of the clocks brings a local time twice, the first that is still to come; where it passes over
    // one, as much later.
    let instant = |local: DateTime| {
        let ambiguous = || zone.to_ambiguous_timestamp(local);
        let first = ambiguous().compatible().ok().filter(|at| *at > now);
        first.or_else(|| ambiguous().later().ok().filter(|at| *at > now))
    };
    match cron.next(local.datetime()).and_then(instant) {
        Some(opens) => {
            let summary = format!("The deployment window opens at {}", opens.to_zoned_datetime(zone.clone()));
            Ok(Verdict::Later(opens, Progress { summary: Some(summary), ..Progress::default() }))
        }
        None => Ok(Verdict::Unmet("The deployment window does not open any more".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cron: &str, name: &str, now: &str, expected: &str) {
        let now: Timestamp = now.parse().unwrap();
        let got = match window(&Quartz::parse(cron).unwrap(), &zone(name).unwrap(), now).unwrap() {
            Verdict::Met(_) => "open".to_owned(),
            Verdict::Unmet(why) => why,
            Verdict::Later(at, _) => at.to_string(),
        };
        assert_eq!(got, expected, "{cron} {name} at {now}");
    }

    #[test]
    fn waits_for_the_window() {
        check("* * 9-17 ? * MON-FRI *", "UTC", "2026-11-25T12:30:59Z", "open");
        check("* * 9-17 ? * MON-FRI", "UTC", "2026-11-25T18:00:00Z", "2026-11-26T09:00:00Z");
        check("* * 9-17 ? * MON-FRI", "UTC", "2026-11-27T18:00:00Z", "2026-11-30T09:00:00Z");
        check("* * 9-17 ? * MON-FRI", "PST", "2026-11-25T12:30:00Z", "2026-11-25T17:00:00Z");
        check("* * 9-17 ? * MON-FRI", "UTC+05:30", "2026-11-25T03:00:00Z", "2026-11-25T03:30:00Z");
        check("* * 9-17 ? * MON-FRI", "Europe/Berlin", "2026-07-01T07:00:00Z", "open");
        check("* * 2 29 3 ? 2026", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z");
        check(
            "* * * ? * * 2020",
            "UTC",
            "2026-11-25T12:30:00Z",
            "The deployment window does not open any more",
        );
    }

    #[test]
    fn zones_are_known_or_refused() {
        for bad in ["Mars/Base", "UTC+5", "UTC+19:00", "UTC+05:61", "XYZ", "", "UTC05:00"] {
            assert!(zone(bad).unwrap_err().contains("is no time zone of"), "{bad}");
        }
        for (short, _) in ABBREVIATIONS {
            zone(short).unwrap();
        }
    }
}
