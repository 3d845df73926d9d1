//! REST-XML: the operation is found by method and path; members stand in labels, query, headers and the body.
use std::collections::BTreeMap;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use kernel::ops::AnyShape;
use kernel::schema::{At, List, Map, Member, OperationSchema, Structure, TimeFormat, Type};
use kernel::{Fault, Reader, Timestamp};
use percent_encoding::percent_decode_str;

use super::xml::{Element, TextReader, XmlReader, XmlWriter, parse};

/// The parts of a REST request.
pub struct RestRequest {
    labels: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    headers: HeaderMap,
    body: Bytes,
}

/// Whether the path fits the template, as in `/2013-04-01/hostedzone/{Id}/rrset/`, and what its labels are.
pub fn labels(template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    // Templates may fix query parameters too; the path decides here. One trailing slash more or less is the same
    // operation to Route 53.
    let template = template.split('?').next().unwrap_or_default().trim_matches('/');
    let (mut wanted, mut given) = (template.split('/'), path.trim_matches('/').split('/'));
    let mut found = BTreeMap::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(found),
            (Some(label), Some(text)) if label.starts_with('{') => {
                let text = percent_decode_str(text).decode_utf8().ok()?.into_owned();
                found.insert(label.trim_matches(['{', '}', '+']).to_owned(), text);
            }
            (Some(fixed), Some(text)) if fixed == text => {}
            _ => return None,
        }
    }
}

impl RestRequest {
    /// Takes a request apart.
    pub fn new(head: &Parts, labels: BTreeMap<String, String>, body: Bytes) -> Self {
        let query =
            form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        Self { labels, query, headers: head.headers.clone(), body }
    }

    /// The reader for the operation's input.
    pub fn reader(&self, _: &'static OperationSchema) -> Result<RestReader<'_>, Fault> {
        let body = if self.body.is_empty() { None } else { Some(parse(&self.body)?) };
        Ok(RestReader { request: self, body })
    }
}

/// A view of a REST request.
pub struct RestReader<'a> {
    request: &'a RestRequest,
    body: Option<Element>,
}

impl RestReader<'_> {
    fn text_at(&self, member: &Member) -> Option<&str> {
        match member.at {
            At::Uri => self.request.labels.get(member.wire).map(String::as_str),
            At::Query => self.request.query.get(member.wire).map(String::as_str),
            At::Header => self.request.headers.get(member.wire).and_then(|value| value.to_str().ok()),
            _ => None,
        }
    }
}

/// Only an input's own structure is ever read from a whole request.
fn whole<T>() -> Result<T, Fault> {
    Err(Fault::internal("a REST request is a structure"))
}

impl Reader for RestReader<'_> {
    fn structure(
        &self,
        schema: &'static Structure,
        each: &mut dyn FnMut(usize, &dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for (index, member) in schema.members.iter().enumerate() {
            if let Some(text) = self.text_at(member) {
                each(index, &TextReader(text))?;
            } else if let (At::Payload, Type::Structure(_), Some(body)) = (member.at, &member.ty, &self.body)
            {
                each(index, &XmlReader::new(body))?;
            }
        }
        match &self.body {
            Some(body) => {
                XmlReader::new(body).structure(schema, &mut |index, value| match schema.members[index].at {
                    At::Body | At::Attribute => each(index, value),
                    _ => Ok(()),
                })
            }
            None => Ok(()),
        }
    }
    fn list(
        &self,
        _: &'static List,
        _: &mut dyn FnMut(&dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        whole()
    }
    fn map(
        &self,
        _: &'static Map,
        _: &mut dyn FnMut(&str, &dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        whole()
    }
    fn boolean(&self) -> Result<bool, Fault> {
        whole()
    }
    fn integer(&self) -> Result<i64, Fault> {
        whole()
    }
    fn double(&self) -> Result<f64, Fault> {
        whole()
    }
    fn text(&self) -> Result<String, Fault> {
        whole()
    }
    fn blob(&self) -> Result<Bytes, Fault> {
        whole()
    }
    fn timestamp(&self, _: TimeFormat) -> Result<Timestamp, Fault> {
        whole()
    }
}

/// Headers and XML of a successful answer.
pub fn answer(schema: &OperationSchema, output: &dyn AnyShape) -> (HeaderMap, Bytes) {
    let mut out = XmlWriter::document();
    let root = schema.output.name;
    out.open(root, schema.service.xmlns);
    output.write(&mut out);
    out.close(root);
    let mut headers = HeaderMap::new();
    for (name, value) in std::mem::take(&mut out.headers) {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value))
        {
            headers.insert(name, value);
        }
    }
    (headers, out.finish())
}
