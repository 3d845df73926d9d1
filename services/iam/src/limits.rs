//! AWS's default quotas.

/// Users of an account.
pub const USERS: u64 = 5000;
/// Groups of an account.
pub const GROUPS: u64 = 300;
/// Roles of an account.
pub const ROLES: u64 = 1000;
/// Managed policies of an account.
pub const POLICIES: u64 = 1500;
/// Managed policies attached to one entity.
pub const ATTACHED: usize = 10;
/// Groups that a user is in.
pub const GROUPS_PER_USER: usize = 10;
/// Versions of a managed policy.
pub const VERSIONS: usize = 5;
/// Access keys of a user.
pub const KEYS: usize = 2;
/// Bytes of a service's or region's name in the last use of a key; AWS's are shorter, what is longer is not noted.
pub const USED_NAME: usize = 64;
/// Service-specific credentials of a user for one service.
pub const CREDENTIALS: usize = 2;
/// Tags of a resource.
pub const TAGS: usize = 50;
/// Characters of a managed policy, white space aside.
pub const MANAGED_POLICY: usize = 6144;
/// Characters of a role's trust policy, white space aside (AWS raises it to this on request).
pub const TRUST_POLICY: usize = 4096;
/// Characters of a session's policies.
pub const SESSION_POLICY: usize = 2048;
/// Managed policies of a session.
pub const SESSION_POLICIES: usize = 10;
/// Items of a page, unless the caller wants fewer.
pub const PAGE: usize = 100;
/// Policies of resources and sessions that are kept read.
pub const CACHED_DOCUMENTS: usize = 1024;
/// Principals and keys that are kept at hand, each.
pub const CACHED_PRINCIPALS: usize = 10_000;
/// Bytes of a session token.
pub const TOKEN: usize = 64 * 1024;
