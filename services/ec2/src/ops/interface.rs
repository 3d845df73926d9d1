//! Network interfaces: what ECS makes for each awsvpc task and elb for each subnet of a load balancer.
use api::ec2 as e;
use kernel::Cx;
use store::{Batch, Key, Row};

use super::handle;
use crate::network::{address, range};
use crate::records::{Group, Interface, Subnet, Vpc};
use crate::{Ec2, Error, Result, Selection, limits};

handle!(CreateNetworkInterface, create_interface, |_input| "network-interface/*".into(), dry_run);
handle!(DescribeNetworkInterfaces, describe_interfaces, |_input| "*".into(), dry_run);
handle!(
    DeleteNetworkInterface,
    delete_interface,
    |input| format!("network-interface/{}", input.network_interface_id),
    dry_run
);
handle!(
    ModifyNetworkInterfaceAttribute,
    modify_interface,
    |input| format!("network-interface/{}", input.network_interface_id),
    dry_run
);

impl Ec2 {
    /// Idempotent by client token. The address is the subnet's first free one, or the one asked for.
    async fn create_interface(
        &self,
        cx: &Cx,
        input: e::CreateNetworkInterface,
    ) -> Result<e::CreateNetworkInterfaceOutput> {
        let unsupported = [
            (input.ipv6_address_count.is_some_and(|n| n > 0), "Ipv6AddressCount"),
            (
                input.secondary_private_ip_address_count.is_some_and(|n| n > 0),
                "SecondaryPrivateIpAddressCount",
            ),
            (input.private_ip_addresses.as_ref().is_some_and(|list| !list.is_empty()), "PrivateIpAddresses"),
        ];
        if let Some((_, name)) = unsupported.into_iter().find(|(given, _)| *given) {
            return Err(Error::UnsupportedParameter(name));
        }
        let token = input
            .client_token
            .as_ref()
            .map(|token| Key::new(cx.account(), &cx.region).text("ec2-interface").text(token));
        if let Some(token) = &token
            && let Some(known) = self.store.recall(token, &input.subnet_id).await?
            && let Ok(row) = self.find::<Interface>(cx, known.as_str().unwrap_or_default()).await
        {
            return Ok(e::CreateNetworkInterfaceOutput {
                network_interface: Some(shown(cx, row.value, Vec::new())),
                client_token: input.client_token,
            });
        }
        let id = self.new_id::<Interface>();
        let create = || async {
            let interface = self.interface(cx, &input, &id).await?;
            let subnet: Row<Subnet> = self.find(cx, &input.subnet_id).await?;
            let (batch, tags) = Self::create(cx, &interface, input.tag_specifications.as_ref())?;
            // The subnet's row guards against two interfaces of one address.
            let mut batch = batch.update(&subnet);
            if let Some(token) = &token {
                batch = batch.remember(token, &input.subnet_id, &id.as_str().into(), self.clock.now());
            }
            Ok::<_, Error>((batch, (interface, tags)))
        };
        let (interface, tags) = self.store.update(create).await?;
        Ok(e::CreateNetworkInterfaceOutput {
            network_interface: Some(shown(cx, interface, tags)),
            client_token: input.client_token,
        })
    }

    async fn interface(&self, cx: &Cx, input: &e::CreateNetworkInterface, id: &str) -> Result<Interface> {
        let subnet: Row<Subnet> = self.find(cx, &input.subnet_id).await?;
        let vpc: Row<Vpc> = self.find(cx, &subnet.value.vpc).await?;
        let groups = self.groups_of(cx, &vpc.value.id, input.groups.as_deref().unwrap_or_default()).await?;
        let cidr = range(&subnet.value.cidr)?;
        let taken: Vec<u64> = self
            .every::<Interface>(cx)
            .await?
            .iter()
            .filter(|row| row.value.subnet == input.subnet_id)
            .map(|row| row.value.offset)
            .collect();
        let usable = 4..cidr.size().saturating_sub(1);
        let offset = match &input.private_ip_address {
            None => usable.clone().find(|offset| !taken.contains(offset)),
            Some(text) => {
                let wrong = || {
                    Error::InvalidParameterValue(format!(
                        "Address {text} does not fall within the subnet's free address range"
                    ))
                };
                let offset = text
                    .parse()
                    .ok()
                    .and_then(|ip| cidr.offset(ip))
                    .filter(|offset| usable.contains(offset))
                    .ok_or_else(wrong)?;
                if taken.contains(&offset) {
                    let message = format!("Address {text} is in use.");
                    return Err(Error::State { code: "InvalidIPAddress.InUse", message });
                }
                Some(offset)
            }
        };
        let offset = offset.ok_or_else(|| Error::InsufficientFreeAddresses(input.subnet_id.clone()))?;
        Ok(Interface {
            id: id.to_owned(),
            address: address(&vpc.value, &subnet.value, offset)?.to_string(),
            zone: subnet.value.zone,
            subnet: subnet.value.id,
            vpc: vpc.value.id,
            groups,
            description: input.description.clone().unwrap_or_default(),
            offset,
            managed: cx.caller.kind == kernel::PrincipalKind::Service("ecs.amazonaws.com")
                || input.interface_type.as_deref() == Some("load_balancer"),
            created: self.clock.now(),
        })
    }

