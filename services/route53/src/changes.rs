//! What a change batch does to a zone: pure, so that a batch is done whole or not at all.
use std::collections::BTreeMap;

use api::route53 as r;

use crate::error::{Error, Result};
use crate::names::{bare, domain, within};
use crate::records::{Data, RecordSet, Zone, reversed};
use crate::{limits, value};

/// A zone's record sets in their order.
pub type Sets = BTreeMap<(String, String), RecordSet>;

/// Applies a batch to the record sets; the error names everything that is wrong.
pub fn apply(zone: &Zone, sets: &mut Sets, changes: &[r::Change]) -> Result<()> {
    measure(changes)?;
    let mut wrong = Vec::new();
    for change in changes {
        match record_set(zone, &change.resource_record_set) {
            Ok(set) => wrong.extend(one(zone, sets, &change.action, set).err()),
            Err(Error::Batch(reasons)) => wrong.extend(reasons),
            Err(other) => return Err(other),
        }
    }
    wrong.extend(conflicts(zone, sets));
    if sets.len() > limits::RECORD_SETS {
        wrong.push(format!("The zone would have more than {} record sets", limits::RECORD_SETS));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::Batch(wrong)) }
}

fn measure(changes: &[r::Change]) -> Result<()> {
    let (mut values, mut characters) = (0, 0);
    for change in changes {
        let times = if change.action == "UPSERT" { 2 } else { 1 };
        for record in change.resource_record_set.resource_records.iter().flatten() {
            values += times;
            characters += times * record.value.chars().count();
        }
    }
    match values > limits::BATCH_VALUES || characters > limits::BATCH_CHARACTERS {
        true => Err(Error::Batch(vec![format!(
            "The batch holds {values} values of {characters} characters; at most {} of {} are allowed",
            limits::BATCH_VALUES,
            limits::BATCH_CHARACTERS
        )])),
        false => Ok(()),
    }
}

fn one(zone: &Zone, sets: &mut Sets, action: &str, set: RecordSet) -> std::result::Result<(), String> {
    let what = format!("resource record set [name='{}', type='{}']", set.name, set.kind);
    let key = set.order();
    let required = set.name == zone.name && matches!(&*set.kind, "SOA" | "NS");
    match (action, sets.get(&key)) {
        ("CREATE", Some(_)) => Err(format!("Tried to create {what} but it already exists")),
        ("CREATE" | "UPSERT", _) => {
            sets.insert(key, set);
            Ok(())
        }
        ("DELETE", None) => Err(format!("Tried to delete {what} but it was not found")),
        ("DELETE", Some(held)) if !same(held, &set) => {
            Err(format!("Tried to delete {what} but the values provided do not match the current values"))
        }
        ("DELETE", Some(_)) if required => {
            Err(format!("A HostedZone must contain at least one {} record for the zone itself.", set.kind))
        }
        ("DELETE", Some(_)) => {
            sets.remove(&key);
            Ok(())
        }
        (other, _) => Err(format!("Action '{other}' must be CREATE, DELETE or UPSERT")),
    }
}

/// The order of values does not matter.
fn same(held: &RecordSet, given: &RecordSet) -> bool {
    match (&held.data, &given.data) {
        (Data::Values { ttl, values }, Data::Values { ttl: other, values: others }) => {
            let sorted = |list: &[String]| {
                let mut list = list.to_vec();
                list.sort();
                list
            };
            ttl == other && sorted(values) == sorted(others)
        }
        (held, given) => held == given,
    }
}

/// What the whole must obey.
fn conflicts(zone: &Zone, sets: &Sets) -> Vec<String> {
    let mut wrong = Vec::new();
    for set in sets.values() {
        let (name, kind) = (&set.name, &set.kind);
        let beside = || at(sets, name).any(|other| other.kind != *kind);
        if kind == "CNAME" && *name == zone.name {
            wrong.push(format!(
                "RRSet of type CNAME with DNS name {name} is not permitted at apex in zone {}",
                zone.name
            ));
        } else if kind == "CNAME" && beside() {
            wrong.push(format!(
                "RRSet of type CNAME with DNS name {name} is not permitted as it conflicts with other records with the same DNS name in zone {}",
                zone.name
            ));
        }
        if kind == "SOA" && *name != zone.name {
            wrong
                .push(format!("RRSet of type SOA with DNS name {name} is only permitted at the zone's apex"));
        }
        wrong.extend(astray(zone, sets, set));
    }
    wrong
}

/// The record sets of a name.
fn at<'a>(sets: &'a Sets, name: &str) -> impl Iterator<Item = &'a RecordSet> {
    let order = reversed(name);
    let from = sets.range((order.clone(), String::new())..);
    from.take_while(move |((other, _), _)| *other == order).map(|(_, set)| set)
}

