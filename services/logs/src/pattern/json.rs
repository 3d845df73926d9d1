//! Patterns on JSON messages: `{ ($.level = "ERROR") && ($.tries >= 3 || $.user IS NULL) }`.
use regex::Regex;
use serde_json::Value;

use super::terms::quoted;
use super::{invalid, regex};
use crate::error::Error;
use crate::limits;

/// A condition on a JSON value.
#[derive(Debug)]
pub(super) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Test(Path, Test),
}

#[derive(Debug)]
pub(super) enum Test {
    Text(Regex, bool),
    Number(Op, f64),
    Null,
    Is(bool),
    Missing,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Steps from the root.
type Path = Vec<Step>;

#[derive(Debug)]
pub(super) enum Step {
    Key(String),
    Index(usize),
    Each,
}

impl Condition {
    pub(super) fn holds(&self, value: &Value) -> bool {
        match self {
            Self::And(all) => all.iter().all(|condition| condition.holds(value)),
            Self::Or(any) => any.iter().any(|condition| condition.holds(value)),
            Self::Test(path, Test::Missing) => select(value, path).is_empty(),
            Self::Test(path, test) => select(value, path).into_iter().any(|value| test.holds(value)),
        }
    }
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Text(regex, equal) => match value {
                Value::String(text) => regex.is_match(text) == *equal,
                Value::Number(number) => regex.is_match(&number.to_string()) == *equal,
                Value::Bool(flag) => regex.is_match(if *flag { "true" } else { "false" }) == *equal,
                _ => false,
            },
            Self::Number(op, wanted) => {
                let found = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
                found.is_some_and(|found| op.holds(found, *wanted))
            }
            Self::Null => value.is_null(),
            Self::Is(wanted) => value.as_bool() == Some(*wanted),
            Self::Missing => false,
        }
    }
}

impl Op {
    fn holds(self, a: f64, b: f64) -> bool {
        match self {
            Self::Eq => a == b,
            Self::Ne => a != b,
            Self::Lt => a < b,
            Self::Le => a <= b,
            Self::Gt => a > b,
            Self::Ge => a >= b,
        }
    }
}

fn select<'a>(root: &'a Value, path: &Path) -> Vec<&'a Value> {
    path.iter().fold(vec![root], |values, step| {
        let into = |value: &'a Value| -> Vec<&'a Value> {
            match (step, value) {
                (Step::Key(key), Value::Object(object)) => object.get(key).into_iter().collect(),
                (Step::Index(index), Value::Array(items)) => items.get(*index).into_iter().collect(),
                (Step::Each, Value::Array(items)) => items.iter().collect(),
                (Step::Each, Value::Object(object)) => object.values().collect(),
                _ => Vec::new(),
            }
        };
        values.into_iter().flat_map(into).collect()
    })
}

