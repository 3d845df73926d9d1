//! The decision on every call.
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use kernel::{
    Access, Arn, Authority, Credentials, Cx, Fault, Fut, Grant, Key, Principal, PrincipalKind, Timestamp,
};

use crate::directory::{Standing, user_principal};
use crate::records::{Credential, User, key};
use crate::{Error, Iam};
use policy::{Context, Decision, Document, Layer, Owner, Policies, Request, decide, trusts};

/// Seconds that the credentials of containers and jobs live; their SDKs fetch new ones in time.
const ISSUED: i32 = 6 * 3600;

impl Authority for Iam {
    fn check<'a>(&'a self, cx: &'a Cx, want: &'a [Access]) -> Fut<'a, Result<(), Fault>> {
        Box::pin(async move {
            if want.is_empty() {
                return Ok(());
            }
            let standing = self.standing(&cx.caller).await?;
            let session = self.session_documents(&cx.caller)?;
            for access in want {
                let decision = self.decide(cx, access, standing.as_deref(), &session)?;
                if decision != Decision::Allowed {
                    return Err(refusal(&cx.caller.arn, access, decision));
                }
            }
            Ok(())
        })
    }

    fn assume<'a>(
        &'a self,
        service: &'static str,
        role: &'a str,
        session: &'a str,
    ) -> Fut<'a, Result<Principal, Fault>> {
        Box::pin(async move { Ok(self.assume_for(service, role, session).await?) })
    }

    fn issue<'a>(
        &'a self,
        service: &'static str,
        role: &'a str,
        session: &'a str,
        policy: Option<&'a str>,
    ) -> Fut<'a, Result<Credentials, Fault>> {
        Box::pin(async move { Ok(self.issue_for(service, role, session, policy).await?) })
    }

    fn key<'a>(&'a self, access_key_id: &'a str, token: Option<&'a str>) -> Fut<'a, Result<Key, Fault>> {
        Box::pin(async move {
            let (secret, principal) = match token {
                Some(token) => self.session(access_key_id, token).await?,
                None => {
                    let key = self.long_term(access_key_id).await?.ok_or(Error::UnknownToken)?;
                    (key.secret.clone(), key.principal.clone())
                }
            };
            Ok(Key { secret, principal })
        })
    }

    fn used(&self, access_key_id: &str, service: &str, region: &str) {
        self.uses.note(access_key_id, service, region, self.now());
    }

    fn git_user<'a>(&'a self, user_name: &'a str, password: &'a str) -> Fut<'a, Result<Principal, Fault>> {
        Box::pin(async move {
            let found =
                self.store.find::<Credential>(store::Key::all(), "service_user", user_name, 0, 1).await?;
            let hash = crate::ops::password_hash(password);
            for row in found {
                let (account, credential) = (row.key.account(), row.value);
                let same = verify_slices_are_equal(credential.password.as_bytes(), hash.as_bytes()).is_ok();
                if !(same && credential.active) {
                    continue;
                }
                if let Some(user) = self.store.get::<User>(&key(&account, &credential.user)).await? {
                    return Ok(user_principal(&account, &user.value));
                }
            }
            Err(Error::UnknownToken.into())
        })
    }

    fn grant<'a>(&'a self, id: &'a str, grant: Grant) -> Fut<'a, Result<String, Fault>> {
        Box::pin(async move { Ok(self.store_grant(id, grant).await?) })
    }

    fn revoke<'a>(&'a self, id: &'a str) -> Fut<'a, Result<(), Fault>> {
        Box::pin(async move { Ok(self.drop_grant(id).await?) })
    }
}

impl Iam {
    fn session_documents(&self, who: &Principal) -> Result<Vec<Arc<Document>>, Error> {
        who.session_policies.iter().map(|text| self.directory.document(text)).collect()
    }

    fn decide(
        &self,
        cx: &Cx,
        access: &Access,
        standing: Option<&Standing>,
        session: &[Arc<Document>],
    ) -> Result<Decision, Error> {
        let context = context(cx, access, standing, self.now());
        let request =
            Request { who: &cx.caller, action: access.action, resource: &access.resource, context: &context };
        let document = access.policy.as_ref().and_then(|policy| policy.document.as_deref());
        let resource = match document.map(|document| self.directory.document(document)) {
            // Nobody is let by what cannot be read; the root user must be able to mend it.
            Some(Err(Error::Malformed(_))) if cx.caller.kind == PrincipalKind::Root => None,
            read => read.transpose()?,
        };
        let policies = Policies {
            identity: standing.map_or(&[], |s| &s.identity),
            boundary: standing.and_then(|s| s.boundary.as_deref()),
            session,
            resource: resource.as_deref(),
            owner: owner(&cx.caller, access),
        };
        Ok(decide(&request, &policies))
    }

    /// A role's session for a service that its trust policy names.
    pub(crate) async fn assume_for(
        &self,
        service: &str,
        role: &str,
        session: &str,
    ) -> Result<Principal, Error> {
        let denied = |why| Error::NotTrusted { service: service.to_owned(), role: role.to_owned(), why };
        let standing = self.standing_of(role).await?.ok_or_else(|| denied("there is no such role"))?;
        let account = role.parse::<Arn>().map(|arn| arn.account).unwrap_or_default();
        let trust = standing.trust.as_ref().ok_or_else(|| denied("it is not a role"))?;
        let service = known_service(service);
        let who = Principal {
            arn: service.to_owned(),
            account: account.clone(),
            id: service.to_owned(),
            kind: PrincipalKind::Service(service),
            session_policies: Vec::new(),
        };
        let context = Context::default()
            .with("aws:SourceAccount", &account)
            .with("aws:PrincipalIsAWSService", "true")
            .with("aws:PrincipalServiceName", service)
            .with("sts:RoleSessionName", session);
        let request = Request { who: &who, action: "sts:AssumeRole", resource: role, context: &context };
        if !trusts(trust, &request) {
            return Err(denied("its trust policy does not allow the service to assume it"));
        }
        Ok(role_session(&account, role, &standing.id, session))
    }

