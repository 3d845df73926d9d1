//! Background work: alarms that are due, and what is too old.
use std::sync::Arc;
use std::time::Duration;

use kernel::{Fault, Fut, Timestamp};
use store::{Batch, Key, Record, Row};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::error::Error;
use crate::evaluate::{plan, span};
use crate::metric::series;
use crate::records::{Alarm, History, Hour, Metric, hour_key};
use crate::{CloudWatch, limits};

/// Evaluates the alarms that are due.
pub(crate) struct Evaluate(pub Arc<CloudWatch>);

impl Worker for Evaluate {
    fn name(&self) -> String {
        "cloudwatch.evaluate".into()
    }
    fn wake(&self) -> Arc<Notify> {
        self.0.store.watch(&[Alarm::TABLE])
    }
    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async {
            let store = &self.0.store;
            let due = store.due(Alarm::TABLE, self.0.clock.now(), limits::PASS).await.map_err(Error::from)?;
            for timer in &due {
                self.0.evaluate(&timer.key).await?;
            }
            Ok(Next::from(store.next_due(Alarm::TABLE).await.map_err(Error::from)?))
        })
    }
}

impl CloudWatch {
    /// Evaluates an alarm, and says when it is due next. Data that comes in between makes the commit a conflict.
    async fn evaluate(&self, key: &Key) -> Result<(), Error> {
        let evaluated = self.store.update(|| async {
            let Some(mut row) = self.store.get::<Alarm>(key).await? else {
                return Ok((Batch::new().cancel(Alarm::TABLE, key), ()));
            };
            let now = self.clock.now();
            let (from, to) = span(&row.value, now.as_second());
            let (scope, id) = (Key::new(&key.account(), &key.region()), row.value.metric.id());
            let hours = self.hours(&scope, &id, from, to).await?;
            let series = series(&hours, from, to, row.value.period, row.value.unit.as_deref());
            let plan = plan(&row.value, &series, now);
            let mut batch =
                as_read(Batch::new().expect(&row), &hours, |second| hour_key(&scope, &id, second), from, to);
            if let Some(state) = plan.change {
                let before = std::mem::replace(&mut row.value.state, state);
                batch = batch.and(self.changed(key, &row.value, &before)).put(key, &row.value);
            }
            let next = plan.next.and_then(|second| Timestamp::from_second(second).ok());
            Ok::<_, Error>((
                match next {
                    Some(at) => batch.timer(Alarm::TABLE, key, at, &()),
                    None => batch.cancel(Alarm::TABLE, key),
                },
                (),
            ))
        });
        evaluated.await
    }
}

/// Expects of every hour of a span that it is as it was read, or that there is still none.
fn as_read(batch: Batch, hours: &[Row<Hour>], key: impl Fn(i64) -> Key, from: i64, to: i64) -> Batch {
    let first = from.div_euclid(limits::HOUR) * limits::HOUR;
    let starts = (first..to).step_by(limits::HOUR as usize);
    starts.map(key).fold(batch, |batch, key| match hours.iter().find(|row| row.key == key) {
        Some(row) => batch.expect(row),
        None => batch.expect_absent::<Hour>(&key),
    })
}

/// Forgets data, metrics and history that are older than what is kept.
pub(crate) struct Prune(pub Arc<CloudWatch>);

impl Worker for Prune {
    fn name(&self) -> String {
        "cloudwatch.prune".into()
    }
    fn wake(&self) -> Arc<Notify> {
        // Only time makes anything old.
        Arc::default()
    }
    fn interval(&self) -> Duration {
        Duration::from_secs(3600)
    }
    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async {
            self.0.prune().await?;
            Ok(Next::Idle)
        })
    }
}

impl CloudWatch {
    async fn prune(&self) -> Result<(), Error> {
        let now = self.now();
        let mut after = None;
        loop {
            let metrics = self.store.list::<Metric>(Key::all(), after.as_ref(), limits::PASS).await?;
            for metric in &metrics {
                self.prune_metric(metric, now - limits::RETENTION).await?;
            }
            match metrics.last().filter(|_| metrics.len() == limits::PASS) {
                Some(last) => after = Some(last.key.clone()),
                None => break,
            }
        }
        // The order of creation is the order of age.
        loop {
            let history = self.store.list_by_seq::<History>(Key::all(), 0, limits::PASS).await?;
            let old = history.iter().filter(|row| row.value.at.as_second() < now - limits::HISTORY);
            let batch = old.fold(Batch::new(), |batch, row| batch.delete::<History>(&row.key));
            if batch.is_empty() {
                return Ok(());
            }
            self.store.commit(batch).await?;
        }
    }

    /// Deletes a metric's hours that ended before a second, and the metric with the last of them.
    async fn prune_metric(&self, metric: &Row<Metric>, cutoff: i64) -> Result<(), Error> {
        let count = usize::try_from(limits::RETENTION / limits::HOUR).unwrap_or(0);
        let hours = self.store.list::<Hour>(metric.key.clone(), None, count).await?;
        let before = cutoff.div_euclid(limits::HOUR);
        let old = hours.iter().filter(|row| row.key.last().parse::<i64>().is_ok_and(|hour| hour < before));
        let batch = old.fold(Batch::new(), |batch, row| batch.delete::<Hour>(&row.key));
        // Whoever puts data meanwhile writes the metric too, and keeps it.
        let batch = if metric.value.last < cutoff { batch.remove(metric) } else { batch };
        if batch.is_empty() {
            return Ok(());
        }
        match self.store.commit(batch).await {
            Err(error) if error.is_conflict() => Ok(()),
            done => Ok(done.map(drop)?),
        }
    }
}
