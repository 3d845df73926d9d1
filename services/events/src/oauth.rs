//! The tokens of OAuth connections: fetched from their authorization endpoint with the client's id and secret (RFC 6749,
//! section 4.4) and kept until they end.
//!
//! A connection is authorized in the background when it is created or changed, and again with each delivery that finds no
//! token. Tokens are kept in memory alone: a server that starts fetches them anew.
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::events as shape;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request};
use kernel::{Fault, Fut, Timestamp};
use serde_json::Value;
use store::{Batch, Key, Record, Row, Sealed};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::error::Error;
use crate::records::{Connection, Standing};
use crate::{Events, form, limits};

type Parameters = shape::CreateConnectionOAuthRequestParameters;

/// The tokens by connection. Whoever needs one waits for whoever fetches it.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<Key, Arc<Place>>>);

type Place = tokio::sync::Mutex<Option<Token>>;

/// A token.
struct Token {
    /// As the Authorization header has it; never log it.
    header: String,
    until: Timestamp,
    /// The parameters that it was given for: those of an updated connection are others.
    of: Option<Sealed>,
}

/// Why there is no token.
enum NoToken {
    /// The authorization endpoint does not take what it is sent.
    Refused(String),
    /// It may give one another time.
    NotNow(String),
}

impl Tokens {
    fn of(&self, key: &Key) -> Arc<Place> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= limits::TOKENS && !places.contains_key(key) {
            places.clear();
        }
        places.entry(key.clone()).or_default().clone()
    }
}

impl Events {
    /// The Authorization header of a connection, for a delivery. `stale` is one that was not taken.
    pub(crate) async fn authorization(
        &self,
        row: &Row<Connection>,
        oauth: &Parameters,
        stale: Option<&str>,
    ) -> Result<String, Fault> {
        match self.token(row, oauth, stale).await {
            Ok(header) => {
                self.stands(row, Standing::Authorized).await?;
                Ok(header)
            }
            Err(NoToken::Refused(why)) => {
                self.stands(row, Standing::Refused(why.clone())).await?;
                Err(Fault::client("ConnectionDeauthorized", format!("Connection {}: {why}", row.value.name)))
            }
            Err(NoToken::NotNow(why)) => {
                Err(Fault::new("ConnectionFailure", 503, format!("Connection {}: {why}", row.value.name)))
            }
        }
    }

    /// The first token of a new or changed connection: what it comes to is its state.
    async fn authorize(&self, row: &Row<Connection>) -> Result<(), Fault> {
        let auth = self.auth(row)?;
        let Some(oauth) = &auth.o_auth_parameters else { return Ok(()) };
        let standing = match self.token(row, oauth, None).await {
            Ok(_) => Standing::Authorized,
            Err(NoToken::Refused(why) | NoToken::NotNow(why)) => Standing::Refused(why),
        };
        Ok(self.stands(row, standing).await?)
    }

    /// Keeps how a connection stands, unless it was changed since the row was read.
    async fn stands(&self, row: &Row<Connection>, standing: Standing) -> Result<(), Error> {
        if row.value.standing == standing {
            return Ok(());
        }
        let kept = self.store.update(|| async {
            let found = self.store.get::<Connection>(&row.key).await?;
            let same = found.filter(|found| found.value.auth == row.value.auth && found.value.auth.is_some());
            let Some(mut found) = same.filter(|found| found.value.standing != standing) else {
                return Ok::<_, Error>((Batch::new(), ()));
            };
            if standing == Standing::Authorized {
                found.value.authorized = Some(self.clock.now());
            }
            found.value.standing = standing.clone();
            Ok((Batch::new().update(&found), ()))
        });
        kept.await
    }

    async fn token(
        &self,
        row: &Row<Connection>,
        oauth: &Parameters,
        stale: Option<&str>,
    ) -> Result<String, NoToken> {
        let place = self.tokens.of(&row.key);
        let mut kept = place.lock().await;
        let now = self.clock.now();
        let good = |token: &&Token| {
            token.of == row.value.auth && token.until > now && stale != Some(token.header.as_str())
        };
        if let Some(token) = kept.as_ref().filter(good) {
            return Ok(token.header.clone());
        }
        *kept = None;
        let (header, life) = self.fetch(oauth).await?;
        let until = now.checked_add(life).unwrap_or(now);
        *kept = Some(Token { header: header.clone(), until, of: row.value.auth.clone() });
        Ok(header)
    }

    async fn fetch(&self, oauth: &Parameters) -> Result<(String, Duration), NoToken> {
        let request = request(oauth).map_err(NoToken::Refused)?;
        let answer =
            self.outside.send(request, limits::ENDPOINT_CALL).await.map_err(|error| match error {
                // Not in its own words: the URL of a GET has the secret.
                outside::Error::Url(_) => NoToken::Refused("The authorization endpoint has no host".into()),
                error => NoToken::NotNow(format!("The authorization endpoint gave no answer: {error}")),
            })?;
        let status = answer.status();
        match status.as_u16() {
            200..300 => granted(answer.body()).map_err(NoToken::Refused),
            408 | 429 | 500.. => {
                Err(NoToken::NotNow(format!("The authorization endpoint answered {status}")))
            }
            _ => {
                let named = error_of(answer.body()).map(|name| format!(": {name}")).unwrap_or_default();
                Err(NoToken::Refused(format!("The authorization endpoint answered {status}{named}")))
            }
        }
    }
}

