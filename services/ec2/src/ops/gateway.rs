//! Internet gateways, NAT gateways and elastic addresses: kept and read back. Containers reach the internet through the
//! host, whatever stands here.
use std::net::Ipv4Addr;

use api::ec2 as e;
use kernel::Cx;
use store::{Batch, Row};

use super::handle;
use crate::records::{Address, InternetGateway, Kind, NatGateway, Subnet, Vpc};
use crate::{Ec2, Error, Result, Selection, limits};

handle!(CreateInternetGateway, create_igw, |_input| "internet-gateway/*".into(), dry_run);
handle!(
    AttachInternetGateway,
    attach_igw,
    |input| format!("internet-gateway/{}", input.internet_gateway_id),
    dry_run
);
handle!(
    DetachInternetGateway,
    detach_igw,
    |input| format!("internet-gateway/{}", input.internet_gateway_id),
    dry_run
);
handle!(
    DeleteInternetGateway,
    delete_igw,
    |input| format!("internet-gateway/{}", input.internet_gateway_id),
    dry_run
);
handle!(DescribeInternetGateways, describe_igws, |_input| "*".into(), dry_run);
handle!(CreateNatGateway, create_nat, |_input| "natgateway/*".into(), dry_run);
handle!(DescribeNatGateways, describe_nats, |_input| "*".into(), dry_run);
handle!(DeleteNatGateway, delete_nat, |input| format!("natgateway/{}", input.nat_gateway_id), dry_run);
handle!(AllocateAddress, allocate_address, |_input| "elastic-ip/*".into(), dry_run);
handle!(DescribeAddresses, describe_addresses, |_input| "*".into(), dry_run);
handle!(DescribeAddressesAttribute, describe_addresses_attribute, |_input| "*".into(), dry_run);
handle!(
    ReleaseAddress,
    release_address,
    |input| format!("elastic-ip/{}", input.allocation_id.as_deref().unwrap_or("*")),
    dry_run
);

/// Elastic addresses come out of TEST-NET-2 and TEST-NET-3 (RFC 5737): nobody's traffic goes there by mistake.
const ELASTIC: [[u8; 3]; 2] = [[198, 51, 100], [203, 0, 113]];

impl Ec2 {
    async fn limited<K: Kind>(&self, cx: &Cx, what: &'static str) -> Result<()> {
        if self.every::<K>(cx).await?.len() >= limits::OTHERS {
            Err(Error::LimitExceeded(what))
        } else {
            Ok(())
        }
    }

    async fn create_igw(
        &self,
        cx: &Cx,
        input: e::CreateInternetGateway,
    ) -> Result<e::CreateInternetGatewayOutput> {
        self.limited::<InternetGateway>(cx, "internet gateways").await?;
        let gateway = InternetGateway { id: self.new_id::<InternetGateway>(), vpc: None };
        let (batch, tags) = Self::create(cx, &gateway, input.tag_specifications.as_ref())?;
        self.store.commit(batch).await?;
        Ok(e::CreateInternetGatewayOutput { internet_gateway: Some(shown_igw(cx, gateway, tags)) })
    }

    async fn attach_igw(
        &self,
        cx: &Cx,
        input: e::AttachInternetGateway,
    ) -> Result<e::AttachInternetGatewayOutput> {
        let vpc: Row<Vpc> = self.find(cx, &input.vpc_id).await?;
        let mut row: Row<InternetGateway> = self.find(cx, &input.internet_gateway_id).await?;
        let taken = self
            .every::<InternetGateway>(cx)
            .await?
            .iter()
            .any(|other| other.value.vpc.as_ref() == Some(&input.vpc_id));
        if row.value.vpc.is_some() || taken {
            let message = format!(
                "resource {} is already attached to network {}",
                input.internet_gateway_id,
                row.value.vpc.as_ref().unwrap_or(&input.vpc_id)
            );
            return Err(Error::State { code: "Resource.AlreadyAssociated", message });
        }
        row.value.vpc = Some(input.vpc_id);
        self.store.commit(Batch::new().update(&row).expect(&vpc)).await?;
        Ok(e::AttachInternetGatewayOutput {})
    }

    async fn detach_igw(
        &self,
        cx: &Cx,
        input: e::DetachInternetGateway,
    ) -> Result<e::DetachInternetGatewayOutput> {
        let mut row: Row<InternetGateway> = self.find(cx, &input.internet_gateway_id).await?;
        if row.value.vpc.as_ref() != Some(&input.vpc_id) {
            let message =
                format!("resource {} is not attached to network {}", input.internet_gateway_id, input.vpc_id);
            return Err(Error::State { code: "Gateway.NotAttached", message });
        }
        row.value.vpc = None;
        self.store.commit(Batch::new().update(&row)).await?;
        Ok(e::DetachInternetGatewayOutput {})
    }