/// Why the edge would have no answer for an alias, if so.
fn astray(zone: &Zone, sets: &Sets, set: &RecordSet) -> Option<String> {
    let Data::Alias { zone: target_zone, name: target, .. } = &set.data else { return None };
    let kind = &set.kind;
    let because = |why: &str| {
        Some(format!(
            "Tried to create an alias that targets {target}, type {kind} in zone {target_zone}, but {why}"
        ))
    };
    if matches!(&**kind, "CNAME" | "NS" | "SOA") {
        return because("record sets of that type cannot be aliases: give ResourceRecords instead");
    }
    if *target_zone == zone.id {
        return match at(sets, target).find(|other| other.kind == *kind).map(|other| &other.data) {
            None => because("the alias target name was not found"),
            Some(Data::Alias { zone: next, .. }) if *next == zone.id => {
                because("the alias target is an alias itself: name its target instead")
            }
            Some(_) => None,
        };
    }
    if !(target.ends_with(".amazonaws.com.") && target.contains(".elb.")) {
        return because(
            "that target was not found: an alias names a load balancer or a record set of its own zone",
        );
    }
    match &**kind {
        "A" | "AAAA" => None,
        _ => because("a load balancer has no records of that type: use A or AAAA"),
    }
}

fn record_set(zone: &Zone, given: &r::ResourceRecordSet) -> Result<RecordSet> {
    refuse_unserved(given)?;
    let name = domain(&given.name)?;
    let kind = given.r#type.clone();
    let wrong = |why: String| Err(Error::Batch(vec![why]));
    if !within(&name, &zone.name) {
        return wrong(format!("RRSet with DNS name {name} is not permitted in zone {}", zone.name));
    }
    if !value::TYPES.contains(&&*kind) {
        return Err(Error::unserved(
            &format!("Record type '{kind}'"),
            &format!("use one of {}", value::TYPES.join(", ")),
        ));
    }
    let records = given.resource_records.as_deref().unwrap_or_default();
    let data = match (&given.alias_target, given.ttl) {
        (Some(_), Some(_)) | (Some(_), None) if !records.is_empty() || given.ttl.is_some() => {
            return Err(Error::Input("An alias has neither TTL nor ResourceRecords: leave them out".into()));
        }
        (Some(alias), _) => Data::Alias {
            zone: bare(&alias.hosted_zone_id).to_owned(),
            name: domain(&alias.dns_name)?,
            evaluate_target_health: alias.evaluate_target_health,
        },
        (None, Some(ttl)) if !records.is_empty() => {
            let Ok(ttl) = u32::try_from(ttl.min(i64::from(i32::MAX))) else {
                return wrong(format!("Invalid TTL {ttl} of {name}: it must not be negative"));
            };
            Data::Values { ttl, values: values(&name, &kind, records)? }
        }
        (None, _) => {
            return Err(Error::Input(format!(
                "Record set {name} {kind} must have TTL and ResourceRecords, or an AliasTarget"
            )));
        }
    };
    Ok(RecordSet { name, kind, data })
}

fn values(name: &str, kind: &str, records: &[r::ResourceRecord]) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut values: Vec<String> = Vec::with_capacity(records.len());
    for record in records {
        let value = record.value.trim();
        if let Err(why) = value::check(kind, value) {
            wrong.push(format!("Invalid Resource Record: '{why}' in {name} {kind}"));
        } else if values.iter().any(|held| held == value) {
            wrong.push(format!("Duplicate Resource Record: '{value}' in {name} {kind}"));
        }
        values.push(value.to_owned());
    }
    if values.len() > limits::VALUES {
        wrong.push(format!("{name} {kind} has more than {} values", limits::VALUES));
    }
    if values.len() > 1 && matches!(kind, "CNAME" | "SOA") {
        wrong.push(format!("{name} {kind} must have exactly one value"));
    }
    if wrong.is_empty() { Ok(values) } else { Err(Error::Batch(wrong)) }
}

fn refuse_unserved(given: &r::ResourceRecordSet) -> Result<()> {
    let unserved = [
        (given.set_identifier.is_some(), "SetIdentifier"),
        (given.weight.is_some(), "Weight"),
        (given.region.is_some(), "Region"),
        (given.geo_location.is_some(), "GeoLocation"),
        (given.failover.is_some(), "Failover"),
        (given.multi_value_answer.is_some(), "MultiValueAnswer"),
        (given.health_check_id.is_some(), "HealthCheckId"),
        (given.traffic_policy_instance_id.is_some(), "TrafficPolicyInstanceId"),
        (given.cidr_routing_config.is_some(), "CidrRoutingConfig"),
        (given.geo_proximity_location.is_some(), "GeoProximityLocation"),
    ];
    match unserved.into_iter().find(|(given, _)| *given) {
        Some((_, what)) => Err(Error::unserved(what, "leave it out: record sets have simple routing")),
        None => Ok(()),
    }
}
