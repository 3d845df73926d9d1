//! Describe, get, list and delete.
use api::acm::*;
use kernel::{Access, Cx, Fault, Handle};
use store::{Batch, Key, PageToken, Row};

use crate::records::{self, Origin, Proof, Status};
use crate::{Acm, Error, arn, limits, x509};

impl Handle<DescribeCertificate> for Acm {
    async fn access(&self, _: &Cx, input: &DescribeCertificate) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("acm:DescribeCertificate", input.certificate_arn.clone())])
    }

    async fn handle(&self, cx: &Cx, input: DescribeCertificate) -> Result<DescribeCertificateOutput, Fault> {
        let row = self.certificate(cx, &input.certificate_arn).await?;
        let mut detail = detail(&row)?;
        detail.in_use_by = Some(self.in_use_by(cx, &input.certificate_arn).await?);
        Ok(DescribeCertificateOutput { certificate: Some(detail) })
    }
}

impl Handle<GetCertificate> for Acm {
    async fn access(&self, _: &Cx, input: &GetCertificate) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("acm:GetCertificate", input.certificate_arn.clone())])
    }

    async fn handle(&self, cx: &Cx, input: GetCertificate) -> Result<GetCertificateOutput, Fault> {
        let row = self.certificate(cx, &input.certificate_arn).await?;
        if row.value.certificate.is_none() {
            return Err(Error::InProgress(input.certificate_arn).into());
        }
        Ok(GetCertificateOutput { certificate: row.value.certificate, certificate_chain: row.value.chain })
    }
}

impl Handle<ListCertificates> for Acm {
    async fn access(&self, _: &Cx, _: &ListCertificates) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("acm:ListCertificates", "*")])
    }

    async fn handle(&self, cx: &Cx, input: ListCertificates) -> Result<ListCertificatesOutput, Fault> {
        Ok(self.list(cx, input).await?)
    }
}

impl Handle<DeleteCertificate> for Acm {
    async fn access(&self, _: &Cx, input: &DeleteCertificate) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("acm:DeleteCertificate", input.certificate_arn.clone())])
    }

    async fn handle(&self, cx: &Cx, input: DeleteCertificate) -> Result<DeleteCertificateOutput, Fault> {
        let arn = input.certificate_arn;
        let row = self.certificate(cx, &arn).await?;
        if !self.in_use_by(cx, &arn).await?.is_empty() {
            return Err(Error::InUse(arn).into());
        }
        self.store.commit(Batch::new().delete::<records::Certificate>(&row.key)).await?;
        Ok(DeleteCertificateOutput {})
    }
}

impl Acm {
    async fn list(&self, cx: &Cx, input: ListCertificates) -> Result<ListCertificatesOutput, Error> {
        let includes = input.includes.unwrap_or_default();
        for (given, name) in [
            (includes.extended_key_usage.is_some(), "Includes.extendedKeyUsage"),
            (includes.key_usage.is_some(), "Includes.keyUsage"),
            (includes.export_option.is_some(), "Includes.exportOption"),
            (includes.managed_by.is_some(), "Includes.managedBy"),
            (input.certificate_key_pair_origins.is_some(), "CertificateKeyPairOrigins"),
        ] {
            if given {
                return Err(Error::Parameter(format!("{name} is not served by Longshore: leave it out.")));
            }
        }
        // Without a filter AWS lists RSA certificates of these lengths alone.
        let kinds = includes.key_types.unwrap_or_else(|| vec!["RSA_1024".into(), "RSA_2048".into()]);
        let prefix = Key::new(cx.account(), &cx.region);
        let mut rows = self.store.list_by_seq::<records::Certificate>(prefix, 0, store::limits::PAGE).await?;
        rows.retain(|row| {
            let status = row.value.status.name();
            let statuses = input.certificate_statuses.as_ref();
            statuses.is_none_or(|wanted| wanted.iter().any(|s| s == status))
                && kinds.contains(&row.value.key_algorithm)
        });
        let back = input.sort_order.as_deref() == Some("DESCENDING");
        if back {
            rows.reverse();
        }
        let list = if back { "ListCertificates.back" } else { "ListCertificates" };
        let after = PageToken::<u64>::position(list, input.next_token.as_deref())
            .map_err(|error| Error::Parameter(error.to_string()))?;
        let seen = |row: &Row<_>| {
            after.is_some_and(|after| if back { row.created >= after } else { row.created <= after })
        };
        rows.retain(|row| !seen(row));
        let max = input.max_items.and_then(|max| usize::try_from(max).ok()).unwrap_or(limits::PAGE).max(1);
        let more = rows.len() > max;
        rows.truncate(max);
        let next_token = rows.last().filter(|_| more).map(|row| PageToken::encode(list, row.created));
        let summaries: Result<Vec<_>, Error> = rows.iter().map(summary).collect();
        Ok(ListCertificatesOutput { next_token, certificate_summary_list: Some(summaries?) })
    }

