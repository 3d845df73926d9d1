//! The JSON form of shapes: what awsJson sends, and what records keep of a shape inside themselves.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map as Object, Number, Value};

use crate::schema::{List, Map, Member, Structure, TimeFormat};
use crate::shape::{serialization, within};
use crate::{Fault, Reader, Shape, Timestamp, Writer};

/// The shape as JSON.
pub fn to_value<T: Shape>(shape: &T) -> Value {
    let mut writer = JsonWriter::default();
    shape.write(&mut writer);
    writer.done
}

/// The shape that this JSON holds. Constraints are not checked.
pub fn from_value<T: Shape>(value: &Value) -> Result<T, Fault> {
    T::read(&JsonReader(value))
}

/// The shape as JSON text with sensitive members masked: what `Debug` prints.
pub fn redacted<T: Shape>(shape: &T) -> String {
    let mut writer = JsonWriter { redact: true, ..JsonWriter::default() };
    shape.write(&mut writer);
    writer.done.to_string()
}

/// `#[serde(with = "kernel::json::stored")]`: a shape inside a stored record.
pub mod stored {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::Shape;

    /// Serializes the shape as its JSON form.
    pub fn serialize<T: Shape, S: Serializer>(shape: &T, serializer: S) -> Result<S::Ok, S::Error> {
        super::to_value(shape).serialize(serializer)
    }

    /// Reads the shape from its JSON form.
    pub fn deserialize<'de, T: Shape, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        super::from_value(&value).map_err(serde::de::Error::custom)
    }
}

/// A view of a JSON value.
pub struct JsonReader<'a>(pub &'a Value);

impl JsonReader<'_> {
    fn wrong<T>(&self, expected: &str) -> Result<T, Fault> {
        let found = match self.0 {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "a structure",
        };
        Err(serialization(format!("Expected {expected}, found {found}")))
    }
}

