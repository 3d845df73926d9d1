//! Issues the certificates whose names a zone of Route 53 proves, and gives up on those that nobody proves in time.
use std::sync::Arc;

use api::route53::{ListHostedZones, ListResourceRecordSets};
use kernel::{Cx, Fault, Fut, Ops, Timestamp, ids};
use serde_json::json;
use store::{Batch, EVENTS, Event, Key, Record, Row};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::ca::Order;
use crate::records::{Certificate, Proof, Status};
use crate::{Acm, Error, KeyKind, arn, limits};

/// The worker. What Route 53 changes it hears of by the outbox, and then looks at the records themselves.
pub struct Validation {
    acm: Arc<Acm>,
    ops: Arc<Ops>,
    wake: Arc<Notify>,
}

impl Validation {
    /// The worker.
    pub fn new(acm: Arc<Acm>, ops: Arc<Ops>) -> Self {
        let wake = acm.store.watch(&[Certificate::TABLE, EVENTS]);
        Self { acm, ops, wake }
    }

    async fn pass(&self) -> Result<Next, Error> {
        let store = &self.acm.store;
        let status = Status::Pending.name();
        let pending = store.find::<Certificate>(Key::all(), "status", status, 0, store::limits::PAGE).await?;
        let mut due: Option<Timestamp> = None;
        for row in pending {
            if let Some(until) = self.bring_forward(row).await? {
                due = Some(due.map_or(until, |due| due.min(until)));
            }
        }
        Ok(due.into())
    }

    /// Brings one certificate forward; answers when it is to be given up, if it still waits.
    async fn bring_forward(&self, mut row: Row<Certificate>) -> Result<Option<Timestamp>, Error> {
        let now = self.acm.now();
        let (account, region) = (row.key.account(), row.key.region());
        let cx = self.ops.as_service("acm.amazonaws.com", &account, &region, &ids::uuid(&*self.acm.entropy));
        let mut seen = false;
        for proof in row.value.proofs.iter_mut().filter(|proof| !proof.done) {
            proof.done = is_served(&cx, proof).await?;
            seen |= proof.done;
        }
        let created = row.value.created.as_second();
        let until =
            Timestamp::from_second(created + limits::VALIDATION_HOURS * 3600).unwrap_or(Timestamp::MAX);
        if row.value.proofs.iter().all(|proof| proof.done) {
            self.issue(row, now).await?;
            return Ok(None);
        }
        if now >= until {
            row.value.status = Status::TimedOut;
            self.commit(Batch::new().update(&row)).await?;
            return Ok(None);
        }
        if seen {
            self.commit(Batch::new().update(&row)).await?;
        }
        Ok(Some(until))
    }

    async fn issue(&self, mut row: Row<Certificate>, now: Timestamp) -> Result<(), Error> {
        let acm = &self.acm;
        let kind = KeyKind::parse(&row.value.key_algorithm).unwrap_or(KeyKind::P256);
        let names = row.value.names.clone();
        let (ca, entropy) = (acm.ca.clone(), acm.entropy.clone());
        // An RSA key takes a while to make.
        let made = tokio::task::spawn_blocking(move || {
            ca.issue(Order { names: &names, kind, days: limits::DAYS }, &*entropy, now)
        });
        let issued = made.await.map_err(Fault::internal)??;
        let arn = arn(&row.key);
        row.value.key = Some(acm.sealer.seal_text(&acm.context(&row.key.last()), &issued.private_key)?);
        row.value.certificate = Some(issued.certificate);
        row.value.chain = Some(acm.ca.pem().to_owned());
        row.value.status = Status::Issued;
        row.value.issued = Some(now);
        let event = Event::new(
            "aws.acm",
            "ACM Certificate Available",
            &row.key.account(),
            &row.key.region(),
            ids::uuid(&*acm.entropy),
            now,
        );
        let detail = json!({
            "Action": "ISSUANCE",
            "CertificateType": "AMAZON_ISSUED",
            "CommonName": row.value.domain,
            "DomainValidationMethod": "DNS",
            "CertificateCreatedDate": kernel::json::iso8601(row.value.created),
            "CertificateExpirationDate": kernel::json::iso8601(issued.not_after),
            "DaysToExpiry": limits::DAYS,
            "InUse": false,
            "Exported": false,
        });
        let event = event.resource(arn).detail(detail);
        self.commit(Batch::new().update(&row).event(event)).await
    }

    /// Deleted or tagged meanwhile: the next pass looks again.
    async fn commit(&self, batch: Batch) -> Result<(), Error> {
        match self.acm.store.commit(batch).await {
            Err(error) if !error.is_conflict() => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Whether a zone of ours holds the record.
async fn is_served(cx: &Cx, proof: &Proof) -> Result<bool, Error> {
    for zone in zones(cx, &proof.name).await? {
        let ask = ListResourceRecordSets {
            hosted_zone_id: zone,
            start_record_name: Some(proof.name.clone()),
            start_record_type: Some("CNAME".into()),
            max_items: Some("1".into()),
            ..Default::default()
        };
        let found = cx.call(ask).await?.resource_record_sets.into_iter().next();
        let same = |a: &str, b: &str| a.trim_end_matches('.').eq_ignore_ascii_case(b.trim_end_matches('.'));
        let served = found.is_some_and(|set| {
            let mut values = set.resource_records.into_iter().flatten();
            set.r#type == "CNAME"
                && same(&set.name, &proof.name)
                && values.any(|r| same(&r.value, &proof.value))
        });
        if served {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Ids of the public zones that the name is in.
async fn zones(cx: &Cx, name: &str) -> Result<Vec<String>, Error> {
    let (mut zones, mut marker, mut looked) = (Vec::new(), None, 0);
    loop {
        let page = match cx.call(ListHostedZones { marker, ..Default::default() }).await {
            // Where Route 53 is not served, nothing can be proven.
            Err(fault) if fault.code == "NotImplemented" => return Ok(zones),
            page => page?,
        };
        looked += page.hosted_zones.len();
        let within = |zone: &str| {
            let (name, zone) =
                (name.trim_end_matches('.').to_lowercase(), zone.trim_end_matches('.').to_lowercase());
            name.strip_suffix(&zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let public = |zone: &api::route53::HostedZone| {
            !zone.config.as_ref().and_then(|config| config.private_zone).unwrap_or(false)
        };
        let found = page.hosted_zones.into_iter().filter(|zone| public(zone) && within(&zone.name));
        zones.extend(found.map(|zone| zone.id.trim_start_matches("/hostedzone/").to_owned()));
        marker = page.next_marker;
        if marker.is_none() || looked >= limits::ZONES {
            return Ok(zones);
        }
    }
}

impl Worker for Validation {
    fn name(&self) -> String {
        "acm.validation".into()
    }

    fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async { Ok(self.pass().await?) })
    }
}
