//! XML bodies: a bounded tree to read, a writer led by schemas.
use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kernel::json::{epoch, from_epoch, iso8601};
use kernel::schema::{At, List, Map, Member, Structure, TimeFormat};
use kernel::shape::serialization;
use kernel::{Fault, Reader, Timestamp, Writer};
use quick_xml::escape::{escape, resolve_predefined_entity, unescape};
use quick_xml::events::{BytesStart, Event};

use crate::limits::DEPTH;

/// An element; namespaces and mixed content mean nothing to AWS's APIs.
#[derive(Debug, Default, PartialEq)]
pub struct Element {
    /// Its local name.
    pub name: String,
    /// Its attributes, by local name.
    pub attributes: Vec<(String, String)>,
    /// The elements in it.
    pub children: Vec<Element>,
    /// The text in it.
    pub text: String,
}

/// Reads a document: no DTD, no entities but XML's own, at most [`DEPTH`] levels.
pub fn parse(body: &[u8]) -> Result<Element, Fault> {
    let bad = |e: &dyn std::fmt::Display| {
        Fault::client("MalformedXML", format!("The body is not well-formed XML: {e}"))
    };
    let body = std::str::from_utf8(body).map_err(|e| bad(&e))?;
    let mut reader = quick_xml::Reader::from_str(body);
    let mut stack = vec![Element::default()];
    loop {
        let event = reader.read_event().map_err(|e| bad(&e))?;
        match event {
            Event::Start(tag) => {
                if stack.len() > DEPTH {
                    return Err(bad(&"it nests too deep"));
                }
                stack.push(begin(&tag).map_err(|e| bad(&e))?);
            }
            Event::Empty(tag) => {
                let element = begin(&tag).map_err(|e| bad(&e))?;
                attach(&mut stack, element);
            }
            Event::End(_) => {
                let element = stack
                    .pop()
                    .filter(|_| !stack.is_empty())
                    .ok_or_else(|| bad(&"an end without a start"))?;
                attach(&mut stack, element);
            }
            Event::Text(text) => append(&mut stack, &text.xml10_content()),
            Event::CData(text) => append(&mut stack, &text.xml10_content()),
            Event::GeneralRef(entity) => {
                let resolved = match entity.resolve_char_ref().map_err(|e| bad(&e))? {
                    Some(c) => Cow::Owned(c.to_string()),
                    None => {
                        let known = resolve_predefined_entity(&entity.xml10_content());
                        known.map(Cow::Borrowed).ok_or_else(|| bad(&"an entity of its own"))?
                    }
                };
                append(&mut stack, &resolved);
            }
            Event::DocType(_) => return Err(bad(&"a document type is not allowed")),
            Event::Eof => break,
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
        }
    }
    match (stack.len(), stack.pop().and_then(|mut root| root.children.pop())) {
        (1, Some(element)) => Ok(element),
        _ => Err(bad(&"it ends early")),
    }
}

fn begin(tag: &BytesStart<'_>) -> Result<Element, String> {
    let mut attributes = Vec::new();
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|e| e.to_string())?;
        let value = unescape(&attribute.value).map_err(|e| e.to_string())?.into_owned();
        attributes.push((attribute.key.local_name().as_ref().to_owned(), value));
    }
    Ok(Element { name: tag.local_name().as_ref().to_owned(), attributes, ..Element::default() })
}

fn attach(stack: &mut [Element], element: Element) {
    if let Some(parent) = stack.last_mut() {
        parent.children.push(element);
    }
}

fn append(stack: &mut [Element], text: &str) {
    if let Some(element) = stack.last_mut() {
        element.text.push_str(text);
    }
}

/// A view of an element, or of the siblings that are a flattened list or map.
pub struct XmlReader<'a>(Vec<&'a Element>);

impl<'a> XmlReader<'a> {
    /// A view of one element.
    pub fn new(element: &'a Element) -> Self {
        Self(vec![element])
    }

    fn text_of(&self) -> &str {
        self.0.first().map_or("", |element| &element.text)
    }

    fn children(&self) -> impl Iterator<Item = &'a Element> {
        self.0.iter().flat_map(|element| &element.children)
    }

    fn flat_name(member: &Member) -> &'static str {
        use kernel::schema::Type;
        match &member.ty {
            Type::List(list) if list.flat && list.item != "member" => list.item,
            _ => member.wire,
        }
    }
}