    /// The groups named, all of the VPC; its default group if none is.
    async fn groups_of(&self, cx: &Cx, vpc: &str, ids: &[String]) -> Result<Vec<String>> {
        if ids.len() > limits::GROUPS_OF_INTERFACE {
            let message = format!(
                "The maximum number of security groups per interface has been reached: {}",
                limits::GROUPS_OF_INTERFACE
            );
            return Err(Error::State { code: "SecurityGroupsPerInterfaceLimitExceeded", message });
        }
        let groups: Vec<Group> = self
            .every::<Group>(cx)
            .await?
            .into_iter()
            .map(|row| row.value)
            .filter(|group| group.vpc == vpc)
            .collect();
        if ids.is_empty() {
            return Ok(groups
                .into_iter()
                .filter(|group| group.name == "default")
                .map(|group| group.id)
                .collect());
        }
        match ids.iter().find(|id| groups.iter().all(|group| group.id != **id)) {
            Some(id) => Err(Self::missing::<Group>(id)),
            None => Ok(ids.to_vec()),
        }
    }

    async fn describe_interfaces(
        &self,
        cx: &Cx,
        input: e::DescribeNetworkInterfaces,
    ) -> Result<e::DescribeNetworkInterfacesOutput> {
        let selection = Selection {
            ids: input.network_interface_ids.as_ref(),
            filters: input.filters.as_ref(),
            most: input.max_results,
            token: input.next_token.as_deref(),
        };
        let (page, next_token) = self.select::<Interface>(cx, selection).await?;
        let interfaces = page.into_iter().map(|(interface, tags)| shown(cx, interface, tags)).collect();
        Ok(e::DescribeNetworkInterfacesOutput { network_interfaces: Some(interfaces), next_token })
    }

    async fn delete_interface(
        &self,
        cx: &Cx,
        input: e::DeleteNetworkInterface,
    ) -> Result<e::DeleteNetworkInterfaceOutput> {
        let row: Row<Interface> = self.find(cx, &input.network_interface_id).await?;
        self.store.commit(Self::delete(&row)).await?;
        Ok(e::DeleteNetworkInterfaceOutput {})
    }

    async fn modify_interface(
        &self,
        cx: &Cx,
        input: e::ModifyNetworkInterfaceAttribute,
    ) -> Result<e::ModifyNetworkInterfaceAttributeOutput> {
        if input.attachment.is_some() || input.associate_public_ip_address == Some(true) {
            return Err(Error::UnsupportedParameter("Attachment and AssociatePublicIpAddress"));
        }
        let change = || async {
            let mut row: Row<Interface> = self.find(cx, &input.network_interface_id).await?;
            if let Some(groups) = input.groups.as_deref().filter(|groups| !groups.is_empty()) {
                row.value.groups = self.groups_of(cx, &row.value.vpc, groups).await?;
            }
            if let Some(description) = input.description.as_ref().and_then(|d| d.value.clone()) {
                row.value.description = description;
            }
            Ok::<_, Error>((Batch::new().update(&row), ()))
        };
        self.store.update(change).await?;
        Ok(e::ModifyNetworkInterfaceAttributeOutput {})
    }
}

fn shown(cx: &Cx, interface: Interface, tags: Vec<e::Tag>) -> e::NetworkInterface {
    let octets: Vec<u8> = interface.address.split('.').filter_map(|octet| octet.parse().ok()).collect();
    // As Docker derives it: the address is in it.
    let mac: String = octets.iter().map(|octet| format!(":{octet:02x}")).collect();
    let name = format!("ip-{}.ec2.internal", interface.address.replace('.', "-"));
    let own = e::NetworkInterfacePrivateIpAddress {
        primary: Some(true),
        private_dns_name: Some(name.clone()),
        private_ip_address: Some(interface.address.clone()),
        ..e::NetworkInterfacePrivateIpAddress::default()
    };
    let kind = if interface.description.starts_with("ELB ") { "load_balancer" } else { "interface" };
    let attachment = e::NetworkInterfaceAttachment {
        attachment_id: Some(interface.id.replacen("eni-", "eni-attach-", 1)),
        attach_time: Some(interface.created),
        delete_on_termination: Some(true),
        device_index: Some(1),
        status: Some("attached".into()),
        ..e::NetworkInterfaceAttachment::default()
    };
    e::NetworkInterface {
        network_interface_id: Some(interface.id),
        subnet_id: Some(interface.subnet),
        vpc_id: Some(interface.vpc),
        availability_zone: Some(interface.zone),
        description: Some(interface.description),
        groups: Some(
            interface
                .groups
                .into_iter()
                .map(|id| e::GroupIdentifier { group_id: Some(id), group_name: None })
                .collect(),
        ),
        interface_type: Some(kind.into()),
        mac_address: Some(format!("02:42{mac}")),
        owner_id: Some(cx.account().into()),
        private_dns_name: Some(name),
        private_ip_address: Some(interface.address),
        private_ip_addresses: Some(vec![own]),
        requester_managed: Some(interface.managed),
        source_dest_check: Some(true),
        status: Some("in-use".into()),
        attachment: Some(attachment),
        tag_set: Some(tags),
        ..e::NetworkInterface::default()
    }
}
