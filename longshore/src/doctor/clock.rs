//! The clock: signatures name the time, and are refused when they are too old or too new.
use jiff::{SignedDuration, Timestamp};

use super::{Wrong, output};

/// A clock further off than this breaks signatures soon (AWS allows 15 minutes).
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// Longshore is younger than any time before this: late 2023, in seconds of the epoch.
const BEGINNING: i64 = 1_700_000_000;

/// `offset` is how far the engine's clock is from ours: containers sign by it.
pub fn check(offset: Option<SignedDuration>) -> Result<String, Wrong> {
    // The kernel's own word, whichever time service there is.
    let kept = output("timedatectl", &["show", "--property=NTPSynchronized", "--value"]);
    let kept = match kept.as_deref() {
        Ok("yes") => Some(true),
        Ok("no") => Some(false),
        _ => None,
    };
    judged(Timestamp::now(), offset, kept)
}

fn judged(now: Timestamp, offset: Option<SignedDuration>, kept: Option<bool>) -> Result<String, Wrong> {
    let set = "`sudo timedatectl set-ntp true`";
    if now.as_second() < BEGINNING {
        return Err(Wrong::new(format!("it says {now}: signatures will be refused"), set));
    }
    if let Some(offset) = offset.filter(|offset| offset.abs() > SKEW) {
        let way = if offset.is_negative() { "behind" } else { "ahead of" };
        return Err(Wrong::new(
            format!(
                "the engine's clock is {} s {way} this machine's: signatures made in containers will be refused",
                offset.abs().as_secs()
            ),
            format!("{set} on both; an engine in a virtual machine that has slept wants a restart of it"),
        ));
    }
    if kept == Some(false) {
        return Err(Wrong::new("no time service keeps it, so that it may be off", set));
    }
    let compared = match offset {
        Some(_) => "the engine's clock agrees",
        None => "not compared with the engine's",
    };
    let kept = if kept.is_some() {
        "a time service keeps it"
    } else {
        "whether a time service keeps it is not known"
    };
    Ok(format!("{compared}; {kept}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_compared_is_called_right() {
        let check = |now: i64, offset: Option<i64>, kept, expected: Result<&str, &str>| {
            let now = Timestamp::from_second(now).unwrap();
            let found = judged(now, offset.map(SignedDuration::from_secs), kept).map_err(|wrong| wrong.what);
            match (&found, expected) {
                (Ok(found), Ok(part)) | (Err(found), Err(part)) => assert!(found.contains(part), "{found}"),
                _ => panic!("{found:?}, not {expected:?}"),
            }
        };
        let now = 1_800_000_000;
        check(0, None, Some(true), Err("1970-01-01"));
        check(now, Some(301), Some(true), Err("301 s ahead of"));
        check(now, Some(-4000), None, Err("4000 s behind"));
        check(now, Some(0), Some(false), Err("no time service"));
        check(now, Some(-299), Some(true), Ok("agrees; a time service keeps it"));
        check(
            now,
            None,
            None,
            Ok("not compared with the engine's; whether a time service keeps it is not known"),
        );
    }
}
