//! Tags of load balancers, target groups, listeners and rules.
use api::elb as e;
use kernel::{Access, Cx};
use store::Batch;

use super::operation;
use crate::error::{Error, Result};
use crate::names::{Named, on};
use crate::records::Tags;
use crate::{Elb, limits};

operation!(AddTags, add_tags, |_cx, input| {
    input.resource_arns.iter().map(|arn| Access::new("elasticloadbalancing:AddTags", arn)).collect()
});
operation!(RemoveTags, remove_tags, |_cx, input| {
    input.resource_arns.iter().map(|arn| Access::new("elasticloadbalancing:RemoveTags", arn)).collect()
});
operation!(DescribeTags, describe_tags, |_cx, _input| on("elasticloadbalancing:DescribeTags", "*"));

/// Reads a caller's tags.
pub fn of(given: Option<&Vec<e::Tag>>) -> Result<Tags> {
    let mut tags = Tags::new();
    for tag in given.into_iter().flatten() {
        let value = tag.value.clone().unwrap_or_default();
        if tag.key.starts_with("aws:") {
            return Err(Error::validation(format!("Tag key '{}': 'aws:' is reserved", tag.key)));
        }
        if tags.insert(tag.key.clone(), value).is_some() {
            let message = format!("Tag key '{}' is specified more than once", tag.key);
            return Err(Error::Duplicate { code: "DuplicateTagKeys", message });
        }
    }
    checked(tags)
}

fn checked(tags: Tags) -> Result<Tags> {
    match tags.len() > limits::TAGS {
        true => Err(Error::TooMany { code: "TooManyTags", what: "tags on the resource", most: limits::TAGS }),
        false => Ok(tags),
    }
}

impl Elb {
    /// The tags of what an ARN names, changed; with the batch that keeps them.
    async fn retag(&self, cx: &Cx, arn: &str, change: impl Fn(&mut Tags)) -> Result<(Batch, Tags)> {
        macro_rules! change {
            ($row:expr) => {{
                let mut row = $row;
                change(&mut row.value.tags);
                checked(row.value.tags.clone()).map(|tags| (Batch::new().update(&row), tags))
            }};
        }
        match Named::parse(cx, arn)? {
            Named::LoadBalancer { .. } => change!(self.balancer(cx, arn).await?),
            Named::TargetGroup { .. } => change!(self.group(cx, arn).await?),
            Named::Listener { .. } => change!(self.listener(cx, arn).await?),
            Named::Rule { .. } => change!(self.rule(cx, arn).await?),
        }
    }

    async fn retag_all(&self, cx: &Cx, arns: &[String], change: impl Fn(&mut Tags)) -> Result<()> {
        let update = || async {
            let mut batch = Batch::new();
            for arn in arns {
                batch = batch.and(self.retag(cx, arn, &change).await?.0);
            }
            Ok::<_, Error>((batch, ()))
        };
        self.store.update(update).await
    }

    async fn add_tags(&self, cx: &Cx, input: e::AddTags) -> Result<e::AddTagsOutput> {
        let tags = of(Some(&input.tags))?;
        self.retag_all(cx, &input.resource_arns, |held| held.extend(tags.clone())).await?;
        Ok(e::AddTagsOutput {})
    }

    async fn remove_tags(&self, cx: &Cx, input: e::RemoveTags) -> Result<e::RemoveTagsOutput> {
        self.retag_all(cx, &input.resource_arns, |held| held.retain(|key, _| !input.tag_keys.contains(key)))
            .await?;
        Ok(e::RemoveTagsOutput {})
    }

    async fn describe_tags(&self, cx: &Cx, input: e::DescribeTags) -> Result<e::DescribeTagsOutput> {
        let mut described = Vec::with_capacity(input.resource_arns.len());
        for arn in input.resource_arns {
            let (_, tags) = self.retag(cx, &arn, |_| {}).await?;
            let tag = |(key, value)| e::Tag { key, value: Some(value) };
            let tags = Some(tags.into_iter().map(tag).collect());
            described.push(e::TagDescription { resource_arn: Some(arn), tags });
        }
        Ok(e::DescribeTagsOutput { tag_descriptions: Some(described) })
    }
}
