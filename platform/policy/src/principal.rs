//! Whom a statement of a resource's policy is about.
use kernel::{Principal, PrincipalKind};

/// `Principal` or `NotPrincipal`.
#[derive(Debug)]
pub struct Principals {
    pub(super) negated: bool,
    pub(super) list: Vec<Named>,
}

/// One principal as a policy names it.
#[derive(Debug, PartialEq)]
pub enum Named {
    /// `*`.
    Everyone,
    /// An account: twelve digits, or its root's ARN.
    Account(String),
    /// A user, a role or a role's session.
    Arn(String),
    /// A service, as in `ecs-tasks.amazonaws.com`.
    Service(String),
    /// An identity provider; nobody signs in by one here, so that it never matches.
    Federated(String),
    /// An S3 canonical user; never matches either.
    Canonical(String),
}

/// How a statement names a principal: what an allow is worth depends on it. Greater is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// By its account: its identity policies still must allow, unless the account is another's.
    Account,
    /// By its role, or as everyone: its boundary and session policies still limit.
    Role,
    /// By its own name: nothing limits but denials.
    Itself,
}

impl Principals {
    /// How this principal is meant, if at all.
    pub fn find(&self, who: &Principal) -> Option<Match> {
        let best = self.list.iter().filter_map(|named| named.find(who)).max();
        match (self.negated, best) {
            (false, best) => best,
            (true, Some(_)) => None,
            (true, None) => Some(Match::Role),
        }
    }
}

impl Named {
    fn find(&self, who: &Principal) -> Option<Match> {
        match (self, &who.kind) {
            (Self::Everyone, _) => Some(Match::Role),
            (Self::Service(name), PrincipalKind::Service(service)) => {
                (name == service).then_some(Match::Itself)
            }
            (_, PrincipalKind::Service(_)) => None,
            (Self::Account(account), _) => (*account == who.account).then_some(Match::Account),
            (Self::Arn(arn), _) if *arn == who.arn => Some(Match::Itself),
            (Self::Arn(arn), PrincipalKind::Role { arn: role, .. }) => (arn == role).then_some(Match::Role),
            _ => None,
        }
    }

    /// Reads a value of `"AWS": …`.
    pub fn aws(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Everyone);
        }
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Self::Account(text.to_owned()));
        }
        let invalid = || format!("Invalid principal in policy: \"AWS\":\"{text}\"");
        let arn: kernel::Arn = text.parse().map_err(|_| invalid())?;
        let digits = arn.account.len() == 12 && arn.account.bytes().all(|b| b.is_ascii_digit());
        let kind = arn.resource.split_once('/').map(|(kind, _)| kind);
        match (arn.service.as_str(), arn.resource.as_str(), kind) {
            ("iam", "root", _) if digits => Ok(Self::Account(arn.account)),
            ("iam", _, Some("user" | "role")) | ("sts", _, Some("assumed-role"))
                if digits && !text.contains('*') =>
            {
                Ok(Self::Arn(text.to_owned()))
            }
            _ => Err(invalid()),
        }
    }
}
