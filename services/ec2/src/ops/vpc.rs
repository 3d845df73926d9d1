//! VPCs.
use api::ec2 as e;
use kernel::Cx;
use store::{Batch, Row};

use super::handle;
use crate::records::{Group, Interface, InternetGateway, Kind, NatGateway, RouteTable, Subnet, Vpc};
use crate::rules::block;
use crate::{Ec2, Error, Result, Selection, limits};

handle!(CreateVpc, create_vpc, |_input| "vpc/*".into(), dry_run);
handle!(CreateDefaultVpc, create_default_vpc, |_input| "vpc/*".into(), dry_run);
handle!(DescribeVpcs, describe_vpcs, |_input| "*".into(), dry_run);
handle!(DeleteVpc, delete_vpc, |input| format!("vpc/{}", input.vpc_id), dry_run);
handle!(DescribeVpcAttribute, describe_vpc_attribute, |input| format!("vpc/{}", input.vpc_id), dry_run);
handle!(ModifyVpcAttribute, modify_vpc_attribute, |input| format!("vpc/{}", input.vpc_id));

/// DHCP options of every VPC.
pub const DHCP: &str = "dopt-00000000000000000";

impl Ec2 {
    async fn create_vpc(&self, cx: &Cx, input: e::CreateVpc) -> Result<e::CreateVpcOutput> {
        let unsupported = [
            (input.amazon_provided_ipv6_cidr_block == Some(true), "AmazonProvidedIpv6CidrBlock"),
            (input.ipv6_cidr_block.is_some(), "Ipv6CidrBlock"),
            (input.ipv4_ipam_pool_id.is_some(), "Ipv4IpamPoolId"),
            (input.instance_tenancy.as_deref().is_some_and(|t| t != "default"), "InstanceTenancy"),
        ];
        if let Some((_, name)) = unsupported.into_iter().find(|(given, _)| *given) {
            return Err(Error::UnsupportedParameter(name));
        }
        let cidr = block(input.cidr_block.as_ref(), "InvalidVpc.Range", 16..=28)?;
        if self.every::<Vpc>(cx).await?.len() >= limits::VPCS {
            return Err(Error::LimitExceeded("VPCs"));
        }
        let id = self.new_id::<Vpc>();
        let vpc = Vpc {
            id,
            cidr: cidr.to_string(),
            actual: None,
            default: false,
            dns_hostnames: false,
            dns_support: true,
        };
        let (batch, tags) = Self::create(cx, &vpc, input.tag_specifications.as_ref())?;
        self.store.commit(batch.and(self.vpc_parts(cx, &vpc, &[]))).await?;
        Ok(e::CreateVpcOutput { vpc: Some(shown(cx, vpc, tags)) })
    }

    async fn create_default_vpc(&self, cx: &Cx, _: e::CreateDefaultVpc) -> Result<e::CreateDefaultVpcOutput> {
        if self.every::<Vpc>(cx).await?.iter().any(|row| row.value.default) {
            let message = "A Default VPC already exists for this account in this region.".into();
            return Err(Error::Duplicate { code: "DefaultVpcAlreadyExists", message });
        }
        let (vpc, batch) = self.default_vpc(cx);
        self.store.commit(batch).await?;
        Ok(e::CreateDefaultVpcOutput { vpc: Some(shown(cx, vpc, Vec::new())) })
    }

    async fn describe_vpcs(&self, cx: &Cx, input: e::DescribeVpcs) -> Result<e::DescribeVpcsOutput> {
        let selection = Selection {
            ids: input.vpc_ids.as_ref(),
            filters: input.filters.as_ref(),
            most: input.max_results,
            token: input.next_token.as_deref(),
        };
        let (page, next_token) = self.select::<Vpc>(cx, selection).await?;
        Ok(e::DescribeVpcsOutput {
            vpcs: Some(page.into_iter().map(|(vpc, tags)| shown(cx, vpc, tags)).collect()),
            next_token,
        })
    }

