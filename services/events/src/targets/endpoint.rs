//! An API destination is called over HTTP, with the secrets of its connection.
use std::collections::BTreeMap;

use api::events as shape;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use kernel::{Access, Cx, Fault};
use serde_json::Value;
use store::Key;

use crate::input::select;
use crate::records::{Connection, Delivery, Destination};
use crate::{Events, PRINCIPAL, form, limits};

/// One call.
pub(super) struct Call<'a> {
    pub delivery: &'a Delivery,
    pub token: &'a str,
    pub input: Option<String>,
}

/// Calls a destination under the target's role. A fault of status 503 passes by itself, others do not.
pub(super) async fn call(events: &Events, cx: &Cx, name: &str, call: Call<'_>) -> Result<(), Fault> {
    let target = &call.delivery.target.0;
    let gone = |what: &str| Fault::client("ResourceNotFoundException", format!("{what} does not exist."));
    let key = Key::new(cx.account(), &cx.region).text(name);
    let found = events.store.get::<Destination>(&key).await.map_err(Fault::internal)?;
    let destination = found.ok_or_else(|| gone(&format!("Api-destination {name}")))?.value;
    let role = target.role_arn.as_deref().unwrap_or_default();
    let access = Access::new("events:InvokeApiDestination", destination.arn(cx.account(), &cx.region));
    cx.as_role(PRINCIPAL, role, call.token).await?.authorize(&[access]).await?;
    let key = Key::new(cx.account(), &cx.region).text(&destination.connection);
    let found = events.store.get::<Connection>(&key).await.map_err(Fault::internal)?;
    let connection = found.ok_or_else(|| gone(&format!("Connection {}", destination.connection)))?;
    let auth = events.auth(&connection)?;
    let send = async |credentials| send(events, request(&destination, &auth, credentials, &call)?).await;
    let status = match &auth.o_auth_parameters {
        None => send(credentials(&auth)).await?,
        Some(oauth) => {
            let token = async |stale| events.authorization(&connection, oauth, stale).await;
            let header = |token: &str| Some((AUTHORIZATION.to_string(), token.to_owned()));
            let first = token(None).await?;
            match send(header(&first)).await? {
                // A token may be over before its time.
                StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                    send(header(&token(Some(&first)).await?)).await?
                }
                status => status,
            }
        }
    };
    let told = format!("The endpoint answered {status}");
    match status.as_u16() {
        200..300 => Ok(()),
        401 | 407 | 409 | 429 | 500.. => Err(Fault::new("TargetFailure", 503, told)),
        _ => Err(Fault::client("TargetFailure", told)),
    }
}

async fn send(events: &Events, request: Request<bytes::Bytes>) -> Result<StatusCode, Fault> {
    match events.outside.send(request, limits::ENDPOINT_CALL).await {
        Ok(answer) => Ok(answer.status()),
        Err(error @ outside::Error::Url(_)) => Err(Fault::client("InvalidEndpoint", error.to_string())),
        Err(error) => Err(Fault::new("SdkClientException", 503, error.to_string())),
    }
}

/// What is told besides the body: the target's parameters, over which the connection's go.
fn request(
    destination: &Destination,
    auth: &shape::CreateConnectionAuthRequestParameters,
    credentials: Option<(String, String)>,
    call: &Call<'_>,
) -> Result<Request<bytes::Bytes>, Fault> {
    let (event, target) = (&call.delivery.event, &call.delivery.target.0);
    let none = shape::HttpParameters::default();
    let given = target.http_parameters.as_ref().unwrap_or(&none);
    let more = auth.invocation_http_parameters.clone().unwrap_or_default();
    let mut query = resolved(given.query_string_parameters.as_ref(), event);
    for parameter in more.query_string_parameters.into_iter().flatten() {
        query.insert(parameter.key.unwrap_or_default(), parameter.value.unwrap_or_default());
    }
    let mut headers = resolved(given.header_parameters.as_ref(), event);
    for parameter in more.header_parameters.into_iter().flatten() {
        headers.insert(parameter.key.unwrap_or_default(), parameter.value.unwrap_or_default());
    }
    headers.extend(credentials);
    let body = body(call.input.as_deref(), more.body_parameters.unwrap_or_default());
    let url =
        url(&destination.endpoint, given.path_parameter_values.as_deref().unwrap_or_default(), &query, event);
    let wrong = |what: &dyn std::fmt::Display| Fault::client("InvalidEndpoint", format!("{what}"));
    let mut request = Request::builder()
        .method(destination.method.parse::<Method>().map_err(|e| wrong(&e))?)
        .uri(url)
        .header(CONTENT_TYPE, "application/json; charset=utf-8")
        .header(USER_AGENT, crate::USER_AGENT)
        // The same for every try: by it a receiver knows what it has seen.
        .header("x-longshore-delivery-id", call.token)
        .header("x-longshore-event-id", event["id"].as_str().unwrap_or_default())
        .body(bytes::Bytes::from(body))
        .map_err(|e| wrong(&e))?;
    for (name, value) in headers {
        let name: HeaderName = name.parse().map_err(|e| wrong(&e))?;
        let mut value: HeaderValue = value.parse().map_err(|e| wrong(&e))?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

/// The header that the connection's kind of authorization is, where nobody has to be asked for it.
fn credentials(auth: &shape::CreateConnectionAuthRequestParameters) -> Option<(String, String)> {
    if let Some(basic) = &auth.basic_auth_parameters {
        let pair = STANDARD.encode(format!("{}:{}", basic.username, basic.password));
        return Some((AUTHORIZATION.to_string(), format!("Basic {pair}")));
    }
    let key = auth.api_key_auth_parameters.as_ref()?;
    Some((key.api_key_name.clone(), key.api_key_value.clone()))
}

/// Values as they are given, or what they select of the event where they are paths into it.
fn resolved(given: Option<&BTreeMap<String, String>>, event: &Value) -> BTreeMap<String, String> {
    let entries = given.into_iter().flatten();
    entries.map(|(name, value)| (name.clone(), value_of(value, event))).collect()
}

fn value_of(given: &str, event: &Value) -> String {
    if !given.starts_with("$.") {
        return given.to_owned();
    }
    match select(event, given) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

/// The endpoint with its `*`s filled, and the query behind it.
fn url(endpoint: &str, paths: &[String], query: &BTreeMap<String, String>, event: &Value) -> String {
    let mut paths = paths.iter();
    let mut url = String::new();
    for c in endpoint.chars() {
        match paths.as_slice().is_empty() {
            false if c == '*' => {
                url.push_str(&form::escaped(&value_of(paths.next().map_or("", String::as_str), event)))
            }
            _ => url.push(c),
        }
    }
    form::extended(&url, &form::joined(query))
}

/// The input, with the connection's parameters among its members if it has members.
fn body(input: Option<&str>, parameters: Vec<shape::ConnectionBodyParameter>) -> String {
    let input = input.unwrap_or_default();
    if parameters.is_empty() {
        return input.to_owned();
    }
    match serde_json::from_str::<Value>(input) {
        Ok(Value::Object(mut object)) => {
            for parameter in parameters {
                object.insert(parameter.key.unwrap_or_default(), parameter.value.unwrap_or_default().into());
            }
            Value::Object(object).to_string()
        }
        _ => input.to_owned(),
    }
}
