//! Registry tokens: sealed, self-contained, twelve hours. What the holder may do is judged at each request, by the
//! policies of then.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::{Principal, PrincipalKind, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Sealed, Sealer};

use crate::Result;
use crate::limits::TOKEN_AGE;

const CONTEXT: &str = "ecr-token";

#[derive(Serialize, Deserialize)]
struct Token {
    arn: String,
    account: String,
    id: String,
    kind: Kind,
    policies: Vec<String>,
    until: Timestamp,
}

#[derive(Serialize, Deserialize)]
enum Kind {
    Root,
    User(String),
    Role { arn: String, session: String },
}

/// The password of `docker login` for a caller, and when it ends. Services acting for themselves have none.
pub fn issue(sealer: &Sealer, caller: &Principal, now: Timestamp) -> Result<Option<(String, Timestamp)>> {
    let kind = match &caller.kind {
        PrincipalKind::Root => Kind::Root,
        PrincipalKind::User(name) => Kind::User(name.clone()),
        PrincipalKind::Role { arn, session } => Kind::Role { arn: arn.clone(), session: session.clone() },
        PrincipalKind::Service(_) | PrincipalKind::Anonymous => return Ok(None),
    };
    let until = Timestamp::from_second(now.as_second() + TOKEN_AGE).unwrap_or(now);
    let Principal { arn, account, id, session_policies: policies, .. } = caller.clone();
    let text = serde_json::to_string(&Token { arn, account, id, kind, policies, until }).unwrap_or_default();
    let sealed = serde_json::to_vec(&sealer.seal_text(CONTEXT, &text)?).unwrap_or_default();
    Ok(Some((STANDARD.encode(sealed), until)))
}

/// Whose token it is, if it is one of ours and still good.
pub fn read(sealer: &Sealer, password: &str, now: Timestamp) -> Option<Principal> {
    let sealed: Sealed = serde_json::from_slice(&STANDARD.decode(password).ok()?).ok()?;
    let Token { arn, account, id, kind, policies, until } =
        serde_json::from_str(&sealer.open_text(CONTEXT, &sealed).ok()?).ok()?;
    let kind = match kind {
        Kind::Root => PrincipalKind::Root,
        Kind::User(name) => PrincipalKind::User(name),
        Kind::Role { arn, session } => PrincipalKind::Role { arn, session },
    };
    (now < until).then_some(Principal { arn, account, id, kind, session_policies: policies })
}
