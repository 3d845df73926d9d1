//! What a single value is compared with.
use std::net::IpAddr;

use serde_json::Value;

/// One element of a leaf's array.
#[derive(Debug)]
pub(super) enum Match {
    /// Equal: text, number, true, false or null.
    Equal(Value),
    /// A condition on text.
    Text(Text),
    /// Present, and not any of these.
    AnythingBut(Vec<Match>),
    /// All comparisons hold.
    Numeric(Vec<(Compare, f64)>),
    /// Present, or absent.
    Exists(bool),
    /// In an address range.
    Cidr(IpAddr, u8),
}

/// A condition on text.
#[derive(Debug)]
pub(super) enum Text {
    Prefix(String, Case),
    Suffix(String, Case),
    EqualIgnoringCase(String),
    /// The literal pieces between the asterisks.
    Wildcard(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Matters,
    Ignored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Match {
    /// Whether a field that is not there satisfies it.
    pub(super) fn of_absence(&self) -> bool {
        matches!(self, Self::Exists(false))
    }

    pub(super) fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Equal(Value::Number(wanted)) => {
                value.as_f64().is_some_and(|found| Some(found) == wanted.as_f64())
            }
            Self::Equal(wanted) => value == wanted,
            Self::Text(text) => value.as_str().is_some_and(|value| text.holds(value)),
            Self::AnythingBut(none) => !none.iter().any(|wanted| wanted.holds(value)),
            Self::Numeric(all) => value
                .as_f64()
                .is_some_and(|found| all.iter().all(|(compare, with)| compare.holds(found, *with))),
            Self::Exists(present) => *present,
            Self::Cidr(net, bits) => {
                let address = value.as_str().and_then(|text| text.parse().ok());
                address.is_some_and(|address| within(address, *net, *bits))
            }
        }
    }
}

impl Compare {
    fn holds(self, found: f64, with: f64) -> bool {
        match self {
            Self::Equal => found == with,
            Self::Less => found < with,
            Self::AtMost => found <= with,
            Self::Greater => found > with,
            Self::AtLeast => found >= with,
        }
    }
}

impl Text {
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::Prefix(prefix, Case::Matters) => value.starts_with(prefix.as_str()),
            Self::Prefix(prefix, Case::Ignored) => value.to_lowercase().starts_with(prefix.as_str()),
            Self::Suffix(suffix, Case::Matters) => value.ends_with(suffix.as_str()),
            Self::Suffix(suffix, Case::Ignored) => value.to_lowercase().ends_with(suffix.as_str()),
            Self::EqualIgnoringCase(wanted) => value.to_lowercase() == *wanted,
            Self::Wildcard(pieces) => wildcard(pieces, value),
        }
    }
}

/// The first piece begins the value, the last ends it, the others follow one another between: each at its earliest.
fn wildcard(pieces: &[String], value: &str) -> bool {
    let [first, middle @ .., last] = pieces else {
        return pieces.first().is_some_and(|only| only == value);
    };
    let Some(rest) = value.strip_prefix(first.as_str()) else { return false };
    let Some(mut rest) = rest.strip_suffix(last.as_str()) else { return false };
    for piece in middle {
        match rest.find(piece.as_str()) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

fn within(address: IpAddr, net: IpAddr, bits: u8) -> bool {
    match (address, net) {
        (IpAddr::V4(address), IpAddr::V4(net)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            u32::from(address) & mask == u32::from(net) & mask
        }
        (IpAddr::V6(address), IpAddr::V6(net)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            u128::from(address) & mask == u128::from(net) & mask
        }
        _ => false,
    }
}
