//! Reading metrics and their data.
use api::cloudwatch::*;
use kernel::{Access, Cx, Fault, Handle, Timestamp};
use store::{Key, PageToken};

use super::scope;
use crate::error::Error;
use crate::metric::{Series, series};
use crate::records::{Metric as Record, Name};
use crate::{CloudWatch, limits};

/// A span of time and its periods, as a reader asks for them.
struct Span {
    from: i64,
    to: i64,
    period: i64,
}

impl Span {
    fn new(start: Timestamp, end: Timestamp, period: i32) -> Result<Self, Error> {
        let (from, to, period) = (start.as_second(), end.as_second(), i64::from(period));
        if from >= to {
            return Err(Error::invalid("The parameter StartTime must be less than the parameter EndTime."));
        }
        if period < limits::MINUTE || period % limits::MINUTE != 0 {
            return Err(Error::invalid(
                "The parameter Period must be a multiple of 60: data is kept by the minute.",
            ));
        }
        Ok(Self { from, to, period })
    }

    /// How many periods it has.
    fn count(&self) -> i64 {
        (self.to - self.from + self.period - 1) / self.period
    }
}

impl CloudWatch {
    async fn series(
        &self,
        scope: &Key,
        name: &Name,
        span: &Span,
        unit: Option<&str>,
    ) -> Result<Series, Error> {
        // Nothing older is kept, whatever is asked for. Periods are whole, as AWS answers them.
        let from = span.from - span.from.rem_euclid(span.period);
        let from = from.max(self.now() - limits::RETENTION - span.period);
        let to = span.to.min(self.now() + limits::TOO_NEW + limits::MINUTE);
        if from >= to {
            return Ok(Series::new());
        }
        let hours = self.hours(scope, &name.id(), from, to).await?;
        Ok(series(&hours, from, to, span.period, unit))
    }
}

impl Handle<GetMetricStatistics> for CloudWatch {
    async fn access(&self, _: &Cx, _: &GetMetricStatistics) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("cloudwatch:GetMetricStatistics", "*")])
    }

    async fn handle(&self, cx: &Cx, input: GetMetricStatistics) -> Result<GetMetricStatisticsOutput, Fault> {
        if input.extended_statistics.is_some() {
            return Err(Error::Unserved("ExtendedStatistics", "ask for Statistics.").into());
        }
        let wanted = input.statistics.ok_or(Error::Missing("Statistics"))?;
        let span = Span::new(input.start_time, input.end_time, input.period)?;
        if span.count() > limits::STATISTICS {
            return Err(Error::Combination(format!(
                "{} datapoints are asked for, more than {}: shorten the time or lengthen the Period.",
                span.count(),
                limits::STATISTICS
            ))
            .into());
        }
        let name = Name::new(&input.namespace, &input.metric_name, input.dimensions.as_deref())?;
        let series = self.series(&scope(cx), &name, &span, input.unit.as_deref()).await?;
        let datapoints = series.into_iter().map(|(at, (statistics, unit))| {
            let get = |name: &str| {
                wanted.iter().any(|wanted| wanted == name).then(|| statistics.get(name)).flatten()
            };
            Datapoint {
                timestamp: Timestamp::from_second(at).ok(),
                sample_count: get("SampleCount"),
                average: get("Average"),
                sum: get("Sum"),
                minimum: get("Minimum"),
                maximum: get("Maximum"),
                unit,
                extended_statistics: None,
            }
        });
        Ok(GetMetricStatisticsOutput { label: Some(name.metric), datapoints: Some(datapoints.collect()) })
    }
}

impl Handle<GetMetricData> for CloudWatch {
    async fn access(&self, _: &Cx, _: &GetMetricData) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("cloudwatch:GetMetricData", "*")])
    }

    async fn handle(&self, cx: &Cx, input: GetMetricData) -> Result<GetMetricDataOutput, Fault> {
        if input.next_token.is_some() {
            return Err(Error::BadToken.into());
        }
        if input.metric_data_queries.len() > limits::QUERIES {
            return Err(Error::invalid(format!("MetricDataQueries: {} at most.", limits::QUERIES)).into());
        }
        let most =
            input.max_datapoints.map_or(limits::DATAPOINTS, |most| i64::from(most).min(limits::DATAPOINTS));
        let descending = input.scan_by.as_deref() != Some("TimestampAscending");
        let (mut results, mut asked) = (Vec::new(), 0);
        for query in input.metric_data_queries {
            let stat = metric_stat(&query)?;
            let span = Span::new(input.start_time, input.end_time, stat.period)?;
            asked += span.count();
            if asked > most {
                let text = "datapoints could be answered at most: shorten the time, lengthen the Period, or ask for less.";
                return Err(Error::Combination(format!("{most} {text}")).into());
            }
            if query.return_data != Some(false) {
                results.push(self.result(&scope(cx), &query, &stat, &span, descending).await?);
            }
        }
        Ok(GetMetricDataOutput {
            metric_data_results: Some(results),
            next_token: None,
            messages: Some(Vec::new()),
        })
    }
}