impl Reader for JsonReader<'_> {
    fn is_null(&self) -> bool {
        self.0.is_null()
    }
    fn structure(
        &self,
        schema: &'static Structure,
        each: &mut dyn FnMut(usize, &dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let Value::Object(object) = self.0 else { return self.wrong("a structure") };
        for (index, member) in schema.members.iter().enumerate() {
            if let Some(value) = object.get(member.wire) {
                each(index, &JsonReader(value)).map_err(|fault| within(fault, member.name))?;
            }
        }
        Ok(())
    }
    fn list(
        &self,
        _: &'static List,
        each: &mut dyn FnMut(&dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let Value::Array(items) = self.0 else { return self.wrong("a list") };
        items.iter().try_for_each(|item| each(&JsonReader(item)))
    }
    fn map(
        &self,
        _: &'static Map,
        each: &mut dyn FnMut(&str, &dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let Value::Object(object) = self.0 else { return self.wrong("a map") };
        object.iter().try_for_each(|(key, value)| each(key, &JsonReader(value)))
    }
    fn boolean(&self) -> Result<bool, Fault> {
        self.0.as_bool().map_or_else(|| self.wrong("a boolean"), Ok)
    }
    fn integer(&self) -> Result<i64, Fault> {
        // `3.0` is an integer to some clients' serializers.
        let whole = |f: f64| (f.fract() == 0.0 && f.abs() < 9e15).then_some(f as i64);
        self.0
            .as_i64()
            .or_else(|| self.0.as_f64().and_then(whole))
            .map_or_else(|| self.wrong("a whole number"), Ok)
    }
    fn double(&self) -> Result<f64, Fault> {
        match self.0.as_str() {
            Some("NaN") => Ok(f64::NAN),
            Some("Infinity") => Ok(f64::INFINITY),
            Some("-Infinity") => Ok(f64::NEG_INFINITY),
            _ => self.0.as_f64().map_or_else(|| self.wrong("a number"), Ok),
        }
    }
    fn text(&self) -> Result<String, Fault> {
        self.0.as_str().map_or_else(|| self.wrong("a string"), |text| Ok(text.to_owned()))
    }
    fn blob(&self) -> Result<Bytes, Fault> {
        let Value::String(text) = self.0 else { return self.wrong("base64 text") };
        STANDARD
            .decode(text)
            .map(Bytes::from)
            .map_err(|e| serialization(format!("Expected base64 text: {e}")))
    }
    fn timestamp(&self, format: TimeFormat) -> Result<Timestamp, Fault> {
        match (self.0, format) {
            (Value::Number(number), _) => {
                number.as_f64().and_then(from_epoch).map_or_else(|| self.wrong("an instant"), Ok)
            }
            (Value::String(text), _) => text.parse().or_else(|_| self.wrong("an instant")),
            _ => self.wrong("an instant"),
        }
    }
}

/// Epoch seconds with a fraction, kept to the microsecond: more than a double holds is noise.
pub fn from_epoch(seconds: f64) -> Option<Timestamp> {
    (seconds.is_finite() && seconds.abs() < 2e11).then_some(())?;
    Timestamp::from_microsecond((seconds * 1e6).round() as i64).ok()
}

/// The instant as epoch seconds, to the millisecond as AWS writes it.
pub fn epoch(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1e3
}

/// Builds a JSON value.
#[derive(Default)]
pub struct JsonWriter {
    stack: Vec<Frame>,
    redact: bool,
    mask: bool,
    /// The value, once everything that began has ended.
    pub done: Value,
}

enum Frame {
    Object(Object<String, Value>, String),
    Array(Vec<Value>),
}

impl JsonWriter {
    fn emit(&mut self, value: Value) {
        let value = if std::mem::take(&mut self.mask) { Value::from("***") } else { value };
        match self.stack.last_mut() {
            Some(Frame::Object(object, key)) => drop(object.insert(std::mem::take(key), value)),
            Some(Frame::Array(items)) => items.push(value),
            None => self.done = value,
        }
    }
    fn name(&mut self, name: &str) {
        if let Some(Frame::Object(_, key)) = self.stack.last_mut() {
            *key = name.to_owned();
        }
    }
    fn end(&mut self) {
        match self.stack.pop() {
            Some(Frame::Object(object, _)) => self.emit(Value::Object(object)),
            Some(Frame::Array(items)) => self.emit(Value::Array(items)),
            None => {}
        }
    }
}

impl Writer for JsonWriter {
    fn begin_structure(&mut self, _: &'static Structure) {
        self.stack.push(Frame::Object(Object::new(), String::new()));
    }
    fn member(&mut self, member: &'static Member) {
        self.mask = self.redact && member.sensitive && is_scalar(member);
        self.name(member.wire);
    }
    fn end_structure(&mut self) {
        self.end();
    }
    fn begin_list(&mut self, _: &'static List) {
        self.stack.push(Frame::Array(Vec::new()));
    }
    fn end_list(&mut self) {
        self.end();
    }
    fn begin_map(&mut self, _: &'static Map) {
        self.stack.push(Frame::Object(Object::new(), String::new()));
    }
    fn key(&mut self, key: &str) {
        self.name(key);
    }
    fn end_map(&mut self) {
        self.end();
    }
    fn boolean(&mut self, value: bool) {
        self.emit(value.into());
    }
    fn integer(&mut self, value: i64) {
        self.emit(value.into());
    }
    fn double(&mut self, value: f64) {
        self.emit(Number::from_f64(value).map_or_else(|| nonfinite(value).into(), Value::Number));
    }
    fn text(&mut self, value: &str) {
        self.emit(value.into());
    }
    fn blob(&mut self, value: &[u8]) {
        self.emit(STANDARD.encode(value).into());
    }
    fn timestamp(&mut self, value: Timestamp, format: TimeFormat) {
        match format {
            TimeFormat::Iso8601 => self.emit(iso8601(value).into()),
            _ => self.double(epoch(value)),
        }
    }
}

fn is_scalar(member: &Member) -> bool {
    use crate::schema::Type::{List, Map, Structure};
    !matches!(member.ty, List(_) | Map(_) | Structure(_))
}

fn nonfinite(value: f64) -> &'static str {
    match value {
        v if v.is_nan() => "NaN",
        v if v > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

/// `2026-01-02T03:04:05.678Z`.
pub fn iso8601(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
