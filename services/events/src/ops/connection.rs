//! Connections: how API destinations prove who calls.
use api::events::*;
use kernel::{Access, Arn, Cx, Fault, Handle, ids};
use store::{Batch, Key, Row};

use super::page;
use crate::error::Error;
use crate::records::{Connection as Record, Destination, Standing};
use crate::{Events, limits};

type Auth = CreateConnectionAuthRequestParameters;

pub(super) fn key(cx: &Cx, name: &str) -> Key {
    Key::new(cx.account(), &cx.region).text(name)
}

/// The id in a connection's ARN is not known to policies beforehand, which so end in `/*`.
fn on(cx: &Cx, action: &'static str, name: &str) -> Access {
    let resource = format!("connection/{name}");
    Access::new(action, Arn::new("events", &cx.region, cx.account(), resource).to_string())
}

/// What a sealed secret is bound to.
fn context(key: &Key) -> String {
    format!("events.connection {}", key.to_hex())
}

impl Events {
    pub(super) async fn connection(&self, cx: &Cx, name: &str) -> Result<Row<Record>, Error> {
        let found = self.store.get(&key(cx, name)).await?;
        found.ok_or_else(|| Error::None(format!("Connection '{name}'")))
    }

    /// The parameters of a connection, with its secrets. Errors: it is deauthorized.
    pub(crate) fn auth(&self, row: &Row<Record>) -> Result<Auth, Fault> {
        let name = &row.value.name;
        let sealed = row.value.auth.as_ref().ok_or_else(|| {
            Fault::client("ConnectionDeauthorized", format!("Connection {name} is deauthorized: update it."))
        })?;
        let text = self.sealer.open_text(&context(&row.key), sealed).map_err(Fault::internal)?;
        kernel::json::from_value(&serde_json::from_str(&text).map_err(Fault::internal)?)
    }

    fn seal(&self, key: &Key, auth: &Auth) -> Result<store::Sealed, Error> {
        let text = kernel::json::to_value(auth).to_string();
        Ok(self.sealer.seal_text(&context(key), &text)?)
    }
}

/// Refuses parameters that do not fit the kind, or are not served.
fn checked(kind: &str, auth: &Auth) -> Result<(), Error> {
    if auth.connectivity_parameters.is_some() {
        return Err(private());
    }
    let given = |text: &str| !text.is_empty();
    let basic =
        auth.basic_auth_parameters.as_ref().map(|basic| given(&basic.username) && given(&basic.password));
    let key = auth
        .api_key_auth_parameters
        .as_ref()
        .map(|key| given(&key.api_key_name) && given(&key.api_key_value));
    let oauth = auth.o_auth_parameters.as_ref().map(|oauth| {
        let client = &oauth.client_parameters;
        given(&client.client_id) && given(&client.client_secret) && given(&oauth.http_method)
    });
    match (kind, basic, key, oauth) {
        ("BASIC", Some(true), None, None)
        | ("API_KEY", None, Some(true), None)
        | ("OAUTH_CLIENT_CREDENTIALS", None, None, Some(true)) => {}
        _ => {
            return Err(Error::invalid(format!(
                "AuthParameters must have all of the parameters of AuthorizationType {kind}, and of no other."
            )));
        }
    }
    if let Some(oauth) = &auth.o_auth_parameters {
        url("AuthorizationEndpoint", &oauth.authorization_endpoint)?;
    }
    named(auth)
}

