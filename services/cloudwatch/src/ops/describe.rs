//! Reading alarms and their history.
use api::cloudwatch::*;
use kernel::{Access, Cx, Fault, Handle};
use store::{Key, PageToken, Row};

use super::{limit, on_alarm, on_alarms, scope};
use crate::error::Error;
use crate::records::{Alarm, History, Name};
use crate::{CloudWatch, limits};

impl Handle<DescribeAlarms> for CloudWatch {
    async fn access(&self, cx: &Cx, input: &DescribeAlarms) -> Result<Vec<Access>, Fault> {
        Ok(on_alarms(cx, "cloudwatch:DescribeAlarms", input.alarm_names.as_deref().unwrap_or_default()))
    }

    async fn handle(&self, cx: &Cx, input: DescribeAlarms) -> Result<DescribeAlarmsOutput, Fault> {
        if input.children_of_alarm_name.is_some() || input.parents_of_alarm_name.is_some() {
            let text = "composite alarms are not; ask by name, prefix or state.";
            return Err(Error::Unserved("ChildrenOfAlarmName and ParentsOfAlarmName", text).into());
        }
        if input.alarm_names.is_some() && input.alarm_name_prefix.is_some() {
            return Err(Error::Combination("Give AlarmNames or AlarmNamePrefix, not both.".into()).into());
        }
        if input.alarm_names.as_ref().is_some_and(|names| names.len() > limits::NAMED) {
            return Err(Error::invalid(format!("AlarmNames: {} at most.", limits::NAMED)).into());
        }
        let composite =
            |types: &Vec<String>| !types.is_empty() && types.iter().all(|kind| kind != "MetricAlarm");
        let (mut found, mut next_token) = (Vec::new(), None);
        if !input.alarm_types.as_ref().is_some_and(composite) {
            let after: Option<String> =
                PageToken::position("DescribeAlarms", input.next_token.as_deref()).map_err(Error::from)?;
            let limit = limit(input.max_records, limits::PAGE);
            found = self.described(cx, &input, after, limit + 1).await?;
            if found.len() > limit {
                found.truncate(limit);
                next_token =
                    found.last().map(|row| PageToken::encode("DescribeAlarms", row.value.name.clone()));
            }
        }
        let alarms = found.into_iter().map(|row| shown(cx, row.value));
        Ok(DescribeAlarmsOutput {
            metric_alarms: Some(alarms.collect()),
            composite_alarms: Some(Vec::new()),
            next_token,
            ..DescribeAlarmsOutput::default()
        })
    }
}

impl CloudWatch {
    /// Alarms by name behind `after`, those that are asked for, at least `enough` where there are so many.
    async fn described(
        &self,
        cx: &Cx,
        input: &DescribeAlarms,
        after: Option<String>,
        enough: usize,
    ) -> Result<Vec<Row<Alarm>>, Error> {
        let scope = scope(cx);
        let wanted = |row: &Row<Alarm>| {
            let state =
                input.state_value.as_deref().is_none_or(|state| row.value.state.value.name() == state);
            // No alarm has an action, so that none has one of a prefix.
            state && input.action_prefix.is_none()
        };
        if let Some(names) = &input.alarm_names {
            let mut names: Vec<&String> =
                names.iter().filter(|name| after.as_ref().is_none_or(|a| *name > a)).collect();
            names.sort();
            names.dedup();
            let mut found = Vec::new();
            for name in names {
                found.extend(self.store.get::<Alarm>(&scope.clone().text(name)).await?.filter(wanted));
            }
            return Ok(found);
        }
        let prefix = scope.starting(input.alarm_name_prefix.as_deref().unwrap_or_default());
        let mut after = after.map(|name| scope.clone().text(name));
        let mut found = Vec::new();
        loop {
            let rows = self.store.list::<Alarm>(&prefix, after.as_ref(), limits::PASS).await?;
            let last = rows.len() < limits::PASS;
            after = rows.last().map(|row| row.key.clone());
            found.extend(rows.into_iter().filter(wanted));
            if last || found.len() >= enough {
                return Ok(found);
            }
        }
    }
}

