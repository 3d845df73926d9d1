//! The API's operations, a file a family.

mod image;
mod layer;
mod policy;
mod repository;

use std::sync::Arc;

use api::ecr as e;
use kernel::Ops;

use crate::Ecr;

/// Implements `Handle` by a method of [`Ecr`]: the IAM action has the operation's name throughout ECR's API, on the
/// repository that the input names, judged with the repository's own policy.
macro_rules! on_repository {
    ($op:ident, $method:ident) => {
        impl kernel::Handle<api::ecr::$op> for $crate::Ecr {
            async fn access(
                &self,
                cx: &kernel::Cx,
                input: &api::ecr::$op,
            ) -> std::result::Result<Vec<kernel::Access>, kernel::Fault> {
                let cx = $crate::Ecr::registry(cx, input.registry_id.as_deref());
                Ok(vec![self.access(&cx, concat!("ecr:", stringify!($op)), &input.repository_name).await?])
            }
            async fn handle(
                &self,
                cx: &kernel::Cx,
                input: api::ecr::$op,
            ) -> std::result::Result<<api::ecr::$op as kernel::Operation>::Output, kernel::Fault> {
                let cx = $crate::Ecr::registry(cx, input.registry_id.as_deref());
                Ok(self.$method(&cx, input).await?)
            }
        }
    };
}
pub(crate) use on_repository;

macro_rules! serve {
    ($ops:ident, $service:ident: $($op:ident)*) => { $($ops.op::<e::$op, _>($service);)* };
}

/// Everything that is served.
pub fn register(service: &Arc<Ecr>, ops: &mut Ops) {
    serve!(ops, service:
        CreateRepository DescribeRepositories DeleteRepository GetAuthorizationToken DescribeRegistry
        ListImages DescribeImages BatchGetImage BatchDeleteImage PutImage
        BatchCheckLayerAvailability InitiateLayerUpload UploadLayerPart CompleteLayerUpload GetDownloadUrlForLayer
        GetRepositoryPolicy SetRepositoryPolicy DeleteRepositoryPolicy
        GetLifecyclePolicy PutLifecyclePolicy DeleteLifecyclePolicy
        PutImageScanningConfiguration PutImageTagMutability TagResource UntagResource ListTagsForResource
    );
}
