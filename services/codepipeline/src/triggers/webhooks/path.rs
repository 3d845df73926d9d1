//! The JSONPath that filters select with: `$`, then members (`.name`, `['name']`), items (`[0]`) and all of either (`.*`,
//! `[*]`). Expressions, slices and descent (`..`) are refused by name.
use serde_json::Value;

/// Values that a path with `*` looks at, at most.
const VALUES: usize = 10_000;

/// A path that was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Item(usize),
    All,
}

impl Path {
    /// Reads it. Errors: what is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut rest = text.strip_prefix('$').ok_or("it must begin with $")?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = match rest.strip_prefix('.') {
                Some(name) => member(name)?,
                None => bracket(rest)?,
            };
            steps.push(step);
            rest = after;
        }
        Ok(Self(steps))
    }

    /// The values that it selects.
    pub fn select<'a>(&self, document: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![document];
        for step in &self.0 {
            found = found.into_iter().flat_map(|value| step.of(value)).take(VALUES).collect();
        }
        found
    }
}

impl Step {
    fn of<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match (self, value) {
            (Self::Member(name), Value::Object(object)) => object.get(name).into_iter().collect(),
            (Self::Item(index), Value::Array(items)) => items.get(*index).into_iter().collect(),
            (Self::All, Value::Object(object)) => object.values().collect(),
            (Self::All, Value::Array(items)) => items.iter().collect(),
            _ => Vec::new(),
        }
    }
}

fn member(text: &str) -> Result<(Step, &str), String> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    match text.split_at(end) {
        ("", _) => Err("a name must follow each single period; descent (..) is not served".into()),
        ("*", rest) => Ok((Step::All, rest)),
        (name, rest) => Ok((Step::Member(name.into()), rest)),
    }
}

fn bracket(text: &str) -> Result<(Step, &str), String> {
    let inner = text.strip_prefix('[').ok_or("a step must begin with . or [")?;
    for quote in ['\'', '"'] {
        if let Some(quoted) = inner.strip_prefix(quote) {
            let (name, rest) = quoted.split_once(quote).ok_or("a quoted name does not end")?;
            let rest = rest.strip_prefix(']').ok_or("a ] must follow a quoted name")?;
            return Ok((Step::Member(name.into()), rest));
        }
    }
    let (index, rest) = inner.split_once(']').ok_or("its [ has no ]")?;
    match index {
        "*" => Ok((Step::All, rest)),
        _ => {
            let index = index
                .parse()
                .map_err(|_| format!("'[{index}]' is not served: use a number, a quoted name or *"))?;
            Ok((Step::Item(index), rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Value) {
        let document =
            json!({"ref": "refs/heads/main", "a b": {"c.d": 1}, "commits": [{"id": "x"}, {"id": "y"}]});
        let read = Path::read(path).unwrap_or_else(|wrong| panic!("{path}: {wrong}"));
        assert_eq!(json!(read.select(&document)), expected, "{path}");
    }

    #[test]
    fn selects() {
        check("$.ref", json!(["refs/heads/main"]));
        check("$['a b'][\"c.d\"]", json!([1]));
        check("$.commits[1].id", json!(["y"]));
        check("$.commits[*].id", json!(["x", "y"]));
        check("$.commits.*.id", json!(["x", "y"]));
        check("$.commits[7].id", json!([]));
        check("$.ref.x", json!([]));
    }

    #[test]
    fn refuses_what_it_does_not_do() {
        for path in ["ref", "$..ref", "$.", "$x", "$[?(@.a)]", "$[0:2]", "$['a", "$[0", "$[-1]"] {
            assert!(Path::read(path).is_err(), "{path}");
        }
    }
}
