//! Whose request it is: the key is looked up between a claim and its proof.
use std::sync::Arc;

use crate::protocol::Speech;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use kernel::schema::Protocol;
use kernel::{Authority, Body, Clock, Fault, Principal};
use sigv4::v2::QueryClaim;
use sigv4::{Claim, Dialect, Expect, Head, Refusal, Verified, hash};

/// Verifies signatures.
pub struct Auth {
    /// Knows the keys.
    pub authority: Arc<dyn Authority>,
    /// Judges their age.
    pub clock: Arc<dyn Clock>,
}

/// A caller who has proven a key.
pub struct Signed {
    /// Whose key it is.
    pub principal: Principal,
    /// The key's id.
    pub access_key_id: String,
    /// The service that it signed for, by its signing name.
    pub service: String,
    /// The region it signed for, where its signature says one.
    pub region: Option<String>,
}

impl Auth {
    /// The caller of an operation, whose body is at hand. The service must be what was signed for.
    pub async fn whole(&self, head: &Parts, body: &Bytes, speech: Speech) -> Result<Signed, Fault> {
        let expect = Expect { service: speech.service.map(|s| s.signing), region: None };
        let dialect = dialect(speech.protocol);
        match self.prove(head, expect, Some(hash(body)), dialect).await? {
            Some((signed, _)) => Ok(signed),
            None => Err(Refusal::Missing.fault(dialect)),
        }
    }

    /// The caller of a face, if the request is signed with SigV4, and the body as it must be read: decoded, and failing
    /// at its end if it is not the body that was signed.
    pub async fn stream(&self, head: &Parts, body: Body) -> Result<(Option<Signed>, Body), Fault> {
        // Basic and Bearer are the faces' own.
        let other =
            head.headers.get(AUTHORIZATION).is_some_and(|value| !value.as_bytes().starts_with(b"AWS"));
        if other {
            return Ok((None, body));
        }
        match self.prove(head, Expect::default(), None, Dialect::S3).await? {
            Some((signed, verified)) => {
                Ok((Some(signed), sigv4::body::guard(verified.payload, &head.headers, body)))
            }
            None => Ok((self.presigned_v2(head).await?, body)),
        }
    }

    /// The caller of a URL that was presigned in version 2; only S3 is asked so.
    async fn presigned_v2(&self, head: &Parts) -> Result<Option<Signed>, Fault> {
        let refused = |refusal: Refusal| refusal.fault(Dialect::S3);
        let view = Head { method: head.method.as_str(), uri: &head.uri, headers: &head.headers };
        let Some(claim) = QueryClaim::read(&view).map_err(refused)? else { return Ok(None) };
        let key = self.authority.key(&claim.access_key_id, claim.token.as_deref()).await;
        let key = key.map_err(|fault| Refusal::of_key(&fault).map_or(fault, refused))?;
        claim.verify(&view, &key.secret, self.clock.now()).map_err(refused)?;
        // Version 2 names no region, and only S3 takes it.
        Ok(Some(Signed {
            principal: key.principal,
            access_key_id: claim.access_key_id,
            service: "s3".into(),
            region: None,
        }))
    }

    async fn prove(
        &self,
        head: &Parts,
        expect: Expect<'_>,
        body: Option<[u8; 32]>,
        dialect: Dialect,
    ) -> Result<Option<(Signed, Verified)>, Fault> {
        let refused = |refusal: Refusal| refusal.fault(dialect);
        let view = Head { method: head.method.as_str(), uri: &head.uri, headers: &head.headers };
        let Some(claim) = Claim::read(&view).map_err(refused)? else { return Ok(None) };
        let key = self.authority.key(&claim.access_key_id, claim.token.as_deref()).await;
        let key = key.map_err(|fault| Refusal::of_key(&fault).map_or(fault, refused))?;
        let verified = claim.verify(&view, &key.secret, expect, body, self.clock.now()).map_err(refused)?;
        let signed = Signed {
            principal: key.principal,
            access_key_id: claim.access_key_id,
            service: claim.scope.service,
            region: Some(claim.scope.region),
        };
        Ok(Some((signed, verified)))
    }
}

fn dialect(protocol: Protocol) -> Dialect {
    match protocol {
        Protocol::Query | Protocol::RestXml => Dialect::Query,
        Protocol::Ec2 => Dialect::Ec2,
        Protocol::Json10 | Protocol::Json11 | Protocol::Cbor => Dialect::Json,
    }
}
