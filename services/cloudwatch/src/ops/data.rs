//! Putting data.
use std::collections::BTreeMap;

use api::cloudwatch::*;
use kernel::{Access, Cx, Fault, Handle, Timestamp};
use store::{Batch, Key};

use super::scope;
use crate::error::Error;
use crate::records::{Alarm, Hour, Metric, Name, Statistics, hour_key};
use crate::{CloudWatch, limits};

impl Handle<PutMetricData> for CloudWatch {
    async fn access(&self, _: &Cx, input: &PutMetricData) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("cloudwatch:PutMetricData", "*").when("cloudwatch:namespace", &input.namespace)])
    }

    async fn handle(&self, cx: &Cx, input: PutMetricData) -> Result<PutMetricDataOutput, Fault> {
        if input.entity_metric_data.is_some() {
            return Err(Error::Unserved("EntityMetricData", "put the data by MetricData.").into());
        }
        let data = input.metric_data.unwrap_or_default();
        if data.is_empty() || data.len() > limits::DATA {
            return Err(Error::invalid(format!("MetricData must have 1 to {} members.", limits::DATA)).into());
        }
        let now = self.now();
        let mut taken = Taken::new();
        for datum in data {
            let (name, minute, unit, statistics) = read(&input.namespace, datum, now)?;
            let (_, minutes) = taken.entry(name.id()).or_insert_with(|| (name, BTreeMap::new()));
            let known = minutes.entry((minute, unit));
            known.and_modify(|known| *known = known.and(statistics)).or_insert(statistics);
        }
        let scope = scope(cx);
        self.store.update(|| self.taking(&scope, &taken)).await?;
        Ok(PutMetricDataOutput {})
    }
}

/// Data by metric id, then by minute (seconds since 1970) and unit.
type Taken = BTreeMap<String, (Name, BTreeMap<(i64, String), Statistics>)>;

/// A datum's metric, minute, unit and statistics.
fn read(namespace: &str, datum: MetricDatum, now: i64) -> Result<(Name, i64, String, Statistics), Error> {
    let name = Name::new(namespace, &datum.metric_name, datum.dimensions.as_deref())?;
    if datum.storage_resolution.is_some_and(|seconds| i64::from(seconds) != limits::MINUTE) {
        return Err(Error::Unserved(
            "StorageResolution 1",
            "data is kept by the minute; give 60 or leave it out.",
        ));
    }
    let at = datum.timestamp.map_or(now, Timestamp::as_second);
    if at < now - limits::TOO_OLD || at > now + limits::TOO_NEW {
        let text = "must lie within the two weeks past and the two hours to come.";
        return Err(Error::invalid(format!("The parameter Timestamp of {} {text}", datum.metric_name)));
    }
    let statistics = statistics(&datum)?;
    let unit = datum.unit.unwrap_or_else(|| "None".into());
    Ok((name, at - at.rem_euclid(limits::MINUTE), unit, statistics))
}

fn statistics(datum: &MetricDatum) -> Result<Statistics, Error> {
    let name = &datum.metric_name;
    match (datum.value, &datum.statistic_values, &datum.values) {
        (Some(value), None, None) => Ok(Statistics::of(within(name, value)?, 1.0)),
        (None, Some(set), None) => {
            let [sum, min, max] = [set.sum, set.minimum, set.maximum].map(|value| within(name, value));
            Ok(Statistics { count: counted(name, set.sample_count)?, sum: sum?, min: min?, max: max? })
        }
        (None, None, Some(values)) => listed(name, values, datum.counts.as_deref()),
        _ => Err(Error::Combination(format!(
            "MetricData of {name} must have exactly one of Value, StatisticValues and Values."
        ))),
    }
}

