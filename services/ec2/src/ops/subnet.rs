//! Subnets.
use api::ec2 as e;
use kernel::{Arn, Cx};
use store::{Batch, Row};

use super::handle;
use super::vpc::on;
use crate::defaults::ZONES;
use crate::network::range;
use crate::records::{Interface, NatGateway, Subnet, Vpc};
use crate::rules::block;
use crate::{Ec2, Error, Result, Selection, limits};

handle!(CreateSubnet, create_subnet, |_input| "subnet/*".into(), dry_run);
handle!(DescribeSubnets, describe_subnets, |_input| "*".into(), dry_run);
handle!(DeleteSubnet, delete_subnet, |input| format!("subnet/{}", input.subnet_id), dry_run);
handle!(ModifySubnetAttribute, modify_subnet_attribute, |input| format!("subnet/{}", input.subnet_id));

impl Ec2 {
    async fn create_subnet(&self, cx: &Cx, input: e::CreateSubnet) -> Result<e::CreateSubnetOutput> {
        let unsupported = [
            (input.ipv6_cidr_block.is_some(), "Ipv6CidrBlock"),
            (input.ipv6_native == Some(true), "Ipv6Native"),
            (input.outpost_arn.is_some(), "OutpostArn"),
        ];
        if let Some((_, name)) = unsupported.into_iter().find(|(given, _)| *given) {
            return Err(Error::UnsupportedParameter(name));
        }
        let vpc: Row<Vpc> = self.find(cx, &input.vpc_id).await?;
        let cidr = block(input.cidr_block.as_ref(), "InvalidSubnet.Range", 16..=28)?;
        if !range(&vpc.value.cidr)?.contains(cidr) {
            return Err(Error::Range {
                code: "InvalidSubnet.Range",
                message: format!(
                    "The CIDR '{cidr}' is invalid: it is not within the VPC's '{}'",
                    vpc.value.cidr
                ),
            });
        }
        let others = self.every::<Subnet>(cx).await?;
        let others: Vec<&Subnet> =
            others.iter().map(|row| &row.value).filter(|s| s.vpc == input.vpc_id).collect();
        if others.len() >= limits::SUBNETS {
            return Err(Error::LimitExceeded("subnets of a VPC"));
        }
        for other in &others {
            if range(&other.cidr)?.overlaps(cidr) {
                return Err(Error::SubnetConflict(cidr.to_string()));
            }
        }
        let subnet = Subnet {
            id: self.new_id::<Subnet>(),
            vpc: input.vpc_id.clone(),
            cidr: cidr.to_string(),
            zone: zone(cx, &input, others.len())?,
            default: false,
            public: false,
        };
        let (batch, tags) = Self::create(cx, &subnet, input.tag_specifications.as_ref())?;
        // The VPC's row guards against two subnets of one range at once.
        self.store.commit(batch.update(&vpc)).await?;
        Ok(e::CreateSubnetOutput { subnet: Some(shown(cx, subnet, tags, 0)?) })
    }

    async fn describe_subnets(&self, cx: &Cx, input: e::DescribeSubnets) -> Result<e::DescribeSubnetsOutput> {
        let selection = Selection {
            ids: input.subnet_ids.as_ref(),
            filters: input.filters.as_ref(),
            most: input.max_results,
            token: input.next_token.as_deref(),
        };
        let (page, next_token) = self.select::<Subnet>(cx, selection).await?;
        let interfaces = self.every::<Interface>(cx).await?;
        let used = |id: &str| interfaces.iter().filter(|row| row.value.subnet == id).count();
        let subnets = page.into_iter().map(|(subnet, tags)| {
            let used = used(&subnet.id);
            shown(cx, subnet, tags, used)
        });
        Ok(e::DescribeSubnetsOutput { subnets: Some(subnets.collect::<Result<_>>()?), next_token })
    }

    async fn delete_subnet(&self, cx: &Cx, input: e::DeleteSubnet) -> Result<e::DeleteSubnetOutput> {
        let subnet: Row<Subnet> = self.find(cx, &input.subnet_id).await?;
        let id = &subnet.value.id;
        self.no_dependents::<Interface>(cx, id, |interface| interface.subnet == *id).await?;
        self.no_dependents::<NatGateway>(cx, id, |nat| nat.subnet == *id && nat.deleted.is_none()).await?;
        self.store.commit(Self::delete(&subnet)).await?;
        Ok(e::DeleteSubnetOutput {})
    }