fn shown(cx: &Cx, alarm: Alarm) -> MetricAlarm {
    let number = |number: i64| i32::try_from(number).ok();
    MetricAlarm {
        alarm_arn: Some(alarm.arn(cx.account(), &cx.region)),
        alarm_name: Some(alarm.name),
        alarm_description: alarm.description,
        alarm_configuration_updated_timestamp: Some(alarm.updated),
        actions_enabled: Some(alarm.actions_enabled),
        ok_actions: Some(Vec::new()),
        alarm_actions: Some(Vec::new()),
        insufficient_data_actions: Some(Vec::new()),
        state_value: Some(alarm.state.value.name().into()),
        state_reason: Some(alarm.state.reason),
        state_reason_data: alarm.state.data,
        state_updated_timestamp: Some(alarm.state.at),
        state_transitioned_timestamp: Some(alarm.state.since.unwrap_or(alarm.state.at)),
        dimensions: Some(alarm.metric.dimensions()),
        metric_name: Some(alarm.metric.metric),
        namespace: Some(alarm.metric.namespace),
        statistic: Some(alarm.statistic),
        period: number(alarm.period),
        unit: alarm.unit,
        evaluation_periods: number(alarm.periods),
        datapoints_to_alarm: alarm.datapoints_to_alarm,
        threshold: Some(alarm.threshold),
        comparison_operator: Some(alarm.comparison),
        treat_missing_data: alarm.missing,
        ..MetricAlarm::default()
    }
}

impl Handle<DescribeAlarmsForMetric> for CloudWatch {
    async fn access(&self, cx: &Cx, _: &DescribeAlarmsForMetric) -> Result<Vec<Access>, Fault> {
        Ok(vec![on_alarm(cx, "cloudwatch:DescribeAlarmsForMetric", "*")])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: DescribeAlarmsForMetric,
    ) -> Result<DescribeAlarmsForMetricOutput, Fault> {
        let name = Name::new(&input.namespace, &input.metric_name, input.dimensions.as_deref())?;
        let most = limits::ALARMS as usize;
        let found = self.store.find::<Alarm>(scope(cx), Alarm::METRIC, &name.id(), 0, most).await;
        let wanted = |alarm: &Alarm| {
            input.statistic.as_ref().is_none_or(|statistic| *statistic == alarm.statistic)
                && input.period.is_none_or(|period| i64::from(period) == alarm.period)
                && input.unit.as_ref().is_none_or(|unit| Some(unit) == alarm.unit.as_ref())
                && input.extended_statistic.is_none()
        };
        let found = found.map_err(Error::from)?.into_iter().filter(|row| wanted(&row.value));
        let alarms = found.map(|row| shown(cx, row.value)).collect();
        Ok(DescribeAlarmsForMetricOutput { metric_alarms: Some(alarms) })
    }
}

impl Handle<DescribeAlarmHistory> for CloudWatch {
    async fn access(&self, cx: &Cx, input: &DescribeAlarmHistory) -> Result<Vec<Access>, Fault> {
        Ok(on_alarms(
            cx,
            "cloudwatch:DescribeAlarmHistory",
            &input.alarm_name.iter().cloned().collect::<Vec<_>>(),
        ))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: DescribeAlarmHistory,
    ) -> Result<DescribeAlarmHistoryOutput, Fault> {
        let ascending = input.scan_by.as_deref() == Some("TimestampAscending");
        let list = format!("DescribeAlarmHistory {ascending}");
        let mut after: Option<u64> =
            PageToken::position(&list, input.next_token.as_deref()).map_err(Error::from)?;
        let limit = limit(input.max_records, limits::PAGE);
        let scope = scope(cx);
        let scope = input.alarm_name.as_ref().map_or(scope.clone(), |name| scope.text(name));
        let mut found: Vec<Row<History>> = Vec::new();
        loop {
            let rows = self.history(&scope, ascending, after).await?;
            let last = rows.len() < limits::PASS;
            after = rows.last().map(|row| row.created);
            found.extend(rows.into_iter().filter(|row| wanted(&input, &row.value)));
            if last || found.len() > limit {
                break;
            }
        }
        let further = found.len() > limit;
        found.truncate(limit);
        let next_token = found.last().filter(|_| further).map(|row| PageToken::encode(&list, row.created));
        let items = found.into_iter().map(|row| AlarmHistoryItem {
            alarm_name: Some(row.value.alarm),
            alarm_type: Some("MetricAlarm".into()),
            timestamp: Some(row.value.at),
            history_item_type: Some(row.value.kind),
            history_summary: Some(row.value.summary),
            history_data: Some(row.value.data),
            ..AlarmHistoryItem::default()
        });
        Ok(DescribeAlarmHistoryOutput { alarm_history_items: Some(items.collect()), next_token })
    }
}

impl CloudWatch {
    async fn history(
        &self,
        scope: &Key,
        ascending: bool,
        after: Option<u64>,
    ) -> Result<Vec<Row<History>>, Error> {
        Ok(match ascending {
            true => self.store.list_by_seq(scope, after.unwrap_or(0), limits::PASS).await?,
            false => self.store.list_newest(scope, after, limits::PASS).await?,
        })
    }
}

fn wanted(input: &DescribeAlarmHistory, item: &History) -> bool {
    input.history_item_type.as_ref().is_none_or(|kind| *kind == item.kind)
        && input.start_date.is_none_or(|start| item.at >= start)
        && input.end_date.is_none_or(|end| item.at <= end)
}
