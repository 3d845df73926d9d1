//! Stored rows.
use std::collections::BTreeMap;

use kernel::{Access, Arn, Cx, PrincipalKind, ResourcePolicy, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Key, Record};

use crate::error::{Error, Result};

/// A bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bucket {
    /// Unique among all accounts.
    pub name: String,
    /// Keys of objects begin with it: a bucket made anew under its name is another one.
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// Where it is.
    pub region: String,
    /// When it was made.
    pub created: Timestamp,
    /// Whether objects are kept when they are replaced.
    pub versioning: Versioning,
    /// Its policy, as it was put.
    pub policy: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// What keeps it from being public.
    pub public_access: PublicAccess,
    /// `BucketOwnerEnforced`, unless it was put otherwise.
    pub ownership: Option<String>,
    /// EventBridge hears of its objects.
    pub event_bridge: bool,
}

/// Whether objects are kept when they are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Versioning {
    /// Never was: the one version is `null`.
    #[default]
    Never,
    /// Each put is a version.
    Enabled,
    /// What is put replaces the `null` version; others stay.
    Suspended,
}

/// The four switches of a public access block; all are on in new buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicAccess {
    /// Public ACLs are refused.
    pub block_acls: bool,
    /// Public ACLs are ignored.
    pub ignore_acls: bool,
    /// Public policies are refused.
    pub block_policy: bool,
    /// A public policy admits the account's own principals only.
    pub restrict: bool,
}

impl PublicAccess {
    /// What new buckets have.
    pub const BLOCKED: Self =
        Self { block_acls: true, ignore_acls: true, block_policy: true, restrict: true };
    /// Without a block.
    pub const OPEN: Self =
        Self { block_acls: false, ignore_acls: false, block_policy: false, restrict: false };
}

impl Record for Bucket {
    const TABLE: &'static str = "s3.bucket";
    const INDEXES: &'static [&'static str] = &["account"];

    fn indexes(&self) -> Vec<(&'static str, String)> {
        vec![("account", self.account.clone())]
    }
}

impl Bucket {
    /// Bucket names are unique among all accounts: theirs is the one table whose keys have none.
    pub fn key(name: &str) -> Key {
        Key::new("", "").text(name)
    }

    /// `arn:aws:s3:::NAME`.
    pub fn arn(&self) -> String {
        Arn { region: String::new(), account: String::new(), ..Arn::new("s3", "", "", &*self.name) }
            .to_string()
    }

    /// What all its objects' keys begin with.
    pub fn objects(&self) -> Key {
        Key::new(&self.account, "").text(&self.id)
    }

    /// What an action on the bucket needs.
    pub fn access(&self, cx: &Cx, action: &'static str) -> Access {
        Access { policy: self.policy_for(cx), ..Access::new(action, self.arn()) }
    }

    /// What an action on one of its objects needs.
    pub fn object_access(&self, cx: &Cx, action: &'static str, key: &str) -> Access {
        Access { policy: self.policy_for(cx), ..Access::new(action, format!("{}/{key}", self.arn())) }
    }

    /// What putting one of its objects needs.
    pub fn putting(&self, cx: &Cx, key: &str, acl: Option<&str>) -> Vec<Access> {
        let put = self.object_access(cx, "s3:PutObject", key);
        match acl {
            Some(acl) => vec![
                put.when("s3:x-amz-acl", acl),
                self.object_access(cx, "s3:PutObjectAcl", key).when("s3:x-amz-acl", acl),
            ],
            None => vec![put],
        }
    }

    /// Refuses the ACLs that would mean something: access is given by policies here, as in AWS's new buckets.
    pub fn check_acl(&self, acl: Option<&str>) -> Result<()> {
        match acl {
            None | Some("private" | "bucket-owner-full-control") => Ok(()),
            Some(_) if self.ownership.as_deref() == Some("BucketOwnerEnforced") => {
                Err(Error::coded("AccessControlListNotSupported", 400, "The bucket does not allow ACLs"))
            }
            Some(acl) => Err(Error::NotImplemented(format!(
                "The ACL {acl} is not served: give access by a bucket policy."
            ))),
        }
    }

    fn policy_for(&self, cx: &Cx) -> Option<ResourcePolicy> {
        let stranger = cx.caller.kind == PrincipalKind::Anonymous || cx.account() != self.account;
        let hidden = |document: &String| stranger && self.public_access.restrict && is_public(document);
        let document = self.policy.clone().filter(|document| !hidden(document));
        Some(ResourcePolicy { document, account: self.account.clone() })
    }
}

/// Keys by which a condition leaves strangers out, as S3 documents for Block Public Access; in lower case.
const RESTRICTING: [&str; 8] = [
    "aws:principalorgid",
    "aws:sourceip",
    "aws:sourcearn",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:sourceowner",
    "aws:sourceaccount",
    "aws:userid",
];