    /// Temporary credentials of a role for a service.
    pub(crate) async fn issue_for(
        &self,
        service: &str,
        role: &str,
        session: &str,
        policy: Option<&str>,
    ) -> Result<Credentials, Error> {
        let mut who = self.assume_for(service, role, session).await?;
        if let Some(policy) = policy {
            self.directory.document(policy)?;
            who.session_policies.push(policy.to_owned());
        }
        self.mint(&who, ISSUED)
    }
}

/// A role's session as a caller.
pub fn role_session(account: &str, role: &str, id: &str, session: &str) -> Principal {
    let name = role.rsplit('/').next().unwrap_or_default();
    Principal {
        arn: format!("arn:aws:sts::{account}:assumed-role/{name}/{session}"),
        account: account.to_owned(),
        id: format!("{id}:{session}"),
        kind: PrincipalKind::Role { arn: role.to_owned(), session: session.to_owned() },
        session_policies: Vec::new(),
    }
}

/// The services that assume roles. Stored grants name theirs as text; any other service is trusted by nobody.
pub(crate) fn known_service(name: &str) -> &'static str {
    const KNOWN: &[&str] = &[
        "codebuild.amazonaws.com",
        "codecommit.amazonaws.com",
        "codedeploy.amazonaws.com",
        "codepipeline.amazonaws.com",
        "ec2.amazonaws.com",
        "ecs-tasks.amazonaws.com",
        "ecs.amazonaws.com",
        "elasticloadbalancing.amazonaws.com",
        "events.amazonaws.com",
        "lambda.amazonaws.com",
        "logs.amazonaws.com",
        "s3.amazonaws.com",
        "scheduler.amazonaws.com",
    ];
    KNOWN.iter().find(|known| **known == name).copied().unwrap_or("unknown")
}

/// Whose the resource is, and whether its policy must allow.
fn owner(who: &Principal, access: &Access) -> Owner {
    // Nobody has policies of their own: only the resource's can let them.
    if access.action.starts_with("sts:AssumeRole") || who.kind == PrincipalKind::Anonymous {
        return Owner::Guarded;
    }
    let named = access.resource.parse::<Arn>().map(|arn| arn.account).unwrap_or_default();
    let account = access.policy.as_ref().map_or(named.as_str(), |policy| &policy.account);
    // Resources without an account in their ARN, and AWS's own, belong to whoever asks.
    let own = account.is_empty() || account == "aws" || account == "*" || account == who.account;
    if own { Owner::Same } else { Owner::Other }
}

/// The condition keys of a request: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>.
fn context(cx: &Cx, access: &Access, standing: Option<&Standing>, now: Timestamp) -> Context {
    let who = &cx.caller;
    let (arn, kind) = match &who.kind {
        PrincipalKind::Root => (&who.arn, "Account"),
        PrincipalKind::User(_) => (&who.arn, "User"),
        PrincipalKind::Role { arn, .. } => (arn, "AssumedRole"),
        PrincipalKind::Service(_) => (&who.arn, "Service"),
        PrincipalKind::Anonymous => (&who.arn, "Anonymous"),
    };
    let mut context = Context::default()
        .with("aws:PrincipalArn", arn)
        .with("aws:PrincipalAccount", &who.account)
        .with("aws:PrincipalType", kind)
        .with("aws:userid", &who.id)
        .with("aws:CurrentTime", now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .with("aws:EpochTime", now.as_second().to_string())
        .with("aws:RequestedRegion", &cx.region)
        .with("aws:PrincipalIsAWSService", matches!(who.kind, PrincipalKind::Service(_)).to_string());
    if let PrincipalKind::User(name) = &who.kind {
        context.add("aws:username", name);
    }
    if let Some(address) = cx.source_ip {
        context.add("aws:SourceIp", address.to_canonical().to_string());
    }
    for (name, value) in standing.iter().flat_map(|standing| &standing.tags) {
        context.add(&format!("aws:PrincipalTag/{name}"), value);
    }
    for (name, value) in &cx.context {
        context.set(name, vec![value.clone()]);
    }
    for (name, values) in &access.context {
        context.set(name, values.clone());
    }
    context
}

/// The refusal in AWS's words.
fn refusal(who: &str, access: &Access, decision: Decision) -> Fault {
    let Access { action, resource, .. } = access;
    let why = match decision {
        // A role's trust policy is not named in refusals.
        Decision::Missing(Layer::Resource) if action.starts_with("sts:") => String::new(),
        Decision::Missing(layer) => format!(" because no {} allows the {action} action", layer.name()),
        Decision::Denied(layer) => format!(" with an explicit deny in {} {}", layer.article(), layer.name()),
        Decision::Allowed => String::new(),
    };
    let resource = if resource.is_empty() { "*" } else { resource };
    Fault::access_denied(format!(
        "User: {who} is not authorized to perform: {action} on resource: {resource}{why}"
    ))
}
