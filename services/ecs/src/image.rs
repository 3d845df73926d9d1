//! Where a task's images come from: our own registry goes by several names.
use base64::Engine as _;
use engine::{Auth, ImageSource, PullPolicy};
use kernel::images::HostRegistry;
use kernel::{Cx, Fault};

/// The registry of this Longshore.
#[derive(Clone, Debug)]
pub struct Registry {
    /// Its names, and how the engine reaches it.
    pub host: HostRegistry,
    /// When it is asked: `ECS_IMAGE_PULL_BEHAVIOR`.
    pub pull: PullPolicy,
}

impl Registry {
    /// The image as the engine takes it, with credentials of the execution role if it is ours.
    pub async fn source(&self, cx: &Cx, image: &str) -> Result<ImageSource, Fault> {
        let (reference, auth) = match self.host.resolve(image, cx.account(), &cx.region) {
            Some(ours) => (ours, Some(auth(cx).await?)),
            None => (image.to_owned(), None),
        };
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
