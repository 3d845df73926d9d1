//! CloudWatch: metric data, kept for 15 days by the minute, and alarms on it that are really evaluated.
//!
//! A put adds to the rows of its metrics' hours and, in the same batch, makes the alarms on these metrics due; an alarm
//! is due too when a period ends that can change its state. [`worker::Evaluate`] asks [`evaluate::plan`], which is pure,
//! and commits new state, history and the event of it together, provided that the data it looked at is still what is
//! stored. Metric math, composite alarms, percentiles and anomaly detection are refused by name.

pub mod error;
pub mod evaluate;
pub mod limits;
mod metric;
mod notices;
mod ops;
pub mod records;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::Arc;

use api::cloudwatch::*;
use kernel::{Clock, Entropy, Ops};
use store::Store;

/// The service.
pub struct CloudWatch {
    store: Store,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl CloudWatch {
    /// The service over a state.
    pub fn new(store: Store, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Arc<Self> {
        Arc::new(Self { store, clock, entropy })
    }

    /// What it serves.
    pub fn register(self: &Arc<Self>, ops: &mut Ops) {
        ops.op::<PutMetricData, _>(self);
        ops.op::<GetMetricData, _>(self);
        ops.op::<GetMetricStatistics, _>(self);
        ops.op::<ListMetrics, _>(self);
        ops.op::<PutMetricAlarm, _>(self);
        ops.op::<DescribeAlarms, _>(self);
        ops.op::<DescribeAlarmsForMetric, _>(self);
        ops.op::<DescribeAlarmHistory, _>(self);
        ops.op::<DeleteAlarms, _>(self);
        ops.op::<SetAlarmState, _>(self);
        ops.op::<EnableAlarmActions, _>(self);
        ops.op::<DisableAlarmActions, _>(self);
        ops.op::<TagResource, _>(self);
        ops.op::<UntagResource, _>(self);
        ops.op::<ListTagsForResource, _>(self);
    }

    /// Its background work: evaluating alarms, and forgetting what is old.
    pub fn workers(self: &Arc<Self>) -> Vec<Arc<dyn work::Worker>> {
        vec![Arc::new(worker::Evaluate(self.clone())), Arc::new(worker::Prune(self.clone()))]
    }

    /// Seconds since 1970.
    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }
}
