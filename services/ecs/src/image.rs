//! Where a task's images come from: our own registry goes by several names.
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
            Some(ours) => {
                let (username, password) = api::registry::credentials(cx).await?;
                (ours, Some(Auth { username, password }))
            }
            None => (image.to_owned(), None),
        };
        Ok(ImageSource { reference, pull: self.pull, auth })
    }
}