/// What a query asks for, once it asks for nothing that is not served.
fn metric_stat(query: &MetricDataQuery) -> Result<MetricStat, Error> {
    if query.expression.is_some() {
        return Err(Error::Unserved("Expression (metric math)", "ask for a MetricStat."));
    }
    if query.account_id.is_some() {
        return Err(Error::Unserved("AccountId of a query", "ask within your own account."));
    }
    let stat = query.metric_stat.clone().ok_or(Error::Missing("MetricStat"))?;
    if !["SampleCount", "Average", "Sum", "Minimum", "Maximum"].contains(&stat.stat.as_str()) {
        return Err(Error::Unserved(
            "A Stat such as a percentile",
            "SampleCount, Average, Sum, Minimum and Maximum are.",
        ));
    }
    Ok(stat)
}

impl CloudWatch {
    async fn result(
        &self,
        scope: &Key,
        query: &MetricDataQuery,
        stat: &MetricStat,
        span: &Span,
        descending: bool,
    ) -> Result<MetricDataResult, Error> {
        let (namespace, metric) = (stat.metric.namespace.as_deref(), stat.metric.metric_name.as_deref());
        let namespace = namespace.ok_or(Error::Missing("Namespace"))?;
        let metric = metric.ok_or(Error::Missing("MetricName"))?;
        let name = Name::new(namespace, metric, stat.metric.dimensions.as_deref())?;
        let series = self.series(scope, &name, span, stat.unit.as_deref()).await?;
        let mut points: Vec<(Timestamp, f64)> = series
            .iter()
            .filter_map(|(at, (known, _))| Some((Timestamp::from_second(*at).ok()?, known.get(&stat.stat)?)))
            .collect();
        if descending {
            points.reverse();
        }
        let (timestamps, values) = points.into_iter().unzip();
        Ok(MetricDataResult {
            id: Some(query.id.clone()),
            label: Some(query.label.clone().unwrap_or(name.metric)),
            timestamps: Some(timestamps),
            values: Some(values),
            status_code: Some("Complete".into()),
            messages: None,
        })
    }
}

impl Handle<ListMetrics> for CloudWatch {
    async fn access(&self, _: &Cx, _: &ListMetrics) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("cloudwatch:ListMetrics", "*")])
    }

    async fn handle(&self, cx: &Cx, input: ListMetrics) -> Result<ListMetricsOutput, Fault> {
        if input.include_linked_accounts == Some(true) || input.owning_account.is_some() {
            return Err(Error::Unserved("IncludeLinkedAccounts", "list your own account's metrics.").into());
        }
        let after: Option<String> =
            PageToken::position("ListMetrics", input.next_token.as_deref()).map_err(Error::from)?;
        let (scope, now) = (scope(cx), self.now());
        let since = match input.recently_active.as_deref() {
            Some(_) => now - 3 * limits::HOUR,
            None => now - limits::TOO_OLD,
        };
        let mut after = after.map(|id| scope.clone().text(id));
        let (mut found, mut more) = (Vec::new(), true);
        while more && found.len() <= limits::METRICS_PAGE {
            let rows = self.store.list::<Record>(&scope, after.as_ref(), limits::METRICS_PAGE).await;
            let rows = rows.map_err(Error::from)?;
            more = rows.len() == limits::METRICS_PAGE;
            after = rows.last().map(|row| row.key.clone());
            found.extend(
                rows.into_iter().filter(|row| row.value.last >= since && wanted(&input, &row.value.name)),
            );
        }
        let further = found.len() > limits::METRICS_PAGE;
        found.truncate(limits::METRICS_PAGE);
        let last = found.last().filter(|_| further).map(|row| row.key.last());
        let metrics = found.into_iter().map(|row| Metric {
            dimensions: Some(row.value.name.dimensions()),
            namespace: Some(row.value.name.namespace),
            metric_name: Some(row.value.name.metric),
        });
        Ok(ListMetricsOutput {
            metrics: Some(metrics.collect()),
            next_token: last.map(|id| PageToken::encode("ListMetrics", id)),
            owning_accounts: None,
        })
    }
}

fn wanted(input: &ListMetrics, name: &Name) -> bool {
    let dimensions = input.dimensions.as_deref().unwrap_or_default();
    input.namespace.as_ref().is_none_or(|namespace| *namespace == name.namespace)
        && input.metric_name.as_ref().is_none_or(|metric| *metric == name.metric)
        && dimensions.iter().all(|filter| {
            let value = name.dimensions.get(&filter.name);
            value.is_some_and(|value| filter.value.as_ref().is_none_or(|wanted| wanted == value))
        })
}
