//! An authority for tests.
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kernel::{
    Access, Arn, Authority, Credentials, Cx, Fault, Fut, Grant, Key, Principal, PrincipalKind, Timestamp,
};

/// Allows what is not denied, and remembers every permission that was asked for.
#[derive(Debug, Default)]
pub struct Witness(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    denied: BTreeSet<String>,
    asked: Vec<(String, String)>,
    grants: Vec<(String, Grant)>,
}

impl Witness {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Denies an action (`logs:PutLogEvents`) from now on; for `sts:AssumeRole`, no role can be assumed.
    pub fn deny(&self, action: &str) {
        self.memory().denied.insert(action.to_owned());
    }

    /// Allows it again.
    pub fn allow(&self, action: &str) {
        self.memory().denied.remove(action);
    }

    /// What was asked since this was last called: (action, resource).
    pub fn asked(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.memory().asked)
    }

    /// Grants that stand: (id, grant).
    pub fn grants(&self) -> Vec<(String, Grant)> {
        self.memory().grants.clone()
    }

    fn session(&self, role: &str, session: &str) -> Result<Principal, Fault> {
        if self.memory().denied.contains("sts:AssumeRole") {
            return Err(Fault::access_denied(format!("{role} cannot be assumed")));
        }
        let arn: Arn = role.parse().map_err(|e| Fault::client("ValidationError", format!("{e}")))?;
        let name = arn.name().rsplit('/').next().unwrap_or_default().to_owned();
        Ok(Principal {
            arn: format!("arn:aws:sts::{}:assumed-role/{name}/{session}", arn.account),
            account: arn.account,
            id: format!("AROATEST:{session}"),
            kind: PrincipalKind::Role { arn: role.to_owned(), session: session.to_owned() },
            session_policies: Vec::new(),
        })
    }
}

fn unknown<T>(what: &str) -> Result<T, Fault> {
    Err(Fault::new("InvalidClientTokenId", 403, format!("tests know no {what}")))
}

impl Authority for Witness {
    fn check<'a>(&'a self, cx: &'a Cx, want: &'a [Access]) -> Fut<'a, Result<(), Fault>> {
        Box::pin(async move {
            let mut memory = self.memory();
            for access in want {
                memory.asked.push((access.action.to_owned(), access.resource.clone()));
                if memory.denied.contains(access.action) {
                    let Access { action, resource, .. } = access;
                    let who = &cx.caller.arn;
                    let text =
                        format!("User: {who} is not authorized to perform: {action} on resource: {resource}");
                    return Err(Fault::access_denied(text));
                }
            }
            Ok(())
        })
    }

    fn assume<'a>(
        &'a self,
        _service: &'static str,
        role: &'a str,
        session: &'a str,
    ) -> Fut<'a, Result<Principal, Fault>> {
        Box::pin(async move { self.session(role, session) })
    }

    fn issue<'a>(
        &'a self,
        _service: &'static str,
        role: &'a str,
        session: &'a str,
        _policy: Option<&'a str>,
    ) -> Fut<'a, Result<Credentials, Fault>> {
        Box::pin(async move {
            self.session(role, session)?;
            Ok(Credentials {
                access_key_id: "ASIATEST".into(),
                secret_access_key: "secret".into(),
                session_token: "token".into(),
                expiration: Timestamp::MAX,
                role_arn: role.to_owned(),
            })
        })
    }

    fn key<'a>(&'a self, _access_key_id: &'a str, _token: Option<&'a str>) -> Fut<'a, Result<Key, Fault>> {
        Box::pin(async { unknown("keys") })
    }

    fn used(&self, _access_key_id: &str, _service: &str, _region: &str) {}

    fn git_user<'a>(&'a self, _user_name: &'a str, _password: &'a str) -> Fut<'a, Result<Principal, Fault>> {
        Box::pin(async { unknown("Git users") })
    }

    fn grant<'a>(&'a self, id: &'a str, grant: Grant) -> Fut<'a, Result<String, Fault>> {
        Box::pin(async move {
            let mut memory = self.memory();
            memory.grants.retain(|(known, _)| known != id);
            memory.grants.push((id.to_owned(), grant));
            Ok(format!("/v2/credentials/{id}"))
        })
    }

    fn revoke<'a>(&'a self, id: &'a str) -> Fut<'a, Result<(), Fault>> {
        Box::pin(async move {
            self.memory().grants.retain(|(known, _)| known != id);
            Ok(())
        })
    }
}
