//! Connections: create, get, list, delete.
use std::collections::BTreeMap;

use api::codeconnections as cc;
use kernel::{Access, Cx, Fault, Handle, ids};
use store::{Batch, Key, PageToken, Row};

use super::{on, on_any, page, resource, shapes, tagged};
use crate::error::{Error, Result};
use crate::records::{Connection, Delivered, Host, arn};
use crate::{CodeConnections, limits};

/// Characters of a webhook's token and secret: more than anybody can guess.
const SECRET: usize = 40;

impl CodeConnections {
    /// The connection that an ARN names.
    pub(crate) async fn found(&self, cx: &Cx, arn: &str) -> Result<Row<Connection>> {
        let missing = || Error::NotFound(arn.into());
        let resource = resource(cx, arn)?;
        let id = resource.strip_prefix("connection/").ok_or_else(missing)?;
        let row = self.store.get::<Connection>(&Connection::key(cx.account(), &cx.region, id)).await?;
        row.ok_or_else(missing)
    }

    async fn create(&self, cx: &Cx, input: cc::CreateConnection) -> Result<cc::CreateConnectionOutput> {
        if input.provider_endpoint.is_some() {
            return Err(Error::Invalid(
                "ProviderEndpoint is not served: create a host with it, or say it in `longshore connect --url`".into(),
            ));
        }
        if input.connection_name.trim().is_empty() {
            return Err(Error::Invalid("ConnectionName must not be empty".into()));
        }
        let provider = self.provider(cx, input.provider_type, input.host_arn.as_deref()).await?;
        let tags = tagged(BTreeMap::new(), input.tags.as_deref().unwrap_or_default())?;
        let scope = Key::new(cx.account(), &cx.region);
        if self.store.count::<Connection>(&scope).await? >= limits::CONNECTIONS as u64 {
            return Err(Error::Limit("connections", limits::CONNECTIONS));
        }
        let id = ids::uuid(&*self.entropy);
        let key = Connection::key(cx.account(), &cx.region, &id);
        let secret = ids::alphanumeric(&*self.entropy, SECRET);
        let connection = Connection {
            id: id.clone(),
            name: input.connection_name,
            provider,
            host: input.host_arn,
            hook: ids::alphanumeric(&*self.entropy, SECRET),
            hook_secret: self.sealer.seal_text(&Connection::sealing(&key), &secret)?,
            remote: None,
            tags: tags.clone(),
        };
        self.store.commit(Batch::new().create(&key, &connection)).await?;
        Ok(cc::CreateConnectionOutput {
            connection_arn: arn(cx.account(), &cx.region, &format!("connection/{id}")),
            tags: Some(shapes(&tags)),
        })
    }

    /// The provider that was given, or that of the host; the two must not differ.
    async fn provider(&self, cx: &Cx, given: Option<String>, host: Option<&str>) -> Result<String> {
        let Some(host) = host else {
            return match given.as_deref() {
                None => Err(Error::Invalid("Give ProviderType, or HostArn".into())),
                Some(kind @ ("GitHubEnterpriseServer" | "GitLabSelfManaged")) => {
                    Err(Error::Invalid(format!("ProviderType {kind} needs HostArn: create a host first")))
                }
                Some(kind) => Ok(kind.into()),
            };
        };
        let host = self.host(cx, host).await?.value;
        match given.filter(|given| *given != host.provider) {
            Some(given) => {
                let message = format!("ProviderType {given} is not that of the host, {}", host.provider);
                Err(Error::Invalid(message))
            }
            None => Ok(host.provider),
        }
    }

    async fn list(&self, cx: &Cx, input: &cc::ListConnections) -> Result<cc::ListConnectionsOutput> {
        let list = format!("ListConnections/{:?}/{:?}", input.provider_type_filter, input.host_arn_filter);
        let invalid =
            |_| Error::Invalid("NextToken was not given by this operation and these filters".into());
        let after: u64 =
            PageToken::position(&list, input.next_token.as_deref()).map_err(invalid)?.unwrap_or(0);
        let most = page(input.max_results);
        // All fit in memory: a Region has no more than its quota.
        let scope = Key::new(cx.account(), &cx.region);
        let mut rows = self.store.list_by_seq::<Connection>(&scope, after, limits::CONNECTIONS).await?;
        let same =
            |filter: &Option<String>, value: Option<&String>| filter.is_none() || filter.as_ref() == value;
        rows.retain(|row| {
            same(&input.provider_type_filter, Some(&row.value.provider))
                && same(&input.host_arn_filter, row.value.host.as_ref())
        });
        let more = rows.len() > most;
        rows.truncate(most);
        let next = rows.last().filter(|_| more).map(|row| PageToken::encode(&list, row.created));
        let connections = rows.into_iter().map(|row| shape(cx, row.value)).collect();
        Ok(cc::ListConnectionsOutput { connections: Some(connections), next_token: next })
    }