    /// The load balancers whose listeners have the certificate: only they know.
    async fn in_use_by(&self, cx: &Cx, arn: &str) -> Result<Vec<String>, Error> {
        let elb = cx.as_service("acm.amazonaws.com");
        let mut users = Vec::new();
        let mut marker = None;
        loop {
            let ask = api::elb::DescribeLoadBalancers { marker, ..Default::default() };
            let page = match elb.call(ask).await {
                // Where load balancers are not served, none has it.
                Err(fault) if fault.code == "NotImplemented" => return Ok(users),
                page => page?,
            };
            for balancer in page.load_balancers.into_iter().flatten().filter_map(|lb| lb.load_balancer_arn) {
                let ask = api::elb::DescribeListeners {
                    load_balancer_arn: Some(balancer.clone()),
                    ..Default::default()
                };
                for listener in elb.call(ask).await?.listeners.into_iter().flatten() {
                    if listener_has(&elb, listener, arn).await? {
                        users.push(balancer);
                        break;
                    }
                }
            }
            marker = page.next_marker;
            if marker.is_none() {
                return Ok(users);
            }
        }
    }
}

/// Whether a listener has a certificate: a listener tells its default one, the others are asked for.
async fn listener_has(elb: &Cx, listener: api::elb::Listener, arn: &str) -> Result<bool, Error> {
    let Some(listener_arn) = listener.listener_arn.filter(|_| listener.certificates.is_some()) else {
        return Ok(false);
    };
    let ask = api::elb::DescribeListenerCertificates { listener_arn, ..Default::default() };
    let mut certificates = elb.call(ask).await?.certificates.into_iter().flatten();
    Ok(certificates.any(|certificate| certificate.certificate_arn.as_deref() == Some(arn)))
}

fn kind(certificate: &records::Certificate) -> Option<String> {
    Some(if certificate.origin == Origin::Issued { "AMAZON_ISSUED" } else { "IMPORTED" }.into())
}

fn usages() -> (Vec<&'static str>, Vec<(&'static str, &'static str)>) {
    (
        vec!["DIGITAL_SIGNATURE", "KEY_ENCIPHERMENT"],
        vec![
            ("TLS_WEB_SERVER_AUTHENTICATION", "1.3.6.1.5.5.7.3.1"),
            ("TLS_WEB_CLIENT_AUTHENTICATION", "1.3.6.1.5.5.7.3.2"),
        ],
    )
}

fn detail(row: &Row<records::Certificate>) -> Result<CertificateDetail, Error> {
    let certificate = &row.value;
    let imported = certificate.origin == Origin::Imported;
    let text = |text: &str| Some(text.to_owned());
    let mut detail = CertificateDetail {
        certificate_arn: Some(arn(&row.key)),
        domain_name: text(&certificate.domain),
        subject_alternative_names: Some(certificate.names.clone()),
        created_at: Some(certificate.created),
        issued_at: certificate.issued.filter(|_| !imported),
        imported_at: certificate.issued.filter(|_| imported),
        status: text(certificate.status.name()),
        key_algorithm: text(&certificate.key_algorithm),
        r#type: kind(certificate),
        renewal_eligibility: text("INELIGIBLE"),
        options: Some(CertificateOptions {
            certificate_transparency_logging_preference: text("DISABLED"),
            ..Default::default()
        }),
        domain_validation_options: (!imported)
            .then(|| certificate.proofs.iter().map(|proof| validation(proof, certificate.status)).collect()),
        ..Default::default()
    };
    if let Some(pem) = &certificate.certificate {
        let facts = x509::facts(pem)?;
        detail.serial = Some(facts.serial);
        detail.subject = Some(facts.subject);
        detail.issuer = Some(facts.issuer);
        detail.not_before = Some(facts.not_before);
        detail.not_after = Some(facts.not_after);
        detail.signature_algorithm = Some(facts.signature_algorithm);
        if !imported {
            let (key, extended) = usages();
            detail.key_usages = Some(key.iter().map(|name| KeyUsage { name: text(name) }).collect());
            let extended =
                extended.iter().map(|(name, oid)| ExtendedKeyUsage { name: text(name), oid: text(oid) });
            detail.extended_key_usages = Some(extended.collect());
        }
    }
    Ok(detail)
}

fn validation(proof: &Proof, status: Status) -> DomainValidation {
    let state = match (proof.done, status) {
        (true, _) => "SUCCESS",
        (false, Status::TimedOut) => "FAILED",
        _ => "PENDING_VALIDATION",
    };
    DomainValidation {
        domain_name: proof.domain.clone(),
        validation_domain: Some(proof.domain.clone()),
        validation_status: Some(state.into()),
        resource_record: Some(ResourceRecord {
            name: proof.name.clone(),
            r#type: "CNAME".into(),
            value: proof.value.clone(),
        }),
        validation_method: Some("DNS".into()),
        ..Default::default()
    }
}

fn summary(row: &Row<records::Certificate>) -> Result<CertificateSummary, Error> {
    let certificate = &row.value;
    let imported = certificate.origin == Origin::Imported;
    let facts = certificate.certificate.as_deref().map(x509::facts).transpose()?;
    Ok(CertificateSummary {
        certificate_arn: Some(arn(&row.key)),
        domain_name: Some(certificate.domain.clone()),
        subject_alternative_name_summaries: Some(certificate.names.clone()),
        has_additional_subject_alternative_names: Some(false),
        status: Some(certificate.status.name().into()),
        r#type: kind(certificate),
        key_algorithm: Some(certificate.key_algorithm.clone()),
        renewal_eligibility: Some("INELIGIBLE".into()),
        not_before: facts.as_ref().map(|facts| facts.not_before),
        not_after: facts.as_ref().map(|facts| facts.not_after),
        created_at: Some(certificate.created),
        issued_at: certificate.issued.filter(|_| !imported),
        imported_at: certificate.issued.filter(|_| imported),
        ..Default::default()
    })
}
