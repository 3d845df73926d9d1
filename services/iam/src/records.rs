//! What is stored. IAM is global: its keys leave the region empty. Names are unique whatever their case.
use std::collections::BTreeMap;

use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Key, Record, Sealed};

/// Tags, by key.
pub type Tags = BTreeMap<String, String>;

/// What every named entity has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// As given, in its own case.
    pub name: String,
    /// `AIDA…`, `AROA…`, `AGPA…`, `ANPA…`.
    pub id: String,
    /// `/` or `/a/b/`.
    pub path: String,
    /// When.
    pub created: Timestamp,
    /// Empty for groups, which have none.
    pub tags: Tags,
}

/// The policies of a user, group or role.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Held {
    /// ARNs, in the order of attachment.
    pub attached: Vec<String>,
    /// Documents by policy name.
    pub inline: BTreeMap<String, String>,
    /// ARN of the permissions boundary.
    pub boundary: Option<String>,
}

/// A user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// Name and the like.
    pub identity: Identity,
    /// Its policies.
    pub held: Held,
    /// Names of its groups.
    pub groups: Vec<String>,
}

/// A group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Name and the like.
    pub identity: Identity,
    /// Its policies.
    pub held: Held,
}

/// A role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    /// Name and the like.
    pub identity: Identity,
    /// Its policies.
    pub held: Held,
    /// Who may assume it.
    pub trust: String,
    /// Free text.
    pub description: Option<String>,
    /// Seconds that a session may last.
    pub max_session: i32,
    /// A service made it for itself, and only that service may change it.
    pub linked: bool,
}

/// A managed policy of the account's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// Name and the like.
    pub identity: Identity,
    /// Free text.
    pub description: Option<String>,
    /// When its versions last changed.
    pub updated: Timestamp,
    /// Number of the version in force.
    pub default: u32,
    /// Number of the next version: numbers are never used again.
    pub next: u32,
    /// Its versions, oldest first.
    pub versions: Vec<Version>,
}

/// A version of a managed policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Version {
    /// `v1` has number 1.
    pub number: u32,
    /// The document.
    pub document: String,
    /// When.
    pub created: Timestamp,
}

/// An access key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessKey {
    /// `AKIA…`.
    pub id: String,
    /// The user's name; none for the root user.
    pub user: Option<String>,
    /// The secret, for context `iam.key:ID`.
    pub secret: Sealed,
    /// `Active` or `Inactive`.
    pub active: bool,
    /// When.
    pub created: Timestamp,
}

/// The last use of an access key, under the key's own key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyUse {
    /// When.
    pub at: Timestamp,
    /// The signing name of the service, as in `s3`.
    pub service: String,
    /// The region that was signed for.
    pub region: String,
}

/// A user name and password for one service: Git credentials.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Credential {
    /// `ACCA…`.
    pub id: String,
    /// The user's name.
    pub user: String,
    /// As in `codecommit.amazonaws.com`.
    pub service: String,
    /// As in `alice-at-000000000000`.
    pub service_user: String,
    /// SHA-256 of the password, in base64. A plain hash does: the password is 256 random bits, never chosen.
    pub password: String,
    /// `Active` or `Inactive`.
    pub active: bool,
    /// When.
    pub created: Timestamp,
}

/// A container's leave to fetch a role's credentials.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Granted {
    /// The task's or build's id, and the use it makes of the grant.
    pub id: String,
    /// The secret part of the URI.
    pub uuid: String,
    /// The service principal that assumes the role.
    pub service: String,
    /// See [`kernel::Grant::through`].
    #[serde(default)]
    pub through: Option<String>,
    /// The role.
    pub role_arn: String,
    /// The session's name.
    pub session: String,
    /// The only address that is answered.
    pub address: std::net::IpAddr,
}

macro_rules! record {
    ($($ty:ident $table:literal $(by $($index:ident)*)?;)*) => {$(
        impl Record for $ty {
            const TABLE: &'static str = $table;
            $(
                const INDEXES: &'static [&'static str] = &[$(stringify!($index)),*];
                fn indexes(&self) -> Vec<(&'static str, String)> {
                    vec![$((stringify!($index), self.$index.clone())),*]
                }
            )?
        }
    )*};
}

record! {
    User "iam.user";
    Group "iam.group";
    Role "iam.role";
    Policy "iam.policy";
    AccessKey "iam.key" by id;
    KeyUse "iam.key-use";
    Credential "iam.credential" by service_user;
    Granted "iam.grant" by id uuid;
}

/// The tables that decide what is allowed: the cache is forgotten when one of them changes.
pub const DECISIVE: &[&str] = &[User::TABLE, Group::TABLE, Role::TABLE, Policy::TABLE, AccessKey::TABLE];

/// A record that has a name.
pub trait Entity: Record + Clone {
    /// As messages call it: `user`, `role`.
    const KIND: &'static str;
    /// The quota of an account, and its name.
    const QUOTA: (&'static str, u64);
    /// Name and the like.
    fn identity(&self) -> &Identity;
    /// The same, to change.
    fn identity_mut(&mut self) -> &mut Identity;

    /// Its ARN.
    fn arn(&self, account: &str) -> String {
        let Identity { path, name, .. } = self.identity();
        arn::<Self>(account, path, name)
    }
}

/// A record that holds policies.
pub trait Holder: Entity {
    /// Characters of all its inline policies together, white space aside.
    const INLINE: usize;
    /// Its policies.
    fn held(&self) -> &Held;
    /// The same, to change.
    fn held_mut(&mut self) -> &mut Held;
    /// A service's own role is closed to everyone else.
    fn closed(&self) -> bool {
        false
    }
}

/// The ARN of an entity.
pub fn arn<E: Entity>(account: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:{}{path}{name}", E::KIND)
}

/// The key of an entity.
pub fn key(account: &str, name: &str) -> Key {
    Key::new(account, "").text(name.to_lowercase())
}

macro_rules! entity {
    ($($ty:ident $kind:literal $quota:literal $max:expr $(, inline $inline:literal $(closed $closed:ident)?)?;)*) => {$(
        impl Entity for $ty {
            const KIND: &'static str = $kind;
            const QUOTA: (&'static str, u64) = ($quota, $max);
            fn identity(&self) -> &Identity {
                &self.identity
            }
            fn identity_mut(&mut self) -> &mut Identity {
                &mut self.identity
            }
        }
        $(impl Holder for $ty {
            const INLINE: usize = $inline;
            fn held(&self) -> &Held {
                &self.held
            }
            fn held_mut(&mut self) -> &mut Held {
                &mut self.held
            }
            $(fn closed(&self) -> bool {
                self.$closed
            })?
        })?
    )*};
}

entity! {
    User "user" "UsersPerAccount" crate::limits::USERS, inline 2048;
    Group "group" "GroupsPerAccount" crate::limits::GROUPS, inline 5120;
    Role "role" "RolesPerAccount" crate::limits::ROLES, inline 10240 closed linked;
    Policy "policy" "PoliciesPerAccount" crate::limits::POLICIES;
}
