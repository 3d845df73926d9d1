//! Telling others what became of refs.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kernel::{Cx, Fault, Fut, Timestamp, ids};
use serde_json::json;
use store::{Batch, Event, Key, Row};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::CodeCommit;
use crate::error::Result;
use crate::limits;
use crate::records::{Repository, Told};

impl CodeCommit {
    /// Compares a repository's refs with what was last told, and tells the difference: `caller` made it, if known.
    pub(crate) async fn publish(&self, key: &Key, caller: Option<&str>) -> Result<()> {
        let head = self
            .store
            .update(|| async {
                // Deleted or renamed meanwhile: whoever comes next tells.
                let Some(mut row) = self.store.get::<Repository>(key).await? else {
                    return Ok((Batch::new(), None));
                };
                let told_key = Told::key(&key.account(), &key.region(), &row.value.id);
                let told = self.store.get::<Told>(&told_key).await?;
                let before = told.as_ref().map(|told| told.value.refs.clone()).unwrap_or_default();
                let refs = self.git.repo(&row.value.id).refs().await?;
                if refs == before {
                    return Ok((Batch::new(), None));
                }
                let now = self.clock.now();
                let events = self.changes(key, &row, &before, &refs, caller, now);
                row.value.modified = now;
                let first = row.value.default_branch.is_none().then(|| first_branch(&refs)).flatten();
                let head = first.inspect(|branch| row.value.default_branch = Some(branch.clone()));
                let batch = Batch::new().update(&row).expect_same(&told_key, told.as_ref());
                let batch = batch.put(&told_key, &Told { refs });
                let batch = events.into_iter().fold(batch, Batch::event);
                Ok::<_, crate::Error>((batch, head.map(|branch| (row.value.id.clone(), branch))))
            })
            .await?;
        if let Some((id, branch)) = head {
            self.git.repo(&id).set_head(&branch).await?;
        }
        Ok(())
    }

    /// Tells of a change that the API made.
    pub(crate) async fn changed(&self, cx: &Cx, name: &str) -> Result<()> {
        self.publish(&Repository::key(cx.account(), &cx.region, name), Some(&cx.caller.arn)).await
    }

    fn changes(
        &self,
        key: &Key,
        row: &Row<Repository>,
        before: &BTreeMap<String, String>,
        after: &BTreeMap<String, String>,
        caller: Option<&str>,
        now: Timestamp,
    ) -> Vec<Event> {
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let (account, region) = (key.account(), key.region());
        let event = |full: &String| {
            let (was, is) = (before.get(full), after.get(full));
            let what = match (was, is) {
                (None, Some(_)) => "referenceCreated",
                (Some(_), None) => "referenceDeleted",
                (was, is) if was != is => "referenceUpdated",
                _ => return None,
            };
            let (kind, name) = match full.strip_prefix("refs/heads/") {
                Some(name) => ("branch", name),
                None => ("tag", full.strip_prefix("refs/tags/").unwrap_or(full)),
            };
            let mut detail = json!({
                "event": what,
                "repositoryName": row.value.name,
                "repositoryId": row.value.id,
                "referenceType": kind,
                "referenceName": name,
                "referenceFullName": full,
            });
            let more = [
                ("commitId", is.map(String::as_str)),
                ("oldCommitId", was.map(String::as_str)),
                ("callerUserArn", caller),
            ];
            for (name, value) in more {
                if let Some(value) = value {
                    detail[name] = json!(value);
                }
            }
            let id = ids::uuid(&*self.entropy);
            let event = Event::new(
                "aws.codecommit",
                "CodeCommit Repository State Change",
                &account,
                &region,
                id,
                now,
            );
            Some(event.resource(Repository::arn(&account, &region, &row.value.name)).detail(detail))
        };
        names.into_iter().filter_map(event).collect()
    }

    /// Everything that a crash left: refs that were not told, folders without a row.
    async fn catch_up(&self) -> Result<()> {
        // Folders first: one is made before its row.
        let folders = self.git.ids().await?;
        let rows = self.store.all::<Repository>(Key::all()).await?;
        for row in &rows {
            if let Err(error) = self.git.repo(&row.value.id).unlock(limits::LOCKED).await {
                tracing::error!(repository = row.value.name, %error, "its locks cannot be looked at");
            }
            if let Err(error) = self.publish(&row.key, None).await {
                tracing::error!(repository = row.value.name, %error, "its refs cannot be told");
            }
        }
        let known: BTreeSet<&String> = rows.iter().map(|row| &row.value.id).collect();
        for id in folders.iter().filter(|id| !known.contains(id)) {
            self.remove_orphan(id).await?;
        }
        Ok(())
    }

    /// A folder is made just before its row: an orphan is one that is old.
    async fn remove_orphan(&self, id: &str) -> Result<()> {
        let made = tokio::fs::metadata(self.git.repo(id).path()).await.and_then(|meta| meta.modified());
        let age = made.ok().and_then(|made| made.elapsed().ok());
        if age.is_some_and(|age| age > Duration::from_secs(600)) {
            self.git.remove(id).await?;
        }
        Ok(())
    }
}

/// The branch that becomes the default of a repository that had none.
fn first_branch(refs: &BTreeMap<String, String>) -> Option<String> {
    let mut branches = refs.keys().filter_map(|full| full.strip_prefix("refs/heads/"));
    let usual = ["main", "master"].into_iter().find(|name| refs.contains_key(&format!("refs/heads/{name}")));
    usual.or_else(|| branches.next()).map(str::to_owned)
}

/// Catches up at the start, and now and then with what a failure left.
pub(crate) struct Publish(pub Arc<CodeCommit>);

impl Worker for Publish {
    fn name(&self) -> String {
        "codecommit.publish".into()
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(600)
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async { Ok(self.0.catch_up().await.map(|()| Next::Idle)?) })
    }
}