    async fn delete_igw(
        &self,
        cx: &Cx,
        input: e::DeleteInternetGateway,
    ) -> Result<e::DeleteInternetGatewayOutput> {
        let row: Row<InternetGateway> = self.find(cx, &input.internet_gateway_id).await?;
        if let Some(vpc) = &row.value.vpc {
            return Err(Error::DependencyViolation(format!(
                "The internetGateway '{}' has dependencies and cannot be deleted: detach it from '{vpc}' first",
                row.value.id
            )));
        }
        self.store.commit(Self::delete(&row)).await?;
        Ok(e::DeleteInternetGatewayOutput {})
    }

    async fn describe_igws(
        &self,
        cx: &Cx,
        input: e::DescribeInternetGateways,
    ) -> Result<e::DescribeInternetGatewaysOutput> {
        let selection = Selection {
            ids: input.internet_gateway_ids.as_ref(),
            filters: input.filters.as_ref(),
            most: input.max_results,
            token: input.next_token.as_deref(),
        };
        let (page, next_token) = self.select::<InternetGateway>(cx, selection).await?;
        let gateways = page.into_iter().map(|(gateway, tags)| shown_igw(cx, gateway, tags)).collect();
        Ok(e::DescribeInternetGatewaysOutput { internet_gateways: Some(gateways), next_token })
    }

    async fn create_nat(&self, cx: &Cx, input: e::CreateNatGateway) -> Result<e::CreateNatGatewayOutput> {
        self.limited::<NatGateway>(cx, "NAT gateways").await?;
        let subnet: Row<Subnet> =
            self.find(cx, input.subnet_id.as_ref().ok_or(Error::MissingParameter("SubnetId"))?).await?;
        let public = input.connectivity_type.as_deref() != Some("private");
        if public {
            let allocation = input.allocation_id.as_ref().ok_or(Error::MissingParameter("AllocationId"))?;
            self.find::<Address>(cx, allocation).await?;
        }
        let nat = NatGateway {
            id: self.new_id::<NatGateway>(),
            subnet: subnet.value.id.clone(),
            vpc: subnet.value.vpc.clone(),
            allocation: input.allocation_id.filter(|_| public),
            created: self.clock.now(),
            deleted: None,
        };
        let (batch, tags) = Self::create(cx, &nat, input.tag_specifications.as_ref())?;
        self.store.commit(batch.expect(&subnet)).await?;
        let shown = self.shown_nat(cx, nat, tags).await?;
        Ok(e::CreateNatGatewayOutput { nat_gateway: Some(shown), client_token: input.client_token })
    }

    async fn describe_nats(
        &self,
        cx: &Cx,
        input: e::DescribeNatGateways,
    ) -> Result<e::DescribeNatGatewaysOutput> {
        let selection = Selection {
            ids: input.nat_gateway_ids.as_ref(),
            filters: input.filter.as_ref(),
            most: input.max_results,
            token: input.next_token.as_deref(),
        };
        let (page, next_token) = self.select::<NatGateway>(cx, selection).await?;
        let mut gateways = Vec::new();
        for (nat, tags) in page {
            gateways.push(self.shown_nat(cx, nat, tags).await?);
        }
        Ok(e::DescribeNatGatewaysOutput { nat_gateways: Some(gateways), next_token })
    }

    async fn shown_nat(&self, cx: &Cx, nat: NatGateway, tags: Vec<e::Tag>) -> Result<e::NatGateway> {
        let public_ip = match &nat.allocation {
            Some(id) => self.find::<Address>(cx, id).await.ok().map(|row| row.value.ip),
            None => None,
        };
        let state = nat.state();
        let kind = if nat.allocation.is_some() { "public" } else { "private" };
        let address = e::NatGatewayAddress {
            allocation_id: nat.allocation,
            public_ip,
            is_primary: Some(true),
            status: Some("succeeded".into()),
            ..Default::default()
        };
        Ok(e::NatGateway {
            nat_gateway_id: Some(nat.id),
            subnet_id: Some(nat.subnet),
            vpc_id: Some(nat.vpc),
            state: Some(state.into()),
            create_time: Some(nat.created),
            delete_time: nat.deleted,
            connectivity_type: Some(kind.into()),
            nat_gateway_addresses: Some(vec![address]),
            tags: Some(tags),
            ..e::NatGateway::default()
        })
    }

