//! Builds in a VPC: each has a network interface of its own there, made and looked at under its role, as on AWS.
use api::codebuild::{Project, VpcConfig};
use api::ec2::{
    CreateNetworkInterface, DeleteNetworkInterface, DescribeNetworkInterfaces, DescribeSecurityGroups,
    DescribeSubnets, Filter,
};
use kernel::{Cx, Fault};

use crate::error::Error;

/// Subnets of a project, as on AWS.
const SUBNETS: usize = 16;
/// Security groups of a project, as on AWS.
const GROUPS: usize = 5;

/// The VPC of a project's builds; none: they have a network apart. AWS's empty `vpcConfig` takes a VPC away.
pub fn wanted(project: &Project) -> Option<&VpcConfig> {
    project.vpc_config.as_ref().filter(|vpc| vpc.vpc_id.as_ref().is_some_and(|id| !id.is_empty()))
}

/// What can be said without looking at the VPC.
pub fn shape(vpc: &VpcConfig) -> Result<(), Error> {
    for (list, most, field) in
        [(&vpc.subnets, SUBNETS, "subnets"), (&vpc.security_group_ids, GROUPS, "securityGroupIds")]
    {
        let count = list.as_ref().map_or(0, Vec::len);
        if !(1..=most).contains(&count) {
            return Err(Error::invalid(format!("vpcConfig: {field}: give 1 to {most} beside the vpcId")));
        }
    }
    Ok(())
}

/// That the subnets and groups are there, and in the VPC. `cx` is the project's role.
pub async fn check(cx: &Cx, vpc: &VpcConfig) -> Result<(), Error> {
    let refused = |fault: Fault, what: &str| {
        if fault.status >= 500 {
            return Error::Fault(fault);
        }
        Error::invalid(format!("vpcConfig: {what}: {}: {}", fault.code, fault.message))
    };
    let subnets = DescribeSubnets { subnet_ids: vpc.subnets.clone(), ..DescribeSubnets::default() };
    let subnets = cx.call(subnets).await.map_err(|fault| refused(fault, "subnets"))?.subnets;
    let groups = DescribeSecurityGroups { group_ids: vpc.security_group_ids.clone(), ..Default::default() };
    let groups = cx.call(groups).await.map_err(|fault| refused(fault, "securityGroupIds"))?.security_groups;
    let subnets = subnets.into_iter().flatten().map(|subnet| ("subnets", subnet.subnet_id, subnet.vpc_id));
    let groups = groups.into_iter().flatten().map(|group| ("securityGroupIds", group.group_id, group.vpc_id));
    match subnets.chain(groups).find(|(.., place)| *place != vpc.vpc_id) {
        Some((field, id, _)) => {
            let (id, vpc) = (id.unwrap_or_default(), vpc.vpc_id.as_deref().unwrap_or_default());
            Err(Error::invalid(format!("vpcConfig: {field}: {id} is not in the VPC {vpc}")))
        }
        None => Ok(()),
    }
}

/// The build's interface, the same however often it is asked for.
pub async fn interface(cx: &Cx, vpc: &VpcConfig, build: &str, uuid: &str) -> Result<String, Fault> {
    let subnets = vpc.subnets.as_deref().unwrap_or_default();
    // Spread over the subnets, the same for the same build.
    let turn = usize::from_str_radix(uuid.get(..4).unwrap_or_default(), 16).unwrap_or(0);
    let create = CreateNetworkInterface {
        subnet_id: subnets.get(turn % subnets.len().max(1)).cloned().unwrap_or_default(),
        description: Some(build.to_owned()),
        groups: vpc.security_group_ids.clone(),
        client_token: Some(uuid.to_owned()),
        ..CreateNetworkInterface::default()
    };
    let made = cx.call(create).await?.network_interface.and_then(|made| made.network_interface_id);
    made.ok_or_else(|| Fault::internal("EC2 answered an interface without its id"))
}

/// Takes away what interface a build has, if any. `cx` is the service itself: the role may have lost what it needs.
pub async fn remove(cx: &Cx, build: &str) -> Result<(), Fault> {
    let filter = Filter { name: Some("description".into()), values: Some(vec![build.to_owned()]) };
    let describe = DescribeNetworkInterfaces { filters: Some(vec![filter]), ..Default::default() };
    for found in cx.call(describe).await?.network_interfaces.into_iter().flatten() {
        let delete = DeleteNetworkInterface {
            network_interface_id: found.network_interface_id.unwrap_or_default(),
            ..DeleteNetworkInterface::default()
        };
        match cx.call(delete).await {
            Err(fault) if !fault.code.ends_with("NotFound") => return Err(fault),
            _ => {}
        }
    }
    Ok(())
}