/// Whether a condition leaves strangers out: one of the keys is to be a fixed value.
fn restricts(condition: &Value) -> bool {
    let positive = |operator: &str| {
        ["stringequals", "stringlike", "arnequals", "arnlike", "ipaddress"]
            .contains(&operator.to_ascii_lowercase().as_str())
    };
    let fixed = |value: &Value| {
        value.as_str().is_some_and(|text| !text.contains(['*', '?']) && !text.ends_with("/0"))
    };
    let all_fixed = |values: &Value| match values {
        Value::Array(values) => !values.is_empty() && values.iter().all(fixed),
        one => fixed(one),
    };
    let tests = condition.as_object().into_iter().flatten().filter(|(operator, _)| positive(operator));
    let mut keys = tests.flat_map(|(_, keys)| keys.as_object().into_iter().flatten());
    keys.any(|(key, values)| RESTRICTING.contains(&key.to_ascii_lowercase().as_str()) && all_fixed(values))
}

/// Whether a policy lets everyone in: an allow for `*`, or for all but some, with no condition that leaves strangers out.
pub fn is_public(policy: &str) -> bool {
    let Ok(policy) = serde_json::from_str::<Value>(policy) else { return false };
    let everyone = |principal: &Value| {
        let star =
            |value: &Value| value == "*" || value.as_array().is_some_and(|l| l.iter().any(|v| v == "*"));
        star(principal) || principal.get("AWS").is_some_and(star)
    };
    let public = |statement: &Value| {
        statement["Effect"] == "Allow"
            && (everyone(&statement["Principal"]) || statement.get("NotPrincipal").is_some())
            && !restricts(&statement["Condition"])
    };
    match &policy["Statement"] {
        Value::Array(statements) => statements.iter().any(public),
        one => public(one),
    }
}

/// A version of an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Version {
    /// The object's key.
    pub key: String,
    /// None: the `null` version.
    pub id: Option<String>,
    /// When it was put.
    pub at: Timestamp,
    /// None: a delete marker.
    pub content: Option<Content>,
}

impl Record for Version {
    const TABLE: &'static str = "s3.object";
    const INDEXES: &'static [&'static str] = &["version"];

    fn indexes(&self) -> Vec<(&'static str, String)> {
        vec![("version", self.name().to_owned())]
    }
}

impl Version {
    /// Versions of a key stand newest first: `number` counts up from 1.
    pub fn row(bucket: &Bucket, key: &str, number: u64) -> Key {
        bucket.objects().text(key).number(u64::MAX - number)
    }

    /// Its id as the API shows it.
    pub fn name(&self) -> &str {
        self.id.as_deref().unwrap_or("null")
    }
}

/// What an object is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Content {
    /// In bytes.
    pub size: u64,
    /// Without its quotes.
    pub e_tag: String,
    /// Its bytes, in order: one piece, or one for each part.
    pub pieces: Vec<Piece>,
    /// It was uploaded in parts.
    pub multipart: bool,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// Other standard headers kept with it, by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// The user's metadata, by lower-case name.
    pub metadata: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Checksums by algorithm (`CRC32`), base64.
    pub checksums: BTreeMap<String, String>,
    /// The checksum is one of the parts' checksums.
    pub composite: bool,
    /// None: `STANDARD`.
    pub storage_class: Option<String>,
}

/// A blob that holds bytes of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The blob's name.
    pub blob: String,
    /// Its size in bytes.
    pub size: u64,
}

/// An upload in parts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Upload {
    /// The object's key.
    pub key: String,
    /// Its own id.
    pub id: String,
    /// When it began.
    pub began: Timestamp,
    /// Who began it.
    pub initiator: String,
    /// What the object will have besides its bytes.
    pub content: Content,
    /// The checksum that each part has.
    pub algorithm: Option<String>,
}

impl Record for Upload {
    const TABLE: &'static str = "s3.upload";
}

impl Upload {
    /// Its key.
    pub fn row(bucket: &Bucket, key: &str, id: &str) -> Key {
        bucket.objects().text(key).text(id)
    }
}

/// A part of an upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    /// From 1.
    pub number: u32,
    /// Its bytes.
    pub piece: Piece,
    /// MD5 of them, hexadecimal.
    pub e_tag: String,
    /// Checksums by algorithm, base64.
    pub checksums: BTreeMap<String, String>,
    /// When it was put.
    pub at: Timestamp,
}

impl Record for Part {
    const TABLE: &'static str = "s3.part";
}

impl Part {
    /// What the keys of an upload's parts begin with.
    pub fn rows(bucket: &Bucket, upload: &str) -> Key {
        bucket.objects().text(upload)
    }

    /// Its key.
    pub fn row(bucket: &Bucket, upload: &str, number: u32) -> Key {
        Self::rows(bucket, upload).number(u64::from(number))
    }
}