/// What asks for a token: a form, or JSON where the connection's headers say so; all of it in the query of a GET.
fn request(oauth: &Parameters) -> Result<Request<Bytes>, String> {
    let more = oauth.o_auth_http_parameters.clone().unwrap_or_default();
    let pair =
        |key: Option<String>, value: Option<String>| (key.unwrap_or_default(), value.unwrap_or_default());
    let all = |list: Vec<(String, String)>| list.into_iter().collect::<BTreeMap<_, _>>();
    let headers =
        more.header_parameters.into_iter().flatten().map(|p| pair(p.key, p.value)).collect::<Vec<_>>();
    let mut query =
        all(more.query_string_parameters.into_iter().flatten().map(|p| pair(p.key, p.value)).collect());
    let mut body = all(more.body_parameters.into_iter().flatten().map(|p| pair(p.key, p.value)).collect());
    if !query.contains_key("grant_type") {
        body.entry("grant_type".into()).or_insert_with(|| "client_credentials".into());
    }
    body.insert("client_id".into(), oauth.client_parameters.client_id.clone());
    body.insert("client_secret".into(), oauth.client_parameters.client_secret.clone());
    let method: Method = oauth.http_method.parse().map_err(|e| format!("{e}"))?;
    if method == Method::GET {
        query.append(&mut body);
    }
    let json = |(name, value): &(String, String)| {
        name.eq_ignore_ascii_case("content-type")
            && value.to_ascii_lowercase().starts_with("application/json")
    };
    let body = match body.is_empty() {
        true => String::new(),
        false if headers.iter().any(json) => serde_json::json!(body).to_string(),
        false => form::joined(&body),
    };
    let url = form::extended(&oauth.authorization_endpoint, &form::joined(&query));
    let request = Request::builder().method(method).uri(url).body(Bytes::from(body));
    let mut request = request.map_err(|e| format!("The authorization endpoint cannot be asked: {e}"))?;
    let own = [(CONTENT_TYPE, "application/x-www-form-urlencoded"), (ACCEPT, "application/json")];
    for (name, value) in own.into_iter().chain([(USER_AGENT, crate::USER_AGENT)]) {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in headers {
        let name: HeaderName = name.parse().map_err(|e| format!("'{name}' is no header: {e}"))?;
        let mut value: HeaderValue =
            value.parse().map_err(|e| format!("'{name}' has no value of a header: {e}"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

/// The header that an answer gives, and for how long.
fn granted(body: &[u8]) -> Result<(String, Duration), String> {
    let wrong = |what: &str| format!("The authorization endpoint's answer {what}");
    let answer: Value = serde_json::from_slice(body).map_err(|_| wrong("is not JSON"))?;
    let token = answer["access_token"].as_str().filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| wrong("has no access_token"))?;
    if token.len() > limits::TOKEN {
        return Err(wrong(&format!("has an access_token of more than {} bytes", limits::TOKEN)));
    }
    let header = format!("Bearer {token}");
    if header.parse::<HeaderValue>().is_err() {
        return Err(wrong("has an access_token that no header can carry"));
    }
    match answer["token_type"].as_str() {
        Some(kind) if !kind.eq_ignore_ascii_case("bearer") => {
            return Err(wrong("has no token of type Bearer"));
        }
        _ => {}
    }
    // Some send the number as text.
    let life = &answer["expires_in"];
    let life = life.as_u64().or_else(|| life.as_str()?.parse().ok());
    let life = life.map_or(limits::TOKEN_LIFE, Duration::from_secs).min(limits::TOKEN_LIFE);
    Ok((header, life.saturating_sub(limits::TOKEN_MARGIN)))
}

/// The code that RFC 6749 gives a refusal: the answer's other words may repeat what was sent.
fn error_of(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let code = answer["error"].as_str()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (code.len() <= 64 && code.chars().all(plain)).then(|| code.to_owned())
}

/// Authorizes connections that are new or changed.
pub(crate) struct Authorize(pub Arc<Events>);

impl Worker for Authorize {
    fn name(&self) -> String {
        "events.authorize".into()
    }

    fn wake(&self) -> Arc<Notify> {
        self.0.store.watch(&[Connection::TABLE])
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async move {
            let all = self.0.store.all::<Connection>(Key::all()).await.map_err(Error::from)?;
            let new = all.into_iter().filter(|row| row.value.standing == Standing::Authorizing);
            let done = stream::iter(new).map(|row| async move { self.0.authorize(&row).await });
            let done: Vec<_> = done.buffer_unordered(limits::BESIDE).collect().await;
            done.into_iter().collect::<Result<(), Fault>>()?;
            Ok(Next::Idle)
        })
    }
}
