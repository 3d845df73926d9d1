//! Builds that ended long ago are forgotten, those of pipelines' own actions too.
use std::sync::Arc;
use std::time::Duration;

use kernel::{Fault, Fut, Timestamp};
use store::{Batch, Key};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::records::{BuildRow, Stage};
use crate::{CodeBuild, limits};

/// Removes them, oldest first.
pub struct History(pub Arc<CodeBuild>);

impl Worker for History {
    fn name(&self) -> String {
        "codebuild.history".into()
    }

    fn wake(&self) -> Arc<Notify> {
        // Only time makes a build old.
        Arc::default()
    }

    fn interval(&self) -> Duration {
        limits::FORGETTING
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async {
            let CodeBuild { store, clock, .. } = &*self.0;
            let now = clock.now();
            let (mut after, mut next) = (0, None);
            loop {
                let page = store.list_by_seq::<BuildRow>(Key::all(), after, limits::PASS).await?;
                let (mut gone, mut young) = (Batch::new(), false);
                for row in &page {
                    let build = &row.value.build;
                    let until = kept_until(build.end_time.or(build.start_time));
                    if until > now {
                        next = Some(next.map_or(until, |next: Timestamp| next.min(until)));
                    } else if row.value.run.stage == Stage::Done {
                        gone = gone.delete::<BuildRow>(&row.key);
                    }
                    young = kept_until(build.start_time) > now;
                    if young {
                        break;
                    }
                }
                store.commit(gone).await?;
                match page.last() {
                    Some(last) if !young && page.len() == limits::PASS => after = last.created,
                    // What comes later began later.
                    _ => return Ok(next.into()),
                }
            }
        })
    }
}

/// Until when a build is kept that ended at this time.
fn kept_until(end: Option<Timestamp>) -> Timestamp {
    end.unwrap_or(Timestamp::MIN).checked_add(limits::HISTORY).unwrap_or(Timestamp::MAX)
}
