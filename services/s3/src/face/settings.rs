//! A bucket's sub-resources: what is kept, and AWS's defaults and refusals for what is not.
use std::collections::BTreeMap;

use kernel::Cx;
use s3s::dto::*;
use s3s::{S3Request, S3Response};

use super::adapter::Adapter;
use super::bucket::owner;
use crate::error::{Error, Result};
use crate::limits;
use crate::records::{PublicAccess, Versioning, is_public};

/// Writes a handler: opens the bucket for an action, then answers.
macro_rules! setting {
    ($name:ident($input:ident) -> $output:ident, $action:literal, |$s3:ident, $bucket:ident, $in:ident| $body:block) => {
        impl Adapter {
            pub(super) async fn $name(
                &self,
                cx: &Cx,
                request: S3Request<$input>,
            ) -> Result<S3Response<$output>> {
                let $bucket = self.open(cx, &request, &request.input.bucket, $action).await?;
                #[allow(unused_variables)]
                let ($s3, $in) = (&self.0, request.input);
                let output: Result<$output> = async { $body }.await;
                output.map(S3Response::new)
            }
        }
    };
}

/// The error for a sub-resource that the bucket does not have.
fn none<T>(code: &'static str, message: &str) -> Result<T> {
    Err(Error::coded(code, 404, message))
}

setting!(get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput, "s3:GetBucketVersioning", |_s3, bucket, input| {
    let status = match bucket.versioning {
        Versioning::Never => None,
        Versioning::Enabled => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED)),
        Versioning::Suspended => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::SUSPENDED)),
    };
    Ok(GetBucketVersioningOutput { status, ..Default::default() })
});

setting!(put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput, "s3:PutBucketVersioning", |s3, bucket, input| {
    let asked = input.versioning_configuration;
    if asked.mfa_delete.as_ref().is_some_and(|mfa| mfa.as_str() == MFADelete::ENABLED) {
        return Err(Error::NotImplemented("MfaDelete is not served.".into()));
    }
    let versioning = match asked.status.as_ref().map(BucketVersioningStatus::as_str) {
        Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
        Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
        _ => {
            return Err(Error::coded("IllegalVersioningConfigurationException", 400, "Status must be Enabled or Suspended"));
        }
    };
    s3.change_bucket(&bucket.name, |bucket| { bucket.versioning = versioning; Ok(()) }).await?;
    Ok(PutBucketVersioningOutput {})
});

setting!(get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput, "s3:GetBucketPolicy", |_s3, bucket, input| {
    match bucket.policy {
        Some(policy) => Ok(GetBucketPolicyOutput { policy: Some(policy) }),
        None => none("NoSuchBucketPolicy", "The bucket policy does not exist"),
    }
});

setting!(put_bucket_policy(PutBucketPolicyInput) -> PutBucketPolicyOutput, "s3:PutBucketPolicy", |s3, bucket, input| {
    s3.put_policy(&bucket.name, &input.policy).await?;
    Ok(PutBucketPolicyOutput {})
});

setting!(delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput, "s3:DeleteBucketPolicy", |s3, bucket, input| {
    s3.change_bucket(&bucket.name, |bucket| { bucket.policy = None; Ok(()) }).await?;
    Ok(DeleteBucketPolicyOutput {})
});

setting!(get_bucket_policy_status(GetBucketPolicyStatusInput) -> GetBucketPolicyStatusOutput, "s3:GetBucketPolicyStatus", |_s3, bucket, input| {
    let Some(policy) = bucket.policy else { return none("NoSuchBucketPolicy", "The bucket policy does not exist") };
    let policy_status = Some(PolicyStatus { is_public: Some(is_public(&policy)) });
    Ok(GetBucketPolicyStatusOutput { policy_status })
});

setting!(get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput, "s3:GetBucketTagging", |_s3, bucket, input| {
    if bucket.tags.is_empty() {
        return none("NoSuchTagSet", "The TagSet does not exist");
    }
    Ok(GetBucketTaggingOutput { tag_set: tag_set(&bucket.tags) })
});

setting!(put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput, "s3:PutBucketTagging", |s3, bucket, input| {
    let tags = tags_of(input.tagging, limits::BUCKET_TAGS)?;
    s3.change_bucket(&bucket.name, |bucket| { bucket.tags.clone_from(&tags); Ok(()) }).await?;
    Ok(PutBucketTaggingOutput {})
});

setting!(delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput, "s3:PutBucketTagging", |s3, bucket, input| {
    s3.change_bucket(&bucket.name, |bucket| { bucket.tags.clear(); Ok(()) }).await?;
    Ok(DeleteBucketTaggingOutput {})
});

