//! What a shape looks like on the wire, as `static` data that protocols and the constraint check interpret.
//! Generated from botocore's service models; recursive shapes refer to one another through `&'static`.

/// One AWS service as its model's metadata gives it.
#[derive(Debug)]
pub struct Service {
    /// Longshore's crate name for it: `codepipeline`, `elb`, `ec2`.
    pub name: &'static str,
    /// The name in IAM actions and ARNs: `elasticloadbalancing` for `elb`.
    pub iam: &'static str,
    /// The name in a SigV4 credential scope.
    pub signing: &'static str,
    /// The first label of its endpoint's host name: `api.ecr`, `ecs`.
    pub endpoint: &'static str,
    /// How its requests and answers are encoded, for most of its clients.
    pub protocol: Protocol,
    /// What other clients of its speak.
    pub also: &'static [Protocol],
    /// Error shapes whose code in Query is not their name, with that code: what a service that once spoke Query alone
    /// owes to those who match its old codes.
    pub query_codes: &'static [(&'static str, &'static str)],
    /// What stands before the dot of `X-Amz-Target`; empty without one.
    pub target_prefix: &'static str,
    /// The API version: the `Version` of Query requests.
    pub version: &'static str,
    /// The namespace of XML answers; empty without one.
    pub xmlns: &'static str,
    /// Every operation of the model, served or not: an unserved one answers a clear error.
    pub operations: &'static [&'static str],
}

impl Service {
    /// Whether it speaks a protocol.
    pub fn speaks(&self, protocol: Protocol) -> bool {
        self.protocol == protocol || self.also.contains(&protocol)
    }
}

/// The encodings of AWS's APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// awsJson 1.0 (`application/x-amz-json-1.0`).
    Json10,
    /// awsJson 1.1.
    Json11,
    /// awsQuery: a form in, XML out.
    Query,
    /// ec2Query: its own list flattening and answer root.
    Ec2,
    /// REST-XML: method, path, headers and an XML body.
    RestXml,
    /// Smithy's RPC v2: the path names service and operation, CBOR both ways.
    Cbor,
}

/// One operation.
#[derive(Debug)]
pub struct OperationSchema {
    /// The service it belongs to.
    pub service: &'static Service,
    /// As in `CreatePipeline`.
    pub name: &'static str,
    /// HTTP method (REST) or `POST`.
    pub method: &'static str,
    /// Path template (REST) with `{Label}` and `{Label+}`, or `/`.
    pub uri: &'static str,
    /// Status of a successful answer.
    pub status: u16,
    /// The input's shape.
    pub input: &'static Structure,
    /// The output's shape.
    pub output: &'static Structure,
    /// Element around a Query answer's members: `DescribeRulesResult`; empty without one.
    pub result_wrapper: &'static str,
    /// Root element of a REST-XML request body; empty without one.
    pub input_root: &'static str,
}

/// A structure or union.
#[derive(Debug)]
pub struct Structure {
    /// The model's name for the shape.
    pub name: &'static str,
    /// Its members, in the model's order.
    pub members: &'static [Member],
}

/// A member of a structure.
#[derive(Debug)]
pub struct Member {
    /// The model's name: what constraint messages say.
    pub name: &'static str,
    /// JSON key, XML element, header or query-string name.
    pub wire: &'static str,
    /// The name in ec2Query requests.
    pub ec2: &'static str,
    /// Where it stands in an HTTP message.
    pub at: At,
    /// Absence breaks a constraint.
    pub required: bool,
    /// Never shown in logs or `Debug`.
    pub sensitive: bool,
    /// Its value.
    pub ty: Type,
}

/// Where a member stands in an HTTP message; all but `Body` occur in REST protocols only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// In the body, under its wire name.
    Body,
    /// It is the body.
    Payload,
    /// A header.
    Header,
    /// All headers with a prefix.
    Headers,
    /// A query-string parameter.
    Query,
    /// A label of the path.
    Uri,
    /// The answer's status.
    Status,
    /// An attribute of the XML element.
    Attribute,
}

/// A value's type with its constraints.
#[derive(Debug)]
pub enum Type {
    /// True or false.
    Boolean,
    /// 32-bit.
    Integer(Range),
    /// 64-bit.
    Long(Range),
    /// Floating point, both widths.
    Double,
    /// UTF-8 text.
    String(&'static Text),
    /// Bytes, base64 in text encodings.
    Blob(Range),
    /// An instant.
    Timestamp(TimeFormat),
    /// A list.
    List(&'static List),
    /// A map with string keys.
    Map(&'static Map),
    /// A structure.
    Structure(&'static Structure),
}

/// Inclusive bounds of a length or a value.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// Least, if bounded.
    pub min: Option<i64>,
    /// Greatest, if bounded.
    pub max: Option<i64>,
}

/// Constraints of a string.
#[derive(Debug)]
pub struct Text {
    /// Bounds of its length in characters.
    pub length: Range,
    /// Regular expression that the whole must match; empty without one.
    pub pattern: &'static str,
    /// Allowed values; empty without such a set.
    pub values: &'static [&'static str],
}

/// A list.
#[derive(Debug)]
pub struct List {
    /// Bounds of its length.
    pub length: Range,
    /// Wire name of an item: `member` unless the model says otherwise.
    pub item: &'static str,
    /// No element around the items.
    pub flat: bool,
    /// What it holds.
    pub of: Type,
}

/// A map with string keys.
#[derive(Debug)]
pub struct Map {
    /// Bounds of its size.
    pub length: Range,
    /// Wire name of a key.
    pub key: &'static str,
    /// Wire name of a value.
    pub value: &'static str,
    /// No element around the entries.
    pub flat: bool,
    /// Constraints of the keys.
    pub keys: &'static Text,
    /// What it holds.
    pub of: Type,
}

/// How an instant is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// The protocol's own: epoch seconds in JSON and CBOR, ISO 8601 in XML and Query.
    Default,
    /// Seconds since 1970, with a fraction in JSON.
    Epoch,
    /// `2026-01-02T03:04:05.678Z`.
    Iso8601,
    /// `Fri, 02 Jan 2026 03:04:05 GMT`.
    Http,
}
