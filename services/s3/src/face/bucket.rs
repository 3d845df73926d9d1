//! Buckets: made, listed, looked at, deleted.
use kernel::{Access, Cx};
use s3s::dto::*;
use s3s::{S3Request, S3Response};
use store::Key;

use super::adapter::Adapter;
use super::answer::time;
use crate::error::{Error, Result};
use crate::limits;
use crate::records;

impl Adapter {
    pub(super) async fn list_buckets(
        &self,
        cx: &Cx,
        request: S3Request<ListBucketsInput>,
    ) -> Result<S3Response<ListBucketsOutput>> {
        let input = request.input;
        cx.authorize(&[Access::new("s3:ListAllMyBuckets", "*")]).await?;
        let max =
            input.max_buckets.and_then(|max| usize::try_from(max).ok()).unwrap_or(limits::BUCKETS as usize);
        let mut rows = self.0.store.all::<records::Bucket>(Key::all()).await?;
        let (prefix, after) =
            (input.prefix.clone().unwrap_or_default(), input.continuation_token.unwrap_or_default());
        rows.retain(|row| {
            let bucket = &row.value;
            let here = input.bucket_region.as_ref().is_none_or(|region| *region == bucket.region);
            here && bucket.account == cx.account() && bucket.name.starts_with(&prefix) && bucket.name > after
        });
        let more = rows.len() > max;
        rows.truncate(max);
        let continuation_token = rows.last().filter(|_| more).map(|row| row.value.name.clone());
        let buckets = rows.into_iter().map(|row| Bucket {
            name: Some(row.value.name),
            creation_date: Some(time(row.value.created)),
            bucket_region: Some(row.value.region),
        });
        let owner = Some(owner(cx.account()));
        let output = ListBucketsOutput {
            buckets: Some(buckets.collect()),
            continuation_token,
            owner,
            prefix: input.prefix,
        };
        Ok(S3Response::new(output))
    }

    pub(super) async fn create_bucket(
        &self,
        cx: &Cx,
        request: S3Request<CreateBucketInput>,
    ) -> Result<S3Response<CreateBucketOutput>> {
        let input = request.input;
        let name = input.bucket;
        cx.authorize(&[Access::new("s3:CreateBucket", format!("arn:aws:s3:::{name}"))]).await?;
        if input.object_lock_enabled_for_bucket == Some(true) {
            return Err(Error::NotImplemented(
                "Object Lock (ObjectLockEnabledForBucket) is not served.".into(),
            ));
        }
        let constraint = input.create_bucket_configuration.and_then(|c| c.location_constraint);
        let region = match constraint.as_ref().map(BucketLocationConstraint::as_str) {
            None | Some("") => cx.region.clone(),
            Some("EU") => "eu-west-1".to_owned(),
            Some(region) if cx.region == "us-east-1" || cx.region == region => region.to_owned(),
            Some(region) => {
                let message = format!(
                    "The {region} location constraint is incompatible for the region specific endpoint this request was sent to."
                );
                return Err(Error::coded("IllegalLocationConstraintException", 400, message));
            }
        };
        let mut bucket = self.0.fresh(cx, &name, &region);
        if let Some(ownership) = input.object_ownership {
            bucket.ownership = Some(ownership.as_str().to_owned());
        }
        bucket.check_acl(input.acl.as_ref().map(BucketCannedACL::as_str))?;
        self.0.create_bucket(cx, bucket).await?;
        Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{name}")) }))
    }

    pub(super) async fn head_bucket(
        &self,
        cx: &Cx,
        request: S3Request<HeadBucketInput>,
    ) -> Result<S3Response<HeadBucketOutput>> {
        let bucket = self.open(cx, &request, &request.input.bucket, "s3:ListBucket").await?;
        Ok(S3Response::new(HeadBucketOutput { bucket_region: Some(bucket.region), ..Default::default() }))
    }

    pub(super) async fn delete_bucket(
        &self,
        cx: &Cx,
        request: S3Request<DeleteBucketInput>,
    ) -> Result<S3Response<DeleteBucketOutput>> {
        self.open(cx, &request, &request.input.bucket, "s3:DeleteBucket").await?;
        self.0.delete_bucket(&request.input.bucket).await?;
        Ok(S3Response::new(DeleteBucketOutput {}))
    }

    pub(super) async fn get_bucket_location(
        &self,
        cx: &Cx,
        request: S3Request<GetBucketLocationInput>,
    ) -> Result<S3Response<GetBucketLocationOutput>> {
        let bucket = self.open(cx, &request, &request.input.bucket, "s3:GetBucketLocation").await?;
        // The first region has no name here.
        let region = Some(bucket.region).filter(|region| region != "us-east-1");
        let location_constraint = region.map(BucketLocationConstraint::from);
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
    }
}

/// An account as S3 shows owners: a canonical id of 64 digits.
pub fn owner(account: &str) -> Owner {
    Owner { display_name: None, id: Some(format!("{account:0>64}")) }
}
