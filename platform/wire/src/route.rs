//! Which operation a request asks for: by target header, form, or path.
use std::collections::BTreeMap;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, header};
use kernel::Fault;
use kernel::ops::not_served;
use kernel::schema::{Protocol, Service};

use crate::protocol::Input;
use crate::protocol::query::Form;
use crate::protocol::rest::{RestRequest, labels};

/// What the head of a request tells: an operation's, or a face's to answer.
pub enum Route {
    /// `X-Amz-Target` names service and operation.
    Target(Option<&'static Service>, String),
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
    /// The operation's name.
    pub operation: String,
    /// What it was sent.
    pub input: Input,
}

/// Looks at the head alone.
pub fn route(head: &Parts) -> Route {
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

/// Decodes an awsJson request.
pub fn target(service: Option<&'static Service>, name: String, body: &[u8]) -> Result<Asked, Fault> {
    let service = service.ok_or_else(|| {
        Fault::new("UnknownOperationException", 404, "X-Amz-Target names no service that Longshore knows")
    })?;
    known(service, &name)?;
    Ok(Asked { service, operation: name, input: Input::json(body)? })
}

/// The service in whose protocol a form is answered that names no operation of ours. A form of no service that we know
/// is answered as Query services do, whose clients read nothing but XML: IAM stands for them.
pub fn speaker(head: &Parts, body: &[u8]) -> Option<&'static Service> {
    let form = parameters(head, body).ok();
    let version = form.as_ref().and_then(|form| form.get("Version"));
    let query = || api::SERVICES.iter().copied().find(|s| s.name == "iam");
    version.and_then(speaks).or_else(query)
}

/// The service of the form-speaking ones that has this API version.
fn speaks(version: &str) -> Option<&'static Service> {
    let form = |s: &&'static Service| matches!(s.protocol, Protocol::Query | Protocol::Ec2);
    api::SERVICES.iter().copied().filter(form).find(|s| s.version == version)
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
    known(service, &name)?;
    Ok(Asked { service, operation: name, input: Input::Query(form, service.protocol == Protocol::Ec2) })
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
    Ok(Asked { service, operation: wired.schema.name.to_owned(), input })
}

fn known(service: &'static Service, name: &str) -> Result<(), Fault> {
    let unknown = || match service.protocol {
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
