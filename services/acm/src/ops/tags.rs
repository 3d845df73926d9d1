//! Tags.
use api::acm::*;
use kernel::{Access, Cx, Fault, Handle};
use store::Batch;

use super::add_tags;
use crate::records::Certificate;
use crate::{Acm, Error};

impl Handle<AddTagsToCertificate> for Acm {
    async fn access(&self, _: &Cx, input: &AddTagsToCertificate) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("acm:AddTagsToCertificate", input.certificate_arn.clone())])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: AddTagsToCertificate,
    ) -> Result<AddTagsToCertificateOutput, Fault> {
        self.change(cx, &input.certificate_arn, |c| add_tags(&mut c.tags, input.tags.clone())).await?;
        Ok(AddTagsToCertificateOutput {})
    }
}

impl Handle<RemoveTagsFromCertificate> for Acm {
    async fn access(&self, _: &Cx, input: &RemoveTagsFromCertificate) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("acm:RemoveTagsFromCertificate", input.certificate_arn.clone())])
    }

    /// A tag that is given with a value goes only if it has that value.
    async fn handle(
        &self,
        cx: &Cx,
        input: RemoveTagsFromCertificate,
    ) -> Result<RemoveTagsFromCertificateOutput, Fault> {
        let named = |key: &String, value: &String| {
            input.tags.iter().any(|tag| tag.key == *key && tag.value.as_ref().is_none_or(|v| v == value))
        };
        self.change(cx, &input.certificate_arn, |certificate| {
            certificate.tags.retain(|key, value| !named(key, value));
            Ok(())
        })
        .await?;
        Ok(RemoveTagsFromCertificateOutput {})
    }
}

impl Handle<ListTagsForCertificate> for Acm {
    async fn access(&self, _: &Cx, input: &ListTagsForCertificate) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("acm:ListTagsForCertificate", input.certificate_arn.clone())])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: ListTagsForCertificate,
    ) -> Result<ListTagsForCertificateOutput, Fault> {
        let row = self.certificate(cx, &input.certificate_arn).await?;
        let tags = row.value.tags.into_iter().map(|(key, value)| Tag { key, value: Some(value) });
        Ok(ListTagsForCertificateOutput { tags: Some(tags.collect()) })
    }
}

impl Acm {
    async fn change(
        &self,
        cx: &Cx,
        arn: &str,
        change: impl Fn(&mut Certificate) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.store
            .update(|| async {
                let mut row = self.certificate(cx, arn).await?;
                change(&mut row.value)?;
                Ok((Batch::new().update(&row), ()))
            })
            .await
    }
}
