//! Networks: made, found, removed, told of.
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use bollard::models::{Ipam, IpamConfig, Network as Found, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptionsBuilder;
use engine::{Cidr, Error, Network, NetworkSpec, Result};

use crate::client::{code, error, words};
use crate::names::{NETWORK, OWNER};
use crate::{Inner, ranges};

impl Inner {
    pub(crate) async fn ensure_network(&self, spec: NetworkSpec) -> Result<Network> {
        let _one = self.making_network.lock().await;
        if let Some(network) = self.list_networks().await?.into_iter().find(|n| n.name == spec.name) {
            return Ok(network);
        }
        let mut taken = self.ranges_in_use().await?;
        if self.options.avoid_host_routes {
            taken.extend(ranges::host_routes());
        }
        for cidr in ranges::candidates(&spec.name, spec.wanted, &self.options.pool, &taken) {
            if let Some(network) = self.make_network(&spec.name, cidr).await? {
                self.refresh_networks().await?;
                return Ok(network);
            }
        }
        Err(Error::NoRange { name: spec.name, wanted: spec.wanted })
    }

    /// None where the engine finds the range taken after all: another Longshore was quicker.
    async fn make_network(&self, name: &str, cidr: Cidr) -> Result<Option<Network>> {
        let gateway =
            cidr.nth(1).ok_or_else(|| Error::Invalid(format!("range {cidr} has no room for a gateway")))?;
        let range = IpamConfig {
            subnet: Some(cidr.to_string()),
            gateway: Some(gateway.to_string()),
            ..IpamConfig::default()
        };
        let request = NetworkCreateRequest {
            name: self.names.network(name),
            driver: Some("bridge".into()),
            ipam: Some(Ipam { config: Some(vec![range]), ..Ipam::default() }),
            labels: Some(HashMap::from([
                (OWNER.into(), self.options.owner.clone()),
                (NETWORK.into(), name.to_owned()),
            ])),
            ..NetworkCreateRequest::default()
        };
        match self.client.get().await?.create_network(request).await {
            Ok(made) => Ok(Some(Network { name: name.to_owned(), id: made.id, cidr, gateway })),
            Err(e) if code(&e).is_some() && words(&e).contains("overlap") => Ok(None),
            Err(e) => Err(error(e)),
        }
    }

    pub(crate) async fn list_networks(&self) -> Result<Vec<Network>> {
        let options = ListNetworksOptionsBuilder::new().filters(&self.names.filter(None)).build();
        let found = self.client.get().await?.list_networks(Some(options)).await.map_err(error)?;
        Ok(found.iter().filter_map(read).collect())
    }

    async fn ranges_in_use(&self) -> Result<Vec<Cidr>> {
        let all = ListNetworksOptionsBuilder::new().build();
        let found = self.client.get().await?.list_networks(Some(all)).await.map_err(error)?;
        Ok(found.iter().flat_map(subnets).collect())
    }

    /// Looks at the networks and tells whoever listens, if they are others than before.
    pub(crate) async fn refresh_networks(&self) -> Result<()> {
        let mut now = self.list_networks().await?;
        now.sort_by(|a, b| a.name.cmp(&b.name));
        self.networks.send_if_modified(|before| {
            let changed = before.as_deref() != Some(&now);
            *before = Some(Arc::new(now));
            changed
        });
        Ok(())
    }

    pub(crate) async fn remove_network(&self, name: &str) -> Result<()> {
        let removed = self.client.get().await?.remove_network(&self.names.network(name)).await;
        match removed {
            Ok(()) => {}
            Err(e) if code(&e) == Some(404) => {}
            Err(e) if words(&e).contains("active endpoints") => return Err(Error::NetworkInUse(name.into())),
            Err(e) => return Err(error(e)),
        }
        self.refresh_networks().await
    }
}

fn subnets(network: &Found) -> Vec<Cidr> {
    let configs = network.ipam.iter().filter_map(|ipam| ipam.config.as_ref()).flatten();
    configs.filter_map(|config| config.subnet.as_ref()?.parse().ok()).collect()
}

fn read(found: &Found) -> Option<Network> {
    let config = found.ipam.as_ref()?.config.as_ref()?.first()?;
    let cidr: Cidr = config.subnet.as_ref()?.parse().ok()?;
    let gateway = config.gateway.as_ref().and_then(|g| g.parse::<Ipv4Addr>().ok()).or_else(|| cidr.nth(1))?;
    let name = found.labels.as_ref()?.get(NETWORK)?.clone();
    Some(Network { name, id: found.id.clone()?, cidr, gateway })
}
