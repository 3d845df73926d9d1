//! What clients read beside the resources: security policies, quotas, capacity.
use api::elb as e;
use kernel::Cx;
use snapshot::TlsVersion;

use super::operation;
use crate::error::{Error, Result};
use crate::names::on;
use crate::policies::{CIPHERS, POLICIES};
use crate::{Elb, limits};

operation!(DescribeSSLPolicies, describe_policies, |_cx, _input| {
    on("elasticloadbalancing:DescribeSSLPolicies", "*")
});
operation!(DescribeAccountLimits, describe_limits, |_cx, _input| {
    on("elasticloadbalancing:DescribeAccountLimits", "*")
});
operation!(DescribeCapacityReservation, describe_capacity, |_cx, _input| {
    on("elasticloadbalancing:DescribeCapacityReservation", "*")
});

impl Elb {
    async fn describe_policies(
        &self,
        _: &Cx,
        input: e::DescribeSSLPolicies,
    ) -> Result<e::DescribeSSLPoliciesOutput> {
        let known = |name: &String| POLICIES.iter().any(|(policy, ..)| policy == name);
        if let Some(id) = input.names.iter().flatten().find(|name| !known(name)) {
            let (code, what) = ("SSLPolicyNotFound", "SSL policies");
            return Err(Error::NotFound { code, what, id: id.clone() });
        }
        let asked = |name: &str| input.names.as_ref().is_none_or(|names| names.iter().any(|n| n == name));
        let shown = POLICIES.iter().filter(|(name, ..)| asked(name)).map(|(name, protocols, min, max)| {
            let spoken = CIPHERS.iter().filter(|(_, version)| (*min..=*max).contains(version));
            let cipher = |(i, (name, _)): (usize, &(&str, TlsVersion))| e::Cipher {
                name: Some((*name).into()),
                priority: i32::try_from(i + 1).ok(),
            };
            e::SslPolicy {
                ssl_protocols: Some(protocols.iter().map(|p| (*p).into()).collect()),
                ciphers: Some(spoken.enumerate().map(cipher).collect()),
                name: Some((*name).into()),
                supported_load_balancer_types: Some(vec!["application".into()]),
            }
        });
        Ok(e::DescribeSSLPoliciesOutput { ssl_policies: Some(shown.collect()), next_marker: None })
    }

    async fn describe_limits(
        &self,
        _: &Cx,
        _: e::DescribeAccountLimits,
    ) -> Result<e::DescribeAccountLimitsOutput> {
        let limit =
            |(name, max): (&str, usize)| e::Limit { name: Some(name.into()), max: Some(max.to_string()) };
        let limits = [
            ("application-load-balancers", limits::LOAD_BALANCERS),
            ("target-groups", limits::TARGET_GROUPS),
            ("targets-per-application-load-balancer", limits::TARGETS),
            ("targets-per-target-group", limits::TARGETS),
            ("listeners-per-application-load-balancer", limits::LISTENERS),
            ("rules-per-application-load-balancer", limits::RULES),
            ("certificates-per-application-load-balancer", limits::CERTIFICATES),
            ("target-groups-per-action-on-application-load-balancer", limits::FORWARD_GROUPS),
            ("condition-values-per-alb-rule", limits::CONDITION_VALUES),
            ("condition-wildcards-per-alb-rule", limits::WILDCARDS),
        ];
        Ok(e::DescribeAccountLimitsOutput { limits: Some(limits.map(limit).into()), next_marker: None })
    }

    /// No capacity is ever reserved.
    async fn describe_capacity(
        &self,
        cx: &Cx,
        input: e::DescribeCapacityReservation,
    ) -> Result<e::DescribeCapacityReservationOutput> {
        self.balancer(cx, &input.load_balancer_arn).await?;
        Ok(e::DescribeCapacityReservationOutput {
            decrease_requests_remaining: Some(2),
            capacity_reservation_state: Some(Vec::new()),
            ..Default::default()
        })
    }
}
