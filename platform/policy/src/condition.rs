//! Conditions: `"StringEquals": { "aws:RequestedRegion": ["us-east-1"] }`.
use std::net::IpAddr;

use kernel::Timestamp;

use super::Context;
use super::pattern::{Template, glob};

/// One key of one operator of a statement's `Condition`.
#[derive(Debug)]
pub struct Condition {
    operator: Operator,
    /// In lower case.
    key: String,
    values: Vec<Template>,
}

/// A condition operator with its modifiers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operator {
    quantifier: Quantifier,
    test: Test,
    negated: bool,
    if_exists: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Quantifier {
    None,
    ForAll,
    ForAny,
}

/// What one value of the request is compared by with one value of the policy.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Test {
    Equals,
    EqualsIgnoreCase,
    Like,
    Numeric(Order),
    Date(Order),
    Bool,
    Ip,
    Arn,
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    /// The operator of this name.
    pub fn parse(name: &str) -> Option<Self> {
        let (quantifier, rest) = match name.split_once(':') {
            Some(("ForAllValues", rest)) => (Quantifier::ForAll, rest),
            Some(("ForAnyValue", rest)) => (Quantifier::ForAny, rest),
            Some(_) => return None,
            None => (Quantifier::None, name),
        };
        let (rest, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |rest| (rest, true));
        let (test, negated) = match rest {
            "StringEquals" => (Test::Equals, false),
            "StringNotEquals" => (Test::Equals, true),
            "StringEqualsIgnoreCase" => (Test::EqualsIgnoreCase, false),
            "StringNotEqualsIgnoreCase" => (Test::EqualsIgnoreCase, true),
            "StringLike" => (Test::Like, false),
            "StringNotLike" => (Test::Like, true),
            "BinaryEquals" => (Test::Equals, false),
            "Bool" => (Test::Bool, false),
            "IpAddress" => (Test::Ip, false),
            "NotIpAddress" => (Test::Ip, true),
            "ArnEquals" | "ArnLike" => (Test::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Test::Arn, true),
            "Null" if !if_exists && quantifier == Quantifier::None => (Test::Null, false),
            other => match (other.strip_prefix("Numeric"), other.strip_prefix("Date")) {
                (Some("NotEquals"), _) => (Test::Numeric(Order::Equal), true),
                (_, Some("NotEquals")) => (Test::Date(Order::Equal), true),
                (Some(order), _) => (Test::Numeric(Order::parse(order)?), false),
                (_, Some(order)) => (Test::Date(Order::parse(order)?), false),
                _ => return None,
            },
        };
        Some(Self { quantifier, test, negated, if_exists })
    }

    /// Whether the value can be one of this operator's; text with variables is not known before the request is.
    pub fn accepts(self, value: &str) -> bool {
        value.contains("${")
            || match self.test {
                Test::Numeric(_) => number(value).is_some(),
                Test::Date(_) => date(value).is_some(),
                Test::Bool | Test::Null => boolean(value).is_some(),
                Test::Ip => network(value).is_some(),
                _ => true,
            }
    }
}

impl Order {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "Equals" => Self::Equal,
            "LessThan" => Self::Less,
            "LessThanEquals" => Self::LessOrEqual,
            "GreaterThan" => Self::Greater,
            "GreaterThanEquals" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    fn holds<T: PartialOrd>(self, left: Option<T>, right: Option<T>) -> bool {
        let (Some(left), Some(right)) = (left, right) else { return false };
        match self {
            Self::Equal => left == right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

impl Condition {
    pub(super) fn new(operator: Operator, key: &str, values: Vec<Template>) -> Self {
        Self { operator, key: key.to_ascii_lowercase(), values }
    }

    /// Whether the request meets it: one of the policy's values fits; for a negated operator, none does.
    pub fn holds(&self, cx: &Context) -> bool {
        let Operator { quantifier, test, negated, if_exists } = self.operator;
        let sent = cx.get(&self.key);
        if test == Test::Null {
            let absent = sent.is_none_or(<[String]>::is_empty);
            return self
                .values
                .iter()
                .any(|value| value.text(cx).as_deref().and_then(boolean) == Some(absent));
        }
        let Some(sent) = sent else {
            return if_exists
                || quantifier == Quantifier::ForAll
                || negated && quantifier == Quantifier::None;
        };
        let fits =
            |value: &String| self.values.iter().any(|wanted| compare(test, value, wanted, cx)) != negated;
        match quantifier {
            Quantifier::ForAll => sent.iter().all(fits),
            Quantifier::ForAny => sent.iter().any(fits),
            // Undefined by AWS for several values; this way a negated operator stays the opposite of its own.
            Quantifier::None if negated => sent.iter().all(fits),
            Quantifier::None => sent.iter().any(fits),
        }
    }
}

fn compare(test: Test, sent: &str, wanted: &Template, cx: &Context) -> bool {
    if test == Test::Like {
        return wanted.matches(sent, cx);
    }
    if test == Test::Arn {
        return wanted.text(cx).is_some_and(|pattern| arn_like(&pattern, sent));
    }
    let Some(wanted) = wanted.text(cx) else { return false };
    match test {
        Test::Equals => sent == wanted,
        Test::EqualsIgnoreCase => sent.to_lowercase() == wanted.to_lowercase(),
        Test::Numeric(order) => order.holds(number(sent), number(&wanted)),
        Test::Date(order) => order.holds(date(sent), date(&wanted)),
        Test::Bool => boolean(sent).is_some() && boolean(sent) == boolean(&wanted),
        Test::Ip => sent
            .parse()
            .is_ok_and(|address| network(&wanted).is_some_and(|network| contains(network, address))),
        Test::Like | Test::Arn | Test::Null => false,
    }
}

/// Each of the six parts is compared by itself: a star does not reach over a colon, but for the last part.
fn arn_like(pattern: &str, arn: &str) -> bool {
    let parts = |text: &str| text.splitn(6, ':').map(str::to_owned).collect::<Vec<_>>();
    let (pattern, arn) = (parts(pattern), parts(arn));
    pattern.len() == arn.len()
        && pattern.iter().zip(&arn).all(|(pattern, part)| {
            let template = Template::parse(pattern, false);
            template
                .is_ok_and(|t| t.atoms(&Context::default()).is_some_and(|atoms| glob(&atoms, part, false)))
        })
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|n: &f64| n.is_finite())
}

/// ISO 8601, a day of it, or seconds since 1970.
fn date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().ok().or_else(|| format!("{text}T00:00:00Z").parse().ok()).or_else(|| {
        let seconds: i64 = text.parse().ok()?;
        Timestamp::from_second(seconds).ok()
    })
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// `203.0.113.0/24`, `2001:db8::/32`, or one address.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(width), |bits| bits.parse().ok())?;
    (bits <= width).then_some((address, bits))
}

fn contains((network, bits): (IpAddr, u8), address: IpAddr) -> bool {
    let wide = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, true),
        IpAddr::V6(v6) => (u128::from(v6), false),
    };
    let ((network, four), (address, also_four)) = (wide(network), wide(address.to_canonical()));
    let mask = if bits == 0 { 0 } else { u128::MAX << (128 - u32::from(bits)) };
    four == also_four && network & mask == address & mask
}
