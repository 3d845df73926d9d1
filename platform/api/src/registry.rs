//! The registry of an account, as whoever pulls from it signs in.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::{Cx, Fault};

use crate::ecr::GetAuthorizationToken;

/// User name and password for the caller of `cx`.
pub async fn credentials(cx: &Cx) -> Result<(String, String), Fault> {
    let answer = cx.call(GetAuthorizationToken::default()).await?;
    let token = answer.authorization_data.into_iter().flatten().find_map(|data| data.authorization_token);
    let bytes = token.and_then(|token| STANDARD.decode(token).ok());
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let (user, password) =
        text.split_once(':').ok_or_else(|| Fault::internal("ECR's token is not user:password"))?;
    Ok((user.to_owned(), password.to_owned()))
}
