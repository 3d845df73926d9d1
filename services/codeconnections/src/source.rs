//! Commits for pipelines and builds: fetched into a cache of the repository, and packed or cloned from there.
use std::path::PathBuf;
use std::sync::Arc;

use api::internal::{
    CloneConnectedRepository, CloneOutput, FetchSource, FetchSourceOutput, FollowRepositories,
    FollowRepositoriesOutput,
};
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
            match &input.commit {
                Some(commit) => no_commit(repository, commit),
                None => Error::Revision(format!("The repository '{repository}' has no branch '{branch}'")),
            }
        })?;
        let archive = match input.archived {
            true => Some(held.cache.archive(&commit).await?),
            false => None,
        };
        Ok(FetchSourceOutput { commit: held.cache.commit(&commit).await?, archive })
    }

    /// A clone is of what the repository is now, and for whom the credential holds now: it is always asked.
    async fn clone_for(&self, cx: &Cx, input: CloneConnectedRepository) -> Result<CloneOutput> {
        let row = self.found(cx, &input.connection_arn).await?;
        let held = self.hold(&row, &input.full_repository_id).await?;
        full_id(&input.commit_id)?;
        let commit_id = fetched(&held, &input.commit_id)
            .await?
            .ok_or_else(|| no_commit(&input.full_repository_id, &input.commit_id))?;
        held.cache.clone_into(&input.into, &commit_id, input.depth, &held.from.url).await?;
        Ok(CloneOutput { commit_id })
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

fn no_commit(repository: &str, commit: &str) -> Error {
    Error::Revision(format!("The repository '{repository}' has no commit {commit}"))
}

fn full_id(commit: &str) -> Result<()> {
    match git::is_id(commit) {
        true => Ok(()),
        false => Err(Error::Revision(format!("'{commit}' is not a full commit id"))),
    }
}

/// A commit by its id, fetched if it is not here.
async fn wanted(held: &Held<'_>, commit: &str) -> Result<Option<String>> {
    full_id(commit)?;
    match held.cache.resolve(commit).await? {
        Some(here) => Ok(Some(here)),
        None => fetched(held, commit).await,
    }
}

/// A commit by its id after everything was fetched.
async fn fetched(held: &Held<'_>, commit: &str) -> Result<Option<String>> {
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

/// The permission to use a connection for a repository, and its condition key, are of the name that the ARN has.
fn uses(arn: &str, repository: &str) -> Vec<Access> {
    let older = arn.parse::<Arn>().is_ok_and(|arn| arn.service == "codestar-connections");
    let (action, key) = match older {
        true => ("codestar-connections:UseConnection", "codestar-connections:FullRepositoryId"),
        false => ("codeconnections:UseConnection", "codeconnections:FullRepositoryId"),
    };
    vec![Access::new(action, arn).when(key, repository)]
}

impl Handle<FetchSource> for CodeConnections {
    async fn access(&self, _: &Cx, input: &FetchSource) -> Result<Vec<Access>, Fault> {
        Ok(uses(&input.connection_arn, &input.repository))
    }

    async fn handle(&self, cx: &Cx, input: FetchSource) -> Result<FetchSourceOutput, Fault> {
        Ok(self.fetch(cx, input).await?)
    }
}

impl Handle<CloneConnectedRepository> for CodeConnections {
    async fn access(&self, _: &Cx, input: &CloneConnectedRepository) -> Result<Vec<Access>, Fault> {
        Ok(uses(&input.connection_arn, &input.full_repository_id))
    }

    async fn handle(&self, cx: &Cx, input: CloneConnectedRepository) -> Result<CloneOutput, Fault> {
        Ok(self.clone_for(cx, input).await?)
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