/// Refuses headers that HTTP could not carry: they would fail every delivery.
fn named(auth: &Auth) -> Result<(), Error> {
    let oauth = auth.o_auth_parameters.iter().flat_map(|oauth| &oauth.o_auth_http_parameters);
    let more = auth.invocation_http_parameters.iter().chain(oauth);
    let more = more.flat_map(|more| more.header_parameters.iter().flatten());
    let more = more.map(|header| {
        (header.key.as_deref().unwrap_or_default(), header.value.as_deref().unwrap_or_default())
    });
    let key = auth
        .api_key_auth_parameters
        .iter()
        .map(|key| (key.api_key_name.as_str(), key.api_key_value.as_str()));
    for (name, value) in more.chain(key) {
        if name.parse::<http::HeaderName>().is_err() || value.parse::<http::HeaderValue>().is_err() {
            return Err(Error::invalid(format!(
                "AuthParameters: '{name}' or its value cannot be an HTTP header."
            )));
        }
    }
    Ok(())
}

/// Refuses what is no URL of a host.
pub(super) fn url(member: &str, endpoint: &str) -> Result<(), Error> {
    let uri = endpoint.parse::<http::Uri>().ok();
    let http =
        uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    match http {
        true => Ok(()),
        false => Err(Error::invalid(format!("{member} '{endpoint}' is no http or https URL with a host."))),
    }
}

fn private() -> Error {
    let text = "Private connectivity (InvocationConnectivityParameters, ConnectivityParameters) is not served by \
                Longshore: leave it out.";
    Error::invalid(text)
}

fn unserved(connectivity: bool, kms: bool) -> Result<(), Error> {
    match (connectivity, kms) {
        (true, _) => Err(private()),
        (_, true) => {
            let text = "KmsKeyIdentifier is not served by Longshore, which seals with a key of its own: leave it out.";
            Err(Error::invalid(text))
        }
        _ => Ok(()),
    }
}

impl Handle<CreateConnection> for Events {
    async fn access(&self, cx: &Cx, input: &CreateConnection) -> Result<Vec<Access>, Fault> {
        Ok(vec![on(cx, "events:CreateConnection", &input.name)])
    }

    async fn handle(&self, cx: &Cx, input: CreateConnection) -> Result<CreateConnectionOutput, Fault> {
        unserved(input.invocation_connectivity_parameters.is_some(), input.kms_key_identifier.is_some())?;
        checked(&input.authorization_type, &input.auth_parameters)?;
        let (key, now) = (key(cx, &input.name), self.clock.now());
        let connection = Record {
            id: ids::uuid(&*self.entropy),
            name: input.name,
            description: input.description,
            kind: input.authorization_type,
            auth: Some(self.seal(&key, &input.auth_parameters)?),
            created: now,
            modified: now,
            authorized: None,
            standing: Standing::Authorized,
        }
        .given(now);
        let created = self.store.update(|| async {
            if self.store.get::<Record>(&key).await?.is_some() {
                return Err(Error::Exists(format!("Connection {}", connection.name)));
            }
            if self.store.count::<Record>(Key::new(cx.account(), &cx.region)).await? >= limits::CONNECTIONS {
                return Err(Error::Limit(format!(
                    "A region can have at most {} connections.",
                    limits::CONNECTIONS
                )));
            }
            Ok((Batch::new().create(&key, &connection), ()))
        });
        created.await?;
        Ok(CreateConnectionOutput {
            connection_arn: Some(connection.arn(cx.account(), &cx.region)),
            connection_state: Some(connection.state().into()),
            creation_time: Some(connection.created),
            last_modified_time: Some(connection.modified),
        })
    }
}

impl Handle<UpdateConnection> for Events {
    async fn access(&self, cx: &Cx, input: &UpdateConnection) -> Result<Vec<Access>, Fault> {
        Ok(vec![on(cx, "events:UpdateConnection", &input.name)])
    }

