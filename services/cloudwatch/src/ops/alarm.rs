//! Putting alarms, and changing them.
use api::cloudwatch::*;
use kernel::{Access, Cx, Fault, Handle};
use serde_json::json;
use store::{Batch, Record as _};

use super::{on_alarm, on_alarms, scope, tags};
use crate::error::Error;
use crate::records::{Alarm, Name, State, Value};
use crate::{CloudWatch, limits};

impl Handle<PutMetricAlarm> for CloudWatch {
    async fn access(&self, cx: &Cx, input: &PutMetricAlarm) -> Result<Vec<Access>, Fault> {
        let mut want = vec![on_alarm(cx, "cloudwatch:PutMetricAlarm", &input.alarm_name)];
        want.extend(input.tags.iter().map(|_| on_alarm(cx, "cloudwatch:TagResource", &input.alarm_name)));
        Ok(want)
    }

    async fn handle(&self, cx: &Cx, input: PutMetricAlarm) -> Result<PutMetricAlarmOutput, Fault> {
        let alarm = self.checked(input)?;
        let key = scope(cx).text(&alarm.name);
        let put = self.store.update(|| async {
            let mut alarm = alarm.clone();
            let known = self.store.get::<Alarm>(&key).await?;
            let what = match &known {
                // An alarm that is put again keeps its state and its tags.
                Some(row) => {
                    alarm.state = row.value.state.clone();
                    alarm.tags = row.value.tags.clone();
                    "updated"
                }
                None => {
                    let alarms = self.store.count::<Alarm>(scope(cx)).await?;
                    if alarms >= limits::ALARMS {
                        return Err(Error::Limit(format!(
                            "A region can have at most {} alarms.",
                            limits::ALARMS
                        )));
                    }
                    "created"
                }
            };
            let batch = Batch::new().expect_same(&key, known.as_ref()).put(&key, &alarm);
            let batch = batch.timer(Alarm::TABLE, &key, self.clock.now(), &());
            let data = json!({"version": "1.0", "type": if known.is_some() { "Update" } else { "Create" }});
            let summary = format!("Alarm \"{}\" {what}", alarm.name);
            Ok((self.noted(batch, &key, "ConfigurationUpdate", summary, data), ()))
        });
        put.await?;
        Ok(PutMetricAlarmOutput {})
    }
}

/// Refuses what an alarm would not do.
fn served(input: &PutMetricAlarm) -> Result<(), Error> {
    const ACTION: &str =
        "no actions are run; match the event CloudWatch Alarm State Change with a rule of EventBridge.";
    let actions = |actions: &Option<Vec<String>>| actions.as_ref().is_some_and(|actions| !actions.is_empty());
    let unserved = [
        ("OKActions", ACTION, actions(&input.ok_actions)),
        ("AlarmActions", ACTION, actions(&input.alarm_actions)),
        ("InsufficientDataActions", ACTION, actions(&input.insufficient_data_actions)),
        ("Metrics (metric math)", "give MetricName, Namespace and Statistic.", input.metrics.is_some()),
        ("ThresholdMetricId (anomaly detection)", "give a Threshold.", input.threshold_metric_id.is_some()),
        ("ExtendedStatistic", "give a Statistic.", input.extended_statistic.is_some()),
        (
            "EvaluateLowSampleCountPercentile",
            "it belongs to percentiles, which are not served.",
            input.evaluate_low_sample_count_percentile.is_some(),
        ),
        ("EvaluationWindow", "leave it out.", input.evaluation_window.is_some()),
        ("WarmUpConfiguration", "leave it out.", input.warm_up_configuration.is_some()),
        ("EvaluationCriteria", "leave it out.", input.evaluation_criteria.is_some()),
        ("EvaluationInterval", "leave it out.", input.evaluation_interval.is_some()),
        ("ActionConfiguration", "leave it out.", input.action_configuration.is_some()),
    ];
    match unserved.into_iter().find(|(.., given)| *given) {
        Some((name, mending, _)) => Err(Error::Unserved(name, mending)),
        None => Ok(()),
    }
}

