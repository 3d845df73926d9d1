//! Which operation a request asks for: by target header, form, or path.
use std::collections::BTreeMap;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, header};
use kernel::Fault;
use kernel::ops::not_served;
use kernel::schema::{Protocol, Service};

use crate::protocol::query::Form;
use crate::protocol::rest::{RestRequest, labels};
use crate::protocol::{Input, RPC_V2_CBOR, SMITHY_PROTOCOL, Speech, cbor};

/// What the head of a request tells: an operation's, or a face's to answer.
pub enum Route {
    /// `X-Amz-Target` names service and operation.
    Target(Option<&'static Service>, String),
    /// RPC v2: the path names service and operation.
    Rpc(Option<&'static Service>, String),
    /// A form: the body names the operation.
    Form,
    /// A path of a REST service.
    Rest(&'static Service),
    /// None of AWS's operations that we know: the faces'.
    Face,
}

/// An operation with its decoded input.
pub struct Asked {
    /// The service, where it is known.
    pub service: &'static Service,
    /// The protocol of request and answer.
    pub protocol: Protocol,
    /// The operation's name.
    pub operation: String,
    /// What it was sent.
    pub input: Input,
}

impl Route {
    /// In whose words it is answered, as far as the head tells.
    pub fn speech(&self) -> Speech {
        match self {
            Self::Target(service, _) => Speech::of(*service),
            Self::Rpc(service, _) => Speech { service: *service, protocol: Protocol::Cbor },
            Self::Rest(service) => Speech::of(Some(service)),
            Self::Form | Self::Face => Speech::of(None),
        }
    }
}

impl Asked {
    /// In whose words it is answered.
    pub fn speech(&self) -> Speech {
        Speech { service: Some(self.service), protocol: self.protocol }
    }
}

/// Looks at the head alone.
pub fn route(head: &Parts) -> Route {
    if head.headers.get(SMITHY_PROTOCOL).is_some_and(|protocol| protocol == RPC_V2_CBOR)
        && let Some((prefix, name)) = rpc(head.uri.path())
    {
        let service = api::SERVICES.iter().copied().find(|s| s.target_prefix == prefix);
        return Route::Rpc(service, name.to_owned());
    }
    if let Some(target) = head.headers.get("x-amz-target").and_then(|value| value.to_str().ok()) {
        let (prefix, name) = target.rsplit_once('.').unwrap_or((target, ""));
        return Route::Target(
            api::SERVICES.iter().copied().find(|s| s.target_prefix == prefix),
            name.to_owned(),
        );
    }
    let content_type =
        head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let form = head.method == Method::POST
        && head.uri.path() == "/"
        && content_type.starts_with("application/x-www-form-urlencoded");
    let query = head.uri.path() == "/"
        && head.uri.query().is_some_and(|q| q.starts_with("Action=") || q.contains("&Action="));
    if form || query {
        return Route::Form;
    }
    match api::SERVICES
        .iter()
        .copied()
        .find(|s| s.protocol == Protocol::RestXml && head.uri.path().starts_with(&format!("/{}/", s.version)))
    {
        Some(service) => Route::Rest(service),
        None => Route::Face,
    }
}

/// Service and operation of `…/service/SERVICE/operation/OPERATION`.
fn rpc(path: &str) -> Option<(&str, &str)> {
    let (front, operation) = path.rsplit_once("/operation/")?;
    let (_, service) = front.rsplit_once("/service/")?;
    Some((service, operation))
}

/// Decodes an awsJson request.
pub fn target(service: Option<&'static Service>, name: String, body: &[u8]) -> Result<Asked, Fault> {
    let service = service.ok_or_else(|| no_service("X-Amz-Target names no service that Longshore knows"))?;
    known(service, service.protocol, &name)?;
    Ok(Asked { service, protocol: service.protocol, operation: name, input: Input::json(body)? })
}

/// Decodes an RPC v2 request.
pub fn rpc_cbor(service: Option<&'static Service>, name: String, body: Bytes) -> Result<Asked, Fault> {
    let service = service
        .filter(|service| service.speaks(Protocol::Cbor))
        .ok_or_else(|| no_service("The path names no service that speaks CBOR"))?;
    known(service, Protocol::Cbor, &name)?;
    Ok(Asked { service, protocol: Protocol::Cbor, operation: name, input: Input::Cbor(cbor::checked(body)?) })
}

fn no_service(message: &str) -> Fault {
    Fault::new("UnknownOperationException", 404, message)
}

/// The words in which a form is answered that names no operation of ours. A form of no service that we know is answered
/// as Query services do, whose clients read nothing but XML.
pub fn speaker(head: &Parts, body: &[u8]) -> Speech {
    let form = parameters(head, body).ok();
    let service = form.as_ref().and_then(|form| form.get("Version")).and_then(speaks);
    Speech { service, protocol: service.map_or(Protocol::Query, form_of) }
}

/// The service of the form-speaking ones that has this API version.
fn speaks(version: &str) -> Option<&'static Service> {
    let form = |s: &&'static Service| s.speaks(Protocol::Query) || s.speaks(Protocol::Ec2);
    api::SERVICES.iter().copied().filter(form).find(|s| s.version == version)
}

/// The dialect of a service's forms.
fn form_of(service: &Service) -> Protocol {
    if service.protocol == Protocol::Ec2 { Protocol::Ec2 } else { Protocol::Query }
}

fn parameters(head: &Parts, body: &[u8]) -> Result<Form, Fault> {
    let text =
        if head.method == Method::POST { body } else { head.uri.query().unwrap_or_default().as_bytes() };
    Form::parse(text)
}

/// Decodes a Query or EC2 request; the `Version` tells the services apart.
pub fn form(head: &Parts, body: &[u8]) -> Result<Asked, Fault> {
    let form = parameters(head, body)?;
    let missing = |name: &str| Fault::client("MissingAction", format!("The request has no parameter {name}"));
    let name = form.get("Action").ok_or_else(|| missing("Action"))?.to_owned();
    let version = form.get("Version").ok_or_else(|| missing("Version"))?;
    let invalid = || {
        Fault::client(
            "InvalidAction",
            format!("No service of version {version} is known here; the action was {name}"),
        )
    };
    let service = speaks(version).ok_or_else(invalid)?;
    let protocol = form_of(service);
    known(service, protocol, &name)?;
    let input = Input::Query(form, protocol == Protocol::Ec2);
    Ok(Asked { service, protocol, operation: name, input })
}

/// Finds a REST operation among those that are served.
pub fn rest<'a>(
    service: &'static Service,
    served: impl Iterator<Item = &'a kernel::Wired>,
    head: &Parts,
    body: Bytes,
) -> Result<Asked, Fault> {
    let mut best: Option<(&kernel::Wired, BTreeMap<String, String>)> = None;
    for wired in
        served.filter(|w| w.schema.service.name == service.name && w.schema.method == head.method.as_str())
    {
        if let Some(found) = labels(wired.schema.uri, head.uri.path())
            // A fixed path wins over one with labels: `hostedzonecount` is no zone.
            && best.as_ref().is_none_or(|(_, other)| found.len() < other.len())
        {
            best = Some((wired, found));
        }
    }
    let (wired, found) =
        best.ok_or_else(|| not_served(service.name, &format!("{} {}", head.method, head.uri.path())))?;
    let input = Input::Rest(RestRequest::new(head, found, body));
    let protocol = Protocol::RestXml;
    Ok(Asked { service, protocol, operation: wired.schema.name.to_owned(), input })
}

fn known(service: &'static Service, protocol: Protocol, name: &str) -> Result<(), Fault> {
    let unknown = || match protocol {
        Protocol::Query | Protocol::Ec2 => {
            Fault::client("InvalidAction", format!("The action {name} is not valid for {}", service.name))
        }
        _ => Fault::new(
            "UnknownOperationException",
            404,
            format!("{} has no operation '{name}'", service.name),
        ),
    };
    service.operations.contains(&name).then_some(()).ok_or_else(unknown)
}
