//! Quotas of EC2 networking (Amazon VPC quotas), a little higher where a test job makes many.

/// VPCs of a region.
pub const VPCS: usize = 100;
/// Subnets of a VPC.
pub const SUBNETS: usize = 200;
/// Security groups of a region.
pub const GROUPS: usize = 2500;
/// Rules of a security group, each direction.
pub const RULES: usize = 60;
/// Security groups of an interface.
pub const GROUPS_OF_INTERFACE: usize = 5;
/// Tags of a resource.
pub const TAGS: usize = 50;
/// Resources of any other kind in a region.
pub const OTHERS: usize = 1000;
/// Items of a page where the caller names no number.
pub const PAGE: usize = 1000;
