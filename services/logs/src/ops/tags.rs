//! Tags of groups, by ARN and, as older clients do, by name.
use std::collections::BTreeMap;

use api::logs::*;
use kernel::{Access, Cx, Fault, Handle};
use store::Batch;

use crate::error::Error;
use crate::names::{group_arn, of_arn, scope};
use crate::{Logs, limits};

impl Logs {
    async fn retag(
        &self,
        cx: &Cx,
        group: &str,
        change: impl Fn(&mut BTreeMap<String, String>),
    ) -> Result<(), Error> {
        let scope = scope(cx);
        self.store
            .update(|| async {
                let mut row = self.group(&scope, group).await?;
                change(&mut row.value.tags);
                if row.value.tags.len() > limits::TAGS {
                    return Err(Error::TooManyTags);
                }
                Ok((Batch::new().update(&row), ()))
            })
            .await
    }

    async fn tags(&self, cx: &Cx, group: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
        Ok(Some(self.group(&scope(cx), group).await?.value.tags))
    }
}

fn of(cx: &Cx, arn: &str) -> Result<String, Error> {
    of_arn(cx, arn).ok_or(Error::NoResource)
}

fn on(cx: &Cx, action: &'static str, group: &str) -> Vec<Access> {
    vec![Access::new(action, group_arn(cx, group))]
}

impl Handle<TagResource> for Logs {
    async fn access(&self, cx: &Cx, input: &TagResource) -> Result<Vec<Access>, Fault> {
        Ok(on(cx, "logs:TagResource", &of(cx, &input.resource_arn)?))
    }
    async fn handle(&self, cx: &Cx, input: TagResource) -> Result<TagResourceOutput, Fault> {
        self.retag(cx, &of(cx, &input.resource_arn)?, |tags| tags.extend(input.tags.clone())).await?;
        Ok(TagResourceOutput {})
    }
}

impl Handle<UntagResource> for Logs {
    async fn access(&self, cx: &Cx, input: &UntagResource) -> Result<Vec<Access>, Fault> {
        Ok(on(cx, "logs:UntagResource", &of(cx, &input.resource_arn)?))
    }
    async fn handle(&self, cx: &Cx, input: UntagResource) -> Result<UntagResourceOutput, Fault> {
        let group = of(cx, &input.resource_arn)?;
        self.retag(cx, &group, |tags| tags.retain(|key, _| !input.tag_keys.contains(key))).await?;
        Ok(UntagResourceOutput {})
    }
}

impl Handle<ListTagsForResource> for Logs {
    async fn access(&self, cx: &Cx, input: &ListTagsForResource) -> Result<Vec<Access>, Fault> {
        Ok(on(cx, "logs:ListTagsForResource", &of(cx, &input.resource_arn)?))
    }
    async fn handle(&self, cx: &Cx, input: ListTagsForResource) -> Result<ListTagsForResourceOutput, Fault> {
        let tags = self.tags(cx, &of(cx, &input.resource_arn)?).await?;
        Ok(ListTagsForResourceOutput { tags })
    }
}

impl Handle<TagLogGroup> for Logs {
    async fn access(&self, cx: &Cx, input: &TagLogGroup) -> Result<Vec<Access>, Fault> {
        Ok(on(cx, "logs:TagLogGroup", &input.log_group_name))
    }
    async fn handle(&self, cx: &Cx, input: TagLogGroup) -> Result<TagLogGroupOutput, Fault> {
        self.retag(cx, &input.log_group_name, |tags| tags.extend(input.tags.clone())).await?;
        Ok(TagLogGroupOutput {})
    }
}

impl Handle<UntagLogGroup> for Logs {
    async fn access(&self, cx: &Cx, input: &UntagLogGroup) -> Result<Vec<Access>, Fault> {
        Ok(on(cx, "logs:UntagLogGroup", &input.log_group_name))
    }
    async fn handle(&self, cx: &Cx, input: UntagLogGroup) -> Result<UntagLogGroupOutput, Fault> {
        self.retag(cx, &input.log_group_name, |tags| tags.retain(|key, _| !input.tags.contains(key))).await?;
        Ok(UntagLogGroupOutput {})
    }
}

impl Handle<ListTagsLogGroup> for Logs {
    async fn access(&self, cx: &Cx, input: &ListTagsLogGroup) -> Result<Vec<Access>, Fault> {
        Ok(on(cx, "logs:ListTagsLogGroup", &input.log_group_name))
    }
    async fn handle(&self, cx: &Cx, input: ListTagsLogGroup) -> Result<ListTagsLogGroupOutput, Fault> {
        Ok(ListTagsLogGroupOutput { tags: self.tags(cx, &input.log_group_name).await? })
    }
}
