//! What changed: delivered by providers, or seen by looking at the refs; told to others as one internal event each,
//! whose detail is
//!
//! `connection` (id), `repository`, `referenceType` (`branch`, `tag`, `pullRequest`), `referenceName` (of a pull request
//! the branch that it asks to be merged into), `created`, `commitId`, `files` (the first hundred; null if they cannot
//! be told), and of pull requests `event`, `number` and `sourceBranch`.
use std::collections::BTreeMap;
use std::time::Duration;

use kernel::{Timestamp, ids};
use serde_json::{Value, json};
use store::{Batch, Event, Row};

use crate::error::{Error, Result};
use crate::hooks::{Reference, Told};
use crate::records::{Connection, Delivered, Followed};
use crate::source::Held;
use crate::{CodeConnections, limits};

/// Who tells.
const SOURCE: &str = "longshore.codeconnections";

impl CodeConnections {
    fn event(&self, row: &Row<Connection>, detail: Value) -> Event {
        let id = ids::uuid(&*self.entropy);
        let (account, region) = (row.key.account(), row.key.region());
        let event = Event::new(SOURCE, "Repository Change", &account, &region, id, self.clock.now());
        Event { internal: true, ..event.detail(detail) }
    }

    async fn connection(&self, account: &str, region: &str, id: &str) -> Result<Option<Row<Connection>>> {
        Ok(self.store.get::<Connection>(&Connection::key(account, region, id)).await?)
    }

    /// Tells of what was delivered, or puts it off.
    pub(crate) async fn tell(&self, row: &Row<Delivered>) -> Result<()> {
        let (account, region, id) = (row.key.account(), row.key.region(), row.key.part(2));
        let delivered = &row.value;
        let known = Followed::key(&account, &region, &id, &delivered.repository);
        let followed = self.store.get::<Followed>(&known).await?;
        let connection = self.connection(&account, &region, &id).await?;
        let done = Batch::new().remove(row);
        let (Some(mut followed), Some(connection)) = (followed, connection) else {
            // Nobody follows it any more.
            return committed(self.store.commit(done).await);
        };
        let told = &delivered.told;
        let full = full_name(told);
        let seen = full.as_ref().and_then(|full| followed.value.refs.as_ref()?.get(full).cloned());
        let detail = match self.detail(&connection, &delivered.repository, told, seen.as_deref()).await {
            Ok(Some(detail)) => detail,
            // Looking was faster.
            Ok(None) => return committed(self.store.commit(done).await),
            Err(error) => return self.put_off(row, error).await,
        };
        let commit = detail["commitId"].as_str().unwrap_or_default().to_owned();
        let mut batch = done.event(self.event(&connection, detail));
        // Before the first look nothing is kept: everything beside it would be new to that.
        if let (Some(full), Some(refs)) = (full, &mut followed.value.refs) {
            refs.insert(full, commit);
            batch = batch.update(&followed);
        }
        committed(self.store.commit(batch).await)
    }

    /// The network may mend itself; after some tries the change is given up, and said to be.
    async fn put_off(&self, row: &Row<Delivered>, error: Error) -> Result<()> {
        let Delivered { repository, tries, .. } = &row.value;
        let (most, delay) = limits::TRIES;
        if matches!(error, Error::Store(_)) {
            return Err(error);
        }
        if *tries >= most {
            tracing::error!(repository, "a delivered change is given up: {error}");
            return committed(self.store.commit(Batch::new().remove(row)).await);
        }
        tracing::warn!(repository, tries, "a delivered change cannot be fetched yet: {error}");
        let mut later = Row { key: row.key.clone(), value: row.value.clone(), ..*row };
        later.value.tries += 1;
        later.value.due = after(self.clock.now(), delay * 2u32.pow(*tries));
        committed(self.store.commit(Batch::new().update(&later)).await)
    }

    /// Fetches a change and says all of it; none if it is what was last `seen` of the reference, or led there.
    async fn detail(
        &self,
        connection: &Row<Connection>,
        repository: &str,
        told: &Told,
        seen: Option<&str>,
    ) -> Result<Option<Value>> {
        let held = self.hold(connection, repository).await?;
        let pull = told.pull.as_ref();
        // A pull request that was closed may have lost its ref; its commit may be here all the same.
        match held.cache.fetch(&held.from, pull.and_then(|pull| pull.head.as_deref())).await {
            Err(_) if pull.is_some() => held.cache.fetch(&held.from, None).await?,
            other => other?,
        }
        if let Some(seen) = seen {
            let same = held.cache.resolve(&told.after).await?.as_deref() == Some(seen);
            // A branch that is set back to what it was comes from what was seen.
            let older = told.reference == Reference::Branch && told.before.as_deref() != Some(seen);
            if same || (older && held.cache.leads_to(&told.after, seen).await?) {
                return Ok(None);
            }
        }
        described(&held, &connection.value.id, repository, told).await.map(Some)
    }

