//! Builds at work: each active row has a task that drives it, and after a restart gets one again.
mod drive;
mod environment;
mod follow;
mod history;
mod logs;
mod network;
mod provision;
mod rules;
mod sources;
mod upload;
pub(crate) mod volume;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use kernel::{Fault, Fut, Ops};
use store::{Key, Row};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use work::{Next, Worker};

use crate::CodeBuild;
use crate::records::{BuildId, BuildRow};
use drive::Drive;
pub use history::History;
pub use rules::Applier;
use volume::Volume;

/// Starts what is active and not driven, and wakes those of whom something is wanted.
pub struct Builds {
    service: Arc<CodeBuild>,
    /// Weak: the operations hold the service.
    ops: Weak<Ops>,
    driven: Mutex<Driven>,
}

#[derive(Default)]
struct Driven {
    tasks: JoinSet<Key>,
    wakes: HashMap<Key, Arc<Notify>>,
}

impl Builds {
    /// The worker of a service.
    pub fn new(service: Arc<CodeBuild>, ops: &Arc<Ops>) -> Self {
        Self { service, ops: Arc::downgrade(ops), driven: Mutex::default() }
    }

    fn drive(&self, ops: &Arc<Ops>, driven: &mut Driven, row: &Row<BuildRow>) {
        if let Some(wake) = driven.wakes.get(&row.key) {
            if row.value.run.stop {
                wake.notify_one();
            }
            return;
        }
        let (account, region, id) = (row.key.account(), row.key.region(), BuildId::of(&row.key));
        let wake = Arc::new(Notify::new());
        let drive = Drive {
            service: self.service.clone(),
            key: row.key.clone(),
            cx: ops.as_service("codebuild.amazonaws.com", &account, &region, &id.uuid),
            volume: Volume::new(self.service.store.dir(), &id.uuid),
            region,
            id,
            wake: wake.clone(),
            stop: Once::new(),
        };
        driven.wakes.insert(row.key.clone(), wake);
        let key = row.key.clone();
        driven.tasks.spawn(async move {
            drive.run().await;
            key
        });
    }
}

impl Worker for Builds {
    fn name(&self) -> String {
        "codebuild.builds".into()
    }

    fn wake(&self) -> Arc<Notify> {
        self.service.store.watch(&[<BuildRow as store::Record>::TABLE])
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async move {
            let Some(ops) = self.ops.upgrade() else { return Ok(Next::Idle) };
            let active = self
                .service
                .store
                .find::<BuildRow>(Key::all(), "active", "yes", 0, store::limits::PAGE)
                .await?;
            let mut driven = self.driven.lock().unwrap_or_else(PoisonError::into_inner);
            while let Some(done) = driven.tasks.try_join_next() {
                match done {
                    Ok(key) => drop(driven.wakes.remove(&key)),
                    // Which one panicked is not told: whoever is not running any more is started anew.
                    Err(error) => tracing::error!(%error, "driving a build panicked"),
                }
            }
            if driven.tasks.len() < driven.wakes.len() {
                driven.tasks.abort_all();
                driven.wakes.clear();
            }
            for row in &active {
                self.drive(&ops, &mut driven, row);
            }
            Ok(Next::Idle)
        })
    }
}
