//! Tags of rules.
use std::collections::BTreeMap;

use api::events::*;
use kernel::{Access, Cx, Fault, Handle};
use store::Batch;

use crate::error::Error;
use crate::records::rule_arn;
use crate::{Events, limits};

/// Tags by key; too many are refused.
pub(super) fn named(tags: Vec<Tag>) -> Result<BTreeMap<String, String>, Error> {
    let named: BTreeMap<_, _> = tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    within(&named)?;
    Ok(named)
}

fn within(tags: &BTreeMap<String, String>) -> Result<(), Error> {
    match tags.len() <= limits::TAGS {
        true => Ok(()),
        false => Err(Error::Limit(format!("A rule can have at most {} tags.", limits::TAGS))),
    }
}

/// The rule's name in the ARN of one of ours.
fn name(cx: &Cx, arn: &str) -> Result<String, Error> {
    let name = arn.strip_prefix(&rule_arn(cx.account(), &cx.region, "")).unwrap_or_default();
    let name = name.strip_prefix("default/").unwrap_or(name);
    if name.is_empty() { Err(Error::NoResource(arn.to_owned())) } else { Ok(name.to_owned()) }
}

impl Events {
    async fn retag(
        &self,
        cx: &Cx,
        arn: &str,
        change: impl Fn(&mut BTreeMap<String, String>),
    ) -> Result<(), Error> {
        let name = name(cx, arn)?;
        self.store
            .update(|| async {
                let mut row = self.rule(cx, &name).await?;
                change(&mut row.value.tags);
                within(&row.value.tags)?;
                Ok((Batch::new().update(&row), ()))
            })
            .await
    }
}

impl Handle<TagResource> for Events {
    async fn access(&self, _: &Cx, input: &TagResource) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("events:TagResource", &input.resource_arn)])
    }

    async fn handle(&self, cx: &Cx, input: TagResource) -> Result<TagResourceOutput, Fault> {
        let new = named(input.tags)?;
        self.retag(cx, &input.resource_arn, |tags| tags.extend(new.clone())).await?;
        Ok(TagResourceOutput {})
    }
}

impl Handle<UntagResource> for Events {
    async fn access(&self, _: &Cx, input: &UntagResource) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("events:UntagResource", &input.resource_arn)])
    }

    async fn handle(&self, cx: &Cx, input: UntagResource) -> Result<UntagResourceOutput, Fault> {
        self.retag(cx, &input.resource_arn, |tags| tags.retain(|key, _| !input.tag_keys.contains(key)))
            .await?;
        Ok(UntagResourceOutput {})
    }
}

impl Handle<ListTagsForResource> for Events {
    async fn access(&self, _: &Cx, input: &ListTagsForResource) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("events:ListTagsForResource", &input.resource_arn)])
    }

    async fn handle(&self, cx: &Cx, input: ListTagsForResource) -> Result<ListTagsForResourceOutput, Fault> {
        let tags = self.rule(cx, &name(cx, &input.resource_arn)?).await?.value.tags;
        let tags = tags.into_iter().map(|(key, value)| Tag { key, value }).collect();
        Ok(ListTagsForResourceOutput { tags: Some(tags) })
    }
}
