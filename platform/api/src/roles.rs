//! Roles that take roles.
use kernel::{Cx, Fault};

use crate::sts::AssumeRole;

/// The context of a role that the caller of `cx`, itself the session of a role, assumes.
pub async fn assumed(cx: &Cx, role: &str, session: &str) -> Result<Cx, Fault> {
    let asked = AssumeRole { role_arn: role.into(), role_session_name: session.into(), ..Default::default() };
    let answer = cx.call(asked).await?;
    let given = answer.credentials.ok_or_else(|| Fault::internal("AssumeRole answered no credentials"))?;
    let key = cx.authority().key(&given.access_key_id, Some(&given.session_token)).await?;
    let mut cx = cx.clone();
    cx.caller = key.principal;
    Ok(cx)
}
