//! Reading event patterns.
use std::net::IpAddr;

use serde_json::{Map, Value};

use super::value::{Case, Compare, Match, Text};
use super::{Fields, Node};
use crate::error::Error;
use crate::limits;

fn bad<T>(reason: impl Into<String>) -> Result<T, Error> {
    Err(Error::Pattern(reason.into()))
}

pub(super) fn parse(text: &str) -> Result<Fields, Error> {
    if text.chars().count() > limits::PATTERN {
        return bad(format!("It is longer than {} characters", limits::PATTERN));
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => fields(&object, 0),
        Ok(_) => bad("Filter is not an object"),
        Err(error) => bad(format!("It is not JSON: {error}")),
    }
}

fn fields(object: &Map<String, Value>, depth: usize) -> Result<Fields, Error> {
    if object.is_empty() {
        return bad("Empty objects are not allowed");
    }
    if depth > limits::PATTERN_DEPTH {
        return bad("It nests too deep");
    }
    let mut parsed = Fields::default();
    for (name, value) in object {
        match value {
            Value::Array(any) if name == "$or" => parsed.ors.push(or(any, depth)?),
            Value::Object(inner) => {
                parsed.fields.push((name.clone(), Node::Object(fields(inner, depth + 1)?)))
            }
            Value::Array(any) if any.is_empty() => return bad("Empty arrays are not allowed"),
            Value::Array(any) => {
                let leaf = any.iter().map(one).collect::<Result<_, _>>()?;
                parsed.fields.push((name.clone(), Node::Leaf(leaf)));
            }
            _ => return bad(format!("\"{name}\" must be an object or an array")),
        }
    }
    Ok(parsed)
}

fn or(any: &[Value], depth: usize) -> Result<Vec<Fields>, Error> {
    if any.len() < 2 || any.len() > limits::OR {
        return bad("There must have at least 2 Objects in $or relationship.");
    }
    let alternative = |value: &Value| match value {
        Value::Object(object) => fields(object, depth + 1),
        _ => bad("Only objects are allowed in array of $or relationship."),
    };
    any.iter().map(alternative).collect()
}

fn one(value: &Value) -> Result<Match, Error> {
    match value {
        Value::Array(_) => bad("Match value must be String, number, true, false, or null"),
        Value::Object(object) => {
            let mut entries = object.iter();
            let (Some((operator, operand)), None) = (entries.next(), entries.next()) else {
                return bad("Only one key allowed in match expression");
            };
            operation(operator, operand)
        }
        scalar => Ok(Match::Equal(scalar.clone())),
    }
}

fn operation(operator: &str, operand: &Value) -> Result<Match, Error> {
    match operator {
        "exists" => match operand {
            Value::Bool(present) => Ok(Match::Exists(*present)),
            _ => bad("exists match pattern must be either true or false."),
        },
        "numeric" => numeric(operand),
        "cidr" => cidr(operand),
        "anything-but" => anything_but(operand),
        _ => text(operator, operand).map(Match::Text),
    }
}

fn string<'a>(operator: &str, operand: &'a Value) -> Result<&'a str, Error> {
    operand.as_str().map_or_else(|| bad(format!("{operator} match pattern must be a string")), Ok)
}

/// The operators on text, which `anything-but` takes too.
fn text(operator: &str, operand: &Value) -> Result<Text, Error> {
    match operator {
        "prefix" => cased(operator, operand).map(|(text, case)| Text::Prefix(text, case)),
        "suffix" => cased(operator, operand).map(|(text, case)| Text::Suffix(text, case)),
        "equals-ignore-case" => Ok(Text::EqualIgnoringCase(string(operator, operand)?.to_lowercase())),
        "wildcard" => wildcard(string(operator, operand)?).map(Text::Wildcard),
        _ => bad(format!("Unrecognized match type {operator}")),
    }
}

