//! Tags of connections and hosts.
use std::collections::BTreeMap;

use api::codeconnections as cc;
use kernel::{Access, Cx, Fault, Handle};
use store::{Batch, Row};

use super::{on, shapes, tagged};
use crate::CodeConnections;
use crate::error::Result;
use crate::records::{Connection, Host};

/// What carries tags.
enum Tagged {
    Connection(Box<Row<Connection>>),
    Host(Row<Host>),
}

impl Tagged {
    fn tags(&mut self) -> &mut BTreeMap<String, String> {
        match self {
            Self::Connection(row) => &mut row.value.tags,
            Self::Host(row) => &mut row.value.tags,
        }
    }

    fn update(&self) -> Batch {
        match self {
            Self::Connection(row) => Batch::new().update(row),
            Self::Host(row) => Batch::new().update(row),
        }
    }
}

impl CodeConnections {
    async fn tagged(&self, cx: &Cx, arn: &str) -> Result<Tagged> {
        match arn.contains(":host/") {
            true => Ok(Tagged::Host(self.host(cx, arn).await?)),
            false => Ok(Tagged::Connection(Box::new(self.found(cx, arn).await?))),
        }
    }

    async fn retag(
        &self,
        cx: &Cx,
        arn: &str,
        change: impl Fn(BTreeMap<String, String>) -> Result<BTreeMap<String, String>>,
    ) -> Result<()> {
        self.store
            .update(|| async {
                let mut found = self.tagged(cx, arn).await?;
                *found.tags() = change(std::mem::take(found.tags()))?;
                Ok((found.update(), ()))
            })
            .await
    }
}

impl Handle<cc::TagResource> for CodeConnections {
    async fn access(&self, _: &Cx, input: &cc::TagResource) -> Result<Vec<Access>, Fault> {
        Ok(on("codeconnections:TagResource", &input.resource_arn))
    }

    async fn handle(&self, cx: &Cx, input: cc::TagResource) -> Result<cc::TagResourceOutput, Fault> {
        self.retag(cx, &input.resource_arn, |tags| tagged(tags, &input.tags)).await?;
        Ok(cc::TagResourceOutput::default())
    }
}

impl Handle<cc::UntagResource> for CodeConnections {
    async fn access(&self, _: &Cx, input: &cc::UntagResource) -> Result<Vec<Access>, Fault> {
        Ok(on("codeconnections:UntagResource", &input.resource_arn))
    }

    async fn handle(&self, cx: &Cx, input: cc::UntagResource) -> Result<cc::UntagResourceOutput, Fault> {
        let without = |mut tags: BTreeMap<String, String>| {
            tags.retain(|key, _| !input.tag_keys.contains(key));
            Ok(tags)
        };
        self.retag(cx, &input.resource_arn, without).await?;
        Ok(cc::UntagResourceOutput::default())
    }
}

impl Handle<cc::ListTagsForResource> for CodeConnections {
    async fn access(&self, _: &Cx, input: &cc::ListTagsForResource) -> Result<Vec<Access>, Fault> {
        Ok(on("codeconnections:ListTagsForResource", &input.resource_arn))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cc::ListTagsForResource,
    ) -> Result<cc::ListTagsForResourceOutput, Fault> {
        let mut found = self.tagged(cx, &input.resource_arn).await?;
        Ok(cc::ListTagsForResourceOutput { tags: Some(shapes(found.tags())) })
    }
}