impl Reader for XmlReader<'_> {
    fn structure(
        &self,
        schema: &'static Structure,
        each: &mut dyn FnMut(usize, &dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for (index, member) in schema.members.iter().enumerate() {
            if member.at == At::Attribute {
                let found =
                    self.0.first().and_then(|e| e.attributes.iter().find(|(name, _)| name == member.wire));
                if let Some((_, value)) = found {
                    each(index, &TextReader(value))?;
                }
                continue;
            }
            let name = Self::flat_name(member);
            let found: Vec<&Element> = self.children().filter(|child| child.name == name).collect();
            if !found.is_empty() {
                each(index, &XmlReader(found))?;
            }
        }
        Ok(())
    }
    fn list(
        &self,
        schema: &'static List,
        each: &mut dyn FnMut(&dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if schema.flat {
            return self.0.iter().try_for_each(|item| each(&XmlReader::new(item)));
        }
        self.children().filter(|c| c.name == schema.item).try_for_each(|item| each(&XmlReader::new(item)))
    }
    fn map(
        &self,
        schema: &'static Map,
        each: &mut dyn FnMut(&str, &dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let entries: Vec<&Element> = if schema.flat { self.0.clone() } else { self.children().collect() };
        for entry in entries {
            let part = |name| entry.children.iter().find(|child| child.name == name);
            if let (Some(key), Some(value)) = (part(schema.key), part(schema.value)) {
                each(&key.text, &XmlReader::new(value))?;
            }
        }
        Ok(())
    }
    fn boolean(&self) -> Result<bool, Fault> {
        TextReader(self.text_of()).boolean()
    }
    fn integer(&self) -> Result<i64, Fault> {
        TextReader(self.text_of()).integer()
    }
    fn double(&self) -> Result<f64, Fault> {
        TextReader(self.text_of()).double()
    }
    fn text(&self) -> Result<String, Fault> {
        TextReader(self.text_of()).text()
    }
    fn blob(&self) -> Result<Bytes, Fault> {
        TextReader(self.text_of()).blob()
    }
    fn timestamp(&self, format: TimeFormat) -> Result<Timestamp, Fault> {
        TextReader(self.text_of()).timestamp(format)
    }
}

/// A scalar written as text: XML, Query parameters, headers, labels.
pub struct TextReader<'a>(pub &'a str);

impl TextReader<'_> {
    fn wrong<T>(&self, expected: &str) -> Result<T, Fault> {
        Err(serialization(format!(
            "Expected {expected}, found '{}'",
            self.0.chars().take(100).collect::<String>()
        )))
    }
}

