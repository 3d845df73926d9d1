//! Metrics by name, and the data of a span of time.
use std::collections::BTreeMap;
use std::fmt::Write as _;

use api::cloudwatch::Dimension;
use sha2::{Digest, Sha256};
use store::{Key, Row};

use crate::error::Error;
use crate::records::{Hour, Name, Statistics, hour_key};
use crate::{CloudWatch, limits};

impl Name {
    /// A name from its parts. Errors: a dimension is given twice, or too many are.
    pub fn new(namespace: &str, metric: &str, dimensions: Option<&[Dimension]>) -> Result<Self, Error> {
        let given = dimensions.unwrap_or_default();
        if given.len() > limits::DIMENSIONS {
            return Err(Error::invalid(format!("Dimensions: a metric has at most {}.", limits::DIMENSIONS)));
        }
        let dimensions: BTreeMap<_, _> = given.iter().map(|d| (d.name.clone(), d.value.clone())).collect();
        if dimensions.len() < given.len() {
            return Err(Error::invalid("Dimensions: a name is given twice."));
        }
        Ok(Self { namespace: namespace.to_owned(), metric: metric.to_owned(), dimensions })
    }

    /// What its data is kept under: the same for the same name, 32 hexadecimal digits.
    pub fn id(&self) -> String {
        let text = serde_json::json!([self.namespace, self.metric, self.dimensions]).to_string();
        Sha256::digest(text).iter().take(16).fold(String::new(), |mut id, byte| {
            // Writing to a String cannot fail.
            let _ = write!(id, "{byte:02x}");
            id
        })
    }

    /// Its dimensions as the API has them.
    pub fn dimensions(&self) -> Vec<Dimension> {
        let dimension =
            |(name, value): (&String, &String)| Dimension { name: name.clone(), value: value.clone() };
        self.dimensions.iter().map(dimension).collect()
    }
}

impl Statistics {
    /// Of one value that occurred so many times.
    pub fn of(value: f64, count: f64) -> Self {
        Self { count, sum: value * count, min: value, max: value }
    }

    /// Of both together.
    pub fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }

    /// The statistic of that name; none for percentiles and other names.
    pub fn get(&self, statistic: &str) -> Option<f64> {
        match statistic {
            "SampleCount" => Some(self.count),
            "Sum" => Some(self.sum),
            "Minimum" => Some(self.min),
            "Maximum" => Some(self.max),
            "Average" => Some(self.sum / self.count),
            _ => None,
        }
    }
}

/// Data by the start of its period, in seconds since 1970, each with its unit if it has one alone.
pub type Series = BTreeMap<i64, (Statistics, Option<String>)>;

/// The data of some hours as periods that begin at multiples of `period`, from `from` (inclusive) to `to` (exclusive).
pub fn series(hours: &[Row<Hour>], from: i64, to: i64, period: i64, unit: Option<&str>) -> Series {
    let mut series = Series::new();
    for row in hours {
        for (minute, units) in &row.value.minutes {
            let at = start(&row.key) + i64::from(*minute) * limits::MINUTE;
            if !(from..to).contains(&at) {
                continue;
            }
            for (of, statistics) in units.iter().filter(|(of, _)| unit.is_none_or(|unit| unit == **of)) {
                match series.get_mut(&(at - at.rem_euclid(period))) {
                    None => drop(series.insert(at - at.rem_euclid(period), (*statistics, Some(of.clone())))),
                    Some((known, known_unit)) => {
                        *known = known.and(*statistics);
                        if known_unit.as_ref() != Some(of) {
                            *known_unit = None;
                        }
                    }
                }
            }
        }
    }
    series
}

/// The second that an hour's row begins at.
fn start(key: &Key) -> i64 {
    key.last().parse::<i64>().unwrap_or(0) * limits::HOUR
}

impl CloudWatch {
    /// The hours with data from `from` (inclusive) to `to` (exclusive), in order.
    pub(crate) async fn hours(
        &self,
        scope: &Key,
        id: &str,
        from: i64,
        to: i64,
    ) -> Result<Vec<Row<Hour>>, Error> {
        let from = from.max(limits::HOUR);
        let before = hour_key(scope, id, from - limits::HOUR);
        let count = usize::try_from((to - from) / limits::HOUR + 2).unwrap_or(0);
        let mut rows = self.store.list::<Hour>(scope.clone().text(id), Some(&before), count).await?;
        rows.retain(|row| start(&row.key) < to);
        Ok(rows)
    }
}
