//! Who calls, and what they may do.
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::{Fault, Fut, Operation, Ops, Timestamp};

/// Nested in-process calls at most.
const DEPTH: u8 = 8;

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// `arn:aws:iam::ACCOUNT:root`, `…:user/NAME` or `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    pub arn: String,
    /// The account it belongs to.
    pub account: String,
    /// AWS's unique id: `AIDA…`, `AROA…:session`, the account for root.
    pub id: String,
    /// What it is.
    pub kind: PrincipalKind,
    /// Policies passed at AssumeRole, JSON: they only narrow.
    pub session_policies: Vec<String>,
}

/// The kinds of principals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// The account itself: every call is allowed.
    Root,
    /// An IAM user, by name.
    User(String),
    /// A role's session.
    Role {
        /// The role's own ARN.
        arn: String,
        /// The session's name.
        session: String,
    },
    /// A Longshore service acting for itself, as AWS's do (by service principal, `ecs.amazonaws.com`). Only in process.
    Service(&'static str),
    /// Nobody: a request without a signature. Only a resource's own policy can allow it anything.
    Anonymous,
}

impl Principal {
    /// Nobody. Its account is no account, so that no policy means it by one.
    pub fn anonymous() -> Self {
        Self {
            arn: "anonymous".into(),
            account: "anonymous".into(),
            id: "anonymous".into(),
            kind: PrincipalKind::Anonymous,
            session_policies: Vec::new(),
        }
    }
}

/// One permission that a call needs.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// As in `iam:PassRole`.
    pub action: &'static str,
    /// ARN, or `*` where AWS knows no resource for the action.
    pub resource: String,
    /// Condition keys with their values, as in (`iam:PassedToService`, [`ecs-tasks.amazonaws.com`]).
    pub context: Vec<(&'static str, Vec<String>)>,
    /// The resource's own policy, where it has one.
    pub policy: Option<ResourcePolicy>,
}

impl Access {
    /// An action on a resource.
    pub fn new(action: &'static str, resource: impl Into<String>) -> Self {
        Self { action, resource: resource.into(), ..Self::default() }
    }

    /// `iam:PassRole` on a role, for a service principal.
    pub fn pass_role(role: impl Into<String>, service: &str) -> Self {
        Self::new("iam:PassRole", role).when("iam:PassedToService", service)
    }

    /// With a condition key's value.
    pub fn when(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.context.push((key, vec![value.into()]));
        self
    }
}

/// A policy that is attached to a resource (S3 bucket, ECR repository).
#[derive(Clone, Debug)]
pub struct ResourcePolicy {
    /// The policy's JSON, if the resource has one: without one it still belongs to an account.
    pub document: Option<String>,
    /// The account that owns the resource.
    pub account: String,
}

/// Temporary credentials of a role.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// `ASIA…`.
    pub access_key_id: String,
    /// The secret; never log it.
    pub secret_access_key: String,
    /// The session token; never log it.
    pub session_token: String,
    /// When they end.
    pub expiration: Timestamp,
    /// The role's ARN.
    pub role_arn: String,
}

/// What a container may fetch at `http://169.254.170.2…`.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The service principal for which the role is assumed, as in `ecs-tasks.amazonaws.com`.
    pub service: &'static str,
    /// The role that the service assumes in order to assume `role_arn` by it; none: it does that itself.
    pub through: Option<String>,
    /// The role.
    pub role_arn: String,
    /// The session's name: the task's or build's id.
    pub session: String,
    /// Only this address is answered.
    pub address: IpAddr,
}

/// A key that signs requests.
#[derive(Clone)]
pub struct Key {
    /// The secret; never log it.
    pub secret: String,
    /// Whose it is.
    pub principal: Principal,
}

