//! Tags of pipelines, of custom action types and of webhooks.
use std::collections::BTreeMap;

use api::codepipeline as cp;
use kernel::{Access, Arn, Cx, Fault, Handle};
use store::{Batch, Row};

use super::on;
use crate::error::Error;
use crate::jobs::{self, TypeRow};
use crate::records::Pipeline;
use crate::triggers::webhooks::Webhook;
use crate::{CodePipeline, limits};

/// The tags after these are added.
pub fn checked(
    mut tags: BTreeMap<String, String>,
    more: &[cp::Tag],
) -> Result<BTreeMap<String, String>, Error> {
    for tag in more {
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(Error::InvalidTags(format!(
                "The tag key '{}' begins with aws:, which is reserved",
                tag.key
            )));
        }
        tags.insert(tag.key.clone(), tag.value.clone());
    }
    if tags.len() > limits::TAGS {
        return Err(Error::TooManyTags(format!("A pipeline has at most {} tags", limits::TAGS)));
    }
    Ok(tags)
}

/// As shapes have them.
pub fn shapes(tags: &BTreeMap<String, String>) -> Vec<cp::Tag> {
    tags.iter().map(|(key, value)| cp::Tag { key: key.clone(), value: value.clone() }).collect()
}

/// What has tags.
enum Tagged {
    Pipeline(Box<Row<Pipeline>>),
    Type(Box<Row<TypeRow>>),
    Webhook(Box<Row<Webhook>>),
}

impl Tagged {
    fn tags(&mut self) -> &mut BTreeMap<String, String> {
        match self {
            Self::Pipeline(row) => &mut row.value.tags,
            Self::Type(row) => &mut row.value.tags,
            Self::Webhook(row) => &mut row.value.tags,
        }
    }

    fn update(&self) -> Batch {
        match self {
            Self::Pipeline(row) => Batch::new().update(row),
            Self::Type(row) => Batch::new().update(row),
            Self::Webhook(row) => Batch::new().update(row),
        }
    }
}

/// The resource in an ARN of this account and Region: a pipeline's name, `actiontype:` and a type, or `webhook:` and a
/// webhook's name.
fn resource(cx: &Cx, arn: &str) -> Result<String, Error> {
    let parsed: Option<Arn> = arn.parse().ok();
    let mine = |a: &Arn| a.service == "codepipeline" && a.region == cx.region && a.account == cx.account();
    let known = |a: &Arn| match a.resource.strip_prefix(TYPE) {
        Some(path) => jobs::type_id(path).is_some(),
        None => !a.resource.strip_prefix(WEBHOOK).unwrap_or(&a.resource).contains(['/', ':']),
    };
    let named = parsed.filter(mine).filter(known);
    named.map(|a| a.resource).ok_or_else(|| Error::InvalidArn(arn.into()))
}

/// What the resource of an action type begins with.
const TYPE: &str = "actiontype:";
/// What the resource of a webhook begins with.
const WEBHOOK: &str = "webhook:";

impl CodePipeline {
    async fn tagged(&self, cx: &Cx, arn: &str) -> Result<Tagged, Error> {
        let missing = || Error::ResourceNotFound(arn.into());
        let resource = resource(cx, arn)?;
        if let Some(id) = resource.strip_prefix(TYPE).and_then(jobs::type_id) {
            let key = jobs::type_key(cx.account(), &cx.region, &id);
            let row = self.desk.store.get::<TypeRow>(&key).await?.filter(|row| !row.value.deleted);
            return row.map(|row| Tagged::Type(Box::new(row))).ok_or_else(missing);
        }
        if let Some(name) = resource.strip_prefix(WEBHOOK) {
            let row = self.desk.store.get::<Webhook>(&Webhook::key(cx.account(), &cx.region, name)).await?;
            return row.map(|row| Tagged::Webhook(Box::new(row))).ok_or_else(missing);
        }
        match self.find(cx, &resource).await {
            Ok((_, row)) => Ok(Tagged::Pipeline(Box::new(row))),
            Err(Error::PipelineNotFound { .. }) => Err(missing()),
            Err(error) => Err(error),
        }
    }

    async fn retag(
        &self,
        cx: &Cx,
        arn: &str,
        change: impl Fn(BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Error>,
    ) -> Result<(), Error> {
        let decide = || async {
            let mut tagged = self.tagged(cx, arn).await?;
            let tags = tagged.tags();
            *tags = change(std::mem::take(tags))?;
            Ok((tagged.update(), ()))
        };
        self.desk.store.update(decide).await
    }
}

/// The permission on the tagged resource; a wrong ARN is told by the operation itself.
fn want(cx: &Cx, action: &'static str, arn: &str) -> Result<Vec<Access>, Fault> {
    Ok(on(cx, action, &resource(cx, arn)?))
}

impl Handle<cp::TagResource> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::TagResource) -> Result<Vec<Access>, Fault> {
        want(cx, "codepipeline:TagResource", &input.resource_arn)
    }

    async fn handle(&self, cx: &Cx, input: cp::TagResource) -> Result<cp::TagResourceOutput, Fault> {
        self.retag(cx, &input.resource_arn, |tags| checked(tags, &input.tags)).await?;
        Ok(cp::TagResourceOutput::default())
    }
}

impl Handle<cp::UntagResource> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::UntagResource) -> Result<Vec<Access>, Fault> {
        want(cx, "codepipeline:UntagResource", &input.resource_arn)
    }

    async fn handle(&self, cx: &Cx, input: cp::UntagResource) -> Result<cp::UntagResourceOutput, Fault> {
        let without = |mut tags: BTreeMap<String, String>| {
            tags.retain(|key, _| !input.tag_keys.contains(key));
            Ok(tags)
        };
        self.retag(cx, &input.resource_arn, without).await?;
        Ok(cp::UntagResourceOutput::default())
    }
}

impl Handle<cp::ListTagsForResource> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::ListTagsForResource) -> Result<Vec<Access>, Fault> {
        want(cx, "codepipeline:ListTagsForResource", &input.resource_arn)
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::ListTagsForResource,
    ) -> Result<cp::ListTagsForResourceOutput, Fault> {
        // All fit on one page: no token was ever given.
        if input.next_token.is_some_and(|token| !token.is_empty()) {
            return Err(Error::InvalidNextToken.into());
        }
        let mut tagged = self.tagged(cx, &input.resource_arn).await?;
        Ok(cp::ListTagsForResourceOutput { tags: Some(shapes(tagged.tags())), next_token: None })
    }
}
