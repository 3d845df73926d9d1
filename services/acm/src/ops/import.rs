//! ImportCertificate.
use api::acm::*;
use kernel::{Access, Blob, Cx, Fault, Handle, ids};
use store::{Batch, Key};

use super::add_tags;
use crate::records::{Certificate, Origin, Status};
use crate::{Acm, Error, arn, key, limits, x509};

impl Handle<ImportCertificate> for Acm {
    async fn access(&self, _: &Cx, input: &ImportCertificate) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("acm:ImportCertificate", input.certificate_arn.as_deref().unwrap_or("*"))])
    }

    async fn handle(&self, cx: &Cx, input: ImportCertificate) -> Result<ImportCertificateOutput, Fault> {
        let arn = self.import(cx, input).await?;
        Ok(ImportCertificateOutput { certificate_arn: Some(arn) })
    }
}

impl Acm {
    async fn import(&self, cx: &Cx, input: ImportCertificate) -> Result<String, Error> {
        let certificate = text(&input.certificate, "certificate")?;
        let private = text(&input.private_key, "private key")?;
        let chain =
            input.certificate_chain.as_ref().map(|chain| text(chain, "certificate chain")).transpose()?;
        let facts = x509::facts(&certificate)?;
        x509::check_key(&certificate, &private)?;
        if let Some(chain) = &chain {
            x509::check_chain(&certificate, chain)?;
        }
        let now = self.now();
        if facts.not_after <= now {
            return Err(Error::Validation("The certificate has expired.".into()));
        }
        if facts.not_before > now {
            return Err(Error::Validation("The certificate is not in effect yet.".into()));
        }
        let domain = facts.names.first().cloned().unwrap_or_default();
        let fill = |id: &str, created, tags| {
            Ok::<_, Error>(Certificate {
                domain: domain.clone(),
                names: facts.names.clone(),
                origin: Origin::Imported,
                status: Status::Issued,
                key_algorithm: facts.key_algorithm.clone(),
                certificate: Some(certificate.clone()),
                chain: chain.clone(),
                key: Some(self.sealer.seal_text(&self.context(id), &private)?),
                proofs: Vec::new(),
                created,
                issued: Some(now),
                tags,
            })
        };
        if let Some(existing) = &input.certificate_arn {
            return self.import_again(cx, existing, input.tags.is_some(), fill).await;
        }
        let mut tags = std::collections::BTreeMap::new();
        add_tags(&mut tags, input.tags.unwrap_or_default())?;
        self.require_room(cx).await?;
        let id = ids::uuid(&*self.entropy);
        let key = key(cx, &id);
        self.store.commit(Batch::new().create(&key, &fill(&id, now, tags)?)).await?;
        Ok(arn(&key))
    }

    /// A newer one under the same ARN: whoever uses it gets it.
    async fn import_again(
        &self,
        cx: &Cx,
        arn: &str,
        tagged: bool,
        fill: impl Fn(
            &str,
            kernel::Timestamp,
            std::collections::BTreeMap<String, String>,
        ) -> Result<Certificate, Error>,
    ) -> Result<String, Error> {
        if tagged {
            return Err(Error::Parameter(
                "Tags cannot be given when a certificate is imported again; use AddTagsToCertificate.".into(),
            ));
        }
        let mut row = self.certificate(cx, arn).await?;
        if row.value.origin != Origin::Imported {
            return Err(Error::Validation(
                "The certificate was not imported: only imported ones can be imported again.".into(),
            ));
        }
        row.value = fill(&row.key.last(), row.value.created, row.value.tags.clone())?;
        self.store.commit(Batch::new().update(&row)).await?;
        Ok(arn.to_owned())
    }

    /// One more certificate must fit.
    pub(super) async fn require_room(&self, cx: &Cx) -> Result<(), Error> {
        let count = self.store.count::<Certificate>(Key::new(cx.account(), &cx.region)).await?;
        if count >= limits::CERTIFICATES {
            Err(Error::Limit("certificates", limits::CERTIFICATES))
        } else {
            Ok(())
        }
    }
}

fn text(blob: &Blob, what: &str) -> Result<String, Error> {
    String::from_utf8(blob.0.to_vec())
        .map_err(|_| Error::Validation(format!("The {what} is not PEM-encoded text.")))
}