setting!(get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput, "s3:GetBucketAcl", |_s3, bucket, input| {
    Ok(GetBucketAclOutput { grants: Some(vec![full_control(&bucket.account)]), owner: Some(owner(&bucket.account)) })
});

setting!(put_bucket_acl(PutBucketAclInput) -> PutBucketAclOutput, "s3:PutBucketAcl", |_s3, bucket, input| {
    let written = input.access_control_policy.is_some().then_some("AccessControlPolicy");
    bucket.check_acl(input.acl.as_ref().map(BucketCannedACL::as_str).or(written))?;
    Ok(PutBucketAclOutput {})
});

setting!(get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput, "s3:GetBucketPublicAccessBlock", |_s3, bucket, input| {
    let PublicAccess { block_acls, ignore_acls, block_policy, restrict } = bucket.public_access;
    if bucket.public_access == PublicAccess::OPEN {
        return none("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found");
    }
    let public_access_block_configuration = Some(PublicAccessBlockConfiguration {
        block_public_acls: Some(block_acls),
        ignore_public_acls: Some(ignore_acls),
        block_public_policy: Some(block_policy),
        restrict_public_buckets: Some(restrict),
    });
    Ok(GetPublicAccessBlockOutput { public_access_block_configuration })
});

setting!(put_public_access_block(PutPublicAccessBlockInput) -> PutPublicAccessBlockOutput, "s3:PutBucketPublicAccessBlock", |s3, bucket, input| {
    let asked = input.public_access_block_configuration;
    let on = |setting: Option<bool>| setting.unwrap_or(false);
    let public_access = PublicAccess {
        block_acls: on(asked.block_public_acls),
        ignore_acls: on(asked.ignore_public_acls),
        block_policy: on(asked.block_public_policy),
        restrict: on(asked.restrict_public_buckets),
    };
    s3.change_bucket(&bucket.name, |bucket| { bucket.public_access = public_access; Ok(()) }).await?;
    Ok(PutPublicAccessBlockOutput {})
});

setting!(delete_public_access_block(DeletePublicAccessBlockInput) -> DeletePublicAccessBlockOutput, "s3:PutBucketPublicAccessBlock", |s3, bucket, input| {
    s3.change_bucket(&bucket.name, |bucket| { bucket.public_access = PublicAccess::OPEN; Ok(()) }).await?;
    Ok(DeletePublicAccessBlockOutput {})
});

setting!(get_bucket_ownership_controls(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput, "s3:GetBucketOwnershipControls", |_s3, bucket, input| {
    let Some(ownership) = bucket.ownership else {
        return none("OwnershipControlsNotFoundError", "The bucket ownership controls were not found");
    };
    let rules = vec![OwnershipControlsRule { object_ownership: ObjectOwnership::from(ownership) }];
    Ok(GetBucketOwnershipControlsOutput { ownership_controls: Some(OwnershipControls { rules }) })
});

setting!(put_bucket_ownership_controls(PutBucketOwnershipControlsInput) -> PutBucketOwnershipControlsOutput, "s3:PutBucketOwnershipControls", |s3, bucket, input| {
    let rules = input.ownership_controls.rules;
    let [rule] = &rules[..] else {
        return Err(Error::coded("MalformedXML", 400, "OwnershipControls must have exactly one Rule"));
    };
    let ownership = rule.object_ownership.as_str().to_owned();
    s3.change_bucket(&bucket.name, |bucket| { bucket.ownership = Some(ownership.clone()); Ok(()) }).await?;
    Ok(PutBucketOwnershipControlsOutput {})
});

setting!(delete_bucket_ownership_controls(DeleteBucketOwnershipControlsInput) -> DeleteBucketOwnershipControlsOutput, "s3:PutBucketOwnershipControls", |s3, bucket, input| {
    s3.change_bucket(&bucket.name, |bucket| { bucket.ownership = None; Ok(()) }).await?;
    Ok(DeleteBucketOwnershipControlsOutput {})
});

setting!(get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput, "s3:GetEncryptionConfiguration", |_s3, _bucket, input| {
    let by_default = ServerSideEncryptionByDefault {
        kms_master_key_id: None,
        sse_algorithm: ServerSideEncryption::from_static(ServerSideEncryption::AES256),
    };
    let rule = ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: Some(by_default),
        bucket_key_enabled: Some(false),
    };
    let server_side_encryption_configuration = Some(ServerSideEncryptionConfiguration { rules: vec![rule] });
    Ok(GetBucketEncryptionOutput { server_side_encryption_configuration })
});

setting!(put_bucket_encryption(PutBucketEncryptionInput) -> PutBucketEncryptionOutput, "s3:PutEncryptionConfiguration", |_s3, _bucket, input| {
    for rule in input.server_side_encryption_configuration.rules {
        let algorithm = rule.apply_server_side_encryption_by_default.map(|by| by.sse_algorithm);
        if let Some(other) = algorithm.filter(|algorithm| algorithm.as_str() != ServerSideEncryption::AES256) {
            return Err(Error::NotImplemented(format!("SSEAlgorithm {} is not served: use AES256.", other.as_str())));
        }
    }
    Ok(PutBucketEncryptionOutput {})
});