pub(super) fn parse(text: &str) -> Result<Condition, Error> {
    let inner = text.strip_prefix('{').and_then(|text| text.trim_end().strip_suffix('}'));
    let mut parser = Parser { rest: inner.ok_or_else(|| invalid("a { is not closed"))?, depth: 0 };
    let condition = parser.any()?;
    match parser.rest.trim() {
        "" => Ok(condition),
        rest => Err(invalid(format!("'{rest}' is not expected after the condition"))),
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Condition, Error> {
        let mut any = vec![self.all()?];
        while self.take("||") {
            any.push(self.all()?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Condition::Or(any) })
    }

    fn all(&mut self) -> Result<Condition, Error> {
        let mut all = vec![self.one()?];
        while self.take("&&") {
            all.push(self.one()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Condition::And(all) })
    }

    fn one(&mut self) -> Result<Condition, Error> {
        if !self.take("(") {
            let path = self.path()?;
            return Ok(Condition::Test(path, self.test()?));
        }
        self.depth += 1;
        if self.depth > limits::PATTERN_DEPTH {
            return Err(invalid("it nests too deep"));
        }
        let condition = self.any()?;
        self.depth -= 1;
        if self.take(")") { Ok(condition) } else { Err(invalid("a ( is not closed")) }
    }

    fn take(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn word(&mut self, stop: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(stop).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    fn path(&mut self) -> Result<Path, Error> {
        if !self.take("$") {
            return Err(invalid(format!("a condition begins with $., not with '{}'", self.rest.trim())));
        }
        let mut path = Vec::new();
        loop {
            if let Some(rest) = self.rest.strip_prefix('.') {
                self.rest = rest;
                let key = self.word(|c| c.is_whitespace() || "=!<>.[]()&|".contains(c));
                match key.as_str() {
                    "" => return Err(invalid("a selector ends in a dot")),
                    "*" => path.push(Step::Each),
                    _ => path.push(Step::Key(key)),
                }
            } else if let Some(rest) = self.rest.strip_prefix('[') {
                let (inner, rest) = rest.split_once(']').ok_or_else(|| invalid("a [ is not closed"))?;
                self.rest = rest;
                path.push(step(inner.trim())?);
            } else {
                return if path.is_empty() {
                    Err(invalid("$ selects nothing: write $.name"))
                } else {
                    Ok(path)
                };
            }
        }
    }

    fn test(&mut self) -> Result<Test, Error> {
        let ops =
            [("!=", Op::Ne), ("<=", Op::Le), (">=", Op::Ge), ("=", Op::Eq), ("<", Op::Lt), (">", Op::Gt)];
        for (token, op) in ops {
            if self.take(token) {
                return self.value(op);
            }
        }
        let words: Vec<String> =
            self.word(|c| "&|)".contains(c)).split_whitespace().map(str::to_uppercase).collect();
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["IS", "NULL"] => Ok(Test::Null),
            ["IS", "TRUE"] => Ok(Test::Is(true)),
            ["IS", "FALSE"] => Ok(Test::Is(false)),
            ["NOT", "EXISTS"] => Ok(Test::Missing),
            _ => Err(invalid("after a selector, an operator (= != < > <= >=), IS or NOT EXISTS is expected")),
        }
    }

    fn value(&mut self, op: Op) -> Result<Test, Error> {
        self.rest = self.rest.trim_start();
        if let Some(rest) = self.rest.strip_prefix('%') {
            let (body, rest) = rest.split_once('%').ok_or_else(|| invalid("a % is not closed"))?;
            self.rest = rest;
            return text(op, regex(body)?);
        }
        if self.rest.starts_with('"') {
            let (value, rest) = quoted(self.rest)?;
            self.rest = rest;
            return text(op, wildcard(&value)?);
        }
        let word = self.word(|c| c.is_whitespace() || "&|)".contains(c));
        match word.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Test::Number(op, number)),
            _ if word.is_empty() => Err(invalid("a value is missing")),
            _ => text(op, wildcard(&word)?),
        }
    }
}

fn step(inner: &str) -> Result<Step, Error> {
    let name = ['\'', '"'].iter().find_map(|quote| inner.strip_prefix(*quote)?.strip_suffix(*quote));
    match (name, inner) {
        (Some(name), _) => Ok(Step::Key(name.to_owned())),
        (None, "*") => Ok(Step::Each),
        (None, index) => {
            index.parse().map(Step::Index).map_err(|_| invalid(format!("[{index}] is no index or name")))
        }
    }
}

fn text(op: Op, regex: Regex) -> Result<Test, Error> {
    match op {
        Op::Eq => Ok(Test::Text(regex, true)),
        Op::Ne => Ok(Test::Text(regex, false)),
        _ => Err(invalid("only numbers can be compared by <, <=, > and >=")),
    }
}

/// A value where `*` stands for anything.
fn wildcard(value: &str) -> Result<Regex, Error> {
    let body = value.split('*').map(regex::escape).collect::<Vec<_>>().join(".*");
    Regex::new(&format!("(?s)^{body}$")).map_err(|_| invalid(format!("'{value}' is too long")))
}