/// `"text"`, or `{"equals-ignore-case": "text"}`.
fn cased(operator: &str, operand: &Value) -> Result<(String, Case), Error> {
    match operand.get("equals-ignore-case").filter(|_| operand.as_object().is_some_and(|o| o.len() == 1)) {
        Some(text) => Ok((string(operator, text)?.to_lowercase(), Case::Ignored)),
        None => Ok((string(operator, operand)?.to_owned(), Case::Matters)),
    }
}

/// The pieces between asterisks; `\*` and `\\` are literal.
fn wildcard(text: &str) -> Result<Vec<String>, Error> {
    let mut pieces = vec![String::new()];
    let (mut chars, mut star) = (text.chars(), false);
    while let Some(c) = chars.next() {
        if c == '*' && star {
            return bad("Consecutive wildcard characters are not allowed");
        }
        star = c == '*';
        let literal = match c {
            '*' => {
                pieces.push(String::new());
                continue;
            }
            '\\' => match chars.next() {
                Some(c @ ('*' | '\\')) => c,
                _ => return bad("Invalid escape character in wildcard pattern"),
            },
            c => c,
        };
        if let Some(piece) = pieces.last_mut() {
            piece.push(literal);
        }
    }
    Ok(pieces)
}

fn anything_but(operand: &Value) -> Result<Match, Error> {
    let many = |operand: &Value| match operand {
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    };
    let none: Vec<Match> = match operand {
        Value::Object(object) if object.len() == 1 => {
            let texts = object.iter().flat_map(|(operator, operand)| {
                many(operand)
                    .into_iter()
                    .map(|operand| text(operator, &operand).map(Match::Text))
                    .collect::<Vec<_>>()
            });
            texts.collect::<Result<_, _>>()?
        }
        Value::Object(_) => return bad("Only one key allowed in match expression"),
        operand => {
            let scalar = |value: Value| match value {
                Value::String(_) | Value::Number(_) => Ok(Match::Equal(value)),
                _ => bad("Inside anything but list, start|null|boolean is not supported."),
            };
            many(operand).into_iter().map(scalar).collect::<Result<_, _>>()?
        }
    };
    if none.is_empty() { bad("Empty arrays are not allowed") } else { Ok(Match::AnythingBut(none)) }
}

fn numeric(operand: &Value) -> Result<Match, Error> {
    let Some(parts) = operand.as_array().filter(|parts| !parts.is_empty()) else {
        return bad("Invalid member in numeric match: it must be an array of an operator and a number");
    };
    let pair = |pair: &[Value]| {
        let compare = match pair[0].as_str() {
            Some("=") => Compare::Equal,
            Some("<") => Compare::Less,
            Some("<=") => Compare::AtMost,
            Some(">") => Compare::Greater,
            Some(">=") => Compare::AtLeast,
            _ => return bad(format!("Unrecognized numeric range operator: {}", pair[0])),
        };
        match pair.get(1).and_then(Value::as_f64) {
            Some(number) => Ok((compare, number)),
            None => bad("Value of a numeric operator must be numeric"),
        }
    };
    let all: Vec<(Compare, f64)> = parts.chunks(2).map(pair).collect::<Result<_, _>>()?;
    let lower = |compare: &Compare| matches!(compare, Compare::Greater | Compare::AtLeast);
    match all[..] {
        [_] => Ok(Match::Numeric(all)),
        [(a, low), (b, high)] if lower(&a) && !lower(&b) && b != Compare::Equal => match low < high {
            true => Ok(Match::Numeric(all)),
            false => bad("Bottom must be less than top"),
        },
        _ => bad("Too many elements in numeric expression"),
    }
}

fn cidr(operand: &Value) -> Result<Match, Error> {
    let text = string("cidr", operand)?;
    let parsed = text.split_once('/').and_then(|(net, bits)| {
        let (net, bits): (IpAddr, u8) = (net.parse().ok()?, bits.parse().ok()?);
        let most = if net.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some(Match::Cidr(net, bits))
    });
    parsed.map_or_else(|| bad(format!("Malformed CIDR, one '/' required: {text}")), Ok)
}