/// Decides what callers may do. The iam service implements it; it is never optional.
pub trait Authority: Send + Sync {
    /// All of `want`, or an `AccessDenied` that names what is missing.
    fn check<'a>(&'a self, cx: &'a Cx, want: &'a [Access]) -> Fut<'a, Result<(), Fault>>;
    /// The role's session for a service, if its trust policy lets the service (`codepipeline.amazonaws.com`) assume it.
    fn assume<'a>(
        &'a self,
        service: &'static str,
        role: &'a str,
        session: &'a str,
    ) -> Fut<'a, Result<Principal, Fault>>;
    /// Temporary credentials of a role for a service, for clients in containers and job workers; `policy` narrows them further.
    fn issue<'a>(
        &'a self,
        service: &'static str,
        role: &'a str,
        session: &'a str,
        policy: Option<&'a str>,
    ) -> Fut<'a, Result<Credentials, Fault>>;
    /// The key with this id; `token` is the session token sent with it. Errors: `InvalidClientTokenId`, `ExpiredToken`.
    fn key<'a>(&'a self, access_key_id: &'a str, token: Option<&'a str>) -> Fut<'a, Result<Key, Fault>>;
    /// A key has proven a request, signed for a service (by signing name) and a region. Only remembered: it costs the
    /// request next to nothing, and waits for nothing.
    fn used(&self, access_key_id: &str, service: &str, region: &str);
    /// The user with these Git credentials (service-specific credentials of `codecommit.amazonaws.com`).
    fn git_user<'a>(&'a self, user_name: &'a str, password: &'a str) -> Fut<'a, Result<Principal, Fault>>;
    /// Durably lets a container fetch a role's credentials; answers the relative URI. Same id, same URI.
    fn grant<'a>(&'a self, id: &'a str, grant: Grant) -> Fut<'a, Result<String, Fault>>;
    /// Ends a grant; unknown ones are fine.
    fn revoke<'a>(&'a self, id: &'a str) -> Fut<'a, Result<(), Fault>>;
}

/// The context of one call: caller, region, request, and the way to call others.
#[derive(Clone)]
pub struct Cx {
    /// Who calls.
    pub caller: Principal,
    /// The region the call is for.
    pub region: String,
    /// In every log line, event and answer.
    pub request_id: String,
    /// How the caller reached us (`http://127.0.0.1:4566`): URLs in answers derive from it.
    pub base: String,
    /// The caller's address, if it came over the network.
    pub source_ip: Option<IpAddr>,
    /// Condition keys of the request itself, as in `aws:SecureTransport`.
    pub context: BTreeMap<&'static str, String>,
    /// See [`Cx::of_account`].
    pub(crate) owner: Option<String>,
    pub(crate) depth: u8,
    pub(crate) ops: Arc<Ops>,
}

impl Cx {
    /// The account that the call is for: the caller's own, unless the call names another.
    pub fn account(&self) -> &str {
        self.owner.as_deref().unwrap_or(&self.caller.account)
    }

    /// The same call, for what another account has; the caller stays who it is. Every [`Access`] of it must tell the
    /// owner by its [`ResourcePolicy`]: else the caller's own policies would decide about what is not its account's.
    pub fn of_account(&self, account: &str) -> Self {
        Self { owner: Some(account.to_owned()), ..self.clone() }
    }

    /// Calls an operation of any service as this caller, authorized as over the network.
    pub async fn call<O: Operation>(&self, input: O) -> Result<O::Output, Fault> {
        let run = self.ops.typed::<O>()?;
        if self.depth == DEPTH {
            return Err(Fault::internal(format!("{}:{} nests too deep", O::SERVICE, O::NAME)));
        }
        run(Self { depth: self.depth + 1, ..self.clone() }, input).await
    }

    /// The same context as a role's session, for a service that acts under it.
    pub async fn as_role(&self, service: &'static str, role: &str, session: &str) -> Result<Self, Fault> {
        let caller = self.ops.authority().assume(service, role, session).await?;
        Ok(Self { caller, ..self.clone() })
    }

    /// The same context as a Longshore service acting for itself.
    pub fn as_service(&self, service: &'static str) -> Self {
        Self { caller: service_principal(service, self.account()), ..self.clone() }
    }

    /// Checks permissions outside of an operation's `access`: faces do.
    pub async fn authorize(&self, want: &[Access]) -> Result<(), Fault> {
        self.ops.authority().check(self, want).await
    }

    /// The authority itself: credentials and grants.
    pub fn authority(&self) -> &dyn Authority {
        self.ops.authority()
    }
}

pub(crate) fn service_principal(service: &'static str, account: &str) -> Principal {
    Principal {
        arn: format!("arn:aws:iam::{account}:service/{service}"),
        account: account.to_owned(),
        id: account.to_owned(),
        kind: PrincipalKind::Service(service),
        session_policies: Vec::new(),
    }
}
