//! CodeCommit: repositories that Git serves, and the API that reads and writes them.
//!
//! What a repository holds is Git's, in bare repositories beside the state; rows say which there are. Git's refs are
//! their own truth: after each push and at the start they are compared with what was last told, and the difference is
//! told as events ([`publish`]). Clients reach Git through the [`GitFace`].

mod error;
mod face;
mod git;
pub mod limits;
mod ops;
mod pipe;
mod publish;
mod records;
mod serve;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use api::codecommit::*;
use api::internal::{CloneRepository, UploadArchive};
pub use error::Error;
use error::{Result, coded};
pub use face::GitFace;
use git::{Git, Repo};
use kernel::{Access, Clock, Cx, Entropy, Ops};
use records::Repository as Record;
use store::{Row, Store};
use tokio::sync::Semaphore;

/// The service.
pub struct CodeCommit {
    store: Store,
    git: Git,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Places for clones.
    cloning: Semaphore,
}

impl CodeCommit {
    /// The service over a state; repositories stand beside it, in `git`.
    pub fn new(store: Store, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Arc<Self> {
        let git = Git::new(store.dir().join("git"));
        Arc::new(Self { store, git, clock, entropy, cloning: Semaphore::new(limits::CLONING) })
    }

    /// What it serves.
    pub fn register(self: &Arc<Self>, ops: &mut Ops) {
        ops.op::<CreateRepository, _>(self);
        ops.op::<GetRepository, _>(self);
        ops.op::<BatchGetRepositories, _>(self);
        ops.op::<ListRepositories, _>(self);
        ops.op::<DeleteRepository, _>(self);
        ops.op::<UpdateRepositoryName, _>(self);
        ops.op::<UpdateRepositoryDescription, _>(self);
        ops.op::<UpdateDefaultBranch, _>(self);
        ops.op::<GetRepositoryTriggers, _>(self);
        ops.op::<CreateBranch, _>(self);
        ops.op::<GetBranch, _>(self);
        ops.op::<ListBranches, _>(self);
        ops.op::<DeleteBranch, _>(self);
        ops.op::<GetCommit, _>(self);
        ops.op::<BatchGetCommits, _>(self);
        ops.op::<GetDifferences, _>(self);
        ops.op::<GetFile, _>(self);
        ops.op::<GetFolder, _>(self);
        ops.op::<GetBlob, _>(self);
        ops.op::<CreateCommit, _>(self);
        ops.op::<PutFile, _>(self);
        ops.op::<DeleteFile, _>(self);
        ops.op::<TagResource, _>(self);
        ops.op::<UntagResource, _>(self);
        ops.op::<ListTagsForResource, _>(self);
        ops.internal::<UploadArchive, _>(self);
        ops.internal::<CloneRepository, _>(self);
    }

    /// Git's smart HTTP.
    pub fn face(self: &Arc<Self>) -> Arc<GitFace> {
        Arc::new(GitFace::new(self.clone()))
    }

    /// Its background work.
    pub fn workers(self: &Arc<Self>) -> Vec<Arc<dyn work::Worker>> {
        vec![Arc::new(publish::Publish(self.clone()))]
    }

    async fn found(&self, cx: &Cx, name: &str) -> Result<Row<Record>> {
        let key = Record::key(cx.account(), &cx.region, name);
        let row = self.store.get::<Record>(&key).await?;
        row.ok_or_else(|| coded!(RepositoryDoesNotExistException, "{name} does not exist"))
    }

    async fn repo(&self, cx: &Cx, name: &str) -> Result<Repo> {
        Ok(self.git.repo(&self.found(cx, name).await?.value.id))
    }

    fn access(cx: &Cx, action: &'static str, name: &str) -> Access {
        Access::new(action, Record::arn(cx.account(), &cx.region, name))
    }
}
