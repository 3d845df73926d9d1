//! Branches.
use api::codecommit::*;
use kernel::{Access, Cx, Fault, Handle};
use store::PageToken;

use crate::error::{Result, coded};
use crate::git::{NONE, is_id};
use crate::{CodeCommit, limits};

fn full(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

impl CodeCommit {
    async fn create_branch(&self, cx: &Cx, input: CreateBranch) -> Result<()> {
        let CreateBranch { repository_name: name, branch_name: branch, commit_id } = input;
        let repo = self.repo(cx, &name).await?;
        if !repo.is_branch_name(&branch).await? {
            return Err(coded!(InvalidBranchNameException, "The branch name {branch} is not valid"));
        }
        if !is_id(&commit_id) {
            return Err(coded!(InvalidCommitIdException, "The commit ID {commit_id} is not a full one"));
        }
        if repo.commit(&commit_id).await?.is_none() {
            return Err(coded!(CommitDoesNotExistException, "The commit {commit_id} does not exist"));
        }
        if !repo.move_branch(&branch, NONE, &commit_id).await? {
            return Err(coded!(
                BranchNameExistsException,
                "Branch {branch} already exists, or one of its parts does"
            ));
        }
        self.changed(cx, &name).await
    }

    async fn delete_branch(&self, cx: &Cx, name: &str, branch: &str) -> Result<Option<BranchInfo>> {
        let row = self.found(cx, name).await?.value;
        if row.default_branch.as_deref() == Some(branch) {
            let message = "is the default branch: make another one the default first";
            return Err(coded!(DefaultBranchCannotBeDeletedException, "{branch} {message}"));
        }
        let repo = self.git.repo(&row.id);
        let Some(tip) = repo.refs().await?.remove(&full(branch)) else { return Ok(None) };
        if !repo.move_branch(branch, &tip, NONE).await? {
            return Err(coded!(OperationNotAllowedException, "Branch {branch} has just changed: try again"));
        }
        self.changed(cx, name).await?;
        Ok(Some(BranchInfo { branch_name: Some(branch.to_owned()), commit_id: Some(tip) }))
    }

    async fn list_branches(&self, cx: &Cx, input: ListBranches) -> Result<ListBranchesOutput> {
        let list = format!("ListBranches {}", input.repository_name);
        let after = PageToken::<String>::position(&list, input.next_token.as_deref());
        let after = after.map_err(|e| coded!(InvalidContinuationTokenException, "{e}"))?.unwrap_or_default();
        let refs = self.repo(cx, &input.repository_name).await?.refs().await?;
        let names = refs.keys().filter_map(|name| name.strip_prefix("refs/heads/"));
        let mut names: Vec<String> = names.filter(|name| **name > *after).map(str::to_owned).collect();
        let more = names.len() > limits::PAGE;
        names.truncate(limits::PAGE);
        let next_token = names.last().filter(|_| more).map(|last| PageToken::encode(&list, last.clone()));
        Ok(ListBranchesOutput { branches: Some(names), next_token })
    }
}

impl Handle<CreateBranch> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &CreateBranch) -> Result<Vec<Access>, Fault> {
        let access = Self::access(cx, "codecommit:CreateBranch", &input.repository_name);
        Ok(vec![access.when("codecommit:References", full(&input.branch_name))])
    }

    async fn handle(&self, cx: &Cx, input: CreateBranch) -> Result<CreateBranchOutput, Fault> {
        self.create_branch(cx, input).await?;
        Ok(CreateBranchOutput {})
    }
}

impl Handle<GetBranch> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &GetBranch) -> Result<Vec<Access>, Fault> {
        let name = input.repository_name.as_deref();
        let name =
            name.ok_or_else(|| coded!(RepositoryNameRequiredException, "repositoryName is required"))?;
        Ok(vec![Self::access(cx, "codecommit:GetBranch", name)])
    }

    async fn handle(&self, cx: &Cx, input: GetBranch) -> Result<GetBranchOutput, Fault> {
        let required = || coded!(BranchNameRequiredException, "branchName is required");
        let branch = input.branch_name.ok_or_else(required)?;
        let repo = self.repo(cx, &input.repository_name.unwrap_or_default()).await?;
        let tip = repo.refs().await.map_err(crate::Error::from)?.remove(&full(&branch));
        let tip = tip.ok_or_else(|| coded!(BranchDoesNotExistException, "Branch {branch} does not exist"))?;
        let branch = Some(BranchInfo { branch_name: Some(branch), commit_id: Some(tip) });
        Ok(GetBranchOutput { branch })
    }
}

impl Handle<ListBranches> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &ListBranches) -> Result<Vec<Access>, Fault> {
        Ok(vec![Self::access(cx, "codecommit:ListBranches", &input.repository_name)])
    }

    async fn handle(&self, cx: &Cx, input: ListBranches) -> Result<ListBranchesOutput, Fault> {
        Ok(self.list_branches(cx, input).await?)
    }
}

impl Handle<DeleteBranch> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &DeleteBranch) -> Result<Vec<Access>, Fault> {
        let access = Self::access(cx, "codecommit:DeleteBranch", &input.repository_name);
        Ok(vec![access.when("codecommit:References", full(&input.branch_name))])
    }

    async fn handle(&self, cx: &Cx, input: DeleteBranch) -> Result<DeleteBranchOutput, Fault> {
        let deleted_branch = self.delete_branch(cx, &input.repository_name, &input.branch_name).await?;
        Ok(DeleteBranchOutput { deleted_branch })
    }
}