const COMPARISONS: [&str; 4] = [
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
];

impl CloudWatch {
    /// The alarm that an input describes, in its first state.
    fn checked(&self, input: PutMetricAlarm) -> Result<Alarm, Error> {
        served(&input)?;
        let comparison = input.comparison_operator.ok_or(Error::Missing("ComparisonOperator"))?;
        if !COMPARISONS.contains(&comparison.as_str()) {
            return Err(Error::Unserved(
                "A ComparisonOperator of anomaly detection",
                "compare with a Threshold.",
            ));
        }
        let period = i64::from(input.period.ok_or(Error::Missing("Period"))?);
        if period % limits::MINUTE != 0 {
            return Err(Error::invalid("Period must be a multiple of 60: data is kept by the minute."));
        }
        let periods = i64::from(input.evaluation_periods.ok_or(Error::Missing("EvaluationPeriods"))?);
        let most = if period < limits::HOUR { limits::LOOK_BACK } else { limits::LONG_LOOK_BACK };
        if period * periods > most {
            return Err(Error::invalid(format!(
                "EvaluationPeriods times Period must not exceed {most} seconds."
            )));
        }
        let to_alarm = input.datapoints_to_alarm.map_or(periods, i64::from);
        if to_alarm > periods {
            return Err(Error::invalid("DatapointsToAlarm must not exceed EvaluationPeriods."));
        }
        let missing = input.treat_missing_data;
        if missing
            .as_ref()
            .is_some_and(|m| !["breaching", "notBreaching", "ignore", "missing"].contains(&m.as_str()))
        {
            return Err(Error::invalid(
                "TreatMissingData must be one of breaching, notBreaching, ignore, missing.",
            ));
        }
        let threshold = input.threshold.ok_or(Error::Missing("Threshold"))?;
        if !threshold.is_finite() {
            return Err(Error::invalid("Threshold must be a finite number."));
        }
        let namespace = input.namespace.ok_or(Error::Missing("Namespace"))?;
        let metric = input.metric_name.ok_or(Error::Missing("MetricName"))?;
        let at = self.clock.now();
        Ok(Alarm {
            metric: Name::new(&namespace, &metric, input.dimensions.as_deref())?,
            statistic: input.statistic.ok_or(Error::Missing("Statistic"))?,
            name: input.alarm_name,
            description: input.alarm_description,
            unit: input.unit,
            period,
            periods,
            to_alarm,
            datapoints_to_alarm: input.datapoints_to_alarm,
            comparison,
            threshold,
            missing,
            actions_enabled: input.actions_enabled.unwrap_or(true),
            tags: tags::named(input.tags.unwrap_or_default())?,
            updated: at,
            state: State {
                value: Value::InsufficientData,
                reason: "Unchecked: Initial alarm creation".into(),
                data: None,
                at,
                since: None,
            },
        })
    }

    async fn enable(&self, cx: &Cx, names: &[String], enabled: bool) -> Result<(), Error> {
        for name in names {
            let changed = self.store.update(|| async {
                // As on AWS, an alarm that is not there is no error.
                let Some(mut row) = self.store.get::<Alarm>(&scope(cx).text(name)).await? else {
                    return Ok((Batch::new(), ()));
                };
                row.value.actions_enabled = enabled;
                Ok::<_, Error>((Batch::new().update(&row), ()))
            });
            changed.await?;
        }
        Ok(())
    }
}

fn few(names: &[String]) -> Result<(), Error> {
    match names.len() <= limits::NAMED {
        true => Ok(()),
        false => Err(Error::invalid(format!("AlarmNames: {} at most.", limits::NAMED))),
    }
}

impl Handle<DeleteAlarms> for CloudWatch {
    async fn access(&self, cx: &Cx, input: &DeleteAlarms) -> Result<Vec<Access>, Fault> {
        Ok(on_alarms(cx, "cloudwatch:DeleteAlarms", &input.alarm_names))
    }

