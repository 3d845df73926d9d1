//! Every limit of the service, AWS's own quotas where it has them.
use std::ops::RangeInclusive;

/// Load balancers of an account and region.
pub const LOAD_BALANCERS: usize = 50;
/// Target groups of an account and region.
pub const TARGET_GROUPS: usize = 3000;
/// Listeners of a load balancer.
pub const LISTENERS: usize = 50;
/// Rules of a load balancer, default rules aside.
pub const RULES: usize = 100;
/// Condition values of a rule.
pub const CONDITION_VALUES: usize = 5;
/// Wildcards in the condition values of a rule.
pub const WILDCARDS: usize = 5;
/// Characters of a condition value.
pub const VALUE: usize = 128;
/// Target groups of a forward action.
pub const FORWARD_GROUPS: usize = 5;
/// Targets of a target group.
pub const TARGETS: usize = 1000;
/// Certificates of a listener beside its default one.
pub const CERTIFICATES: usize = 25;
/// Tags of a resource.
pub const TAGS: usize = 50;
/// Text of a fixed response, in bytes.
pub const FIXED_BODY: usize = 1024;
/// Items of a page.
pub const PAGE: usize = 400;
/// Security groups of a load balancer.
pub const GROUPS: usize = 5;
/// Ports of the gateways of container networks, one for each listener of the host: below those that Linux gives out by
/// itself, above those that services are known by.
pub const GATEWAY_PORTS: RangeInclusive<u16> = 20000..=29999;
