//! Amazon resource names.
use std::fmt;
use std::str::FromStr;

/// `arn:partition:service:region:account:resource`, the resource kept whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Arn {
    /// Always `aws` here.
    pub partition: String,
    /// As in `ecs`.
    pub service: String,
    /// Empty for global services.
    pub region: String,
    /// Twelve digits; empty where AWS leaves it out (S3).
    pub account: String,
    /// All after the fifth colon; may hold colons and slashes.
    pub resource: String,
}

impl Arn {
    /// An ARN of the `aws` partition.
    pub fn new(service: &str, region: &str, account: &str, resource: impl Into<String>) -> Self {
        Self {
            partition: "aws".into(),
            service: service.into(),
            region: region.into(),
            account: account.into(),
            resource: resource.into(),
        }
    }

    /// The part of the resource after its first `/` or `:`: `web` of `service/web`.
    pub fn name(&self) -> &str {
        self.resource.split_once(['/', ':']).map_or(&self.resource, |(_, name)| name)
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, service, region, account, resource } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

/// The text is not an ARN.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an ARN of the form arn:partition:service:region:account:resource")]
pub struct NotAnArn(pub String);

impl FromStr for Arn {
    type Err = NotAnArn;

    fn from_str(text: &str) -> Result<Self, NotAnArn> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        match parts[..] {
            ["arn", partition, service, region, account, resource]
                if !partition.is_empty() && !service.is_empty() && !resource.is_empty() =>
            {
                Ok(Self {
                    partition: partition.into(),
                    service: service.into(),
                    region: region.into(),
                    account: account.into(),
                    resource: resource.into(),
                })
            }
            _ => Err(NotAnArn(text.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["arn:aws:ecs:us-east-1:000000000000:service/c/web", "arn:aws:s3:::bucket/a:b"] {
            assert_eq!(text.parse::<Arn>().unwrap().to_string(), text);
        }
        assert_eq!("arn:aws:s3:::".parse::<Arn>(), Err(NotAnArn("arn:aws:s3:::".into())));
        assert!("role/x".parse::<Arn>().is_err());
    }
}
