//! Condition keys and their values.
use std::collections::HashMap;

/// The condition keys that a request carries. Keys do not mind their case; values do.
#[derive(Clone, Debug, Default)]
pub struct Context(HashMap<String, Vec<String>>);

impl Context {
    /// Adds a key with a value. The same key again makes it a key of several values.
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        self.0.entry(key.to_ascii_lowercase()).or_default().push(value.into());
    }

    /// Adds a key with all its values, perhaps none; a key that is there already is replaced.
    pub fn set(&mut self, key: &str, values: Vec<String>) {
        self.0.insert(key.to_ascii_lowercase(), values);
    }

    /// With a key's value.
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.add(key, value);
        self
    }

    /// A key's values, if the request carries it. `key` is in lower case.
    pub(super) fn get(&self, key: &str) -> Option<&[String]> {
        self.0.get(key).map(Vec::as_slice)
    }

    /// The value of a policy variable: only keys of one value can be one.
    pub(super) fn one(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some([one]) => Some(one),
            _ => None,
        }
    }
}