    async fn handle(&self, cx: &Cx, input: UpdateConnection) -> Result<UpdateConnectionOutput, Fault> {
        unserved(input.invocation_connectivity_parameters.is_some(), input.kms_key_identifier.is_some())?;
        // The same members, each of which may be absent here.
        let auth = input.auth_parameters.as_ref().map(kernel::json::to_value);
        let auth = auth.as_ref().map(kernel::json::from_value::<Auth>).transpose()?;
        let updated = self.store.update(|| async {
            let mut row = self.connection(cx, &input.name).await?;
            let connection = &mut row.value;
            connection.modified = self.clock.now();
            if let Some(description) = &input.description {
                connection.description = Some(description.clone());
            }
            let kind = input.authorization_type.clone().unwrap_or_else(|| connection.kind.clone());
            match &auth {
                Some(auth) => {
                    checked(&kind, auth)?;
                    connection.auth = Some(self.seal(&row.key, auth)?);
                }
                None if kind != connection.kind => {
                    return Err(Error::invalid(
                        "AuthParameters are required with another AuthorizationType.",
                    ));
                }
                None => {}
            }
            connection.kind = kind;
            if auth.is_some() {
                row.value = row.value.given(self.clock.now());
            }
            Ok((Batch::new().update(&row), row.value))
        });
        let connection = updated.await?;
        Ok(UpdateConnectionOutput {
            connection_arn: Some(connection.arn(cx.account(), &cx.region)),
            connection_state: Some(connection.state().into()),
            creation_time: Some(connection.created),
            last_modified_time: Some(connection.modified),
            last_authorized_time: connection.authorized,
        })
    }
}

impl Handle<DeauthorizeConnection> for Events {
    async fn access(&self, cx: &Cx, input: &DeauthorizeConnection) -> Result<Vec<Access>, Fault> {
        Ok(vec![on(cx, "events:DeauthorizeConnection", &input.name)])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: DeauthorizeConnection,
    ) -> Result<DeauthorizeConnectionOutput, Fault> {
        let updated = self.store.update(|| async {
            let mut row = self.connection(cx, &input.name).await?;
            (row.value.auth, row.value.standing) = (None, Standing::Authorized);
            row.value.modified = self.clock.now();
            Ok::<_, Error>((Batch::new().update(&row), row.value))
        });
        let connection = updated.await?;
        Ok(DeauthorizeConnectionOutput {
            connection_arn: Some(connection.arn(cx.account(), &cx.region)),
            connection_state: Some(connection.state().into()),
            creation_time: Some(connection.created),
            last_modified_time: Some(connection.modified),
            last_authorized_time: connection.authorized,
        })
    }
}

impl Handle<DeleteConnection> for Events {
    async fn access(&self, cx: &Cx, input: &DeleteConnection) -> Result<Vec<Access>, Fault> {
        Ok(vec![on(cx, "events:DeleteConnection", &input.name)])
    }

    async fn handle(&self, cx: &Cx, input: DeleteConnection) -> Result<DeleteConnectionOutput, Fault> {
        let deleted = self.store.update(|| async {
            let row = self.connection(cx, &input.name).await?;
            let destinations = self.store.all::<Destination>(Key::new(cx.account(), &cx.region)).await?;
            if let Some(user) = destinations.iter().find(|row| row.value.connection == input.name) {
                let name = &user.value.name;
                return Err(Error::InUse(format!(
                    "Connection {} is used by API destination {name}.",
                    input.name
                )));
            }
            Ok((Batch::new().remove(&row), row.value))
        });
        let connection = deleted.await?;
        Ok(DeleteConnectionOutput {
            connection_arn: Some(connection.arn(cx.account(), &cx.region)),
            connection_state: Some("DELETING".into()),
            creation_time: Some(connection.created),
            last_modified_time: Some(connection.modified),
            last_authorized_time: connection.authorized,
        })
    }
}

impl Handle<DescribeConnection> for Events {
    async fn access(&self, cx: &Cx, input: &DescribeConnection) -> Result<Vec<Access>, Fault> {
        Ok(vec![on(cx, "events:DescribeConnection", &input.name)])
    }