fn listed(name: &str, values: &[f64], counts: Option<&[f64]>) -> Result<Statistics, Error> {
    if values.is_empty() || values.len() > limits::VALUES {
        return Err(Error::invalid(format!("Values of {name} must have 1 to {} members.", limits::VALUES)));
    }
    if counts.is_some_and(|counts| counts.len() != values.len()) {
        return Err(Error::invalid(format!("Counts of {name} must have as many members as its Values.")));
    }
    let mut whole: Option<Statistics> = None;
    for (index, value) in values.iter().enumerate() {
        let count = counts.map_or(Ok(1.0), |counts| counted(name, counts[index]))?;
        let one = Statistics::of(within(name, *value)?, count);
        whole = Some(whole.map_or(one, |whole| whole.and(one)));
    }
    whole.ok_or_else(|| Error::invalid(format!("Values of {name} must have a member.")))
}

fn within(name: &str, value: f64) -> Result<f64, Error> {
    match value.is_finite() && value.abs() <= limits::MAGNITUDE {
        true => Ok(value),
        false => {
            Err(Error::invalid(format!("The value {value} for {name} is not between -2^360 and 2^360.")))
        }
    }
}

fn counted(name: &str, count: f64) -> Result<f64, Error> {
    match count > 0.0 && count <= limits::COUNT {
        true => Ok(count),
        false => {
            Err(Error::invalid(format!("A count of {name} is {count}: it must be over 0 and up to 2^53.")))
        }
    }
}

impl CloudWatch {
    /// The data added to what is stored, and the alarms on it made due.
    async fn taking(&self, scope: &Key, taken: &Taken) -> Result<(Batch, ()), Error> {
        let mut batch = Batch::new();
        let mut room = None;
        for (id, (name, minutes)) in taken {
            let key = scope.clone().text(id);
            let known = self.store.get::<Metric>(&key).await?;
            if known.is_none() {
                let room = match &mut room {
                    Some(room) => room,
                    None => {
                        room.insert(limits::METRICS.saturating_sub(self.store.count::<Metric>(scope).await?))
                    }
                };
                *room = room.checked_sub(1).ok_or_else(|| {
                    Error::Limit(format!("A region can have at most {} metrics.", limits::METRICS))
                })?;
            }
            let latest = minutes.keys().map(|(minute, _)| *minute).max().unwrap_or(0);
            let last = known.as_ref().map_or(latest, |known| known.value.last.max(latest));
            let metric = Metric { name: name.clone(), last };
            batch = batch.expect_same(&key, known.as_ref()).put(&key, &metric);
            batch = self.adding(batch, scope, id, minutes).await?;
            for alarm in self.store.find::<Alarm>(scope, Alarm::METRIC, id, 0, limits::PAGE).await? {
                batch = batch.timer(<Alarm as store::Record>::TABLE, &alarm.key, self.clock.now(), &());
            }
        }
        Ok((batch, ()))
    }

    async fn adding(
        &self,
        mut batch: Batch,
        scope: &Key,
        id: &str,
        minutes: &BTreeMap<(i64, String), Statistics>,
    ) -> Result<Batch, Error> {
        let mut hours: BTreeMap<i64, Vec<(u8, &String, Statistics)>> = BTreeMap::new();
        for ((at, unit), statistics) in minutes {
            let minute = at.rem_euclid(limits::HOUR) / limits::MINUTE;
            let minute = u8::try_from(minute).unwrap_or(0);
            hours.entry(at - at.rem_euclid(limits::HOUR)).or_default().push((minute, unit, *statistics));
        }
        for (start, added) in hours {
            let key = hour_key(scope, id, start);
            let known = self.store.get::<Hour>(&key).await?;
            let mut hour = known.as_ref().map(|row| row.value.clone()).unwrap_or_default();
            for (minute, unit, statistics) in added {
                let units = hour.minutes.entry(minute).or_default();
                let known = units.entry(unit.clone());
                known.and_modify(|known| *known = known.and(statistics)).or_insert(statistics);
            }
            batch = batch.expect_same(&key, known.as_ref()).put(&key, &hour);
        }
        Ok(batch)
    }
}