    async fn delete_vpc(&self, cx: &Cx, input: e::DeleteVpc) -> Result<e::DeleteVpcOutput> {
        let vpc: Row<Vpc> = self.find(cx, &input.vpc_id).await?;
        let id = &vpc.value.id;
        let mut batch = Self::delete(&vpc);
        self.no_dependents::<Subnet>(cx, id, |subnet| subnet.vpc == *id).await?;
        self.no_dependents::<Interface>(cx, id, |interface| interface.vpc == *id).await?;
        self.no_dependents::<InternetGateway>(cx, id, |gateway| gateway.vpc.as_ref() == Some(id)).await?;
        self.no_dependents::<NatGateway>(cx, id, |nat| nat.vpc == *id && nat.deleted.is_none()).await?;
        self.no_dependents::<Group>(cx, id, |group| group.vpc == *id && group.name != "default").await?;
        self.no_dependents::<RouteTable>(cx, id, |table| table.vpc == *id && table.main.is_none()).await?;
        for group in self.every::<Group>(cx).await?.iter().filter(|row| row.value.vpc == *id) {
            batch = batch.and(Self::delete(group));
        }
        for table in self.every::<RouteTable>(cx).await?.iter().filter(|row| row.value.vpc == *id) {
            batch = batch.and(Self::delete(table));
        }
        // The network first: were the rows gone and the network not, nobody would know of it.
        if vpc.value.actual.is_some() {
            self.engine.remove_network(id).await?;
        }
        self.store.commit(batch).await?;
        Ok(e::DeleteVpcOutput {})
    }

    /// AWS refuses to delete what something else stands on.
    pub async fn no_dependents<K: Kind>(
        &self,
        cx: &Cx,
        id: &str,
        depends: impl Fn(&K) -> bool,
    ) -> Result<()> {
        match self.every::<K>(cx).await?.iter().find(|row| depends(&row.value)) {
            Some(row) => Err(Error::DependencyViolation(format!(
                "'{id}' has dependencies and cannot be deleted: delete {} '{}' first",
                K::WHAT,
                row.value.id()
            ))),
            None => Ok(()),
        }
    }

    async fn describe_vpc_attribute(
        &self,
        cx: &Cx,
        input: e::DescribeVpcAttribute,
    ) -> Result<e::DescribeVpcAttributeOutput> {
        let vpc: Row<Vpc> = self.find(cx, &input.vpc_id).await?;
        let mut output = e::DescribeVpcAttributeOutput { vpc_id: Some(input.vpc_id), ..Default::default() };
        let value = |value| Some(e::AttributeBooleanValue { value: Some(value) });
        match input.attribute.as_str() {
            "enableDnsSupport" => output.enable_dns_support = value(vpc.value.dns_support),
            "enableDnsHostnames" => output.enable_dns_hostnames = value(vpc.value.dns_hostnames),
            _ => output.enable_network_address_usage_metrics = value(false),
        }
        Ok(output)
    }

    async fn modify_vpc_attribute(
        &self,
        cx: &Cx,
        input: e::ModifyVpcAttribute,
    ) -> Result<e::ModifyVpcAttributeOutput> {
        if on(input.enable_network_address_usage_metrics.as_ref()) == Some(true) {
            return Err(Error::UnsupportedParameter("EnableNetworkAddressUsageMetrics"));
        }
        if on(input.enable_dns_support.as_ref()) == Some(false) {
            return Err(Error::UnsupportedParameter("EnableDnsSupport=false"));
        }
        let change = || async {
            let mut vpc: Row<Vpc> = self.find(cx, &input.vpc_id).await?;
            vpc.value.dns_hostnames =
                on(input.enable_dns_hostnames.as_ref()).unwrap_or(vpc.value.dns_hostnames);
            Ok::<_, Error>((Batch::new().update(&vpc), ()))
        };
        self.store.update(change).await?;
        Ok(e::ModifyVpcAttributeOutput {})
    }
}

/// A boolean attribute, if it is given.
pub fn on(value: Option<&e::AttributeBooleanValue>) -> Option<bool> {
    value.and_then(|value| value.value)
}

fn shown(cx: &Cx, vpc: Vpc, tags: Vec<e::Tag>) -> e::Vpc {
    let association = e::VpcCidrBlockAssociation {
        association_id: Some(vpc.id.replacen("vpc-", "vpc-cidr-assoc-", 1)),
        cidr_block: Some(vpc.cidr.clone()),
        cidr_block_state: Some(e::VpcCidrBlockState {
            state: Some("associated".into()),
            status_message: None,
        }),
    };
    e::Vpc {
        vpc_id: Some(vpc.id),
        cidr_block: Some(vpc.cidr),
        cidr_block_association_set: Some(vec![association]),
        ipv6_cidr_block_association_set: Some(Vec::new()),
        dhcp_options_id: Some(DHCP.into()),
        state: Some("available".into()),
        is_default: Some(vpc.default),
        instance_tenancy: Some("default".into()),
        owner_id: Some(cx.account().into()),
        tags: Some(tags),
        ..e::Vpc::default()
    }
}
