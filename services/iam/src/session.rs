//! Temporary credentials: the session token holds the whole session, sealed, so that nothing is stored.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::{Credentials, Principal, PrincipalKind, Timestamp, ids};
use serde::{Deserialize, Serialize};
use store::Sealed;

use crate::{Error, Iam, limits};

const CONTEXT: &str = "iam.session";

/// What a token holds.
#[derive(Serialize, Deserialize)]
struct Session {
    version: u32,
    access_key_id: String,
    secret: String,
    arn: String,
    account: String,
    id: String,
    kind: Kind,
    policies: Vec<String>,
    expires: Timestamp,
}

#[derive(Serialize, Deserialize)]
enum Kind {
    Root,
    User(String),
    Role { arn: String, session: String },
}

impl Iam {
    /// Credentials of a principal for some seconds.
    pub(crate) fn mint(&self, who: &Principal, seconds: i32) -> Result<Credentials, Error> {
        let now = self.now();
        let expiration = Timestamp::from_second(now.as_second() + i64::from(seconds)).unwrap_or(now);
        let (kind, role_arn) = match &who.kind {
            PrincipalKind::Root => (Kind::Root, String::new()),
            PrincipalKind::User(name) => (Kind::User(name.clone()), String::new()),
            PrincipalKind::Role { arn, session } => {
                (Kind::Role { arn: arn.clone(), session: session.clone() }, arn.clone())
            }
            PrincipalKind::Service(_) | PrincipalKind::Anonymous => {
                return Err(Error::AccessDenied("Only users and roles have credentials.".into()));
            }
        };
        let session = Session {
            version: 1,
            access_key_id: format!("ASIA{}", ids::upper(&*self.entropy, 16)),
            secret: ids::alphanumeric(&*self.entropy, 40),
            arn: who.arn.clone(),
            account: who.account.clone(),
            id: who.id.clone(),
            kind,
            policies: who.session_policies.clone(),
            expires: expiration,
        };
        let text = serde_json::to_vec(&session).map_err(|e| store::Error::Refused(e.to_string()))?;
        let sealed = self.sealer.seal(CONTEXT, &text)?;
        let envelope = serde_json::to_vec(&sealed).map_err(|e| store::Error::Refused(e.to_string()))?;
        Ok(Credentials {
            access_key_id: session.access_key_id,
            secret_access_key: session.secret,
            session_token: URL_SAFE_NO_PAD.encode(envelope),
            expiration,
            role_arn,
        })
    }

    /// The secret and the principal of a session, if the token is that of the key and not over, and the principal
    /// still is who it was.
    pub(crate) async fn session(
        &self,
        access_key_id: &str,
        token: &str,
    ) -> Result<(String, Principal), Error> {
        let session = self.open_token(token).filter(|s| s.access_key_id == access_key_id);
        let session = session.ok_or(Error::UnknownToken)?;
        if session.expires <= self.now() {
            return Err(Error::ExpiredToken);
        }
        let who = Principal {
            arn: session.arn,
            account: session.account,
            id: session.id,
            kind: match session.kind {
                Kind::Root => PrincipalKind::Root,
                Kind::User(name) => PrincipalKind::User(name),
                Kind::Role { arn, session } => PrincipalKind::Role { arn, session },
            },
            session_policies: session.policies,
        };
        let own = who.id.split(':').next().unwrap_or_default();
        let gone = who.kind != PrincipalKind::Root
            && self.standing(&who).await?.is_none_or(|standing| standing.id != own);
        if gone { Err(Error::UnknownToken) } else { Ok((session.secret, who)) }
    }

    fn open_token(&self, token: &str) -> Option<Session> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok().filter(|_| token.len() <= limits::TOKEN)?;
        let sealed: Sealed = serde_json::from_slice(&bytes).ok()?;
        let text = self.sealer.open_sealed(CONTEXT, &sealed).ok()?;
        serde_json::from_slice(&text).ok().filter(|session: &Session| session.version == 1)
    }
}
