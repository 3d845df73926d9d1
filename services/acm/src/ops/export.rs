//! A certificate with its key, for a load balancer. Not on the wire.
use api::internal::{ExportForListener, ExportForListenerOutput};
use kernel::{Access, Cx, Fault, Handle, PrincipalKind};

use crate::{Acm, Error};

impl Handle<ExportForListener> for Acm {
    async fn access(&self, _: &Cx, input: &ExportForListener) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("acm:ExportCertificate", input.certificate_arn.clone())])
    }

    async fn handle(&self, cx: &Cx, input: ExportForListener) -> Result<ExportForListenerOutput, Fault> {
        if !matches!(cx.caller.kind, PrincipalKind::Service(_)) {
            return Err(Error::Secret.into());
        }
        let arn = input.certificate_arn;
        let row = self.certificate(cx, &arn).await?;
        let (Some(certificate), Some(key)) = (&row.value.certificate, &row.value.key) else {
            return Err(Error::InProgress(arn).into());
        };
        let chain = row.value.chain.as_deref().unwrap_or_default();
        Ok(ExportForListenerOutput {
            certificate_chain: format!("{}\n{chain}", certificate.trim_end()),
            private_key: self.sealer.open_text(&self.context(&row.key.last()), key).map_err(Error::from)?,
        })
    }
}

impl Acm {
    /// What a certificate's key is sealed for.
    pub(crate) fn context(&self, id: &str) -> String {
        format!("acm.certificate:{id}")
    }
}
