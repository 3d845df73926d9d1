//! Record sets and changes.
use api::route53 as r;
use kernel::{Access, Arn, Cx};
use store::{Batch, Key};

use super::{max_items, operation};
use crate::changes::{Sets, apply};
use crate::error::{Error, Result};
use crate::names::{bare, domain, on_zone, scope, shown};
use crate::records::{Change, Data, RecordSet, reversed};
use crate::{Route53, limits, shown_change};

operation!(ChangeResourceRecordSets, change_records, |input| {
    on_zone("route53:ChangeResourceRecordSets", &input.hosted_zone_id)
});
operation!(ListResourceRecordSets, list_records, |input| {
    on_zone("route53:ListResourceRecordSets", &input.hosted_zone_id)
});
operation!(GetChange, get_change, |input| {
    let arn = Arn::new("route53", "", "", format!("change/{}", bare(&input.id)));
    vec![Access::new("route53:GetChange", arn.to_string())]
});

impl Route53 {
    async fn sets(&self, zone: &Key) -> Result<Sets> {
        let rows = self.store.all::<RecordSet>(zone.clone()).await?;
        Ok(rows.into_iter().map(|row| (row.value.order(), row.value)).collect())
    }

    async fn change_records(
        &self,
        cx: &Cx,
        input: r::ChangeResourceRecordSets,
    ) -> Result<r::ChangeResourceRecordSetsOutput> {
        let change = self.change(input.change_batch.comment.as_ref());
        let make = || async {
            let zone = self.zone(cx, &input.hosted_zone_id).await?;
            let before = self.sets(&zone.key).await?;
            let mut after = before.clone();
            apply(&zone.value, &mut after, &input.change_batch.changes)?;
            // The zone's row guards its records: batches follow one another.
            let mut batch = Batch::new().update(&zone).put(&scope(cx).text(&change.id), &change);
            let key = |(name, kind): &(String, String)| zone.key.clone().text(name).text(kind);
            for order in before.keys().filter(|order| !after.contains_key(*order)) {
                batch = batch.delete::<RecordSet>(&key(order));
            }
            for (order, set) in after.iter().filter(|(order, set)| before.get(*order) != Some(*set)) {
                batch = batch.put(&key(order), set);
            }
            Ok::<_, Error>((batch, ()))
        };
        self.store.update(make).await?;
        Ok(r::ChangeResourceRecordSetsOutput { change_info: shown_change(&change) })
    }

    async fn list_records(
        &self,
        cx: &Cx,
        input: r::ListResourceRecordSets,
    ) -> Result<r::ListResourceRecordSetsOutput> {
        if input.start_record_name.is_none() && input.start_record_type.is_some() {
            return Err(Error::Input("StartRecordType needs StartRecordName beside it".into()));
        }
        let zone = self.zone(cx, &input.hosted_zone_id).await?;
        let most = max_items(input.max_items.as_deref(), limits::RECORDS_PAGE)?;
        let name = input.start_record_name.as_deref().map(domain).transpose()?;
        let start = name.map(|name| (reversed(&name), input.start_record_type.clone().unwrap_or_default()));
        let sets = self.sets(&zone.key).await?;
        let mut sets: Vec<RecordSet> = sets
            .into_iter()
            .filter(|(order, _)| start.as_ref().is_none_or(|s| order >= s))
            .map(|(_, s)| s)
            .collect();
        let next = sets.get(most).cloned();
        sets.truncate(most);
        Ok(r::ListResourceRecordSetsOutput {
            resource_record_sets: sets.into_iter().map(shown_set).collect(),
            is_truncated: next.is_some(),
            next_record_name: next.as_ref().map(|set| shown(&set.name)),
            next_record_type: next.map(|set| set.kind),
            next_record_identifier: None,
            max_items: most.to_string(),
        })
    }

    async fn get_change(&self, cx: &Cx, input: r::GetChange) -> Result<r::GetChangeOutput> {
        let id = bare(&input.id);
        let row = self.store.get::<Change>(&scope(cx).text(id)).await?;
        let row = row.ok_or_else(|| Error::NoChange(id.to_owned()))?;
        Ok(r::GetChangeOutput { change_info: shown_change(&row.value) })
    }
}

fn shown_set(set: RecordSet) -> r::ResourceRecordSet {
    let plain =
        r::ResourceRecordSet { name: shown(&set.name), r#type: set.kind.clone(), ..Default::default() };
    match set.data {
        Data::Values { ttl, values } => r::ResourceRecordSet {
            ttl: Some(ttl.into()),
            resource_records: Some(values.into_iter().map(|value| r::ResourceRecord { value }).collect()),
            ..plain
        },
        Data::Alias { zone, name, evaluate_target_health } => r::ResourceRecordSet {
            alias_target: Some(r::AliasTarget {
                hosted_zone_id: zone,
                dns_name: name,
                evaluate_target_health,
            }),
            ..plain
        },
    }
}