    async fn delete(&self, cx: &Cx, arn: &str) -> Result<()> {
        let row = self.found(cx, arn).await?;
        let waiting = self.store.all::<Delivered>(row.key.clone()).await?;
        let batch = waiting.iter().fold(Batch::new().delete::<Connection>(&row.key), |batch, row| {
            batch.delete::<Delivered>(&row.key)
        });
        self.store.commit(batch).await?;
        // What was fetched goes with it; what a crash leaves here is no more than space.
        match tokio::fs::remove_dir_all(self.folder(&row.value.id)).await {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Fault::internal(e).into()),
            _ => Ok(()),
        }
    }
}

/// As reads show it.
fn shape(cx: &Cx, connection: Connection) -> cc::Connection {
    cc::Connection {
        connection_arn: Some(arn(cx.account(), &cx.region, &format!("connection/{}", connection.id))),
        owner_account_id: Some(cx.account().into()),
        connection_status: Some(connection.status().into()),
        connection_name: Some(connection.name),
        provider_type: Some(connection.provider),
        host_arn: connection.host,
        provider_endpoint: None,
    }
}

impl Handle<cc::CreateConnection> for CodeConnections {
    async fn access(&self, cx: &Cx, input: &cc::CreateConnection) -> Result<Vec<Access>, Fault> {
        let mut want = on_any(cx, "codeconnections:CreateConnection", "connection");
        if let Some(host) = &input.host_arn {
            want.extend(on("codeconnections:CreateConnection", host));
        }
        if input.tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
            want.extend(on_any(cx, "codeconnections:TagResource", "connection"));
        }
        Ok(want)
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cc::CreateConnection,
    ) -> Result<cc::CreateConnectionOutput, Fault> {
        Ok(self.create(cx, input).await?)
    }
}

impl Handle<cc::GetConnection> for CodeConnections {
    async fn access(&self, _: &Cx, input: &cc::GetConnection) -> Result<Vec<Access>, Fault> {
        Ok(on("codeconnections:GetConnection", &input.connection_arn))
    }

    async fn handle(&self, cx: &Cx, input: cc::GetConnection) -> Result<cc::GetConnectionOutput, Fault> {
        let row = self.found(cx, &input.connection_arn).await?;
        Ok(cc::GetConnectionOutput { connection: Some(shape(cx, row.value)) })
    }
}

impl Handle<cc::ListConnections> for CodeConnections {
    async fn access(&self, cx: &Cx, _: &cc::ListConnections) -> Result<Vec<Access>, Fault> {
        Ok(on_any(cx, "codeconnections:ListConnections", "connection"))
    }

    async fn handle(&self, cx: &Cx, input: cc::ListConnections) -> Result<cc::ListConnectionsOutput, Fault> {
        Ok(self.list(cx, &input).await?)
    }
}

impl Handle<cc::DeleteConnection> for CodeConnections {
    async fn access(&self, _: &Cx, input: &cc::DeleteConnection) -> Result<Vec<Access>, Fault> {
        Ok(on("codeconnections:DeleteConnection", &input.connection_arn))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cc::DeleteConnection,
    ) -> Result<cc::DeleteConnectionOutput, Fault> {
        self.delete(cx, &input.connection_arn).await?;
        Ok(cc::DeleteConnectionOutput::default())
    }
}

impl CodeConnections {
    /// Connections of a host.
    pub(super) async fn of_host(&self, cx: &Cx, host: &Host) -> Result<usize> {
        let resource = host.resource();
        let rows = self.store.all::<Connection>(Key::new(cx.account(), &cx.region)).await?;
        let uses =
            |row: &&Row<Connection>| row.value.host.as_ref().is_some_and(|arn| arn.ends_with(&resource));
        Ok(rows.iter().filter(uses).count())
    }
}
