//! Names: ARNs, and the short forms that callers may use for them.
use kernel::Arn;
use store::Key;

use crate::error::{Result, client, invalid};

/// Where things are: account and region.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
}

impl Scope {
    /// Of a call.
    pub fn of(cx: &kernel::Cx) -> Self {
        Self { account: cx.account().to_owned(), region: cx.region.clone() }
    }

    /// Of a stored key.
    pub fn of_key(key: &Key) -> Self {
        Self { account: key.account(), region: key.region() }
    }

    /// What keys begin with.
    pub fn key(&self) -> Key {
        Key::new(&self.account, &self.region)
    }

    /// An ARN of ECS.
    pub fn arn(&self, resource: impl Into<String>) -> String {
        Arn::new("ecs", &self.region, &self.account, resource).to_string()
    }

    /// A cluster's ARN.
    pub fn cluster(&self, name: &str) -> String {
        self.arn(format!("cluster/{name}"))
    }

    /// A service's ARN.
    pub fn service(&self, cluster: &str, name: &str) -> String {
        self.arn(format!("service/{cluster}/{name}"))
    }

    /// A task's ARN.
    pub fn task(&self, cluster: &str, id: &str) -> String {
        self.arn(format!("task/{cluster}/{id}"))
    }

    /// A task definition's ARN.
    pub fn definition(&self, family: &str, revision: u64) -> String {
        self.arn(format!("task-definition/{family}:{revision}"))
    }

    /// The one container instance of every cluster: the engine.
    pub fn instance(&self, cluster: &str) -> String {
        self.arn(format!("container-instance/{cluster}/{INSTANCE}"))
    }
}

/// The container instance's id.
pub const INSTANCE: &str = "00000000000000000000000000000001";
/// The same as EC2 names it.
pub const EC2_INSTANCE: &str = "i-00000000000000001";

/// The last part of an ARN of this kind, or the name itself.
pub fn short<'a>(kind: &str, text: &'a str) -> Result<&'a str> {
    if !text.starts_with("arn:") {
        return Ok(text);
    }
    let resource = text.splitn(6, ':').nth(5).unwrap_or_default();
    match resource.split_once('/') {
        Some((found, rest)) if found == kind => Ok(rest.rsplit('/').next().unwrap_or(rest)),
        _ => invalid(format!(
            "Invalid identifier: Identifier is for {resource}. Your identifier must be for {kind}"
        )),
    }
}

/// A cluster's name; `default` if none is given.
pub fn cluster_name(given: Option<&str>) -> Result<&str> {
    short("cluster", given.filter(|name| !name.is_empty()).unwrap_or("default"))
}

/// Family and revision of `family`, `family:revision` or an ARN.
pub fn definition(text: &str) -> Result<(&str, Option<u64>)> {
    let name = short("task-definition", text)?;
    match name.split_once(':') {
        None => Ok((name, None)),
        Some((family, revision)) => match revision.parse() {
            Ok(revision) => Ok((family, Some(revision))),
            Err(_) => client(format!("Invalid revision number. Number: {revision}")),
        },
    }
}

/// Checks a name of up to 255 letters, digits, hyphens and underscores.
pub fn check(what: &str, name: &str) -> Result<()> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if name.is_empty() || name.len() > 255 || !name.bytes().all(fine) {
        return client(format!(
            "{what} should not be more than 255 characters and can contain letters (uppercase and lowercase), numbers, hyphens and underscores: '{name}'"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_and_arns_mean_the_same() {
        let arn = "arn:aws:ecs:us-east-1:000000000000:";
        assert_eq!(cluster_name(None).unwrap(), "default");
        assert_eq!(cluster_name(Some(&format!("{arn}cluster/c"))).unwrap(), "c");
        assert_eq!(short("service", &format!("{arn}service/c/web")).unwrap(), "web");
        assert!(short("service", &format!("{arn}task/c/web")).is_err());
        assert_eq!(definition("web:7").unwrap(), ("web", Some(7)));
        assert_eq!(definition(&format!("{arn}task-definition/web:7")).unwrap(), ("web", Some(7)));
        assert_eq!(definition("web").unwrap(), ("web", None));
        assert!(definition("web:x").is_err());
    }
}
