//! The one interpreter of the models' constraints. Its messages read as AWS's do:
//! `1 validation error detected: Value null at 'pipeline.name' failed to satisfy constraint: Member must not be null`.
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use regex::Regex;

use crate::schema::{At, Member, Range, Structure, Text, Type};
use crate::{Fault, Reader};

/// At most this many violations are told.
const TOLD: usize = 10;
/// Deeper input is refused before its constraints are looked at.
const DEPTH: usize = 64;

/// The constraints that a value breaks, as AWS words them; empty when it may pass.
pub fn violations(reader: &dyn Reader, schema: &'static Structure) -> Result<Vec<String>, Fault> {
    let mut check = Check { found: Vec::new(), path: Vec::new() };
    check.structure(reader, schema)?;
    Ok(check.found)
}

/// The fault for what [`violations`] found, under the service's own code.
pub fn fault(code: &'static str, found: &[String]) -> Option<Fault> {
    let errors = if found.len() == 1 { "error" } else { "errors" };
    (!found.is_empty()).then(|| {
        Fault::client(code, format!("{} validation {errors} detected: {}", found.len(), found.join("; ")))
    })
}

struct Check {
    found: Vec<String>,
    path: Vec<String>,
}

impl Check {
    fn broken(&mut self, shown: &str, rule: &str) {
        if self.found.len() < TOLD {
            let at = self.path.join(".");
            self.found.push(format!("Value {shown} at '{at}' failed to satisfy constraint: {rule}"));
        }
    }

    fn structure(&mut self, reader: &dyn Reader, schema: &'static Structure) -> Result<(), Fault> {
        if self.path.len() > DEPTH {
            return Err(crate::shape::serialization("The input nests too deep"));
        }
        let mut seen = vec![false; schema.members.len()];
        reader.structure(schema, &mut |index, value| {
            if value.is_null() {
                return Ok(());
            }
            seen[index] = true;
            let member = &schema.members[index];
            self.path.push(member.name.into());
            let checked = self.value(value, &member.ty, member.sensitive);
            self.path.pop();
            checked
        })?;
        for (member, seen) in schema.members.iter().zip(seen) {
            if member.required && !seen && !absent_means_empty(member) {
                self.path.push(member.name.into());
                self.broken("null", "Member must not be null");
                self.path.pop();
            }
        }
        Ok(())
    }

    fn value(&mut self, reader: &dyn Reader, ty: &'static Type, sensitive: bool) -> Result<(), Fault> {
        match ty {
            Type::Boolean => reader.boolean().map(drop)?,
            Type::Double => reader.double().map(drop)?,
            Type::Timestamp(format) => reader.timestamp(*format).map(drop)?,
            Type::Integer(range) | Type::Long(range) => {
                let value = reader.integer()?;
                self.range(&format!("'{value}'"), value, *range, "value");
            }
            Type::Blob(range) => {
                let length = reader.blob()?.len() as i64;
                self.range("of the blob", length, *range, "length");
            }
            Type::String(text) => self.text(&reader.text()?, text, sensitive),
            Type::Structure(schema) => self.structure(reader, schema)?,
            Type::List(list) => {
                let mut count = 0;
                reader.list(list, &mut |item| {
                    count += 1;
                    self.path.push(format!("{count}.member"));
                    let checked = self.value(item, &list.of, sensitive);
                    self.path.pop();
                    checked
                })?;
                self.range(&format!("'[{count} items]'"), count, list.length, "length");
            }
            Type::Map(map) => {
                let mut count = 0;
                reader.map(map, &mut |key, value| {
                    count += 1;
                    self.path.push(key.to_owned());
                    self.text(key, map.keys, false);
                    let checked = self.value(value, &map.of, sensitive);
                    self.path.pop();
                    checked
                })?;
                self.range(&format!("'[{count} entries]'"), count, map.length, "length");
            }
        }
        Ok(())
    }

    fn range(&mut self, shown: &str, value: i64, range: Range, what: &str) {
        if range.min.is_some_and(|min| value < min) {
            self.broken(
                shown,
                &format!(
                    "Member must have {what} greater than or equal to {}",
                    range.min.unwrap_or_default()
                ),
            );
        }
        if range.max.is_some_and(|max| value > max) {
            self.broken(
                shown,
                &format!("Member must have {what} less than or equal to {}", range.max.unwrap_or_default()),
            );
        }
    }

    fn text(&mut self, value: &str, text: &'static Text, sensitive: bool) {
        let shown = match (sensitive, value.char_indices().nth(200)) {
            (true, _) => "'***'".to_owned(),
            (_, Some((cut, _))) => format!("'{}…'", &value[..cut]),
            _ => format!("'{value}'"),
        };
        self.range(&shown, value.chars().count() as i64, text.length, "length");
        if !text.values.is_empty() && !text.values.contains(&value) {
            self.broken(&shown, &format!("Member must satisfy enum value set: [{}]", text.values.join(", ")));
        }
        if !matches(text.pattern, value) {
            self.broken(&shown, &format!("Member must satisfy regular expression pattern: {}", text.pattern));
        }
    }
}

/// Query protocols cannot send an empty list, and path labels are never absent.
fn absent_means_empty(member: &Member) -> bool {
    member.at == At::Uri
}

/// Whether the whole text matches. A pattern that our engine cannot compile (look-around) constrains nothing;
/// `cargo xtask codegen` lists those.
fn matches(pattern: &'static str, value: &str) -> bool {
    static COMPILED: LazyLock<Mutex<HashMap<&'static str, Option<Regex>>>> = LazyLock::new(Mutex::default);
    if pattern.is_empty() {
        return true;
    }
    let mut compiled = COMPILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let regex = compiled.entry(pattern).or_insert_with(|| Regex::new(&format!(r"\A(?:{pattern})\z")).ok());
    regex.as_ref().is_none_or(|regex| regex.is_match(value))
}
