//! Certificates of HTTPS listeners: the default one, and those that SNI chooses.
use api::acm::DescribeCertificate;
use api::elb as e;
use kernel::Cx;
use store::{Batch, PageToken};

use super::operation;
use crate::error::{Error, Result};
use crate::names::on;
use crate::{Elb, SERVICE, limits};

operation!(AddListenerCertificates, add_certificates, |_cx, input| {
    on("elasticloadbalancing:AddListenerCertificates", &input.listener_arn)
});
operation!(RemoveListenerCertificates, remove_certificates, |_cx, input| {
    on("elasticloadbalancing:RemoveListenerCertificates", &input.listener_arn)
});
operation!(DescribeListenerCertificates, describe_certificates, |_cx, _input| {
    on("elasticloadbalancing:DescribeListenerCertificates", "*")
});

/// The ARNs of a caller's certificates; `IsDefault` is only ever answered.
pub fn arns(given: Option<&Vec<e::Certificate>>) -> Result<Vec<String>> {
    let arn = |c: &e::Certificate| match (&c.certificate_arn, c.is_default) {
        (Some(arn), None | Some(false)) => Ok(arn.clone()),
        (Some(_), Some(true)) => Err(Error::validation("IsDefault cannot be specified: leave it out")),
        (None, _) => Err(Error::validation("A certificate must have a CertificateArn")),
    };
    given.into_iter().flatten().map(arn).collect()
}

impl Elb {
    /// Each certificate must be ACM's, and issued.
    pub(super) async fn check_certificates(&self, cx: &Cx, arns: &[String]) -> Result<()> {
        for arn in arns {
            let missing = || Error::Foreign {
                code: "CertificateNotFound",
                message: format!("Certificate ARN '{arn}' is not valid"),
            };
            if !arn.contains(":acm:") {
                return Err(missing());
            }
            let describe = DescribeCertificate { certificate_arn: arn.clone() };
            let described = match cx.as_service(SERVICE).call(describe).await {
                Err(fault) if fault.status < 500 => return Err(missing()),
                described => described?,
            };
            let status = described.certificate.and_then(|c| c.status).unwrap_or_default();
            if status != "ISSUED" {
                return Err(Error::Foreign {
                    code: "UnsupportedCertificate",
                    message: format!("The certificate '{arn}' must be issued; its status is {status}"),
                });
            }
        }
        Ok(())
    }

    async fn add_certificates(
        &self,
        cx: &Cx,
        input: e::AddListenerCertificates,
    ) -> Result<e::AddListenerCertificatesOutput> {
        let arns = arns(Some(&input.certificates))?;
        self.check_certificates(cx, &arns).await?;
        let add = || async {
            let mut row = self.listener(cx, &input.listener_arn).await?;
            if row.value.protocol != "HTTPS" {
                return Err(Error::Configuration("Certificates are only for HTTPS listeners".into()));
            }
            let held = &mut row.value.certificates;
            held.extend(arns.iter().filter(|arn| !held.contains(arn)).cloned().collect::<Vec<_>>());
            if held.len() > limits::CERTIFICATES + 1 {
                let what = "certificates on the listener";
                return Err(Error::TooMany { code: "TooManyCertificates", what, most: limits::CERTIFICATES });
            }
            Ok((Batch::new().update(&row), ()))
        };
        self.store.update(add).await?;
        let shown = |arn| e::Certificate { certificate_arn: Some(arn), is_default: Some(false) };
        Ok(e::AddListenerCertificatesOutput { certificates: Some(arns.into_iter().map(shown).collect()) })
    }

    async fn remove_certificates(
        &self,
        cx: &Cx,
        input: e::RemoveListenerCertificates,
    ) -> Result<e::RemoveListenerCertificatesOutput> {
        let arns = arns(Some(&input.certificates))?;
        let remove = || async {
            let mut row = self.listener(cx, &input.listener_arn).await?;
            let held = &mut row.value.certificates;
            if held.first().is_some_and(|default| arns.contains(default)) {
                return Err(Error::NotPermitted(
                    "The default certificate cannot be removed: replace it with ModifyListener".into(),
                ));
            }
            held.retain(|arn| !arns.contains(arn));
            Ok((Batch::new().update(&row), ()))
        };
        self.store.update(remove).await?;
        Ok(e::RemoveListenerCertificatesOutput {})
    }

    async fn describe_certificates(
        &self,
        cx: &Cx,
        input: e::DescribeListenerCertificates,
    ) -> Result<e::DescribeListenerCertificatesOutput> {
        let row = self.listener(cx, &input.listener_arn).await?;
        let list = format!("DescribeListenerCertificates {}", input.listener_arn);
        let start = PageToken::<u64>::position(&list, input.marker.as_deref())
            .map_err(|e| Error::validation(format!("Marker: {e}")))?
            .unwrap_or(0);
        let size = input.page_size.and_then(|n| usize::try_from(n).ok()).unwrap_or(limits::PAGE).max(1);
        let all =
            row.value.certificates.iter().enumerate().skip(usize::try_from(start).unwrap_or(usize::MAX));
        let mut shown: Vec<e::Certificate> = all
            .map(|(i, arn)| e::Certificate { certificate_arn: Some(arn.clone()), is_default: Some(i == 0) })
            .collect();
        let more = shown.len() > size;
        shown.truncate(size);
        let next = more.then(|| PageToken::encode(&list, start + size as u64));
        Ok(e::DescribeListenerCertificatesOutput { certificates: Some(shown), next_marker: next })
    }
}