    async fn handle(&self, cx: &Cx, input: DeleteAlarms) -> Result<DeleteAlarmsOutput, Fault> {
        few(&input.alarm_names)?;
        let keys: Vec<_> = input.alarm_names.iter().map(|name| scope(cx).text(name)).collect();
        // None is deleted where one does not exist.
        for name in &input.alarm_names {
            self.alarm(cx, name).await?;
        }
        let batch = keys.iter().fold(Batch::new(), |batch, key| {
            let data = json!({"version": "1.0", "type": "Delete"});
            let summary = format!("Alarm \"{}\" deleted", key.last());
            let batch = batch.delete::<Alarm>(key).cancel(Alarm::TABLE, key);
            self.noted(batch, key, "ConfigurationUpdate", summary, data)
        });
        self.store.commit(batch).await.map_err(Error::from)?;
        Ok(DeleteAlarmsOutput {})
    }
}

impl Handle<SetAlarmState> for CloudWatch {
    async fn access(&self, cx: &Cx, input: &SetAlarmState) -> Result<Vec<Access>, Fault> {
        Ok(vec![on_alarm(cx, "cloudwatch:SetAlarmState", &input.alarm_name)])
    }

    async fn handle(&self, cx: &Cx, input: SetAlarmState) -> Result<SetAlarmStateOutput, Fault> {
        if let Some(data) = input.state_reason_data.as_ref().filter(|data| !data.is_empty()) {
            serde_json::from_str::<serde_json::Value>(data).map_err(|e| Error::Format(e.to_string()))?;
        }
        let value =
            Value::named(&input.state_value).ok_or_else(|| Error::invalid("StateValue is unknown."))?;
        let set = self.store.update(|| async {
            let mut row = self.alarm(cx, &input.alarm_name).await?;
            let now = self.clock.now();
            let (reason, data) = (input.state_reason.clone(), input.state_reason_data.clone());
            let held = &row.value.state;
            let since = (held.value == value).then(|| held.since.unwrap_or(held.at));
            let state = State { value, reason, data: data.filter(|data| !data.is_empty()), at: now, since };
            let before = std::mem::replace(&mut row.value.state, state);
            let batch = Batch::new().update(&row);
            if before.value == value {
                return Ok((batch, ()));
            }
            // It holds until the alarm is next evaluated, which is when its period ends.
            let (second, period) = (now.as_second(), row.value.period);
            let next =
                kernel::Timestamp::from_second(second - second.rem_euclid(period) + period).unwrap_or(now);
            let batch = batch.timer(Alarm::TABLE, &row.key, next, &());
            Ok::<_, Error>((batch.and(self.changed(&row.key, &row.value, &before)), ()))
        });
        set.await?;
        Ok(SetAlarmStateOutput {})
    }
}

impl Handle<EnableAlarmActions> for CloudWatch {
    async fn access(&self, cx: &Cx, input: &EnableAlarmActions) -> Result<Vec<Access>, Fault> {
        Ok(on_alarms(cx, "cloudwatch:EnableAlarmActions", &input.alarm_names))
    }

    async fn handle(&self, cx: &Cx, input: EnableAlarmActions) -> Result<EnableAlarmActionsOutput, Fault> {
        few(&input.alarm_names)?;
        self.enable(cx, &input.alarm_names, true).await?;
        Ok(EnableAlarmActionsOutput {})
    }
}

impl Handle<DisableAlarmActions> for CloudWatch {
    async fn access(&self, cx: &Cx, input: &DisableAlarmActions) -> Result<Vec<Access>, Fault> {
        Ok(on_alarms(cx, "cloudwatch:DisableAlarmActions", &input.alarm_names))
    }

    async fn handle(&self, cx: &Cx, input: DisableAlarmActions) -> Result<DisableAlarmActionsOutput, Fault> {
        few(&input.alarm_names)?;
        self.enable(cx, &input.alarm_names, false).await?;
        Ok(DisableAlarmActionsOutput {})
    }
}
