//! awsQuery and ec2Query: `Tags.member.1.Key=a&…` in, XML out.
use std::collections::BTreeMap;

use bytes::Bytes;
use kernel::ops::AnyShape;
use kernel::schema::{List, Map, OperationSchema, Protocol, Structure, TimeFormat};
use kernel::{Fault, Reader, Timestamp};

use super::xml::{TextReader, XmlWriter};
use crate::limits::{DEPTH, PARAMETERS};

/// Parameters as the tree that their dotted names make.
#[derive(Debug, Default)]
pub struct Form(Node);

/// A parameter, and those whose names go on from its own.
#[derive(Debug, Default)]
pub struct Node {
    value: Option<String>,
    children: BTreeMap<String, Node>,
}

impl Form {
    /// Reads `application/x-www-form-urlencoded` text.
    pub fn parse(text: &[u8]) -> Result<Self, Fault> {
        let mut root = Node::default();
        for (count, (name, value)) in form_urlencoded::parse(text).enumerate() {
            if count == PARAMETERS || name.split('.').count() > DEPTH {
                return Err(Fault::client(
                    "MalformedInput",
                    format!("More than {PARAMETERS} parameters, or a name of more than {DEPTH} parts"),
                ));
            }
            let mut node = &mut root;
            for part in name.split('.') {
                node = node.children.entry(part.to_owned()).or_default();
            }
            node.value = Some(value.into_owned());
        }
        Ok(Self(root))
    }

    /// A top-level parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.children.get(name)?.value.as_deref()
    }

    /// Where the input's members hang.
    pub fn root(&self) -> &Node {
        &self.0
    }
}

/// A view of a parameter and those below it.
pub struct QueryReader<'a> {
    node: &'a Node,
    ec2: bool,
}

impl<'a> QueryReader<'a> {
    /// A view of the whole form.
    pub fn new(node: &'a Node, ec2: bool) -> Self {
        Self { node, ec2 }
    }

    fn scalar(&self) -> TextReader<'_> {
        TextReader(self.node.value.as_deref().unwrap_or_default())
    }

    fn at(&self, node: &'a Node) -> Self {
        Self { node, ec2: self.ec2 }
    }

    /// Numbered children in the order of their numbers.
    fn numbered(node: &Node) -> Vec<&Node> {
        let mut items: Vec<(u32, &Node)> =
            node.children.iter().filter_map(|(name, item)| Some((name.parse().ok()?, item))).collect();
        items.sort_by_key(|(number, _)| *number);
        items.into_iter().map(|(_, item)| item).collect()
    }
}

impl Reader for QueryReader<'_> {
    fn structure(
        &self,
        schema: &'static Structure,
        each: &mut dyn FnMut(usize, &dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for (index, member) in schema.members.iter().enumerate() {
            let name = if self.ec2 { member.ec2 } else { member.wire };
            if let Some(node) = self.node.children.get(name) {
                each(index, &self.at(node))?;
            }
        }
        Ok(())
    }
    fn list(
        &self,
        schema: &'static List,
        each: &mut dyn FnMut(&dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        // EC2's lists are always flat. Query names its items `member` unless the model says otherwise; clients differ in
        // which of the two they send, and both are understood.
        let around = if self.ec2 || schema.flat {
            Some(self.node)
        } else {
            ["member", schema.item].iter().find_map(|name| self.node.children.get(*name))
        };
        let items = around.map(Self::numbered).unwrap_or_default();
        items.into_iter().try_for_each(|item| each(&self.at(item)))
    }
    fn map(
        &self,
        schema: &'static Map,
        each: &mut dyn FnMut(&str, &dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let around = if schema.flat { Some(self.node) } else { self.node.children.get("entry") };
        for entry in around.map(Self::numbered).unwrap_or_default() {
            let key = entry.children.get(schema.key).and_then(|key| key.value.as_deref());
            if let (Some(key), Some(value)) = (key, entry.children.get(schema.value)) {
                each(key, &self.at(value))?;
            }
        }
        Ok(())
    }
    fn boolean(&self) -> Result<bool, Fault> {
        self.scalar().boolean()
    }
    fn integer(&self) -> Result<i64, Fault> {
        self.scalar().integer()
    }
    fn double(&self) -> Result<f64, Fault> {
        self.scalar().double()
    }
    fn text(&self) -> Result<String, Fault> {
        self.scalar().text()
    }
    fn blob(&self) -> Result<Bytes, Fault> {
        self.scalar().blob()
    }
    fn timestamp(&self, format: TimeFormat) -> Result<Timestamp, Fault> {
        self.scalar().timestamp(format)
    }
}

/// The XML of a successful answer: EC2 puts members and request id at its root, Query wraps both.
pub fn answer(
    schema: &OperationSchema,
    protocol: Protocol,
    output: &dyn AnyShape,
    request_id: &str,
) -> Bytes {
    let mut out = XmlWriter::document();
    let root = format!("{}Response", schema.name);
    out.open(&root, schema.service.xmlns);
    if protocol == Protocol::Ec2 {
        out.leaf("requestId", request_id);
        output.write(&mut out);
    } else {
        if !schema.result_wrapper.is_empty() {
            out.open(schema.result_wrapper, "");
        }
        output.write(&mut out);
        if !schema.result_wrapper.is_empty() {
            out.close(schema.result_wrapper);
        }
        out.open("ResponseMetadata", "");
        out.leaf("RequestId", request_id);
        out.close("ResponseMetadata");
    }
    out.close(&root);
    out.finish()
}
