//! The decision: every policy that has a say, combined as AWS combines them.
use std::sync::Arc;

use kernel::{Principal, PrincipalKind};

use super::principal::Named;
use super::{Context, Document, Effect, Match};

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who.
    pub who: &'a Principal,
    /// As in `s3:GetObject`.
    pub action: &'a str,
    /// An ARN, or `*` where the action knows none.
    pub resource: &'a str,
    /// The condition keys.
    pub context: &'a Context,
}

/// The policies that have a say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policies<'a> {
    /// Attached to the principal or its groups, or inline.
    pub identity: &'a [Arc<Document>],
    /// The principal's permissions boundary.
    pub boundary: Option<&'a Document>,
    /// Passed when the session began; none of them limits nothing.
    pub session: &'a [Arc<Document>],
    /// The resource's own.
    pub resource: Option<&'a Document>,
    /// Whose the resource is.
    pub owner: Owner,
}

/// Whose a resource is: which of its policy and the principal's must allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// The principal's account: one of both suffices.
    #[default]
    Same,
    /// The principal's account, but the resource's policy must allow: a role's trust policy.
    Guarded,
    /// Another account: both must allow.
    Other,
}

/// The kinds of policies, as refusals name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// `identity-based policy`.
    Identity,
    /// `permissions boundary`.
    Boundary,
    /// `session policy`.
    Session,
    /// `resource-based policy`.
    Resource,
}

impl Layer {
    /// As refusals name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity-based policy",
            Self::Boundary => "permissions boundary",
            Self::Session => "session policy",
            Self::Resource => "resource-based policy",
        }
    }

    /// The article before the name.
    pub fn article(self) -> &'static str {
        if self == Self::Identity { "an" } else { "a" }
    }
}

/// The outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allowed,
    /// A statement of this kind of policy forbids it.
    Denied(Layer),
    /// No statement of this kind of policy allows it.
    Missing(Layer),
}

/// Decides one request. Root and services acting for themselves are beyond identity policies: see [`Policies`].
pub fn decide(request: &Request<'_>, policies: &Policies<'_>) -> Decision {
    if let Some(layer) = denied(request, policies) {
        return Decision::Denied(layer);
    }
    let trusted = matches!(request.who.kind, PrincipalKind::Root | PrincipalKind::Service(_));
    let identity = trusted || policies.identity.iter().any(|document| document.allows(request));
    let bounded = trusted || policies.boundary.is_none_or(|document| document.allows(request));
    let in_session =
        policies.session.is_empty() || policies.session.iter().any(|document| document.allows(request));
    let granted = policies.resource.and_then(|document| document.grants(request));
    match (policies.owner, granted) {
        (Owner::Guarded | Owner::Other, None) => Decision::Missing(Layer::Resource),
        (Owner::Other, Some(_)) => first_missing(identity, bounded, in_session),
        (_, Some(Match::Itself)) => Decision::Allowed,
        (_, Some(Match::Role)) => first_missing(true, bounded, in_session),
        (_, Some(Match::Account) | None) => first_missing(identity, bounded, in_session),
    }
}

/// Whether a role's trust policy lets a service assume the role: no other policy has a say in that.
pub fn trusts(document: &Document, request: &Request<'_>) -> bool {
    let by_service = matches!(request.who.kind, PrincipalKind::Service(_));
    by_service && !document.denies(request) && document.grants(request).is_some()
}

fn first_missing(identity: bool, bounded: bool, in_session: bool) -> Decision {
    match (identity, bounded, in_session) {
        (false, _, _) => Decision::Missing(Layer::Identity),
        (_, false, _) => Decision::Missing(Layer::Boundary),
        (_, _, false) => Decision::Missing(Layer::Session),
        _ => Decision::Allowed,
    }
}

fn denied(request: &Request<'_>, policies: &Policies<'_>) -> Option<Layer> {
    let any = |documents: &[Arc<Document>]| documents.iter().any(|document| document.denies(request));
    let one = |document: Option<&Document>| document.is_some_and(|document| document.denies(request));
    [
        (Layer::Identity, any(policies.identity)),
        (Layer::Boundary, one(policies.boundary)),
        (Layer::Session, any(policies.session)),
        (Layer::Resource, one(policies.resource)),
    ]
    .into_iter()
    .find_map(|(layer, denied)| denied.then_some(layer))
}

impl Document {
    /// A document that allows nothing.
    pub fn nothing() -> Self {
        Self { statements: Vec::new() }
    }

    /// The users, roles and sessions that it names: they must be there when it is stored.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        let principals = self.statements.iter().filter_map(|statement| statement.principals.as_ref());
        principals.flat_map(|principals| &principals.list).filter_map(|named| match named {
            Named::Arn(arn) if arn.starts_with("arn:aws:iam:") => Some(arn.as_str()),
            _ => None,
        })
    }

    /// Whether an allow of an identity policy covers the request.
    fn allows(&self, request: &Request<'_>) -> bool {
        self.statements
            .iter()
            .any(|s| s.effect == Effect::Allow && s.principals.is_none() && s.applies(request))
    }

    /// Whether a denial covers the request.
    fn denies(&self, request: &Request<'_>) -> bool {
        self.statements.iter().any(|s| {
            s.effect == Effect::Deny
                && s.principals.as_ref().is_none_or(|principals| principals.find(request.who).is_some())
                && s.applies(request)
        })
    }

    /// The best that a resource's policy allows the principal.
    fn grants(&self, request: &Request<'_>) -> Option<Match> {
        let allows = self.statements.iter().filter(|s| s.effect == Effect::Allow && s.applies(request));
        allows.filter_map(|s| s.principals.as_ref()?.find(request.who)).max()
    }
}
