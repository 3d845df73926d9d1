//! YAML as a tree of strings that know where they stand.
//!
//! A buildspec has no numbers and no booleans: `3.10` is a Python version and `yes` an answer, so no
//! schema is applied and every scalar stays as it was written. Each node keeps its place for messages.
use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::{YamlError, limits};

/// A place in the file; both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl From<Span> for At {
    fn from(span: Span) -> Self {
        Self { line: span.start.line(), column: span.start.col() + 1 }
    }
}

/// A value with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where the value begins.
    pub at: At,
    /// The value.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Value {
    /// An absent value: nothing, `~` or `null`, unquoted.
    Null,
    /// Text as written, quotes and escapes resolved.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the file; keys are unique.
    Map(Vec<Entry>),
}

/// One entry of a mapping.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub at: At,
    /// Its value.
    pub value: Node,
}

/// Reads one document.
///
/// # Errors
/// Anything that is not YAML, and what passes a limit (size, depth, nodes after aliases are expanded).
pub fn read(text: &str) -> Result<Node, YamlError> {
    if text.len() > limits::BUILDSPEC_BYTES {
        return Err(YamlError::whole(format!(
            "the buildspec has {} bytes, at most {} are allowed",
            text.len(),
            limits::BUILDSPEC_BYTES
        )));
    }
    let mut reader = Reader { events: Parser::new_from_str(text), anchors: Vec::new(), nodes: 0 };
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(..), _) => {}
            (Event::StreamEnd | Event::DocumentEnd, at) => return Ok(Node { at, value: Value::Null }),
            (event, at) => {
                let root = reader.node(event, at, 0)?;
                reader.end()?;
                return Ok(root);
            }
        }
    }
}

struct Reader<'a> {
    events: Parser<'a, granit_parser::StrInput<'a>>,
    /// Finished nodes that carry an anchor.
    anchors: Vec<(usize, Node)>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, At), YamlError> {
        loop {
            return match self.events.next() {
                // Another crate of the binary may have the parser tell of comments; they mean nothing here.
                Some(Ok((Event::Comment(..), _))) => continue,
                Some(Ok((event, span))) => Ok((event, span.into())),
                Some(Err(error)) => Err(YamlError::at(
                    At { line: error.marker().line(), column: error.marker().col() + 1 },
                    format!("the buildspec is not valid YAML: {}", error.info()),
                )),
                None => Err(YamlError::whole("the buildspec ends in the middle of a value")),
            };
        }
    }

    fn end(&mut self) -> Result<(), YamlError> {
        loop {
            match self.next()? {
                (Event::DocumentEnd, _) => {}
                (Event::StreamEnd, _) => return Ok(()),
                (_, at) => {
                    return Err(YamlError::at(at, "a second YAML document begins; only one is allowed"));
                }
            }
        }
    }

    fn node(&mut self, event: Event<'a>, at: At, depth: usize) -> Result<Node, YamlError> {
        if depth > limits::YAML_DEPTH {
            return Err(YamlError::at(at, format!("values nest deeper than {}", limits::YAML_DEPTH)));
        }
        self.count(1, at)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => (scalar(&text, style), anchor),
            Event::SequenceStart(_, anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map(depth)?, anchor),
            Event::Alias(id) => return self.alias(id, at, depth),
            _ => return Err(YamlError::at(at, "a value is expected here")),
        };
        let node = Node { at, value };
        if anchor != 0 {
            self.anchors.push((anchor, node.clone()));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, at) => items.push(self.node(event, at, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, YamlError> {
        let (mut entries, mut merged): (Vec<Entry>, Vec<Entry>) = (Vec::new(), Vec::new());
        loop {
            let (event, at) = self.next()?;
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(YamlError::at(at, "a key must be a plain string")),
            };
            let (event, value_at) = self.next()?;
            let value = self.node(event, value_at, depth + 1)?;
            if key == "<<" {
                merge(value, &mut merged)?;
            } else if let Some(first) = entries.iter().find(|e| e.key == key) {
                return Err(YamlError::at(
                    at,
                    format!("the key {key:?} stands twice, first at {}", first.at),
                ));
            } else {
                entries.push(Entry { key, at, value });
            }
        }
        merged.retain(|m| !entries.iter().any(|e| e.key == m.key));
        entries.append(&mut merged);
        Ok(Value::Map(entries))
    }

    /// A copy of the anchored value: it counts like one written out, so that a few lines of aliases to
    /// aliases cannot grow without end.
    fn alias(&mut self, id: usize, at: At, depth: usize) -> Result<Node, YamlError> {
        let target = self.anchors.iter().find(|(anchor, _)| *anchor == id).map(|(_, node)| node);
        let target = target.ok_or_else(|| YamlError::at(at, "the alias stands inside its own anchor"))?;
        let (size, height) = measure(target);
        if depth + height > limits::YAML_DEPTH {
            return Err(YamlError::at(at, format!("values nest deeper than {}", limits::YAML_DEPTH)));
        }
        let copy = target.clone();
        self.count(size, at)?;
        Ok(copy)
    }

    fn count(&mut self, more: usize, at: At) -> Result<(), YamlError> {
        self.nodes += more;
        if self.nodes > limits::YAML_NODES {
            return Err(YamlError::at(at, format!("there are more than {} values", limits::YAML_NODES)));
        }
        Ok(())
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    match (style, text) {
        (ScalarStyle::Plain, "" | "~" | "null" | "Null" | "NULL") => Value::Null,
        _ => Value::Text(text.to_owned()),
    }
}

/// The entries that `<<` brings in: of one mapping, or of a list of them, the earlier winning.
fn merge(value: Node, into: &mut Vec<Entry>) -> Result<(), YamlError> {
    let maps = match value.value {
        Value::List(items) => items,
        _ => vec![value],
    };
    for map in maps {
        let Value::Map(entries) = map.value else {
            return Err(YamlError::at(map.at, "<< merges mappings only"));
        };
        for entry in entries {
            if !into.iter().any(|e| e.key == entry.key) {
                into.push(entry);
            }
        }
    }
    Ok(())
}

/// Nodes in the tree, and its height.
fn measure(node: &Node) -> (usize, usize) {
    let children: Vec<&Node> = match &node.value {
        Value::Null | Value::Text(_) => return (1, 1),
        Value::List(items) => items.iter().collect(),
        Value::Map(entries) => entries.iter().map(|e| &e.value).collect(),
    };
    children.into_iter().map(measure).fold((1, 1), |(size, height), (s, h)| (size + s, height.max(h + 1)))
}
