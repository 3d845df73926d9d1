//! What a target is given: the event, a part of it, a constant, or a template filled from it.
use std::collections::BTreeMap;

use api::events::{InputTransformer, Target};
use kernel::Timestamp;
use serde_json::Value;

use crate::error::Error;

/// What a rule adds to the variables of a template.
pub(crate) struct Matched<'a> {
    pub event: &'a Value,
    pub rule_arn: &'a str,
    pub rule_name: &'a str,
    pub ingested: Timestamp,
}

/// The text for a target; none when its input leaves nothing (a path that selects nothing).
pub(crate) fn input(target: &Target, matched: &Matched<'_>) -> Option<String> {
    if let Some(constant) = &target.input {
        return Some(constant.clone());
    }
    if let Some(path) = &target.input_path {
        return select(matched.event, path).map(Value::to_string);
    }
    match &target.input_transformer {
        Some(transformer) => Some(fill(transformer, matched)),
        None => Some(matched.event.to_string()),
    }
}

/// Whether the target is given something else than the event.
pub(crate) fn is_shaped(target: &Target) -> bool {
    target.input.is_some() || target.input_path.is_some() || target.input_transformer.is_some()
}

/// Checks the input settings of a target that is put.
pub(crate) fn check(target: &Target) -> Result<(), Error> {
    let id = &target.id;
    let given = [target.input.is_some(), target.input_path.is_some(), target.input_transformer.is_some()];
    if given.iter().filter(|given| **given).count() > 1 {
        let text =
            format!("Only one of Input, InputPath, or InputTransformer must be provided for target {id}.");
        return Err(Error::invalid(text));
    }
    if target.input.as_ref().is_some_and(|input| serde_json::from_str::<Value>(input).is_err()) {
        return Err(Error::invalid(format!("JSON syntax error in input for target {id}")));
    }
    if let Some(path) = target.input_path.as_ref().filter(|path| steps(path).is_none()) {
        return Err(Error::invalid(format!("Invalid InputPath for target {id}: '{path}' is no JSON path")));
    }
    let Some(transformer) = &target.input_transformer else { return Ok(()) };
    let none = BTreeMap::new();
    let paths = transformer.input_paths_map.as_ref().unwrap_or(&none);
    for (name, path) in paths {
        if name.to_lowercase().starts_with("aws") || steps(path).is_none() {
            let text = format!("Invalid InputPathsMap for target {id}: '{name}': '{path}'");
            return Err(Error::invalid(text));
        }
    }
    let unknown = placeholders(&transformer.input_template)
        .find(|name| !paths.contains_key(*name) && !PREDEFINED.contains(name));
    match unknown {
        Some(name) => Err(Error::invalid(format!(
            "Invalid InputTemplate for target {id}: <{name}> is not in the InputPathsMap"
        ))),
        None => Ok(()),
    }
}

const PREDEFINED: [&str; 5] = [
    "aws.events.rule-arn",
    "aws.events.rule-name",
    "aws.events.event.ingestion-time",
    "aws.events.event",
    "aws.events.event.json",
];

/// `<name>`s of a template.
fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    template
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>'))
        .map(|(name, _)| name)
        .filter(|name| is_name(name))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn variable(transformer: &InputTransformer, name: &str, matched: &Matched<'_>) -> Option<Value> {
    match name {
        "aws.events.rule-arn" => Some(matched.rule_arn.into()),
        "aws.events.rule-name" => Some(matched.rule_name.into()),
        "aws.events.event.ingestion-time" => Some(matched.ingested.to_string().into()),
        "aws.events.event.json" => Some(matched.event.clone()),
        "aws.events.event" => {
            // AWS leaves the detail out of this one.
            let mut event = matched.event.clone();
            if let Some(event) = event.as_object_mut() {
                event.shift_remove("detail");
            }
            Some(event)
        }
        name => {
            let path = transformer.input_paths_map.as_ref()?.get(name)?;
            select(matched.event, path).cloned()
        }
    }
}