impl Reader for TextReader<'_> {
    fn structure(
        &self,
        _: &'static Structure,
        _: &mut dyn FnMut(usize, &dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if self.0.is_empty() { Ok(()) } else { self.wrong("a structure") }
    }
    fn list(
        &self,
        _: &'static List,
        each: &mut dyn FnMut(&dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        // A header's list stands in one line.
        self.0
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .try_for_each(|item| each(&TextReader(item)))
    }
    fn map(
        &self,
        _: &'static Map,
        _: &mut dyn FnMut(&str, &dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if self.0.is_empty() { Ok(()) } else { self.wrong("a map") }
    }
    fn boolean(&self) -> Result<bool, Fault> {
        match self.0.trim() {
            "true" | "True" | "1" => Ok(true),
            "false" | "False" | "0" => Ok(false),
            _ => self.wrong("true or false"),
        }
    }
    fn integer(&self) -> Result<i64, Fault> {
        self.0.trim().parse().or_else(|_| self.wrong("a whole number"))
    }
    fn double(&self) -> Result<f64, Fault> {
        self.0.trim().parse().or_else(|_| self.wrong("a number"))
    }
    fn text(&self) -> Result<String, Fault> {
        Ok(self.0.to_owned())
    }
    fn blob(&self) -> Result<Bytes, Fault> {
        STANDARD.decode(self.0.trim()).map(Bytes::from).or_else(|_| self.wrong("base64 text"))
    }
    fn timestamp(&self, _: TimeFormat) -> Result<Timestamp, Fault> {
        let text = self.0.trim();
        let parsed = text.parse().ok().or_else(|| text.parse().ok().and_then(from_epoch));
        let http = || jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp());
        // `2026-01-02T03:04:05` without an offset is UTC to AWS.
        let bare = || format!("{text}Z").parse().ok();
        parsed.or_else(http).or_else(bare).map_or_else(|| self.wrong("an instant"), Ok)
    }
}

/// Writes XML, element by element or led by a shape's schema.
pub struct XmlWriter {
    out: String,
    stack: Vec<Frame>,
    /// Name of the element that the next value becomes.
    pending: &'static str,
    /// The next value is a header of the answer instead.
    header: Option<&'static str>,
    /// Root members that stand in headers.
    pub headers: Vec<(&'static str, String)>,
}

enum Frame {
    /// Its element has this name; empty at the root, whose element the caller writes.
    Structure(&'static str),
    List {
        item: &'static str,
        around: &'static str,
    },
    Map {
        entry: &'static str,
        key: &'static str,
        value: &'static str,
        around: &'static str,
    },
}

impl XmlWriter {
    /// An empty document with its declaration.
    pub fn document() -> Self {
        let out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        Self { out, stack: Vec::new(), pending: "", header: None, headers: Vec::new() }
    }

    /// Opens an element.
    pub fn open(&mut self, name: &str, xmlns: &str) {
        self.out.push('<');
        self.out.push_str(name);
        if !xmlns.is_empty() {
            self.out.push_str(&format!(" xmlns=\"{}\"", escape(xmlns)));
        }
        self.out.push('>');
    }

    /// Closes an element.
    pub fn close(&mut self, name: &str) {
        self.out.push_str(&format!("</{name}>"));
    }

    /// An element of text.
    pub fn leaf(&mut self, name: &str, text: &str) {
        self.open(name, "");
        self.out.push_str(&escape(text));
        self.close(name);
    }

    /// The document.
    pub fn finish(self) -> Bytes {
        self.out.into()
    }

    /// The name for the value that comes next, by where it stands.
    fn next(&mut self) -> &'static str {
        match self.stack.last() {
            Some(Frame::List { item, .. }) => item,
            Some(Frame::Map { value, .. }) => value,
            _ => std::mem::take(&mut self.pending),
        }
    }

    fn scalar(&mut self, text: &str) {
        if let Some(header) = self.header.take() {
            self.headers.push((header, text.to_owned()));
            return;
        }
        let name = self.next();
        self.leaf(name, text);
        self.end_entry();
    }

    /// A map's value closes its entry.
    fn end_entry(&mut self) {
        if let Some(Frame::Map { entry, .. }) = self.stack.last() {
            let entry = *entry;
            self.close(entry);
        }
    }

    fn end(&mut self, name: &str) {
        if !name.is_empty() {
            self.close(name);
        }
        self.end_entry();
    }
}

impl Writer for XmlWriter {
    fn begin_structure(&mut self, _: &'static Structure) {
        let name = self.next();
        if !name.is_empty() {
            self.open(name, "");
        }
        self.stack.push(Frame::Structure(name));
    }
    fn member(&mut self, member: &'static Member) {
        self.header = (member.at == At::Header).then_some(member.wire);
        self.pending = member.wire;
    }
    fn end_structure(&mut self) {
        if let Some(Frame::Structure(name)) = self.stack.pop() {
            self.end(name);
        }
    }
    fn begin_list(&mut self, list: &'static List) {
        let name = self.next();
        let (item, around) = match (list.flat, list.item) {
            (true, "member") => (name, ""),
            (true, item) => (item, ""),
            (false, item) => (item, name),
        };
        if !around.is_empty() {
            self.open(around, "");
        }
        self.stack.push(Frame::List { item, around });
    }
    fn end_list(&mut self) {
        if let Some(Frame::List { around, .. }) = self.stack.pop() {
            self.end(around);
        }
    }
    fn begin_map(&mut self, map: &'static Map) {
        let name = self.next();
        let (entry, around) = if map.flat { (name, "") } else { ("entry", name) };
        if !around.is_empty() {
            self.open(around, "");
        }
        self.stack.push(Frame::Map { entry, key: map.key, value: map.value, around });
    }
    fn key(&mut self, text: &str) {
        if let Some(Frame::Map { entry, key, .. }) = self.stack.last() {
            let (entry, key) = (*entry, *key);
            self.open(entry, "");
            self.leaf(key, text);
        }
    }
    fn end_map(&mut self) {
        if let Some(Frame::Map { around, .. }) = self.stack.pop() {
            self.end(around);
        }
    }
    fn boolean(&mut self, value: bool) {
        self.scalar(if value { "true" } else { "false" });
    }
    fn integer(&mut self, value: i64) {
        self.scalar(&value.to_string());
    }
    fn double(&mut self, value: f64) {
        self.scalar(&value.to_string());
    }
    fn text(&mut self, value: &str) {
        self.scalar(value);
    }
    fn blob(&mut self, value: &[u8]) {
        self.scalar(&STANDARD.encode(value));
    }
    fn timestamp(&mut self, value: Timestamp, format: TimeFormat) {
        match format {
            TimeFormat::Epoch => self.scalar(&epoch(value).to_string()),
            TimeFormat::Http => self.scalar(&value.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
            TimeFormat::Default | TimeFormat::Iso8601 => self.scalar(&iso8601(value)),
        }
    }
}
