//! Tags of clusters, services, tasks and definitions, by ARN.
use api::ecs::*;
use kernel::{Access, Arn, Cx, Fault, Handle};
use store::{Batch, Key, Record};

use super::{tags_in, tags_out};
use crate::Ecs;
use crate::error::{Error, Result, invalid};
use crate::limits;
use crate::names::{self, Scope};
use crate::records::{Cluster, Definition, Service, Tags, Task};

/// A record that has tags.
trait Tagged: Record + Clone {
    fn tags(&mut self) -> &mut Tags;
}

macro_rules! tagged {
    ($($record:ident),*) => {$(
        impl Tagged for $record {
            fn tags(&mut self) -> &mut Tags {
                &mut self.tags
            }
        }
    )*};
}

tagged!(Cluster, Service, Task, Definition);

impl Ecs {
    /// Changes the tags of whatever the ARN names; answers what they are then.
    async fn retag(&self, scope: &Scope, arn: &str, change: impl Fn(&mut Tags)) -> Result<Tags> {
        let wrong = || {
            Error::Invalid(format!(
                "Invalid identifier: '{arn}' is not the ARN of a cluster, service, task or task definition."
            ))
        };
        let parsed: Arn = arn.parse().map_err(|_| wrong())?;
        if parsed.account != scope.account || parsed.region != scope.region || parsed.service != "ecs" {
            return Err(wrong());
        }
        let parts: Vec<&str> = parsed.resource.split('/').collect();
        match parts[..] {
            ["cluster", name] => self.retag_row::<Cluster>(scope.key().text(name), change).await,
            ["service", cluster, name] => {
                self.retag_row::<Service>(scope.key().text(cluster).text(name), change).await
            }
            ["task", cluster, id] => self.retag_row::<Task>(scope.key().text(cluster).text(id), change).await,
            ["task-definition", name] => match names::definition(name)? {
                (family, Some(revision)) => {
                    self.retag_row::<Definition>(scope.key().text(family).number(revision), change).await
                }
                (_, None) => Err(wrong()),
            },
            _ => Err(wrong()),
        }
    }

    async fn retag_row<R: Tagged>(&self, key: Key, change: impl Fn(&mut Tags)) -> Result<Tags> {
        let update = || async {
            let Some(mut row) = self.store.get::<R>(&key).await? else {
                return invalid("The specified resource was not found.");
            };
            let before = row.value.tags().clone();
            change(row.value.tags());
            let after = row.value.tags().clone();
            if after.len() > limits::TAGS {
                return invalid(format!("A resource can have at most {} tags.", limits::TAGS));
            }
            let batch = if before == after { Batch::new() } else { Batch::new().update(&row) };
            Ok((batch, after))
        };
        self.store.update(update).await
    }
}

impl Handle<TagResource> for Ecs {
    async fn access(&self, _cx: &Cx, input: &TagResource) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecs:TagResource", &input.resource_arn)])
    }

    async fn handle(&self, cx: &Cx, input: TagResource) -> Result<TagResourceOutput, Fault> {
        let tags = tags_in(Some(&input.tags))?;
        self.retag(&Scope::of(cx), &input.resource_arn, |own| own.extend(tags.clone())).await?;
        Ok(TagResourceOutput::default())
    }
}

impl Handle<UntagResource> for Ecs {
    async fn access(&self, _cx: &Cx, input: &UntagResource) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecs:UntagResource", &input.resource_arn)])
    }

    async fn handle(&self, cx: &Cx, input: UntagResource) -> Result<UntagResourceOutput, Fault> {
        let keep = |own: &mut Tags| own.retain(|key, _| !input.tag_keys.contains(key));
        self.retag(&Scope::of(cx), &input.resource_arn, keep).await?;
        Ok(UntagResourceOutput::default())
    }
}

impl Handle<ListTagsForResource> for Ecs {
    async fn access(&self, _cx: &Cx, input: &ListTagsForResource) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecs:ListTagsForResource", &input.resource_arn)])
    }

    async fn handle(&self, cx: &Cx, input: ListTagsForResource) -> Result<ListTagsForResourceOutput, Fault> {
        let tags = self.retag(&Scope::of(cx), &input.resource_arn, |_| {}).await?;
        Ok(ListTagsForResourceOutput { tags: Some(tags_out(&tags)) })
    }
}