    async fn delete_nat(&self, cx: &Cx, input: e::DeleteNatGateway) -> Result<e::DeleteNatGatewayOutput> {
        let mut row: Row<NatGateway> = self.find(cx, &input.nat_gateway_id).await?;
        row.value.deleted = Some(self.clock.now());
        self.store.commit(Batch::new().update(&row)).await?;
        Ok(e::DeleteNatGatewayOutput { nat_gateway_id: Some(input.nat_gateway_id) })
    }

    async fn allocate_address(&self, cx: &Cx, input: e::AllocateAddress) -> Result<e::AllocateAddressOutput> {
        if input.address.is_some() {
            return Err(Error::UnsupportedParameter("Address"));
        }
        let allocate = || async {
            let taken: Vec<String> =
                self.every::<Address>(cx).await?.into_iter().map(|row| row.value.ip).collect();
            let all = ELASTIC
                .iter()
                .flat_map(|[a, b, c]| (1..255).map(move |d| Ipv4Addr::new(*a, *b, *c, d).to_string()));
            let exhausted = || Error::State {
                code: "AddressLimitExceeded",
                message: "The maximum number of addresses has been reached.".into(),
            };
            let ip = all.into_iter().find(|ip| !taken.contains(ip)).ok_or_else(exhausted)?;
            let address = Address { id: self.new_id::<Address>(), ip };
            let (batch, _) = Self::create(cx, &address, input.tag_specifications.as_ref())?;
            Ok::<_, Error>((batch, address))
        };
        let address = self.store.update(allocate).await?;
        Ok(e::AllocateAddressOutput {
            allocation_id: Some(address.id),
            public_ip: Some(address.ip),
            domain: Some("vpc".into()),
            public_ipv4_pool: Some("amazon".into()),
            network_border_group: Some(cx.region.clone()),
            ..Default::default()
        })
    }

    async fn describe_addresses(
        &self,
        cx: &Cx,
        input: e::DescribeAddresses,
    ) -> Result<e::DescribeAddressesOutput> {
        let selection = Selection {
            ids: input.allocation_ids.as_ref(),
            filters: input.filters.as_ref(),
            most: None,
            token: None,
        };
        let (mut page, _) = self.select::<Address>(cx, selection).await?;
        if let Some(ips) = &input.public_ips {
            page.retain(|(address, _)| ips.contains(&address.ip));
        }
        let addresses = page.into_iter().map(|(address, tags)| e::Address {
            allocation_id: Some(address.id),
            public_ip: Some(address.ip),
            domain: Some("vpc".into()),
            public_ipv4_pool: Some("amazon".into()),
            network_border_group: Some(cx.region.clone()),
            tags: Some(tags),
            ..e::Address::default()
        });
        Ok(e::DescribeAddressesOutput { addresses: Some(addresses.collect()) })
    }

    async fn describe_addresses_attribute(
        &self,
        cx: &Cx,
        input: e::DescribeAddressesAttribute,
    ) -> Result<e::DescribeAddressesAttributeOutput> {
        let selection = Selection {
            ids: input.allocation_ids.as_ref(),
            filters: None,
            most: input.max_results,
            token: input.next_token.as_deref(),
        };
        let (page, next_token) = self.select::<Address>(cx, selection).await?;
        let addresses = page.into_iter().map(|(address, _)| e::AddressAttribute {
            public_ip: Some(address.ip),
            allocation_id: Some(address.id),
            ..Default::default()
        });
        Ok(e::DescribeAddressesAttributeOutput { addresses: Some(addresses.collect()), next_token })
    }

    async fn release_address(&self, cx: &Cx, input: e::ReleaseAddress) -> Result<e::ReleaseAddressOutput> {
        let row: Row<Address> = self
            .find(cx, input.allocation_id.as_ref().ok_or(Error::MissingParameter("AllocationId"))?)
            .await?;
        let id = &row.value.id;
        let used = self
            .every::<NatGateway>(cx)
            .await?
            .iter()
            .any(|nat| nat.value.deleted.is_none() && nat.value.allocation.as_ref() == Some(id));
        if used {
            return Err(Error::State {
                code: "InvalidIPAddress.InUse",
                message: format!("The address with allocation id [{id}] is in use by a NAT gateway"),
            });
        }
        self.store.commit(Self::delete(&row)).await?;
        Ok(e::ReleaseAddressOutput {})
    }
}

fn shown_igw(cx: &Cx, gateway: InternetGateway, tags: Vec<e::Tag>) -> e::InternetGateway {
    let attachment = gateway
        .vpc
        .map(|vpc| e::InternetGatewayAttachment { state: Some("available".into()), vpc_id: Some(vpc) });
    e::InternetGateway {
        internet_gateway_id: Some(gateway.id),
        attachments: Some(attachment.into_iter().collect()),
        owner_id: Some(cx.account().into()),
        tags: Some(tags),
    }
}
