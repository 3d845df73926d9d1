//! Tags of any resource, by its id.
use api::ec2 as e;
use kernel::Cx;
use store::{Batch, Row};

use super::handle;
use crate::records::{
    Address, Group, Interface, InternetGateway, Kind, NatGateway, RouteTable, Subnet, Tags, Vpc,
};
use crate::{Ec2, Error, Result, limits};

handle!(CreateTags, create_tags, |_input| "*/*".into(), dry_run);
handle!(DeleteTags, delete_tags, |_input| "*/*".into(), dry_run);
handle!(DescribeTags, describe_tags, |_input| "*".into(), dry_run);

/// Keys of 1 to 127 characters that do not start with `aws:`, values of at most 255, at most fifty (EC2 guide, "Tag your resources").
pub fn check(tags: &Tags) -> Result<()> {
    if tags.tags.len() > limits::TAGS {
        return Err(Error::State {
            code: "TagLimitExceeded",
            message: format!(
                "The maximum number of tags, {}, has been reached for this resource.",
                limits::TAGS
            ),
        });
    }
    for (key, value) in &tags.tags {
        if key.is_empty() || key.chars().count() > 127 || key.starts_with("aws:") {
            return Err(Error::InvalidParameterValue(format!(
                "Tag key '{key}' must have 1 to 127 characters and not start with 'aws:'"
            )));
        }
        if value.chars().count() > 255 {
            return Err(Error::InvalidParameterValue(format!(
                "The value of tag '{key}' exceeds 255 characters"
            )));
        }
    }
    Ok(())
}

impl Ec2 {
    /// What kind of resource the id is, if it exists.
    async fn what(&self, cx: &Cx, id: &str) -> Result<&'static str> {
        macro_rules! kinds {
            ($($kind:ident)*) => {
                $(if id.starts_with($kind::PREFIX) {
                    return self.find::<$kind>(cx, id).await.map(|_| $kind::WHAT);
                })*
            };
        }
        kinds!(Vpc Subnet Group InternetGateway RouteTable NatGateway Address Interface);
        Err(Error::State { code: "InvalidID", message: format!("The ID '{id}' is not valid") })
    }

    async fn create_tags(&self, cx: &Cx, input: e::CreateTags) -> Result<e::CreateTagsOutput> {
        let change = || async {
            let mut batch = Batch::new();
            for id in &input.resources {
                let (what, key) = (self.what(cx, id).await?, Self::key(cx, id));
                let row: Option<Row<Tags>> = self.store.get(&key).await?;
                let mut tags = row
                    .as_ref()
                    .map_or_else(|| Tags { what: what.into(), ..Tags::default() }, |row| row.value.clone());
                tags.tags.extend(
                    input.tags.iter().map(|tag| {
                        (tag.key.clone().unwrap_or_default(), tag.value.clone().unwrap_or_default())
                    }),
                );
                check(&tags)?;
                batch = batch.expect_same(&key, row.as_ref()).put(&key, &tags);
            }
            Ok::<_, Error>((batch, ()))
        };
        self.store.update(change).await?;
        Ok(e::CreateTagsOutput {})
    }

    async fn delete_tags(&self, cx: &Cx, input: e::DeleteTags) -> Result<e::DeleteTagsOutput> {
        let change = || async {
            let mut batch = Batch::new();
            for id in &input.resources {
                let Some(mut row) = self.store.get::<Tags>(&Self::key(cx, id)).await? else { continue };
                match &input.tags {
                    None => row.value.tags.clear(),
                    // A tag with a value is only removed with that value.
                    Some(tags) => row.value.tags.retain(|key, value| {
                        !tags.iter().any(|tag| {
                            tag.key.as_ref() == Some(key)
                                && tag.value.as_ref().is_none_or(|wanted| wanted == value)
                        })
                    }),
                }
                batch = batch.update(&row);
            }
            Ok::<_, Error>((batch, ()))
        };
        self.store.update(change).await?;
        Ok(e::DeleteTagsOutput {})
    }

    async fn describe_tags(&self, cx: &Cx, input: e::DescribeTags) -> Result<e::DescribeTagsOutput> {
        let mut found = Vec::new();
        for (id, tags) in self.tags(cx).await? {
            for (key, value) in &tags.tags {
                let fact = |name: &str| match name {
                    "resource-id" => Ok(id.as_str()),
                    "resource-type" => Ok(tags.what.as_str()),
                    "key" => Ok(key.as_str()),
                    "value" => Ok(value.as_str()),
                    other => Err(Error::InvalidParameterValue(format!("The filter '{other}' is invalid"))),
                };
                let mut passes = true;
                for filter in input.filters.iter().flatten() {
                    let fact = fact(filter.name.as_deref().unwrap_or_default())?;
                    passes &= filter.values.iter().flatten().any(|value| value == fact);
                }
                if passes {
                    let (key, value) = (Some(key.clone()), Some(value.clone()));
                    found.push(e::TagDescription {
                        key,
                        value,
                        resource_id: Some(id.clone()),
                        resource_type: Some(tags.what.clone()),
                    });
                }
            }
        }
        Ok(e::DescribeTagsOutput { tags: Some(found), next_token: None })
    }
}
