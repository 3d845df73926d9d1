//! Where a task's images come from: our own registry goes by several names.
use base64::Engine as _;
use engine::{Auth, ImageSource, PullPolicy};
use kernel::{Cx, Fault};

/// The registry of this Longshore.
#[derive(Clone, Debug)]
pub struct Registry {
    /// As the engine reaches it: `127.0.0.1:4566`.
    pub address: String,
    /// When it is asked: `ECS_IMAGE_PULL_BEHAVIOR`.
    pub pull: PullPolicy,
}

/// What an image is pulled as, and whether it is ours. AWS's name for our registry is nothing that a host resolves.
pub fn rewrite(image: &str, account: &str, region: &str, registry: &str) -> (String, bool) {
    let aws = format!("{account}.dkr.ecr.{region}.amazonaws.com/");
    let local = format!("{registry}/");
    match image.strip_prefix(&aws) {
        Some(rest) => (format!("{local}{rest}"), true),
        None => (image.to_owned(), image.starts_with(&local)),
    }
}

impl Registry {
    /// The image as the engine takes it, with credentials of the execution role if it is ours.
    pub async fn source(&self, cx: &Cx, image: &str) -> Result<ImageSource, Fault> {
        let (reference, ours) = rewrite(image, cx.account(), &cx.region, &self.address);
        let auth = if ours { Some(auth(cx).await?) } else { None };
        Ok(ImageSource { reference, pull: self.pull, auth })
    }
}

async fn auth(cx: &Cx) -> Result<Auth, Fault> {
    let answer = cx.call(api::ecr::GetAuthorizationToken::default()).await?;
    let token = answer.authorization_data.into_iter().flatten().find_map(|data| data.authorization_token);
    let bytes = token.and_then(|token| base64::engine::general_purpose::STANDARD.decode(token).ok());
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let (username, password) =
        text.split_once(':').ok_or_else(|| Fault::internal("ECR's token is not user:password"))?;
    Ok(Auth { username: username.to_owned(), password: password.to_owned() })
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_names_of_our_registry_are_one() {
        let check = |image: &str, expected: &str, ours: bool| {
            let found = super::rewrite(image, "000000000000", "us-east-1", "127.0.0.1:4566");
            assert_eq!(found, (expected.to_owned(), ours));
        };
        check("000000000000.dkr.ecr.us-east-1.amazonaws.com/web:1", "127.0.0.1:4566/web:1", true);
        check("127.0.0.1:4566/web:1", "127.0.0.1:4566/web:1", true);
        check("nginx", "nginx", false);
        let other = "111111111111.dkr.ecr.us-east-1.amazonaws.com/web:1";
        check(other, other, false);
    }
}
