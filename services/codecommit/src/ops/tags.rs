//! Tags of repositories.
use std::collections::BTreeMap;

use api::codecommit::*;
use kernel::{Access, Arn, Cx, Fault, Handle};
use store::Batch;

use super::repository::check_tags;
use crate::CodeCommit;
use crate::error::{Result, coded};

/// The repository that an ARN names, of the caller's account and region.
fn named(cx: &Cx, arn: &str) -> Result<String> {
    let invalid = || {
        coded!(InvalidResourceArnException, "{arn} is not the ARN of a repository of this account and region")
    };
    let parsed: Arn = arn.parse().map_err(|_| invalid())?;
    let here = parsed.service == "codecommit" && parsed.account == cx.account() && parsed.region == cx.region;
    if here { Ok(parsed.resource) } else { Err(invalid()) }
}

impl CodeCommit {
    async fn retag(&self, cx: &Cx, arn: &str, change: impl Fn(&mut BTreeMap<String, String>)) -> Result<()> {
        let name = named(cx, arn)?;
        self.store
            .update(|| async {
                let mut row = self.found(cx, &name).await?;
                change(&mut row.value.tags);
                check_tags(&row.value.tags)?;
                Ok((Batch::new().update(&row), ()))
            })
            .await
    }
}

impl Handle<TagResource> for CodeCommit {
    async fn access(&self, _: &Cx, input: &TagResource) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("codecommit:TagResource", &*input.resource_arn)])
    }

    async fn handle(&self, cx: &Cx, input: TagResource) -> Result<TagResourceOutput, Fault> {
        self.retag(cx, &input.resource_arn, |tags| tags.extend(input.tags.clone())).await?;
        Ok(TagResourceOutput {})
    }
}

impl Handle<UntagResource> for CodeCommit {
    async fn access(&self, _: &Cx, input: &UntagResource) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("codecommit:UntagResource", &*input.resource_arn)])
    }

    async fn handle(&self, cx: &Cx, input: UntagResource) -> Result<UntagResourceOutput, Fault> {
        self.retag(cx, &input.resource_arn, |tags| tags.retain(|key, _| !input.tag_keys.contains(key)))
            .await?;
        Ok(UntagResourceOutput {})
    }
}

impl Handle<ListTagsForResource> for CodeCommit {
    async fn access(&self, _: &Cx, input: &ListTagsForResource) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("codecommit:ListTagsForResource", &*input.resource_arn)])
    }

    async fn handle(&self, cx: &Cx, input: ListTagsForResource) -> Result<ListTagsForResourceOutput, Fault> {
        let row = self.found(cx, &named(cx, &input.resource_arn)?).await?;
        Ok(ListTagsForResourceOutput { tags: Some(row.value.tags), ..Default::default() })
    }
}
