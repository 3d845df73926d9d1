//! A pruned model, with the questions that the emitter asks of it.
use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

/// A service's model.
pub struct Model {
    /// The pruned JSON.
    pub json: Value,
    recursive: BTreeSet<(String, String)>,
}

impl Model {
    /// Reads `models/NAME.json`.
    pub fn load(models: &Path, name: &str) -> Result<Self, String> {
        let path = models.join(format!("{name}.json"));
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let json: Value = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut model = Self { json, recursive: BTreeSet::new() };
        model.recursive = model.find_recursive();
        Ok(model)
    }

    /// A member of the metadata, or nothing.
    pub fn metadata(&self, key: &str) -> &str {
        self.json["metadata"][key].as_str().unwrap_or_default()
    }

    /// The shape of that name.
    pub fn shape(&self, name: &str) -> &Value {
        &self.json["shapes"][name]
    }

    /// All shapes, by name.
    pub fn shapes(&self) -> impl Iterator<Item = (&String, &Value)> {
        object(&self.json["shapes"]).iter()
    }

    /// The shape's type.
    pub fn kind(&self, name: &str) -> &str {
        self.shape(name)["type"].as_str().unwrap_or_default()
    }

    /// Whether a member of a structure needs a box: its structure leads back to the parent without a list between.
    pub fn boxed(&self, parent: &str, member: &str) -> bool {
        self.recursive.contains(&(parent.to_owned(), member.to_owned()))
    }

    fn find_recursive(&self) -> BTreeSet<(String, String)> {
        let mut found = BTreeSet::new();
        for (name, shape) in self.shapes().filter(|(_, s)| s["type"] == "structure") {
            for (member, reference) in members(shape) {
                let target = target(reference);
                if self.kind(target) == "structure" && self.leads(target, name, &mut BTreeSet::new()) {
                    found.insert((name.clone(), member.clone()));
                }
            }
        }
        found
    }

    fn leads(&self, from: &str, to: &str, seen: &mut BTreeSet<String>) -> bool {
        from == to
            || (seen.insert(from.to_owned())
                && members(self.shape(from)).any(|(_, reference)| {
                    self.kind(target(reference)) == "structure" && self.leads(target(reference), to, seen)
                }))
    }
}

/// The members of a structure, in the model's order.
pub fn members(shape: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object(&shape["members"]).iter()
}

/// The shape that a reference names.
pub fn target(reference: &Value) -> &str {
    reference["shape"].as_str().unwrap_or_default()
}

fn object(value: &Value) -> &Map<String, Value> {
    static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.as_object().unwrap_or(&EMPTY)
}
