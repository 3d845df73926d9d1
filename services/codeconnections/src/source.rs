//! Commits for pipelines: fetched into a cache of the repository, and packed.
use std::path::PathBuf;
use std::sync::Arc;

use api::internal::{FetchSource, FetchSourceOutput, FollowRepositories, FollowRepositoriesOutput};
use kernel::{Access, Arn, Cx, Fault, Handle};
use store::{Batch, Key, Row};
use tokio::sync::{Mutex, OwnedMutexGuard, SemaphorePermit};

use crate::CodeConnections;
use crate::error::{Error, Result};
use crate::git::{self, Cache};
use crate::records::{Connection, Followed};

/// A repository while it is worked on: nobody else fetches into its cache.
pub(crate) struct Held<'a> {
    /// How git gets at it.
    pub from: git::Access,
    /// What was fetched of it.
    pub cache: Cache,
    _turn: OwnedMutexGuard<()>,
    _place: SemaphorePermit<'a>,
}

impl CodeConnections {
    /// Takes a repository to work on.
    pub(crate) async fn hold(&self, row: &Row<Connection>, repository: &str) -> Result<Held<'_>> {
        let from = self.access(&row.value, &Connection::sealing(&row.key), repository)?;
        let key = Followed::key(&row.key.account(), &row.key.region(), &row.value.id, repository);
        let turn = {
            let mut turns = self.turns.lock().await;
            turns.retain(|_, turn: &mut Arc<Mutex<()>>| Arc::strong_count(turn) > 1);
            turns.entry(key.clone()).or_default().clone()
        };
        let turn = turn.lock_owned().await;
        let place = self.gits.acquire().await.map_err(Fault::internal)?;
        let folder = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.to_hex().as_bytes());
        let path = self.folder(&row.value.id).join(format!("{}.git", hex::encode(&folder.as_ref()[..16])));
        let cache = Cache::open(path).await?;
        Ok(Held { from, cache, _turn: turn, _place: place })
    }

    /// Where a connection's caches lie. Absolute: git may run elsewhere.
    pub(crate) fn folder(&self, connection: &str) -> PathBuf {
        let path = self.store.dir().join("connections").join(connection);
        std::path::absolute(&path).unwrap_or(path)
    }

    async fn fetch(&self, cx: &Cx, input: FetchSource) -> Result<FetchSourceOutput> {
        let row = self.found(cx, &input.connection_arn).await?;
        let held = self.hold(&row, &input.repository).await?;
        let key = Followed::key(cx.account(), &cx.region, &row.value.id, &input.repository);
        let followed = self.store.get::<Followed>(&key).await?;
        if followed.as_ref().is_none_or(|row| row.value.refs.is_none()) {
            // What changes from here on is a change.
            self.begin(&key, &input.repository, &held).await?;
        }
        let commit = match &input.commit {
            Some(commit) => wanted(&held, commit).await?,
            None => {
                held.cache.fetch(&held.from, None).await?;
                held.cache.resolve(&format!("refs/heads/{}", input.branch)).await?
            }
        };
        let commit = commit.ok_or_else(|| {
            let (repository, branch) = (&input.repository, &input.branch);
            Error::Revision(match &input.commit {
                Some(commit) => format!("The repository '{repository}' has no commit {commit}"),
                None => format!("The repository '{repository}' has no branch '{branch}'"),
            })
        })?;
        let archive = held.cache.archive(&commit).await?;
        Ok(FetchSourceOutput { commit: held.cache.commit(&commit).await?, archive })
    }

    async fn begin(&self, key: &Key, repository: &str, held: &Held<'_>) -> Result<()> {
        let refs = held.from.refs(self.store.dir()).await?;
        self.store
            .update(|| async {
                let row = self.store.get::<Followed>(key).await?;
                let mut followed = row.as_ref().map(|row| row.value.clone()).unwrap_or_default();
                if followed.refs.is_some() {
                    return Ok((Batch::new(), ()));
                }
                followed.repository = repository.into();
                followed.refs = Some(refs.clone());
                followed.looked = Some(self.clock.now());
                Ok((Batch::new().expect_same(key, row.as_ref()).put(key, &followed), ()))
            })
            .await
    }

    /// Follows these repositories and no others.
    async fn follow(&self, input: FollowRepositories) -> Result<()> {
        let wanted: std::collections::BTreeMap<Key, String> = input
            .repositories
            .into_iter()
            .map(|r| (Followed::key(&r.account, &r.region, &r.connection, &r.repository), r.repository))
            .collect();
        let rows = self.store.all::<Followed>(Key::all()).await?;
        let mut batch = Batch::new();
        for row in rows.iter().filter(|row| !wanted.contains_key(&row.key)) {
            batch = batch.delete::<Followed>(&row.key);
        }
        for (key, repository) in wanted {
            if !rows.iter().any(|row| row.key == key) {
                batch = batch.create(&key, &Followed { repository, ..Followed::default() });
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        // A conflict, as with an action that began to follow one meanwhile, is the caller's to try again.
        Ok(self.store.commit(batch).await.map(drop)?)
    }
}

/// A commit by its id, fetched if it is not here.
async fn wanted(held: &Held<'_>, commit: &str) -> Result<Option<String>> {
    if !git::is_id(commit) {
        return Err(Error::Revision(format!("'{commit}' is not a full commit id")));
    }
    if let Some(here) = held.cache.resolve(commit).await? {
        return Ok(Some(here));
    }
    held.cache.fetch(&held.from, None).await?;
    if let Some(here) = held.cache.resolve(commit).await? {
        return Ok(Some(here));
    }
    // No branch or tag reaches it; a server that has it may still give it, or says why not.
    if let Err(error) = held.cache.fetch_commit(&held.from, commit).await {
        tracing::debug!(commit, "a commit cannot be fetched by its id: {error}");
    }
    held.cache.resolve(commit).await
}

impl Handle<FetchSource> for CodeConnections {
    /// The permission is of the name that the ARN has.
    async fn access(&self, _: &Cx, input: &FetchSource) -> Result<Vec<Access>, Fault> {
        let arn = &input.connection_arn;
        let older = arn.parse::<Arn>().is_ok_and(|arn| arn.service == "codestar-connections");
        let action =
            if older { "codestar-connections:UseConnection" } else { "codeconnections:UseConnection" };
        Ok(vec![Access::new(action, arn).when("codeconnections:FullRepositoryId", &*input.repository)])
    }

    async fn handle(&self, cx: &Cx, input: FetchSource) -> Result<FetchSourceOutput, Fault> {
        Ok(self.fetch(cx, input).await?)
    }
}

impl Handle<FollowRepositories> for CodeConnections {
    async fn access(&self, _: &Cx, _: &FollowRepositories) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("codeconnections:UseConnection", "*")])
    }

    async fn handle(&self, _: &Cx, input: FollowRepositories) -> Result<FollowRepositoriesOutput, Fault> {
        self.follow(input).await?;
        Ok(FollowRepositoriesOutput {})
    }
}
