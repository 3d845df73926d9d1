//! Tells CodeConnections which repositories pipelines want to hear of.
use std::collections::BTreeSet;
use std::sync::Arc;

use api::internal::{FollowRepositories, FollowedRepository};
use kernel::{Fault, Fut};
use store::{Key, Record};
use tokio::sync::{Mutex, Notify};
use work::{Next, Worker};

use super::CONNECTION;
use crate::desk::Desk;
use crate::job::PRINCIPAL;
use crate::records::Pipeline;

/// Pipelines read at a time.
const PAGE: usize = 500;

/// After each change of a pipeline, and at the start, says the whole list, if it is another than before.
pub struct Follow {
    desk: Arc<Desk>,
    said: Mutex<Option<BTreeSet<FollowedRepository>>>,
}

impl Follow {
    /// On a desk.
    pub fn new(desk: Arc<Desk>) -> Self {
        Self { desk, said: Mutex::default() }
    }

    async fn pass(&self) -> Result<Next, Fault> {
        let Some(ops) = self.desk.ops() else { return Ok(Next::Idle) };
        let wanted = self.wanted().await?;
        let mut said = self.said.lock().await;
        if said.as_ref() != Some(&wanted) {
            let Some(first) = wanted.iter().chain(said.iter().flatten()).next().cloned() else {
                return Ok(Next::Idle);
            };
            let cx = ops.as_service(PRINCIPAL, &first.account, &first.region, "codepipeline.follow");
            cx.call(FollowRepositories { repositories: wanted.iter().cloned().collect() }).await?;
            *said = Some(wanted);
        }
        Ok(Next::Idle)
    }

    async fn wanted(&self) -> store::Result<BTreeSet<FollowedRepository>> {
        let mut wanted = BTreeSet::new();
        let mut after: Option<Key> = None;
        loop {
            let page = self.desk.store.list::<Pipeline>(Key::all(), after.as_ref(), PAGE).await?;
            for row in &page {
                let sources =
                    row.value.declaration.stages.first().into_iter().flat_map(|stage| &stage.actions);
                for action in sources.filter(|action| action.action_type_id.provider == CONNECTION) {
                    let get = |key: &str| action.configuration.as_ref()?.get(key).cloned();
                    let (Some(arn), Some(repository)) = (get("ConnectionArn"), get("FullRepositoryId"))
                    else {
                        continue;
                    };
                    let connection = arn.rsplit('/').next().unwrap_or_default().to_owned();
                    let (account, region) = (row.key.account(), row.key.region());
                    wanted.insert(FollowedRepository { account, region, connection, repository });
                }
            }
            let Some(last) = page.last().filter(|_| page.len() == PAGE) else { return Ok(wanted) };
            after = Some(last.key.clone());
        }
    }
}

impl Worker for Follow {
    fn name(&self) -> String {
        "codepipeline.follow".into()
    }

    fn wake(&self) -> Arc<Notify> {
        self.desk.store.watch(&[Pipeline::TABLE])
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(self.pass())
    }
}
