//! What clients read beside what they made: zones, regions, account attributes, and kinds of which there are none.
use api::ec2 as e;
use kernel::Cx;

use super::handle;
use super::subnet::zone_id;
use super::vpc::DHCP;
use crate::defaults::ZONES;
use crate::records::{Subnet, Vpc};
use crate::{Ec2, Error, Result};

handle!(DescribeAvailabilityZones, describe_zones, |_input| "*".into(), dry_run);
handle!(DescribeRegions, describe_regions, |_input| "*".into(), dry_run);
handle!(DescribeAccountAttributes, describe_account, |_input| "*".into(), dry_run);
handle!(DescribeNetworkAcls, describe_acls, |_input| "*".into(), dry_run);
handle!(DescribeDhcpOptions, describe_dhcp, |_input| "*".into(), dry_run);
handle!(DescribePrefixLists, describe_prefix_lists, |_input| "*".into(), dry_run);
handle!(DescribeManagedPrefixLists, describe_managed_prefix_lists, |_input| "*".into(), dry_run);
handle!(DescribeVpcEndpoints, describe_endpoints, |_input| "*".into(), dry_run);

impl Ec2 {
    async fn describe_zones(
        &self,
        cx: &Cx,
        input: e::DescribeAvailabilityZones,
    ) -> Result<e::DescribeAvailabilityZonesOutput> {
        let all =
            ZONES.iter().map(|letter| format!("{}{letter}", cx.region)).map(|zone| e::AvailabilityZone {
                zone_id: Some(zone_id(&zone)),
                zone_name: Some(zone),
                region_name: Some(cx.region.clone()),
                group_name: Some(cx.region.clone()),
                network_border_group: Some(cx.region.clone()),
                zone_type: Some("availability-zone".into()),
                opt_in_status: Some("opt-in-not-required".into()),
                state: Some("available".into()),
                messages: Some(Vec::new()),
                ..e::AvailabilityZone::default()
            });
        let mut zones: Vec<e::AvailabilityZone> = all.collect();
        let named = |wanted: &Option<Vec<String>>, name: &Option<String>| {
            wanted.as_ref().is_none_or(|w| w.is_empty() || name.as_ref().is_some_and(|n| w.contains(n)))
        };
        zones.retain(|zone| {
            named(&input.zone_names, &zone.zone_name) && named(&input.zone_ids, &zone.zone_id)
        });
        for filter in input.filters.iter().flatten() {
            let fact: fn(&e::AvailabilityZone) -> &Option<String> =
                match filter.name.as_deref().unwrap_or_default() {
                    "state" => |zone| &zone.state,
                    "zone-name" => |zone| &zone.zone_name,
                    "zone-id" => |zone| &zone.zone_id,
                    "zone-type" => |zone| &zone.zone_type,
                    "region-name" => |zone| &zone.region_name,
                    "group-name" => |zone| &zone.group_name,
                    "opt-in-status" => |zone| &zone.opt_in_status,
                    name => {
                        return Err(Error::InvalidParameterValue(format!("The filter '{name}' is invalid")));
                    }
                };
            zones.retain(|zone| named(&filter.values, fact(zone)));
        }
        Ok(e::DescribeAvailabilityZonesOutput { availability_zones: Some(zones) })
    }

    async fn describe_regions(&self, cx: &Cx, input: e::DescribeRegions) -> Result<e::DescribeRegionsOutput> {
        let region = e::Region {
            endpoint: Some(format!("ec2.{}.amazonaws.com", cx.region)),
            region_name: Some(cx.region.clone()),
            opt_in_status: Some("opt-in-not-required".into()),
            ..e::Region::default()
        };
        let wanted = input.region_names.is_none_or(|names| names.is_empty() || names.contains(&cx.region));
        Ok(e::DescribeRegionsOutput { regions: Some(if wanted { vec![region] } else { Vec::new() }) })
    }

    async fn describe_account(
        &self,
        cx: &Cx,
        input: e::DescribeAccountAttributes,
    ) -> Result<e::DescribeAccountAttributesOutput> {
        let default = self
            .every::<Vpc>(cx)
            .await?
            .into_iter()
            .find(|row| row.value.default)
            .map_or_else(|| "none".to_owned(), |row| row.value.id);
        let all = [
            ("supported-platforms", "VPC".to_owned()),
            ("default-vpc", default),
            ("max-instances", "0".to_owned()),
            ("vpc-max-security-groups-per-interface", crate::limits::GROUPS_OF_INTERFACE.to_string()),
        ];
        let wanted = |name: &str| {
            input
                .attribute_names
                .as_ref()
                .is_none_or(|names| names.is_empty() || names.iter().any(|n| n == name))
        };
        let attributes =
            all.into_iter().filter(|(name, _)| wanted(name)).map(|(name, value)| e::AccountAttribute {
                attribute_name: Some(name.into()),
                attribute_values: Some(vec![e::AccountAttributeValue { attribute_value: Some(value) }]),
            });
        Ok(e::DescribeAccountAttributesOutput { account_attributes: Some(attributes.collect()) })
    }

