//! s3s's trait, method by method: the caller is found, the error worded.
use std::sync::Arc;

use kernel::{Access, Cx};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

use super::answer::failed;
use crate::S3;
use crate::error::{Error, Result};
use crate::records::Bucket;

/// What s3s calls.
pub struct Adapter(pub Arc<S3>);

impl Adapter {
    /// A bucket on which the caller may do this.
    pub(super) async fn open<T>(
        &self,
        cx: &Cx,
        request: &S3Request<T>,
        name: &str,
        action: &'static str,
    ) -> Result<Bucket> {
        let bucket = self.owned(request, name).await?;
        cx.authorize(&[bucket.access(cx, action)]).await?;
        Ok(bucket)
    }

    /// A bucket on whose object the caller may do this.
    pub(super) async fn open_object<T>(
        &self,
        cx: &Cx,
        request: &S3Request<T>,
        (name, key): (&str, &str),
        action: &'static str,
    ) -> Result<Bucket> {
        let bucket = self.owned(request, name).await?;
        cx.authorize(&[bucket.object_access(cx, action, key)]).await?;
        Ok(bucket)
    }

    /// A bucket of the account that the request expects, if it expects one.
    pub(super) async fn owned<T>(&self, request: &S3Request<T>, name: &str) -> Result<Bucket> {
        let bucket = self.0.bucket(name).await?.value;
        match request.headers.get("x-amz-expected-bucket-owner") {
            Some(owner) if owner.as_bytes() != bucket.account.as_bytes() => Err(Error::coded(
                "AccessDenied",
                403,
                "The bucket is not of the account that x-amz-expected-bucket-owner names",
            )),
            _ => Ok(bucket),
        }
    }
}

/// With a further condition key, where there is a value.
pub fn when(access: Access, key: &'static str, value: Option<&str>) -> Access {
    match value {
        Some(value) => access.when(key, value),
        None => access,
    }
}

macro_rules! served {
    ($($name:ident($input:ident) -> $output:ident;)*) => {
        #[async_trait::async_trait]
        impl s3s::S3 for Adapter {
            $(async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                let Some(cx) = request.extensions.get::<Cx>().cloned() else {
                    return Err(failed(Error::Fault(kernel::Fault::internal("a request without a caller")), ""));
                };
                // The method of the same name below, which is found before this one.
                let served = Adapter::$name(self, &cx, request).await;
                served.map_err(|error| failed(error, &cx.request_id))
            })*
        }
    };
}

served! {
    list_buckets(ListBucketsInput) -> ListBucketsOutput;
    create_bucket(CreateBucketInput) -> CreateBucketOutput;
    head_bucket(HeadBucketInput) -> HeadBucketOutput;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput;
    put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput;
    get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput;
    put_bucket_policy(PutBucketPolicyInput) -> PutBucketPolicyOutput;
    delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput;
    get_bucket_policy_status(GetBucketPolicyStatusInput) -> GetBucketPolicyStatusOutput;
    get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput;
    put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput;
    delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput;
    get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput;
    put_bucket_acl(PutBucketAclInput) -> PutBucketAclOutput;
    get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput;
    put_public_access_block(PutPublicAccessBlockInput) -> PutPublicAccessBlockOutput;
    delete_public_access_block(DeletePublicAccessBlockInput) -> DeletePublicAccessBlockOutput;
    get_bucket_ownership_controls(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput;
    put_bucket_ownership_controls(PutBucketOwnershipControlsInput) -> PutBucketOwnershipControlsOutput;
    delete_bucket_ownership_controls(DeleteBucketOwnershipControlsInput) -> DeleteBucketOwnershipControlsOutput;
    get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput;
    put_bucket_encryption(PutBucketEncryptionInput) -> PutBucketEncryptionOutput;
    delete_bucket_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput;
    get_bucket_notification_configuration(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput;
    put_bucket_notification_configuration(PutBucketNotificationConfigurationInput) -> PutBucketNotificationConfigurationOutput;
    get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput;
    get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput;
    get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput;
    get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput;
    get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput;
    get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput;
    get_bucket_request_payment(GetBucketRequestPaymentInput) -> GetBucketRequestPaymentOutput;
    get_bucket_accelerate_configuration(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput;
    list_objects(ListObjectsInput) -> ListObjectsOutput;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput;
    get_object(GetObjectInput) -> GetObjectOutput;
    head_object(HeadObjectInput) -> HeadObjectOutput;
    put_object(PutObjectInput) -> PutObjectOutput;
    copy_object(CopyObjectInput) -> CopyObjectOutput;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput;
    get_object_acl(GetObjectAclInput) -> GetObjectAclOutput;
    put_object_acl(PutObjectAclInput) -> PutObjectAclOutput;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput;
    upload_part(UploadPartInput) -> UploadPartOutput;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput;
    list_parts(ListPartsInput) -> ListPartsOutput;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput;
}
