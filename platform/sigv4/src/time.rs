//! The instants of signatures: ISO 8601's basic format, UTC.
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use kernel::Timestamp;

/// `20150830T123600Z`.
pub fn basic(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// The instant of `20150830T123600Z`, with or without the `Z`.
pub fn from_basic(text: &str) -> Option<Timestamp> {
    let bare = text.strip_suffix('Z').unwrap_or(text);
    (bare.len() == 15).then_some(())?;
    let civil = DateTime::strptime("%Y%m%dT%H%M%S", bare).ok()?;
    TimeZone::UTC.to_timestamp(civil).ok()
}

/// The instant of a `Date` header: either format is accepted there.
pub fn from_date_header(text: &str) -> Option<Timestamp> {
    from_basic(text).or_else(|| rfc2822::parse(text).ok().map(|zoned| zoned.timestamp()))
}
