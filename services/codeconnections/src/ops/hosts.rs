//! Hosts: providers' installations that one runs oneself. They are AVAILABLE at once: a connection's own URL and
//! credential say how to get there.
use std::collections::BTreeMap;

use api::codeconnections as cc;
use kernel::{Access, Cx, Fault, Handle, ids};
use store::{Batch, Key, PageToken, Row};

use super::{on, on_any, page, resource, shapes, tagged};
use crate::error::{Error, Result};
use crate::records::{Host, arn};
use crate::{CodeConnections, limits};

impl CodeConnections {
    /// The host that an ARN names.
    pub(super) async fn host(&self, cx: &Cx, arn: &str) -> Result<Row<Host>> {
        let missing = || Error::NotFound(arn.into());
        let resource = resource(cx, arn)?;
        let (name, id) =
            resource.strip_prefix("host/").and_then(|rest| rest.rsplit_once('/')).ok_or_else(missing)?;
        let row = self.store.get::<Host>(&Host::key(cx.account(), &cx.region, name, id)).await?;
        row.ok_or_else(missing)
    }

    async fn create_host(&self, cx: &Cx, input: cc::CreateHost) -> Result<cc::CreateHostOutput> {
        if input.vpc_configuration.is_some() {
            return Err(Error::Invalid(
                "VpcConfiguration is not served: hosts are reached from the machine that Longshore runs on"
                    .into(),
            ));
        }
        if !matches!(&*input.provider_type, "GitHubEnterpriseServer" | "GitLabSelfManaged") {
            let kind = &input.provider_type;
            return Err(Error::Invalid(format!(
                "ProviderType {kind} has no hosts: GitHubEnterpriseServer and GitLabSelfManaged do"
            )));
        }
        if input.name.is_empty() || input.name.contains('/') {
            return Err(Error::Invalid("Name must have at least one character, and no /".into()));
        }
        let tags = tagged(BTreeMap::new(), input.tags.as_deref().unwrap_or_default())?;
        if self.store.count::<Host>(Key::new(cx.account(), &cx.region)).await? >= limits::HOSTS as u64 {
            return Err(Error::Limit("hosts", limits::HOSTS));
        }
        let host = Host {
            id: ids::hex(&*self.entropy, 8),
            name: input.name,
            provider: input.provider_type,
            endpoint: input.provider_endpoint,
            tags: tags.clone(),
        };
        let key = Host::key(cx.account(), &cx.region, &host.name, &host.id);
        self.store.commit(Batch::new().create(&key, &host)).await?;
        Ok(cc::CreateHostOutput {
            host_arn: Some(arn(cx.account(), &cx.region, &host.resource())),
            tags: Some(shapes(&tags)),
        })
    }

    async fn list_hosts(&self, cx: &Cx, input: &cc::ListHosts) -> Result<cc::ListHostsOutput> {
        let invalid = |_| Error::Invalid("NextToken was not given by this operation".into());
        let after = PageToken::position("ListHosts", input.next_token.as_deref()).map_err(invalid)?;
        let most = page(input.max_results);
        let scope = Key::new(cx.account(), &cx.region);
        let mut rows = self.store.list_by_seq::<Host>(&scope, after.unwrap_or(0), most + 1).await?;
        let more = rows.len() > most;
        rows.truncate(most);
        let next = rows.last().filter(|_| more).map(|row| PageToken::encode("ListHosts", row.created));
        let host = |row: Row<Host>| cc::Host {
            host_arn: Some(arn(cx.account(), &cx.region, &row.value.resource())),
            name: Some(row.value.name),
            provider_type: Some(row.value.provider),
            provider_endpoint: Some(row.value.endpoint),
            status: Some("AVAILABLE".into()),
            ..Default::default()
        };
        Ok(cc::ListHostsOutput { hosts: Some(rows.into_iter().map(host).collect()), next_token: next })
    }

    async fn delete_host(&self, cx: &Cx, arn: &str) -> Result<()> {
        let row = self.host(cx, arn).await?;
        let uses = self.of_host(cx, &row.value).await?;
        if uses > 0 {
            return Err(Error::InUse(format!("The host {arn} has {uses} connection(s): delete them first")));
        }
        match self.store.commit(Batch::new().remove(&row)).await {
            Err(error) if error.is_conflict() => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }
}

impl Handle<cc::CreateHost> for CodeConnections {
    async fn access(&self, cx: &Cx, _: &cc::CreateHost) -> Result<Vec<Access>, Fault> {
        Ok(on_any(cx, "codeconnections:CreateHost", "host"))
    }

    async fn handle(&self, cx: &Cx, input: cc::CreateHost) -> Result<cc::CreateHostOutput, Fault> {
        Ok(self.create_host(cx, input).await?)
    }
}

impl Handle<cc::GetHost> for CodeConnections {
    async fn access(&self, _: &Cx, input: &cc::GetHost) -> Result<Vec<Access>, Fault> {
        Ok(on("codeconnections:GetHost", &input.host_arn))
    }

    async fn handle(&self, cx: &Cx, input: cc::GetHost) -> Result<cc::GetHostOutput, Fault> {
        let host = self.host(cx, &input.host_arn).await?.value;
        Ok(cc::GetHostOutput {
            name: Some(host.name),
            status: Some("AVAILABLE".into()),
            provider_type: Some(host.provider),
            provider_endpoint: Some(host.endpoint),
            vpc_configuration: None,
        })
    }
}

impl Handle<cc::ListHosts> for CodeConnections {
    async fn access(&self, cx: &Cx, _: &cc::ListHosts) -> Result<Vec<Access>, Fault> {
        Ok(on_any(cx, "codeconnections:ListHosts", "host"))
    }

    async fn handle(&self, cx: &Cx, input: cc::ListHosts) -> Result<cc::ListHostsOutput, Fault> {
        Ok(self.list_hosts(cx, &input).await?)
    }
}

impl Handle<cc::DeleteHost> for CodeConnections {
    async fn access(&self, _: &Cx, input: &cc::DeleteHost) -> Result<Vec<Access>, Fault> {
        Ok(on("codeconnections:DeleteHost", &input.host_arn))
    }

    async fn handle(&self, cx: &Cx, input: cc::DeleteHost) -> Result<cc::DeleteHostOutput, Fault> {
        self.delete_host(cx, &input.host_arn).await?;
        Ok(cc::DeleteHostOutput::default())
    }
}
