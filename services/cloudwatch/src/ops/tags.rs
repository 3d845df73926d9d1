//! Tags of alarms.
use std::collections::BTreeMap;

use api::cloudwatch::*;
use kernel::{Access, Cx, Fault, Handle};
use store::Batch;

use crate::error::Error;
use crate::records::alarm_arn;
use crate::{CloudWatch, limits};

/// Tags by key; too many are refused.
pub(super) fn named(tags: Vec<Tag>) -> Result<BTreeMap<String, String>, Error> {
    let named: BTreeMap<_, _> = tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    within(&named)?;
    Ok(named)
}

fn within(tags: &BTreeMap<String, String>) -> Result<(), Error> {
    match tags.len() <= limits::TAGS {
        true => Ok(()),
        false => Err(Error::Limit(format!("An alarm can have at most {} tags.", limits::TAGS))),
    }
}

impl CloudWatch {
    async fn retag(
        &self,
        cx: &Cx,
        arn: &str,
        change: impl Fn(&mut BTreeMap<String, String>),
    ) -> Result<(), Error> {
        let name = name(cx, arn)?;
        self.store
            .update(|| async {
                let mut row = self.alarm(cx, &name).await.map_err(|error| by_arn(error, arn))?;
                change(&mut row.value.tags);
                within(&row.value.tags)?;
                Ok((Batch::new().update(&row), ()))
            })
            .await
    }
}

/// The alarm's name in the ARN of one of ours.
fn name(cx: &Cx, arn: &str) -> Result<String, Error> {
    let name = arn.strip_prefix(&alarm_arn(cx.account(), &cx.region, "")).filter(|name| !name.is_empty());
    name.map(str::to_owned).ok_or_else(|| Error::NoResource(arn.to_owned()))
}

fn by_arn(error: Error, arn: &str) -> Error {
    if matches!(error, Error::NoAlarm(_)) { Error::NoResource(arn.to_owned()) } else { error }
}

impl Handle<TagResource> for CloudWatch {
    async fn access(&self, _: &Cx, input: &TagResource) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("cloudwatch:TagResource", &input.resource_arn)])
    }

    async fn handle(&self, cx: &Cx, input: TagResource) -> Result<TagResourceOutput, Fault> {
        let new = named(input.tags)?;
        self.retag(cx, &input.resource_arn, |tags| tags.extend(new.clone())).await?;
        Ok(TagResourceOutput {})
    }
}

impl Handle<UntagResource> for CloudWatch {
    async fn access(&self, _: &Cx, input: &UntagResource) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("cloudwatch:UntagResource", &input.resource_arn)])
    }

    async fn handle(&self, cx: &Cx, input: UntagResource) -> Result<UntagResourceOutput, Fault> {
        self.retag(cx, &input.resource_arn, |tags| tags.retain(|key, _| !input.tag_keys.contains(key)))
            .await?;
        Ok(UntagResourceOutput {})
    }
}

impl Handle<ListTagsForResource> for CloudWatch {
    async fn access(&self, _: &Cx, input: &ListTagsForResource) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("cloudwatch:ListTagsForResource", &input.resource_arn)])
    }

    async fn handle(&self, cx: &Cx, input: ListTagsForResource) -> Result<ListTagsForResourceOutput, Fault> {
        let arn = &input.resource_arn;
        let tags = self.alarm(cx, &name(cx, arn)?).await.map_err(|error| by_arn(error, arn))?.value.tags;
        let tags = tags.into_iter().map(|(key, value)| Tag { key, value }).collect();
        Ok(ListTagsForResourceOutput { tags: Some(tags) })
    }
}