setting!(delete_bucket_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput, "s3:PutEncryptionConfiguration", |_s3, _bucket, input| {
    Ok(DeleteBucketEncryptionOutput {})
});

setting!(get_bucket_notification_configuration(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput, "s3:GetBucketNotification", |_s3, bucket, input| {
    let event_bridge_configuration = bucket.event_bridge.then(EventBridgeConfiguration::default);
    Ok(GetBucketNotificationConfigurationOutput { event_bridge_configuration, ..Default::default() })
});

setting!(put_bucket_notification_configuration(PutBucketNotificationConfigurationInput) -> PutBucketNotificationConfigurationOutput, "s3:PutBucketNotification", |s3, bucket, input| {
    let asked = input.notification_configuration;
    let others = [
        ("LambdaFunctionConfigurations", asked.lambda_function_configurations.is_some_and(|l| !l.is_empty())),
        ("QueueConfigurations", asked.queue_configurations.is_some_and(|l| !l.is_empty())),
        ("TopicConfigurations", asked.topic_configurations.is_some_and(|l| !l.is_empty())),
    ];
    if let Some((name, _)) = others.iter().find(|(_, asked)| *asked) {
        return Err(Error::NotImplemented(format!("{name} is not served: use EventBridgeConfiguration.")));
    }
    let event_bridge = asked.event_bridge_configuration.is_some();
    s3.change_bucket(&bucket.name, |bucket| { bucket.event_bridge = event_bridge; Ok(()) }).await?;
    Ok(PutBucketNotificationConfigurationOutput {})
});

setting!(get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput, "s3:GetBucketCORS", |_s3, _bucket, input| {
    none("NoSuchCORSConfiguration", "The CORS configuration does not exist")
});

setting!(get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput, "s3:GetBucketWebsite", |_s3, _bucket, input| {
    none("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration")
});

setting!(get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput, "s3:GetLifecycleConfiguration", |_s3, _bucket, input| {
    none("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist")
});

setting!(get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput, "s3:GetReplicationConfiguration", |_s3, _bucket, input| {
    none("ReplicationConfigurationNotFoundError", "The replication configuration was not found")
});

setting!(get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput, "s3:GetBucketObjectLockConfiguration", |_s3, _bucket, input| {
    none("ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket")
});

setting!(get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput, "s3:GetBucketLogging", |_s3, _bucket, input| {
    Ok(GetBucketLoggingOutput::default())
});

setting!(get_bucket_request_payment(GetBucketRequestPaymentInput) -> GetBucketRequestPaymentOutput, "s3:GetBucketRequestPayment", |_s3, _bucket, input| {
    Ok(GetBucketRequestPaymentOutput { payer: Some(Payer::from_static(Payer::BUCKET_OWNER)) })
});

setting!(get_bucket_accelerate_configuration(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput, "s3:GetAccelerateConfiguration", |_s3, _bucket, input| {
    Ok(GetBucketAccelerateConfigurationOutput::default())
});

/// The one grant that there is: the owner's.
pub fn full_control(account: &str) -> Grant {
    let id = owner(account).id;
    let grantee = Grantee {
        display_name: None,
        email_address: None,
        id,
        type_: Type::from_static(Type::CANONICAL_USER),
        uri: None,
    };
    Grant { grantee: Some(grantee), permission: Some(Permission::from_static(Permission::FULL_CONTROL)) }
}

/// Tags as the API shows them.
pub fn tag_set(tags: &BTreeMap<String, String>) -> TagSet {
    tags.iter().map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}

/// Tags as they are kept, at most `limit`.
pub fn tags_of(tagging: Tagging, limit: usize) -> Result<BTreeMap<String, String>> {
    let mut tags = BTreeMap::new();
    for Tag { key, value } in tagging.tag_set {
        let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
        let fits = (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256;
        if !fits || key.starts_with("aws:") {
            return Err(Error::coded(
                "InvalidTag",
                400,
                format!(
                    "The tag '{key}' is not valid: 1 to 128 characters, its value at most 256, and not beginning with aws:"
                ),
            ));
        }
        if tags.insert(key.clone(), value).is_some() {
            return Err(Error::coded(
                "InvalidTag",
                400,
                format!("Cannot provide multiple Tags with the same key: {key}"),
            ));
        }
    }
    if tags.len() > limit {
        return Err(Error::coded("BadRequest", 400, format!("There can be at most {limit} tags")));
    }
    Ok(tags)
}
