//! Buckets: made, changed, deleted.
use kernel::{Cx, ids};
use policy::{Document, Purpose};
use store::{Batch, Key};

use crate::error::{Error, Result};
use crate::records::{Bucket, Part, PublicAccess, Upload, Version, Versioning, is_public};
use crate::{S3, limits};

impl S3 {
    /// Makes a bucket. In us-east-1 making one's own bucket again is no error, as in AWS.
    pub(crate) async fn create_bucket(&self, cx: &Cx, bucket: Bucket) -> Result<()> {
        if let Some(row) = self.store.get::<Bucket>(&Bucket::key(&bucket.name)).await? {
            return match row.value {
                other if other.account != bucket.account => Err(Error::Exists(bucket.name)),
                ours if ours.region == "us-east-1" && cx.region == "us-east-1" => Ok(()),
                _ => Err(Error::OwnedByYou(bucket.name)),
            };
        }
        if self.store.count::<Bucket>(Key::all()).await? >= limits::BUCKETS {
            let message = "You have attempted to create more buckets than allowed: delete one first";
            return Err(Error::coded("TooManyBuckets", 400, message));
        }
        match self.store.commit(Batch::new().create(&Bucket::key(&bucket.name), &bucket)).await {
            Err(error) if error.is_conflict() => Err(Error::OwnedByYou(bucket.name)),
            done => Ok(done.map(drop)?),
        }
    }

    /// Names of all buckets: their host names are answered in containers.
    pub async fn bucket_names(&self) -> Result<Vec<String>> {
        let rows = self.store.all::<Bucket>(Key::all()).await?;
        Ok(rows.into_iter().map(|row| row.value.name).collect())
    }

    /// A bucket as AWS makes them: unversioned, blocked to the public.
    pub(crate) fn fresh(&self, cx: &Cx, name: &str, region: &str) -> Bucket {
        Bucket {
            name: name.to_owned(),
            id: ids::hex(&*self.entropy, 16),
            account: cx.account().to_owned(),
            region: region.to_owned(),
            created: self.clock.now(),
            versioning: Versioning::Never,
            policy: None,
            tags: Default::default(),
            public_access: PublicAccess::BLOCKED,
            ownership: Some("BucketOwnerEnforced".into()),
            event_bridge: false,
        }
    }

    /// Changes a bucket's row.
    pub(crate) async fn change_bucket(
        &self,
        name: &str,
        change: impl Fn(&mut Bucket) -> Result<()>,
    ) -> Result<()> {
        self.store
            .update(|| async {
                let mut row = self.bucket(name).await?;
                change(&mut row.value)?;
                Ok((Batch::new().update(&row), ()))
            })
            .await
    }

    /// Sets a bucket's policy.
    pub(crate) async fn put_policy(&self, name: &str, policy: &str) -> Result<()> {
        check_policy(name, policy)?;
        self.change_bucket(name, |bucket| {
            if bucket.public_access.block_policy && is_public(policy) {
                let message = format!(
                    "The policy is public, and the public access block of bucket {name} has BlockPublicPolicy: change one of them"
                );
                return Err(Error::coded("AccessDenied", 403, message));
            }
            bucket.policy = Some(policy.to_owned());
            Ok(())
        })
        .await
    }

    /// Deletes an empty bucket. Uploads that were never completed go with it.
    pub(crate) async fn delete_bucket(&self, name: &str) -> Result<()> {
        let bucket = self
            .store
            .update(|| async {
                let row = self.bucket(name).await?;
                if !self.store.list::<Version>(row.value.objects(), None, 1).await?.is_empty() {
                    return Err(Error::NotEmpty(name.to_owned()));
                }
                Ok((Batch::new().remove(&row), row.value))
            })
            .await?;
        self.purge(&bucket.objects()).await
    }

    /// Removes what still hangs on a deleted bucket. Nothing is added to it any more: every put expects the bucket's row.
    pub(crate) async fn purge(&self, prefix: &Key) -> Result<()> {
        loop {
            let versions = self.store.list::<Version>(prefix, None, limits::PASS).await?;
            let uploads = self.store.list::<Upload>(prefix, None, limits::PASS).await?;
            let parts = self.store.list::<Part>(prefix, None, limits::PASS).await?;
            let pieces = versions.iter().filter_map(|row| row.value.content.clone()).flat_map(|c| c.pieces);
            let pieces = pieces.chain(parts.iter().map(|row| row.value.piece.clone())).collect();
            let batch = self.garbage(Batch::new(), pieces);
            let batch = versions.iter().fold(batch, |batch, row| batch.delete::<Version>(&row.key));
            let batch = uploads.iter().fold(batch, |batch, row| batch.delete::<Upload>(&row.key));
            let batch = parts.iter().fold(batch, |batch, row| batch.delete::<Part>(&row.key));
            if batch.is_empty() {
                return Ok(());
            }
            self.store.commit(batch).await?;
        }
    }
}

/// A policy that can be evaluated, and that is about this bucket alone.
fn check_policy(bucket: &str, policy: &str) -> Result<()> {
    let bad = |message: String| Err(Error::Policy(message));
    if policy.len() > limits::POLICY {
        return bad(format!("The policy has more than {} bytes", limits::POLICY));
    }
    let Ok(document) = serde_json::from_str::<serde_json::Value>(policy) else {
        return bad("Policies must be valid JSON and the first byte must be '{'".into());
    };
    let statements = match &document["Statement"] {
        serde_json::Value::Array(list) => list.iter().collect(),
        one @ serde_json::Value::Object(_) => vec![one],
        _ => return bad("Missing required field Statement".into()),
    };
    let arn = format!("arn:aws:s3:::{bucket}");
    for statement in statements {
        for field in ["Effect", "Principal", "Action", "Resource"] {
            if statement.get(field).is_none() && statement.get(format!("Not{field}")).is_none() {
                return bad(format!("Missing required field {field}"));
            }
        }
        let resources = match &statement["Resource"] {
            serde_json::Value::Array(list) => list.iter().collect(),
            serde_json::Value::Null => Vec::new(),
            one => vec![one],
        };
        let ours = |text: &str| {
            text == "*"
                || text == arn
                || text.starts_with(&format!("{arn}/"))
                || text.starts_with(&format!("{arn}*"))
        };
        if !resources.iter().all(|resource| resource.as_str().is_some_and(ours)) {
            return bad(format!("Policy has invalid resource: each must be {arn} or begin with {arn}/"));
        }
    }
    Document::parse(policy, Purpose::Resource).map_err(|e| Error::Policy(e.to_string()))?;
    Ok(())
}
