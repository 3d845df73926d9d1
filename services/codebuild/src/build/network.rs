//! Where a build's container stands: in the network that builds share, or in a VPC by an interface of its own.
use engine::{Attachment, PrepareInterface, Rules};
use kernel::{Cx, Fault};

use super::drive::{Drive, Failure};
use crate::agent::journal::Context;
use crate::records::BuildRow;
use crate::vpc;

/// See the module.
pub struct Stand {
    pub attachment: Attachment,
    pub rules: Rules,
}

impl Drive {
    /// In the VPC of the project, under the build's role; none: it has none.
    pub async fn in_vpc(&self, cx: &Cx, row: &BuildRow) -> Result<Result<Option<Stand>, Context>, Failure> {
        let Some(wanted) = vpc::wanted(&row.project) else { return Ok(Ok(None)) };
        let told = |fault: Fault| {
            if fault.status >= 500 {
                return Err(Failure::Fault(fault));
            }
            let message = format!("Unexpected EC2 error: {}: {}", fault.code, fault.message);
            Ok(Err(Context::new("VPC_CLIENT_ERROR", message)))
        };
        if let Err(error) = vpc::check(cx, wanted).await {
            return told(error.into());
        }
        let build = row.build.arn.as_deref().unwrap_or_default();
        let id = match vpc::interface(cx, wanted, build, &self.id.uuid).await {
            Ok(id) => id,
            Err(fault) => return told(fault),
        };
        let prepared = self.cx.call(PrepareInterface { network_interface_id: id }).await?;
        let mut rules = prepared.rules;
        rules.redirects.extend(self.service.config.doors.redirects(prepared.network.gateway).await);
        let (network, address) = (prepared.network.name, Some(prepared.address));
        Ok(Ok(Some(Stand { attachment: Attachment { network, address, publish: Vec::new() }, rules })))
    }

    /// In the network of builds: they reach everything, and nobody reaches them.
    pub async fn apart(&self) -> engine::Result<Stand> {
        let network = self.service.engine.ensure_network(self.service.config.network.clone()).await?;
        let rules = super::rules::rules(&self.service, &network).await;
        let attachment = Attachment { network: network.name, address: None, publish: Vec::new() };
        Ok(Stand { attachment, rules })
    }
}