    /// Every VPC has its default ACL, which lets everything pass; there are no others.
    async fn describe_acls(
        &self,
        cx: &Cx,
        input: e::DescribeNetworkAcls,
    ) -> Result<e::DescribeNetworkAclsOutput> {
        let subnets = self.every::<Subnet>(cx).await?;
        let mut acls = Vec::new();
        for row in self.every::<Vpc>(cx).await? {
            let id = row.value.id.replacen("vpc-", "acl-", 1);
            let mut wanted =
                input.network_acl_ids.as_ref().is_none_or(|ids| ids.is_empty() || ids.contains(&id));
            for filter in input.filters.iter().flatten() {
                let values = filter.values.as_deref().unwrap_or_default();
                wanted &= match filter.name.as_deref().unwrap_or_default() {
                    "vpc-id" => values.contains(&row.value.id),
                    "default" => values.iter().any(|value| value == "true"),
                    "network-acl-id" => values.contains(&id),
                    "association.subnet-id" => {
                        subnets.iter().any(|s| s.value.vpc == row.value.id && values.contains(&s.value.id))
                    }
                    name => {
                        return Err(Error::InvalidParameterValue(format!("The filter '{name}' is invalid")));
                    }
                };
            }
            if wanted {
                let of = subnets
                    .iter()
                    .filter(|s| s.value.vpc == row.value.id)
                    .map(|s| association(&id, &s.value.id))
                    .collect();
                acls.push(acl(cx, id, row.value.id, of));
            }
        }
        Ok(e::DescribeNetworkAclsOutput { network_acls: Some(acls), next_token: None })
    }

    async fn describe_dhcp(
        &self,
        cx: &Cx,
        _: e::DescribeDhcpOptions,
    ) -> Result<e::DescribeDhcpOptionsOutput> {
        let value = |key: &str, value: &str| e::DhcpConfiguration {
            key: Some(key.into()),
            values: Some(vec![e::AttributeValue { value: Some(value.into()) }]),
        };
        let options = e::DhcpOptions {
            dhcp_options_id: Some(DHCP.into()),
            owner_id: Some(cx.account().into()),
            dhcp_configurations: Some(vec![
                value("domain-name", "ec2.internal"),
                value("domain-name-servers", "AmazonProvidedDNS"),
            ]),
            tags: Some(Vec::new()),
        };
        Ok(e::DescribeDhcpOptionsOutput { dhcp_options: Some(vec![options]), next_token: None })
    }

    async fn describe_prefix_lists(
        &self,
        _: &Cx,
        _: e::DescribePrefixLists,
    ) -> Result<e::DescribePrefixListsOutput> {
        Ok(e::DescribePrefixListsOutput { prefix_lists: Some(Vec::new()), next_token: None })
    }

    async fn describe_managed_prefix_lists(
        &self,
        _: &Cx,
        _: e::DescribeManagedPrefixLists,
    ) -> Result<e::DescribeManagedPrefixListsOutput> {
        Ok(e::DescribeManagedPrefixListsOutput { prefix_lists: Some(Vec::new()), next_token: None })
    }

    async fn describe_endpoints(
        &self,
        _: &Cx,
        _: e::DescribeVpcEndpoints,
    ) -> Result<e::DescribeVpcEndpointsOutput> {
        Ok(e::DescribeVpcEndpointsOutput { vpc_endpoints: Some(Vec::new()), next_token: None })
    }
}

fn association(acl: &str, subnet: &str) -> e::NetworkAclAssociation {
    e::NetworkAclAssociation {
        network_acl_association_id: Some(subnet.replacen("subnet-", "aclassoc-", 1)),
        network_acl_id: Some(acl.into()),
        subnet_id: Some(subnet.into()),
    }
}

fn acl(cx: &Cx, id: String, vpc: String, associations: Vec<e::NetworkAclAssociation>) -> e::NetworkAcl {
    let entry = |egress, number, action: &str| e::NetworkAclEntry {
        cidr_block: Some("0.0.0.0/0".into()),
        egress: Some(egress),
        protocol: Some("-1".into()),
        rule_action: Some(action.into()),
        rule_number: Some(number),
        ..e::NetworkAclEntry::default()
    };
    let entries = [true, false]
        .into_iter()
        .flat_map(|egress| [entry(egress, 100, "allow"), entry(egress, 32767, "deny")])
        .collect();
    e::NetworkAcl {
        network_acl_id: Some(id),
        vpc_id: Some(vpc),
        is_default: Some(true),
        owner_id: Some(cx.account().into()),
        associations: Some(associations),
        entries: Some(entries),
        tags: Some(Vec::new()),
    }
}
