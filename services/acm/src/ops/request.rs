//! RequestCertificate.
use api::acm::*;
use aws_lc_rs::digest::{SHA256, digest};
use kernel::{Access, Cx, Fault, Handle, ids};
use serde_json::{Value, json};
use store::{Batch, Key};

use super::add_tags;
use crate::records::{Certificate, Origin, Proof, Status};
use crate::{Acm, Error, KeyKind, arn, key, limits};

/// Seconds that an idempotency token is good for.
const TOKEN: i64 = 3600;

impl Handle<RequestCertificate> for Acm {
    async fn access(&self, _: &Cx, _: &RequestCertificate) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("acm:RequestCertificate", "*")])
    }

    async fn handle(&self, cx: &Cx, input: RequestCertificate) -> Result<RequestCertificateOutput, Fault> {
        let arn = self.request(cx, input).await?;
        Ok(RequestCertificateOutput { certificate_arn: Some(arn) })
    }
}

impl Acm {
    async fn request(&self, cx: &Cx, input: RequestCertificate) -> Result<String, Error> {
        check(&input)?;
        let names = names(&input)?;
        let token = input.idempotency_token.as_ref().map(|token| {
            let key = Key::new(cx.account(), &cx.region).text("acm.RequestCertificate").text(token);
            // Other names under the same token are another request, as with AWS.
            key.text(names.join(" "))
        });
        if let Some(arn) = self.requested_before(cx, token.as_ref()).await? {
            return Ok(arn);
        }
        self.require_room(cx).await?;
        let mut certificate = Certificate {
            domain: names[0].clone(),
            proofs: proofs(cx.account(), &names),
            names,
            origin: Origin::Issued,
            status: Status::Pending,
            key_algorithm: input.key_algorithm.unwrap_or_else(|| "RSA_2048".into()),
            certificate: None,
            chain: None,
            key: None,
            created: self.now(),
            issued: None,
            tags: std::collections::BTreeMap::new(),
        };
        add_tags(&mut certificate.tags, input.tags.unwrap_or_default())?;
        let key = key(cx, &ids::uuid(&*self.entropy));
        let mut batch = Batch::new().create(&key, &certificate);
        if let Some(token) = &token {
            let last = self.store.get::<store::Remembered>(token).await?;
            let answer =
                store::Remembered { fingerprint: String::new(), output: json!(arn(&key)), at: self.now() };
            batch = batch.expect_same(token, last.as_ref()).put(token, &answer);
        }
        match self.store.commit(batch).await {
            // The same request at the same time: its answer is this one's.
            Err(error) if error.is_conflict() => {
                self.requested_before(cx, token.as_ref()).await?.ok_or_else(|| error.into())
            }
            Err(error) => Err(error.into()),
            Ok(_) => Ok(arn(&key)),
        }
    }

    async fn requested_before(&self, cx: &Cx, token: Option<&Key>) -> Result<Option<String>, Error> {
        let Some(token) = token else { return Ok(None) };
        let Some(row) = self.store.get::<store::Remembered>(token).await? else { return Ok(None) };
        let fresh = self.now().as_second() - row.value.at.as_second() < TOKEN;
        match row.value.output {
            Value::String(arn) if fresh && self.certificate(cx, &arn).await.is_ok() => Ok(Some(arn)),
            _ => Ok(None),
        }
    }
}

fn check(input: &RequestCertificate) -> Result<(), Error> {
    match input.validation_method.as_deref() {
        None | Some("DNS") => {}
        Some(other) => {
            return Err(Error::Parameter(format!(
                "ValidationMethod {other} is not served by Longshore: use DNS."
            )));
        }
    }
    if input.domain_validation_options.as_ref().is_some_and(|options| !options.is_empty()) {
        return Err(Error::DomainValidation(
            "DomainValidationOptions are for validation by email: leave them out.".into(),
        ));
    }
    if input.certificate_authority_arn.is_some() {
        return Err(Error::Parameter(
            "CertificateAuthorityArn: private authorities are not served by Longshore.".into(),
        ));
    }
    if input.managed_by.is_some() {
        return Err(Error::Parameter("ManagedBy is not served by Longshore: leave it out.".into()));
    }
    if input.options.as_ref().and_then(|options| options.export.as_deref()) == Some("ENABLED") {
        return Err(Error::Parameter("Options.Export ENABLED is not served by Longshore.".into()));
    }
    match input.key_algorithm.as_deref() {
        Some(name) if KeyKind::parse(name).is_none() => Err(Error::Parameter(format!(
            "KeyAlgorithm {name} is not served by Longshore: use RSA_2048, EC_prime256v1 or EC_secp384r1."
        ))),
        _ => Ok(()),
    }
}

/// The names in lower case, each once, the domain first.
fn names(input: &RequestCertificate) -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = Vec::new();
    for name in std::iter::once(&input.domain_name).chain(input.subject_alternative_names.iter().flatten()) {
        let name = name.trim_end_matches('.').to_lowercase();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.len() > limits::NAMES {
        return Err(Error::Limit("domain names in a certificate", limits::NAMES as u64));
    }
    Ok(names)
}

/// One record proves a name and its wildcard, the same each time that the account asks for it.
fn proofs(account: &str, names: &[String]) -> Vec<Proof> {
    let token = |what: &str, bare: &str| -> String {
        let digest = digest(&SHA256, format!("{what}:{account}:{bare}").as_bytes());
        digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    };
    names
        .iter()
        .map(|domain| {
            let bare = domain.strip_prefix("*.").unwrap_or(domain);
            Proof {
                domain: domain.clone(),
                name: format!("_{}.{bare}.", token("name", bare)),
                value: format!("_{}.longshore.acm-validations.aws.", token("value", bare)),
                done: false,
            }
        })
        .collect()
}
