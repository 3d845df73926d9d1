//! AWS's protocols: one reader and one writer each, led by schemas.
pub mod cbor;
pub mod query;
pub mod rest;
#[cfg(test)]
mod tests;
pub mod xml;

use std::borrow::Cow;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use kernel::face::full;
use kernel::json::{JsonReader, JsonWriter};
use kernel::ops::AnyShape;
use kernel::schema::{OperationSchema, Protocol, Service};
use kernel::shape::serialization;
use kernel::{Body, Fault, Reader};
use serde_json::Value;

use cbor::{CborReader, CborWriter};
use query::{Form, QueryReader};
use xml::XmlWriter;

/// The header by which a client says that it speaks a protocol of Smithy's.
pub const SMITHY_PROTOCOL: &str = "smithy-protocol";
/// Its value for RPC v2 in CBOR.
pub const RPC_V2_CBOR: &str = "rpc-v2-cbor";

/// A decoded request, before its schema is applied.
pub enum Input {
    /// JSON document.
    Json(Value),
    /// CBOR that is known to be well-formed.
    Cbor(Bytes),
    /// A form of parameters; EC2's dialect or not.
    Query(Form, bool),
    /// Labels, query, headers and body of a REST request.
    Rest(rest::RestRequest),
}

impl Input {
    /// Decodes an awsJson body. No body is an empty structure.
    pub fn json(body: &[u8]) -> Result<Self, Fault> {
        if body.is_empty() {
            return Ok(Self::Json(Value::Object(serde_json::Map::new())));
        }
        serde_json::from_slice(body)
            .map(Self::Json)
            .map_err(|e| serialization(format!("The body is not JSON: {e}")))
    }

    /// Looks at the input as the protocol's reader does.
    pub fn read<T>(
        &self,
        schema: &'static OperationSchema,
        with: impl FnOnce(&dyn Reader) -> T,
    ) -> Result<T, Fault> {
        match self {
            Self::Json(value) => Ok(with(&JsonReader(value))),
            Self::Cbor(body) => Ok(with(&CborReader::new(body))),
            Self::Query(form, ec2) => Ok(with(&QueryReader::new(form.root(), *ec2))),
            Self::Rest(request) => Ok(with(&request.reader(schema)?)),
        }
    }
}

/// In whose words a request is answered: a service's, where it is known, in the protocol that the client speaks.
#[derive(Clone, Copy)]
pub struct Speech {
    /// Whom the client asked.
    pub service: Option<&'static Service>,
    /// What it speaks.
    pub protocol: Protocol,
}

impl Speech {
    /// A service's own protocol; JSON where no service is known.
    pub fn of(service: Option<&'static Service>) -> Self {
        Self { service, protocol: service.map_or(Protocol::Json11, |s| s.protocol) }
    }
}

/// The answer of an operation.
pub fn answer(
    schema: &'static OperationSchema,
    protocol: Protocol,
    output: &dyn AnyShape,
    request_id: &str,
) -> Response<Body> {
    let mut response = match protocol {
        Protocol::Json10 | Protocol::Json11 => {
            let mut writer = JsonWriter::default();
            output.write(&mut writer);
            Response::new(full(writer.done.to_string()))
        }
        Protocol::Cbor => {
            let mut writer = CborWriter::default();
            output.write(&mut writer);
            Response::new(full(writer.finish()))
        }
        Protocol::Query | Protocol::Ec2 => {
            Response::new(full(query::answer(schema, protocol, output, request_id)))
        }
        Protocol::RestXml => {
            let (headers, text) = rest::answer(schema, output);
            let mut response = Response::new(full(text));
            response.headers_mut().extend(headers);
            response
        }
    };
    *response.status_mut() = StatusCode::from_u16(schema.status).unwrap_or(StatusCode::OK);
    mark(&mut response, protocol);
    response
}

