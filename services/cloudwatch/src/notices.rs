//! What is told of an alarm that changed state: to its history, and to EventBridge.
use kernel::{Timestamp, ids};
use serde_json::{Value as Json, json};
use store::{Batch, Event, Key};

use crate::CloudWatch;
use crate::evaluate::time;
use crate::records::{Alarm, History, State};

impl CloudWatch {
    /// The batch of a change of state: the event of it, and a line of history. The alarm has its new state already.
    pub(crate) fn changed(&self, key: &Key, alarm: &Alarm, before: &State) -> Batch {
        let summary = format!("Alarm updated from {} to {}", before.value.name(), alarm.state.value.name());
        let data = json!({
            "version": "1.0",
            "oldState": state(before),
            "newState": state(&alarm.state),
        });
        let (account, region) = (key.account(), key.region());
        let id = ids::uuid(&*self.entropy);
        let event = Event::new(
            "aws.cloudwatch",
            "CloudWatch Alarm State Change",
            &account,
            &region,
            id,
            alarm.state.at,
        )
        .resource(alarm.arn(&account, &region))
        .detail(detail(alarm, before));
        self.noted(Batch::new(), key, "StateUpdate", summary, data).event(event)
    }

    /// With a line of history.
    pub(crate) fn noted(&self, batch: Batch, key: &Key, kind: &str, summary: String, data: Json) -> Batch {
        let at = self.clock.now();
        let (alarm, kind) = (key.last(), kind.to_owned());
        let place = history_key(key, at).text(ids::hex(&*self.entropy, 8));
        batch.put(&place, &History { alarm, at, kind, summary, data: data.to_string() })
    }
}

/// Where an alarm's history of a time begins.
pub(crate) fn history_key(alarm: &Key, at: Timestamp) -> Key {
    alarm.clone().number(u64::try_from(at.as_millisecond()).unwrap_or(0))
}

fn state(state: &State) -> Json {
    let mut shown = json!({
        "stateValue": state.value.name(),
        "stateReason": state.reason,
    });
    if let Some(data) = state.data.as_ref().and_then(|data| serde_json::from_str::<Json>(data).ok()) {
        shown["stateReasonData"] = data;
    }
    shown
}

fn detail(alarm: &Alarm, before: &State) -> Json {
    let state = |state: &State| {
        let mut shown =
            json!({"value": state.value.name(), "reason": state.reason, "timestamp": time(state.at)});
        if let Some(data) = &state.data {
            shown["reasonData"] = data.as_str().into();
        }
        shown
    };
    let mut stat = json!({
        "metric": {
            "namespace": alarm.metric.namespace,
            "name": alarm.metric.metric,
            "dimensions": alarm.metric.dimensions,
        },
        "period": alarm.period,
        "stat": alarm.statistic,
    });
    if let Some(unit) = &alarm.unit {
        stat["unit"] = unit.as_str().into();
    }
    let mut configuration =
        json!({"metrics": [{"id": alarm.metric.id(), "metricStat": stat, "returnData": true}]});
    if let Some(description) = &alarm.description {
        configuration["description"] = description.as_str().into();
    }
    json!({
        "alarmName": alarm.name,
        "state": state(&alarm.state),
        "previousState": state(before),
        "configuration": configuration,
    })
}
