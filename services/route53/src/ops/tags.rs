//! Tags of hosted zones.
use std::collections::BTreeMap;

use api::route53 as r;
use kernel::{Access, Cx};
use store::Batch;

use super::operation;
use crate::error::{Error, Result};
use crate::names::{bare, on_zone};
use crate::{Route53, limits};

operation!(ChangeTagsForResource, change_tags, |input| {
    on_zone("route53:ChangeTagsForResource", &input.resource_id)
});
operation!(ListTagsForResource, list_tags, |input| on_zone(
    "route53:ListTagsForResource",
    &input.resource_id
));
operation!(ListTagsForResources, list_all_tags, |input| {
    let each = |id: &String| on_zone("route53:ListTagsForResources", id);
    input.resource_ids.iter().flat_map(each).collect::<Vec<Access>>()
});

fn only_zones(kind: &str) -> Result<()> {
    match kind {
        "hostedzone" => Ok(()),
        other => Err(Error::unserved(&format!("ResourceType '{other}'"), "use 'hostedzone'")),
    }
}

impl Route53 {
    async fn change_tags(
        &self,
        cx: &Cx,
        input: r::ChangeTagsForResource,
    ) -> Result<r::ChangeTagsForResourceOutput> {
        only_zones(&input.resource_type)?;
        let change = || async {
            let mut row = self.zone(cx, &input.resource_id).await?;
            let tags = &mut row.value.tags;
            tags.retain(|key, _| !input.remove_tag_keys.iter().flatten().any(|gone| gone == key));
            for tag in input.add_tags.iter().flatten() {
                tags.insert(tag.key.clone().unwrap_or_default(), tag.value.clone().unwrap_or_default());
            }
            if tags.len() > limits::TAGS {
                return Err(Error::Input(format!("A hosted zone can have at most {} tags", limits::TAGS)));
            }
            Ok((Batch::new().update(&row), ()))
        };
        self.store.update(change).await?;
        Ok(r::ChangeTagsForResourceOutput {})
    }

    async fn list_tags(
        &self,
        cx: &Cx,
        input: r::ListTagsForResource,
    ) -> Result<r::ListTagsForResourceOutput> {
        only_zones(&input.resource_type)?;
        let row = self.zone(cx, &input.resource_id).await?;
        Ok(r::ListTagsForResourceOutput { resource_tag_set: shown(&row.value.id, row.value.tags) })
    }

    async fn list_all_tags(
        &self,
        cx: &Cx,
        input: r::ListTagsForResources,
    ) -> Result<r::ListTagsForResourcesOutput> {
        only_zones(&input.resource_type)?;
        let mut sets = Vec::with_capacity(input.resource_ids.len());
        for id in &input.resource_ids {
            sets.push(shown(bare(id), self.zone(cx, id).await?.value.tags));
        }
        Ok(r::ListTagsForResourcesOutput { resource_tag_sets: sets })
    }
}

fn shown(id: &str, tags: BTreeMap<String, String>) -> r::ResourceTagSet {
    let tag = |(key, value)| r::Tag { key: Some(key), value: Some(value) };
    r::ResourceTagSet {
        resource_type: Some("hostedzone".into()),
        resource_id: Some(id.to_owned()),
        tags: Some(tags.into_iter().map(tag).collect()),
    }
}