/// The answer of a failed request.
pub fn refusal(speech: Speech, fault: &Fault, request_id: &str) -> Response<Body> {
    let Speech { service, protocol } = speech;
    let (code, status) = worded(protocol, fault);
    let old_code =
        service.and_then(|s| s.query_codes.iter().find(|(name, _)| *name == code)).map(|(_, old)| *old);
    let code = old_code.filter(|_| protocol == Protocol::Query).map_or(code, Cow::Borrowed);
    let text: Bytes = match protocol {
        Protocol::Json10 | Protocol::Json11 => json_error(&code, fault),
        Protocol::Query | Protocol::RestXml => {
            query_error(service.map_or("", |s| s.xmlns), &code, status, fault, request_id)
        }
        Protocol::Ec2 => ec2_error(&code, fault, request_id),
        Protocol::Cbor => cbor::error(&code, fault),
    };
    let mut response = Response::new(full(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    mark(&mut response, protocol);
    // Clients of a service that once spoke Query alone go on to match the codes that it had there.
    if let Some(old) = old_code.filter(|_| protocol != Protocol::Query) {
        let side = if status < 500 { "Sender" } else { "Receiver" };
        if let Ok(value) = header::HeaderValue::from_str(&format!("{old};{side}")) {
            response.headers_mut().insert("x-amzn-query-error", value);
        }
    }
    response
}

fn mark(response: &mut Response<Body>, protocol: Protocol) {
    response.headers_mut().insert(header::CONTENT_TYPE, content_type(protocol));
    if protocol == Protocol::Cbor {
        response.headers_mut().insert(SMITHY_PROTOCOL, header::HeaderValue::from_static(RPC_V2_CBOR));
    }
}

/// The code and status under which a service family tells of a denied call; all other faults keep theirs.
fn worded(protocol: Protocol, fault: &Fault) -> (Cow<'static, str>, u16) {
    match (protocol, fault.code.as_ref()) {
        (Protocol::Ec2, "AccessDeniedException") => ("UnauthorizedOperation".into(), 403),
        (Protocol::Query | Protocol::RestXml, "AccessDeniedException") => ("AccessDenied".into(), 403),
        _ => (fault.code.clone(), fault.status),
    }
}

/// The code under which a service tells of a broken constraint of its model.
pub fn validation_code(service: &Service, protocol: Protocol) -> &'static str {
    match (service.name, protocol) {
        ("codebuild", _) => "InvalidInputException",
        ("cloudwatch", _) => "ValidationError",
        ("ecr" | "ecs" | "logs", _) => "InvalidParameterException",
        ("route53", _) => "InvalidInput",
        (_, Protocol::Query) => "ValidationError",
        (_, Protocol::Ec2) => "InvalidParameterValue",
        _ => "ValidationException",
    }
}

fn content_type(protocol: Protocol) -> header::HeaderValue {
    header::HeaderValue::from_static(match protocol {
        Protocol::Json10 => "application/x-amz-json-1.0",
        Protocol::Json11 => "application/x-amz-json-1.1",
        Protocol::Query | Protocol::RestXml => "text/xml",
        Protocol::Ec2 => "text/xml;charset=UTF-8",
        Protocol::Cbor => "application/cbor",
    })
}

fn json_error(code: &str, fault: &Fault) -> Bytes {
    let mut error = serde_json::Map::new();
    error.insert("__type".into(), code.into());
    error.insert("message".into(), fault.message.as_str().into());
    for (name, value) in &fault.fields {
        error.insert((*name).into(), value.as_str().into());
    }
    Value::Object(error).to_string().into()
}

fn query_error(xmlns: &str, code: &str, status: u16, fault: &Fault, request_id: &str) -> Bytes {
    let mut out = XmlWriter::document();
    out.open("ErrorResponse", xmlns);
    out.open("Error", "");
    out.leaf("Type", if status < 500 { "Sender" } else { "Receiver" });
    out.leaf("Code", code);
    out.leaf("Message", &fault.message);
    fault.fields.iter().for_each(|(name, value)| out.leaf(name, value));
    out.close("Error");
    out.leaf("RequestId", request_id);
    out.close("ErrorResponse");
    out.finish()
}

fn ec2_error(code: &str, fault: &Fault, request_id: &str) -> Bytes {
    let mut out = XmlWriter::document();
    out.open("Response", "");
    out.open("Errors", "");
    out.open("Error", "");
    out.leaf("Code", code);
    out.leaf("Message", &fault.message);
    out.close("Error");
    out.close("Errors");
    out.leaf("RequestID", request_id);
    out.close("Response");
    out.finish()
}
