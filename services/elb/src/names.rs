//! ARNs and keys of the service's resources.
use kernel::{Access, Arn, Cx};
use store::Key;

use crate::error::{Error, Result};

/// The account and region of a call.
pub fn scope(cx: &Cx) -> Key {
    Key::new(cx.account(), &cx.region)
}

/// An ARN of the service.
pub fn arn(account: &str, region: &str, resource: impl Into<String>) -> String {
    Arn::new("elasticloadbalancing", region, account, resource).to_string()
}

/// An ARN of the caller's account and region.
pub fn own(cx: &Cx, resource: impl Into<String>) -> String {
    arn(cx.account(), &cx.region, resource)
}

/// One permission on one resource.
pub fn on(action: &'static str, resource: impl Into<String>) -> Vec<Access> {
    vec![Access::new(action, resource)]
}

/// What an ARN names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// A load balancer.
    LoadBalancer {
        /// Its name.
        name: String,
        /// Its id.
        id: String,
    },
    /// A target group.
    TargetGroup {
        /// Its name.
        name: String,
        /// Its id.
        id: String,
    },
    /// A listener.
    Listener {
        /// The load balancer's id.
        balancer: String,
        /// Its own.
        id: String,
    },
    /// A rule; the default one has its listener's id.
    Rule {
        /// The load balancer's id.
        balancer: String,
        /// The listener's id.
        listener: String,
        /// Its own.
        id: String,
    },
}

impl Named {
    /// Reads an ARN of the caller's account and region.
    pub fn parse(cx: &Cx, text: &str) -> Result<Self> {
        let wrong = || Error::validation(format!("'{text}' is not a valid ARN"));
        let arn: Arn = text.parse().map_err(|_| wrong())?;
        if arn.service != "elasticloadbalancing" || arn.account != cx.account() || arn.region != cx.region {
            return Err(wrong());
        }
        let own = |part: &str| part.to_owned();
        let parts: Vec<&str> = arn.resource.split('/').collect();
        match *parts {
            ["loadbalancer", "app", name, id] => Ok(Self::LoadBalancer { name: own(name), id: own(id) }),
            ["targetgroup", name, id] => Ok(Self::TargetGroup { name: own(name), id: own(id) }),
            ["listener", "app", _, balancer, id] => {
                Ok(Self::Listener { balancer: own(balancer), id: own(id) })
            }
            ["listener-rule", "app", _, balancer, listener, id] => {
                Ok(Self::Rule { balancer: own(balancer), listener: own(listener), id: own(id) })
            }
            _ => Err(wrong()),
        }
    }
}

/// Checks the name of a load balancer or target group.
pub fn check_name(what: &str, name: &str) -> Result<()> {
    let edges = !name.starts_with('-') && !name.ends_with('-');
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if name.is_empty() || name.len() > 32 {
        return Err(Error::validation(format!("The {what} name '{name}' must have 1 to 32 characters")));
    }
    if !edges || !plain || (what == "load balancer" && name.starts_with("internal-")) {
        return Err(Error::validation(format!(
            "The {what} name '{name}' may hold only letters, digits and hyphens, must not begin or end with a \
             hyphen, and a load balancer's must not begin with 'internal-'"
        )));
    }
    Ok(())
}