    /// Looks at a repository's refs; one that cannot be looked at is looked at again at its next time.
    pub(crate) async fn look_or_put_off(&self, row: &Row<Followed>) -> Result<()> {
        let error = match self.look(row).await {
            Ok(()) => return Ok(()),
            Err(error @ Error::Store(_)) => return Err(error),
            Err(error) => error,
        };
        tracing::warn!(repository = row.value.repository, "a repository cannot be looked at: {error}");
        let mut row = Row { key: row.key.clone(), value: row.value.clone(), ..*row };
        row.value.looked = Some(self.clock.now());
        committed(self.store.commit(Batch::new().update(&row)).await)
    }

    /// Looks at a repository's refs and tells what has changed since they were last told of.
    async fn look(&self, row: &Row<Followed>) -> Result<()> {
        let (account, region, id) = (row.key.account(), row.key.region(), row.key.part(2));
        let connection = self.connection(&account, &region, &id).await?;
        let missing = || Error::NotFound(format!("The connection {id}"));
        let connection = connection.ok_or_else(missing)?;
        let repository = &row.value.repository;
        let held = self.hold(&connection, repository).await?;
        let refs = held.from.refs(self.store.dir()).await?;
        let mut events = Vec::new();
        if let Some(before) = &row.value.refs {
            let changes = moved(before, &refs);
            if !changes.is_empty() {
                held.cache.fetch(&held.from, None).await?;
            }
            for told in changes {
                let detail = described(&held, &id, repository, &told).await;
                match detail {
                    Ok(detail) => events.push(self.event(&connection, detail)),
                    // Moved on between the look and the fetch, beyond what was fetched: the next look tells.
                    Err(Error::Revision(reason)) => {
                        tracing::info!(repository, "a change has passed: {reason}")
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        let mut row = Row { key: row.key.clone(), value: row.value.clone(), ..*row };
        row.value.refs = Some(refs);
        row.value.looked = Some(self.clock.now());
        let batch = events.into_iter().fold(Batch::new().update(&row), Batch::event);
        committed(self.store.commit(batch).await)
    }
}

/// Somebody else told, or it is no longer followed: nothing is lost, since the next pass looks again.
fn committed(result: store::Result<store::Committed>) -> Result<()> {
    match result {
        Err(error) if error.is_conflict() => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

/// A time that is so much later.
pub(crate) fn after(now: Timestamp, delay: Duration) -> Timestamp {
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}

/// The full name of a branch or tag.
fn full_name(told: &Told) -> Option<String> {
    match told.reference {
        Reference::Branch => Some(format!("refs/heads/{}", told.name)),
        Reference::Tag => Some(format!("refs/tags/{}", told.name)),
        Reference::PullRequest => None,
    }
}

/// Branches and tags that are new or elsewhere. What is gone starts nothing.
fn moved(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<Told> {
    let told = |(full, after): (&String, &String)| {
        let (reference, name) = match full.strip_prefix("refs/heads/") {
            Some(name) => (Reference::Branch, name),
            None => (Reference::Tag, full.strip_prefix("refs/tags/")?),
        };
        let was = before.get(full);
        let (before, after) = (was.cloned(), after.clone());
        (was != Some(&after)).then(|| Told { reference, name: name.into(), before, after, pull: None })
    };
    now.iter().filter_map(told).collect()
}

/// The event's detail of a change that was fetched.
async fn described(held: &Held<'_>, connection: &str, repository: &str, told: &Told) -> Result<Value> {
    let commit = held.cache.resolve(&told.after).await?.ok_or_else(|| {
        Error::Revision(format!("The repository '{repository}' does not give the commit {}", told.after))
    })?;
    let files = match (&told.pull, &told.before) {
        (Some(_), _) => held.cache.files(&format!("refs/heads/{}", told.name), &commit, true).await?,
        (None, Some(before)) => held.cache.files(before, &commit, false).await?,
        (None, None) => None,
    };
    let mut detail = json!({
        "connection": connection,
        "repository": repository,
        "referenceType": told.reference,
        "referenceName": told.name,
        "created": told.pull.is_none() && told.before.is_none(),
        "commitId": commit,
        "files": files,
    });
    if let Some(pull) = &told.pull {
        detail["event"] = json!(pull.event);
        detail["number"] = json!(pull.number);
        detail["sourceBranch"] = json!(pull.source);
    }
    Ok(detail)
}
