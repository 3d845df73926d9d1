//! The operations, a file each family.

mod balancer;
mod certificate;
mod group;
mod listener;
mod rule;
mod tags;
mod targets;
mod various;

use std::sync::Arc;

use api::elb::*;
use kernel::Ops;

use crate::Elb;

/// Implements an operation by a method, with the permissions that it needs: all that is IAM stands in one line.
macro_rules! operation {
    ($op:ident, $method:ident, |$cx:ident, $input:ident| $access:expr) => {
        impl kernel::Handle<api::elb::$op> for $crate::Elb {
            async fn access(
                &self,
                $cx: &kernel::Cx,
                $input: &api::elb::$op,
            ) -> std::result::Result<Vec<kernel::Access>, kernel::Fault> {
                Ok($access)
            }

            async fn handle(
                &self,
                cx: &kernel::Cx,
                input: api::elb::$op,
            ) -> std::result::Result<<api::elb::$op as kernel::Operation>::Output, kernel::Fault> {
                Ok(self.$method(cx, input).await?)
            }
        }
    };
}
use operation;

/// All that is served.
pub fn register(elb: &Arc<Elb>, ops: &mut Ops) {
    ops.op::<CreateLoadBalancer, _>(elb);
    ops.op::<DescribeLoadBalancers, _>(elb);
    ops.op::<DeleteLoadBalancer, _>(elb);
    ops.op::<DescribeLoadBalancerAttributes, _>(elb);
    ops.op::<ModifyLoadBalancerAttributes, _>(elb);
    ops.op::<SetSubnets, _>(elb);
    ops.op::<SetSecurityGroups, _>(elb);
    ops.op::<SetIpAddressType, _>(elb);
    ops.op::<CreateTargetGroup, _>(elb);
    ops.op::<DescribeTargetGroups, _>(elb);
    ops.op::<ModifyTargetGroup, _>(elb);
    ops.op::<DeleteTargetGroup, _>(elb);
    ops.op::<DescribeTargetGroupAttributes, _>(elb);
    ops.op::<ModifyTargetGroupAttributes, _>(elb);
    ops.op::<RegisterTargets, _>(elb);
    ops.op::<DeregisterTargets, _>(elb);
    ops.op::<DescribeTargetHealth, _>(elb);
    ops.op::<CreateListener, _>(elb);
    ops.op::<DescribeListeners, _>(elb);
    ops.op::<ModifyListener, _>(elb);
    ops.op::<DeleteListener, _>(elb);
    ops.op::<DescribeListenerAttributes, _>(elb);
    ops.op::<ModifyListenerAttributes, _>(elb);
    ops.op::<AddListenerCertificates, _>(elb);
    ops.op::<RemoveListenerCertificates, _>(elb);
    ops.op::<DescribeListenerCertificates, _>(elb);
    ops.op::<CreateRule, _>(elb);
    ops.op::<DescribeRules, _>(elb);
    ops.op::<ModifyRule, _>(elb);
    ops.op::<DeleteRule, _>(elb);
    ops.op::<SetRulePriorities, _>(elb);
    ops.op::<DescribeSSLPolicies, _>(elb);
    ops.op::<DescribeAccountLimits, _>(elb);
    ops.op::<AddTags, _>(elb);
    ops.op::<RemoveTags, _>(elb);
    ops.op::<DescribeTags, _>(elb);
    ops.op::<DescribeCapacityReservation, _>(elb);
}