/// Inside quotes a variable is text; outside it is JSON, so that strings bring their own quotes.
fn fill(transformer: &InputTransformer, matched: &Matched<'_>) -> String {
    let mut out = String::new();
    let (mut rest, mut quoted) = (transformer.input_template.as_str(), false);
    while let Some(c) = rest.chars().next() {
        let name =
            rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).filter(|(name, _)| is_name(name));
        if let Some((name, after)) = name {
            let value = variable(transformer, name, matched);
            out.push_str(&shown(value, quoted));
            rest = after;
            continue;
        }
        let taken = if c == '\\' && quoted {
            1 + rest[1..].chars().next().map_or(0, char::len_utf8)
        } else {
            c.len_utf8()
        };
        quoted ^= c == '"';
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out
}

fn shown(value: Option<Value>, quoted: bool) -> String {
    match (value, quoted) {
        (None, true) => String::new(),
        (None, false) => "\"\"".into(),
        (Some(value), false) => value.to_string(),
        (Some(value), true) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let escaped = Value::from(text).to_string();
            escaped[1..escaped.len() - 1].to_owned()
        }
    }
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// The steps of `$.a.b[0]['c']`.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (key, next) = after.split_at(end);
            steps.push(Step::Key(key).check()?);
            rest = next;
        } else {
            let (inner, next) = rest.strip_prefix('[')?.split_once(']')?;
            let key = ['\'', '"'].iter().find_map(|quote| inner.strip_prefix(*quote)?.strip_suffix(*quote));
            steps.push(match key {
                Some(key) => Step::Key(key).check()?,
                None => Step::Index(inner.parse().ok()?),
            });
            rest = next;
        }
    }
    Some(steps)
}

impl Step<'_> {
    fn check(self) -> Option<Self> {
        match self {
            Self::Key("" | "*") => None,
            step => Some(step),
        }
    }
}

/// What a path selects of an event.
pub(crate) fn select<'a>(event: &'a Value, path: &str) -> Option<&'a Value> {
    steps(path)?.iter().try_fold(event, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn given(target: Target) -> Option<String> {
        check(&target).unwrap();
        let event = json!({"id": "e", "detail": {"name": "a \"b\"", "n": [1, {"x-y": 2}]}});
        let matched =
            Matched { event: &event, rule_arn: "arn", rule_name: "r", ingested: Timestamp::UNIX_EPOCH };
        input(&target, &matched)
    }

    fn template(template: &str) -> Target {
        let paths = [("name", "$.detail.name"), ("n", "$.detail.n[1]['x-y']"), ("none", "$.detail.none")];
        let paths = paths.into_iter().map(|(name, path)| (name.into(), path.into())).collect();
        let transformer = InputTransformer { input_paths_map: Some(paths), input_template: template.into() };
        Target { input_transformer: Some(transformer), ..Target::default() }
    }

    #[test]
    fn a_target_gets_what_it_asks_for() {
        let constant = Target { input: Some(r#"{"a":1}"#.into()), ..Target::default() };
        assert_eq!(given(constant).unwrap(), r#"{"a":1}"#);
        let path = |path: &str| Target { input_path: Some(path.into()), ..Target::default() };
        assert_eq!(given(path("$.detail.n[0]")).unwrap(), "1");
        assert_eq!(given(path("$.detail.missing")), None);
        for (text, wanted) in [
            (r#""<name> is <n>""#, r#""a \"b\" is 2""#),
            (
                r#"{"name": <name>, "n": <n>, "t": "<name>", "none": <none>}"#,
                r#"{"name": "a \"b\"", "n": 2, "t": "a \"b\"", "none": ""}"#,
            ),
            (
                r#"{"rule": "<aws.events.rule-name>", "e": <aws.events.event>}"#,
                r#"{"rule": "r", "e": {"id":"e"}}"#,
            ),
            (r#""1 < 2 \" <n>""#, r#""1 < 2 \" 2""#),
        ] {
            assert_eq!(given(template(text)).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        let both = Target { input: Some("1".into()), input_path: Some("$.a".into()), ..Target::default() };
        let bad = |path: &str| Target { input_path: Some(path.into()), ..Target::default() };
        let input = Target { input: Some("{".into()), ..Target::default() };
        for (target, told) in [
            (both, "Only one of"),
            (input, "JSON syntax error"),
            (bad("detail"), "no JSON path"),
            (bad("$.a..b"), "no JSON path"),
            (template("<unknown>"), "<unknown> is not in"),
        ] {
            let error = check(&target).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
