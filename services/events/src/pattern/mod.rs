//! Event patterns: which events a rule is for.
mod parse;
#[cfg(test)]
mod tests;
mod value;

use serde_json::{Map, Value};

use crate::error::Error;
use value::Match;

/// An event pattern, parsed.
#[derive(Debug)]
pub struct Pattern(Fields);

/// Conditions on the fields of an object: all must hold, and one of each `$or`.
#[derive(Debug, Default)]
struct Fields {
    fields: Vec<(String, Node)>,
    ors: Vec<Vec<Fields>>,
}

#[derive(Debug)]
enum Node {
    Object(Fields),
    /// One must match.
    Leaf(Vec<Match>),
}

impl Pattern {
    /// Parses it. Errors: [`Error::Pattern`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self, Error> {
        parse::parse(text).map(Self)
    }

    /// Whether an event matches.
    pub fn matches(&self, event: &Value) -> bool {
        event.as_object().is_some_and(|event| self.0.hold(event))
    }
}

impl Fields {
    fn hold(&self, object: &Map<String, Value>) -> bool {
        self.fields.iter().all(|(name, node)| node.holds(object.get(name)))
            && self.ors.iter().all(|any| any.iter().any(|fields| fields.hold(object)))
    }

    /// Whether an object without any field satisfies it: only by asking for absence.
    fn hold_nothing(&self) -> bool {
        self.hold(&Map::new())
    }
}

impl Node {
    fn holds(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Object(fields), Some(Value::Object(object))) => fields.hold(object),
            // One element satisfies all of it, not each a part.
            (Self::Object(fields), Some(Value::Array(items))) => {
                items.iter().filter_map(Value::as_object).any(|object| fields.hold(object))
            }
            (Self::Object(fields), _) => fields.hold_nothing(),
            (Self::Leaf(any), None | Some(Value::Object(_))) => any.iter().any(Match::of_absence),
            (Self::Leaf(any), Some(Value::Array(items))) => {
                let scalars: Vec<&Value> = items.iter().filter(|item| !item.is_object()).collect();
                match scalars.is_empty() {
                    true => any.iter().any(Match::of_absence),
                    false => scalars.iter().any(|item| any.iter().any(|wanted| wanted.holds(item))),
                }
            }
            (Self::Leaf(any), Some(value)) => any.iter().any(|wanted| wanted.holds(value)),
        }
    }
}
