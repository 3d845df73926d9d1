//! The operations, a file a family.

mod describe;
mod gateway;
mod group;
mod interface;
mod route;
mod subnet;
pub mod tags;
mod vpc;

use std::sync::Arc;

use api::ec2 as e;
use engine::{Admits, Enter, PrepareInterface, ResolveInterface};
use kernel::Ops;

use crate::Ec2;

/// Implements `Handle` by a method of [`Ec2`]: the IAM action has the operation's name throughout EC2; the resource is
/// given by its path, or `*`. With `dry` the call ends after authorization when `DryRun` is set.
macro_rules! handle {
    ($op:ident, $method:ident, |$input:ident| $resource:expr $(, $dry:ident)?) => {
        impl kernel::Handle<api::ec2::$op> for $crate::Ec2 {
            async fn access(&self, cx: &kernel::Cx, $input: &api::ec2::$op) -> std::result::Result<Vec<kernel::Access>, kernel::Fault> {
                let resource: String = $resource;
                Ok($crate::access(cx, concat!("ec2:", stringify!($op)), &resource))
            }
            async fn handle(&self, cx: &kernel::Cx, input: api::ec2::$op) -> std::result::Result<<api::ec2::$op as kernel::Operation>::Output, kernel::Fault> {
                $(if input.$dry == Some(true) {
                    return Err($crate::Error::DryRun.into());
                })?
                self.ensure_defaults(cx).await?;
                Ok(self.$method(cx, input).await?)
            }
        }
    };
}
pub(crate) use handle;

macro_rules! serve {
    ($ops:ident, $service:ident: $($op:ident)*) => { $($ops.op::<e::$op, _>($service);)* };
}

/// Everything that is served.
pub fn register(service: &Arc<Ec2>, ops: &mut Ops) {
    serve!(ops, service:
        CreateVpc CreateDefaultVpc DescribeVpcs DeleteVpc DescribeVpcAttribute ModifyVpcAttribute
        CreateSubnet DescribeSubnets DeleteSubnet ModifySubnetAttribute
        CreateSecurityGroup DescribeSecurityGroups DeleteSecurityGroup DescribeSecurityGroupRules
        AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress RevokeSecurityGroupIngress RevokeSecurityGroupEgress
        CreateInternetGateway AttachInternetGateway DetachInternetGateway DeleteInternetGateway DescribeInternetGateways
        CreateNatGateway DescribeNatGateways DeleteNatGateway
        AllocateAddress DescribeAddresses DescribeAddressesAttribute ReleaseAddress
        CreateRouteTable DescribeRouteTables DeleteRouteTable CreateRoute ReplaceRoute DeleteRoute
        AssociateRouteTable DisassociateRouteTable ReplaceRouteTableAssociation
        CreateNetworkInterface DescribeNetworkInterfaces DeleteNetworkInterface ModifyNetworkInterfaceAttribute
        CreateTags DeleteTags DescribeTags
        DescribeAvailabilityZones DescribeRegions DescribeAccountAttributes DescribeNetworkAcls DescribeDhcpOptions
        DescribePrefixLists DescribeManagedPrefixLists DescribeVpcEndpoints
    );
    ops.internal::<PrepareInterface, _>(service);
    ops.internal::<ResolveInterface, _>(service);
    ops.internal::<Admits, _>(service);
    ops.internal::<Enter, _>(service);
}