    async fn handle(&self, cx: &Cx, input: DescribeConnection) -> Result<DescribeConnectionOutput, Fault> {
        let row = self.connection(cx, &input.name).await?;
        let auth = row.value.auth.is_some().then(|| self.auth(&row)).transpose()?;
        let connection = row.value;
        Ok(DescribeConnectionOutput {
            connection_arn: Some(connection.arn(cx.account(), &cx.region)),
            connection_state: Some(connection.state().into()),
            state_reason: connection.reason(),
            name: Some(connection.name),
            description: connection.description,
            authorization_type: Some(connection.kind),
            auth_parameters: auth.map(shown),
            creation_time: Some(connection.created),
            last_modified_time: Some(connection.modified),
            last_authorized_time: connection.authorized,
            ..DescribeConnectionOutput::default()
        })
    }
}

/// What may be seen of a connection's parameters: names, and values that are no secret.
fn shown(auth: Auth) -> ConnectionAuthResponseParameters {
    let oauth = auth.o_auth_parameters.map(|oauth| ConnectionOAuthResponseParameters {
        client_parameters: Some(ConnectionOAuthClientResponseParameters {
            client_id: Some(oauth.client_parameters.client_id),
        }),
        authorization_endpoint: Some(oauth.authorization_endpoint),
        http_method: Some(oauth.http_method),
        o_auth_http_parameters: oauth.o_auth_http_parameters.map(masked),
    });
    let (basic, key) = (auth.basic_auth_parameters, auth.api_key_auth_parameters);
    ConnectionAuthResponseParameters {
        basic_auth_parameters: basic
            .map(|b| ConnectionBasicAuthResponseParameters { username: Some(b.username) }),
        api_key_auth_parameters: key
            .map(|k| ConnectionApiKeyAuthResponseParameters { api_key_name: Some(k.api_key_name) }),
        o_auth_parameters: oauth,
        invocation_http_parameters: auth.invocation_http_parameters.map(masked),
        ..ConnectionAuthResponseParameters::default()
    }
}

/// Without the values that are secret.
fn masked(mut more: ConnectionHttpParameters) -> ConnectionHttpParameters {
    let headers = more.header_parameters.iter_mut().flatten().map(|p| (&mut p.value, p.is_value_secret));
    let query = more.query_string_parameters.iter_mut().flatten().map(|p| (&mut p.value, p.is_value_secret));
    let body = more.body_parameters.iter_mut().flatten().map(|p| (&mut p.value, p.is_value_secret));
    let secret = headers.chain(query).chain(body).filter(|(_, secret)| secret.unwrap_or(true));
    secret.for_each(|(value, _)| *value = None);
    more
}

impl Handle<ListConnections> for Events {
    async fn access(&self, cx: &Cx, _: &ListConnections) -> Result<Vec<Access>, Fault> {
        Ok(vec![on(cx, "events:ListConnections", "*")])
    }

    async fn handle(&self, cx: &Cx, input: ListConnections) -> Result<ListConnectionsOutput, Fault> {
        let scope = Key::new(cx.account(), &cx.region);
        let prefix = scope.starting(input.name_prefix.as_deref().unwrap_or_default());
        let rows = self.store.all::<Record>(prefix).await.map_err(Error::from)?;
        let wanted = |row: &Record| input.connection_state.as_ref().is_none_or(|state| state == row.state());
        let found = rows.into_iter().map(|row| row.value).filter(wanted);
        let listed = found.map(|row| (row.name.clone(), listed(cx, row)));
        let (connections, next_token) =
            page("ListConnections", input.next_token.as_deref(), input.limit, listed)?;
        Ok(ListConnectionsOutput { connections: Some(connections), next_token })
    }
}

fn listed(cx: &Cx, connection: Record) -> Connection {
    Connection {
        connection_arn: Some(connection.arn(cx.account(), &cx.region)),
        connection_state: Some(connection.state().into()),
        state_reason: connection.reason(),
        name: Some(connection.name),
        authorization_type: Some(connection.kind),
        creation_time: Some(connection.created),
        last_modified_time: Some(connection.modified),
        last_authorized_time: connection.authorized,
    }
}
