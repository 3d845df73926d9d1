//! Clones for builds.
use api::internal::{CloneOutput, CloneRepository};
use kernel::{Access, Cx, Fault, Handle};

use super::{repository, resolved};
use crate::CodeCommit;
use crate::error::Result;

impl CodeCommit {
    async fn clone_repository(&self, cx: &Cx, input: CloneRepository) -> Result<CloneOutput> {
        let row = self.found(cx, &input.repository_name).await?;
        let repo = self.git.repo(&row.value.id);
        let default = row.value.default_branch.as_deref();
        let commit_id = resolved(&repo, input.version.as_deref(), default).await?;
        // Nobody closes it.
        let _place = self.cloning.acquire().await;
        let origin = repository::aws_url(cx, &input.repository_name);
        repo.clone_into(&input.into, &commit_id, input.depth, &origin).await?;
        Ok(CloneOutput { commit_id })
    }
}

impl Handle<CloneRepository> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &CloneRepository) -> Result<Vec<Access>, Fault> {
        Ok(vec![Self::access(cx, "codecommit:GitPull", &input.repository_name)])
    }

    async fn handle(&self, cx: &Cx, input: CloneRepository) -> Result<CloneOutput, Fault> {
        Ok(self.clone_repository(cx, input).await?)
    }
}