    async fn modify_subnet_attribute(
        &self,
        cx: &Cx,
        input: e::ModifySubnetAttribute,
    ) -> Result<e::ModifySubnetAttributeOutput> {
        let unsupported = [
            (on(input.assign_ipv6_address_on_creation.as_ref()) == Some(true), "AssignIpv6AddressOnCreation"),
            (on(input.enable_dns64.as_ref()) == Some(true), "EnableDns64"),
            (on(input.map_customer_owned_ip_on_launch.as_ref()) == Some(true), "MapCustomerOwnedIpOnLaunch"),
        ];
        if let Some((_, name)) = unsupported.into_iter().find(|(given, _)| *given) {
            return Err(Error::UnsupportedParameter(name));
        }
        let change = || async {
            let mut subnet: Row<Subnet> = self.find(cx, &input.subnet_id).await?;
            subnet.value.public = on(input.map_public_ip_on_launch.as_ref()).unwrap_or(subnet.value.public);
            Ok::<_, Error>((Batch::new().update(&subnet), ()))
        };
        self.store.update(change).await?;
        Ok(e::ModifySubnetAttributeOutput {})
    }
}

fn zone(cx: &Cx, input: &e::CreateSubnet, others: usize) -> Result<String> {
    let all: Vec<String> = ZONES.iter().map(|zone| format!("{}{zone}", cx.region)).collect();
    let by_id = input
        .availability_zone_id
        .as_ref()
        .map(|id| all.iter().find(|zone| zone_id(zone) == *id).cloned().ok_or(id));
    match (&input.availability_zone, by_id) {
        (Some(zone), _) if !all.contains(zone) => Err(Error::InvalidParameterValue(format!(
            "Value ({zone}) for parameter availabilityZone is invalid. Subnets can currently only be created in the following availability zones: {}.",
            all.join(", ")
        ))),
        (Some(zone), _) => Ok(zone.clone()),
        (None, Some(Err(id))) => Err(Error::InvalidParameterValue(format!(
            "Value ({id}) for parameter availabilityZoneId is invalid"
        ))),
        (None, Some(Ok(zone))) => Ok(zone),
        (None, None) => Ok(all[others % all.len()].clone()),
    }
}

/// `us-east-1a` → `use1-az1`.
pub fn zone_id(zone: &str) -> String {
    let (region, letter) = zone.split_at(zone.len().saturating_sub(1));
    let mut parts = region.split('-');
    let area = parts.next().unwrap_or_default();
    let direction: String = parts.next().unwrap_or_default().chars().take(1).collect();
    let index = letter.chars().next().map_or(0, |c| u32::from(c).saturating_sub(96));
    format!("{area}{direction}{}-az{index}", parts.next().unwrap_or_default())
}

fn shown(cx: &Cx, subnet: Subnet, tags: Vec<e::Tag>, used: usize) -> Result<e::Subnet> {
    // AWS keeps the first four addresses and the last.
    let free = range(&subnet.cidr)?.size().saturating_sub(5 + used as u64);
    Ok(e::Subnet {
        subnet_arn: Some(
            Arn::new("ec2", &cx.region, cx.account(), format!("subnet/{}", subnet.id)).to_string(),
        ),
        subnet_id: Some(subnet.id),
        vpc_id: Some(subnet.vpc),
        cidr_block: Some(subnet.cidr),
        availability_zone_id: Some(zone_id(&subnet.zone)),
        availability_zone: Some(subnet.zone),
        available_ip_address_count: i32::try_from(free).ok(),
        default_for_az: Some(subnet.default),
        map_public_ip_on_launch: Some(subnet.public),
        map_customer_owned_ip_on_launch: Some(false),
        assign_ipv6_address_on_creation: Some(false),
        ipv6_cidr_block_association_set: Some(Vec::new()),
        ipv6_native: Some(false),
        enable_dns64: Some(false),
        owner_id: Some(cx.account().into()),
        private_dns_name_options_on_launch: Some(e::PrivateDnsNameOptionsOnLaunch {
            hostname_type: Some("ip-name".into()),
            enable_resource_name_dns_a_record: Some(false),
            enable_resource_name_dns_aaaa_record: Some(false),
        }),
        state: Some("available".into()),
        tags: Some(tags),
        ..e::Subnet::default()
    })
}
