//! Hosted zones.
use api::route53 as r;
use kernel::{Cx, ids};
use store::{Batch, Row};

use super::{max_items, operation};
use crate::error::{Error, Result};
use crate::names::{bare, domain, on_all, on_zone, scope, shown};
use crate::records::{Data, RecordSet, Reference, Zone, reversed};
use crate::{Route53, limits, shown_change};

operation!(CreateHostedZone, create_zone, |_input| on_all("route53:CreateHostedZone"));
operation!(GetHostedZone, get_zone, |input| on_zone("route53:GetHostedZone", &input.id));
operation!(DeleteHostedZone, delete_zone, |input| on_zone("route53:DeleteHostedZone", &input.id));
operation!(ListHostedZones, list_zones, |_input| on_all("route53:ListHostedZones"));
operation!(ListHostedZonesByName, list_zones_by_name, |_input| on_all("route53:ListHostedZonesByName"));
operation!(GetHostedZoneCount, count_zones, |_input| on_all("route53:GetHostedZoneCount"));
operation!(UpdateHostedZoneComment, update_comment, |input| {
    on_zone("route53:UpdateHostedZoneComment", &input.id)
});
operation!(GetDNSSEC, get_dnssec, |input| on_zone("route53:GetDNSSEC", &input.hosted_zone_id));

impl Route53 {
    async fn create_zone(&self, cx: &Cx, input: r::CreateHostedZone) -> Result<r::CreateHostedZoneOutput> {
        let config = input.hosted_zone_config.clone().unwrap_or_default();
        if input.vpc.is_some() || config.private_zone == Some(true) {
            return Err(Error::unserved(
                "VPC",
                "leave it out: zones are public, and containers see them too",
            ));
        }
        if input.delegation_set_id.is_some() {
            return Err(Error::unserved("DelegationSetId", "leave it out"));
        }
        let zone = Zone {
            id: format!("Z{}", ids::upper(&*self.entropy, 19)),
            name: domain(&input.name)?,
            caller_reference: input.caller_reference.clone(),
            comment: config.comment.filter(|text| !text.is_empty()),
            name_servers: self.name_servers(),
            tags: Default::default(),
        };
        let (key, change) = (scope(cx).text(&zone.id), self.change(None));
        let reference = scope(cx).text(&zone.caller_reference);
        let create = || async {
            if self.store.get::<Reference>(&reference).await?.is_some() {
                return Err(Error::ZoneExists);
            }
            if self.store.count::<Zone>(scope(cx)).await? >= limits::ZONES {
                return Err(Error::TooMany(format!(
                    "An account can have at most {} hosted zones",
                    limits::ZONES
                )));
            }
            let mut batch = Batch::new().create(&key, &zone).put(&scope(cx).text(&change.id), &change);
            for set in first_sets(&zone) {
                let (name, kind) = set.order();
                batch = batch.put(&key.clone().text(name).text(kind), &set);
            }
            Ok((batch.create(&reference, &Reference { zone: zone.id.clone() }), ()))
        };
        self.store.update(create).await?;
        Ok(r::CreateHostedZoneOutput {
            change_info: shown_change(&change),
            delegation_set: delegation(&zone),
            location: format!("https://route53.amazonaws.com/2013-04-01/hostedzone/{}", zone.id),
            hosted_zone: shown_zone(&zone, 2),
            vpc: None,
        })
    }

    fn name_servers(&self) -> Vec<String> {
        let number = |most: u64| {
            let hex = ids::hex(&*self.entropy, 8);
            u64::from_str_radix(&hex, 16).unwrap_or_default() % most
        };
        let tops = ["org", "com", "co.uk", "net"];
        let server = |(i, top): (usize, &str)| {
            format!("ns-{}.awsdns-{:02}.{top}", i as u64 * 512 + number(512), number(64))
        };
        tops.into_iter().enumerate().map(server).collect()
    }

    async fn shown_row(&self, row: &Row<Zone>) -> Result<r::HostedZone> {
        let count = self.store.count::<RecordSet>(row.key.clone()).await?;
        Ok(shown_zone(&row.value, i64::try_from(count).unwrap_or(i64::MAX)))
    }

    async fn get_zone(&self, cx: &Cx, input: r::GetHostedZone) -> Result<r::GetHostedZoneOutput> {
        let row = self.zone(cx, &input.id).await?;
        Ok(r::GetHostedZoneOutput {
            hosted_zone: self.shown_row(&row).await?,
            delegation_set: Some(delegation(&row.value)),
            vpcs: None,
        })
    }

    async fn delete_zone(&self, cx: &Cx, input: r::DeleteHostedZone) -> Result<r::DeleteHostedZoneOutput> {
        let change = self.change(None);
        let delete = || async {
            let row = self.zone(cx, &input.id).await?;
            let sets = self.store.all::<RecordSet>(row.key.clone()).await?;
            if sets.len() > first_sets(&row.value).len() {
                return Err(Error::NotEmpty);
            }
            let reference = scope(cx).text(&row.value.caller_reference);
            let batch = Batch::new().remove(&row).delete::<Reference>(&reference);
            let batch = sets.iter().fold(batch, |batch, set| batch.delete::<RecordSet>(&set.key));
            Ok((batch.put(&scope(cx).text(&change.id), &change), ()))
        };
        self.store.update(delete).await?;
        Ok(r::DeleteHostedZoneOutput { change_info: shown_change(&change) })
    }

    async fn list_zones(&self, cx: &Cx, input: r::ListHostedZones) -> Result<r::ListHostedZonesOutput> {
        if input.delegation_set_id.is_some() || input.hosted_zone_type.is_some() {
            return Err(Error::unserved("DelegationSetId and HostedZoneType", "leave them out"));
        }
        let most = max_items(input.max_items.as_deref(), limits::ZONES_PAGE)?;
        let mut rows = self.store.all::<Zone>(scope(cx)).await?;
        rows.sort_by_key(|row| row.created);
        if let Some(marker) = input.marker.as_deref().filter(|marker| !marker.is_empty()) {
            let at = rows.iter().position(|row| row.value.id == bare(marker));
            let at =
                at.ok_or_else(|| Error::Input(format!("Marker '{marker}' is not the NextMarker of a list")))?;
            rows.drain(..at);
        }
        let next = rows.get(most).map(|row| row.value.id.clone());
        rows.truncate(most);
        let mut zones = Vec::with_capacity(rows.len());
        for row in &rows {
            zones.push(self.shown_row(row).await?);
        }
        Ok(r::ListHostedZonesOutput {
            hosted_zones: zones,
            marker: input.marker.unwrap_or_default(),
            is_truncated: next.is_some(),
            next_marker: next,
            max_items: most.to_string(),
        })
    }

    async fn list_zones_by_name(
        &self,
        cx: &Cx,
        input: r::ListHostedZonesByName,
    ) -> Result<r::ListHostedZonesByNameOutput> {
        if input.hosted_zone_id.is_some() && input.dns_name.is_none() {
            return Err(Error::Input("HostedZoneId needs DNSName beside it".into()));
        }
        let most = max_items(input.max_items.as_deref(), limits::ZONES_PAGE)?;
        let start = input.dns_name.as_deref().map(domain).transpose()?.map(|name| reversed(&name));
        let start = (start.unwrap_or_default(), input.hosted_zone_id.as_deref().map_or("", bare).to_owned());
        let order = |row: &Row<Zone>| (reversed(&row.value.name), row.value.id.clone());
        let mut rows = self.store.all::<Zone>(scope(cx)).await?;
        rows.sort_by_key(order);
        rows.retain(|row| order(row) >= start);
        let next = rows.get(most).map(|row| row.value.clone());
        rows.truncate(most);
        let mut zones = Vec::with_capacity(rows.len());
        for row in &rows {
            zones.push(self.shown_row(row).await?);
        }
        Ok(r::ListHostedZonesByNameOutput {
            hosted_zones: zones,
            dns_name: input.dns_name,
            hosted_zone_id: input.hosted_zone_id,
            is_truncated: next.is_some(),
            next_dns_name: next.as_ref().map(|zone| shown(&zone.name)),
            next_hosted_zone_id: next.map(|zone| zone.id),
            max_items: most.to_string(),
        })
    }

    async fn count_zones(&self, cx: &Cx, _: r::GetHostedZoneCount) -> Result<r::GetHostedZoneCountOutput> {
        let count = self.store.count::<Zone>(scope(cx)).await?;
        Ok(r::GetHostedZoneCountOutput { hosted_zone_count: i64::try_from(count).unwrap_or(i64::MAX) })
    }

    async fn update_comment(
        &self,
        cx: &Cx,
        input: r::UpdateHostedZoneComment,
    ) -> Result<r::UpdateHostedZoneCommentOutput> {
        let update = || async {
            let mut row = self.zone(cx, &input.id).await?;
            row.value.comment = input.comment.clone().filter(|text| !text.is_empty());
            Ok::<_, Error>((Batch::new().update(&row), row))
        };
        let row = self.store.update(update).await?;
        Ok(r::UpdateHostedZoneCommentOutput { hosted_zone: self.shown_row(&row).await? })
    }

    /// Zones are never signed.
    async fn get_dnssec(&self, cx: &Cx, input: r::GetDNSSEC) -> Result<r::GetDNSSECOutput> {
        self.zone(cx, &input.hosted_zone_id).await?;
        let status = r::DNSSECStatus { serve_signature: Some("NOT_SIGNING".into()), status_message: None };
        Ok(r::GetDNSSECOutput { status, key_signing_keys: Vec::new() })
    }
}

/// The record sets that every zone has.
fn first_sets(zone: &Zone) -> [RecordSet; 2] {
    let set = |kind: &str, ttl, values| RecordSet {
        name: zone.name.clone(),
        kind: kind.into(),
        data: Data::Values { ttl, values },
    };
    let servers: Vec<String> = zone.name_servers.iter().map(|server| format!("{server}.")).collect();
    let first = servers.first().map(String::as_str).unwrap_or_default();
    let soa = format!("{first} awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400");
    [set("NS", 172_800, servers), set("SOA", 900, vec![soa])]
}

fn delegation(zone: &Zone) -> r::DelegationSet {
    r::DelegationSet { name_servers: zone.name_servers.clone(), ..Default::default() }
}

fn shown_zone(zone: &Zone, count: i64) -> r::HostedZone {
    r::HostedZone {
        id: format!("/hostedzone/{}", zone.id),
        name: shown(&zone.name),
        caller_reference: zone.caller_reference.clone(),
        config: Some(r::HostedZoneConfig { comment: zone.comment.clone(), private_zone: Some(false) }),
        resource_record_set_count: Some(count),
        ..Default::default()
    }
}
