//! Commits, looked at.
use api::codecommit::*;
use kernel::{Access, Cx, Fault, Handle};
use store::PageToken;

use super::{path, resolved};
use crate::error::{Result, coded};
use crate::git::{self, Entry, Repo, Tree, diff, is_id};
use crate::{CodeCommit, limits};

fn shown(commit: git::Commit) -> Commit {
    let who = |signature: git::Signature| UserInfo {
        name: Some(signature.name),
        email: Some(signature.email),
        date: Some(signature.date),
    };
    Commit {
        commit_id: Some(commit.id),
        tree_id: Some(commit.tree),
        parents: Some(commit.parents),
        message: Some(commit.message),
        author: Some(who(commit.author)),
        committer: Some(who(commit.committer)),
        additional_data: Some(commit.other),
    }
}

/// The files of a commit under a path.
async fn below(repo: &Repo, commit: &str, path: &str) -> Result<Tree> {
    let mut tree = repo.files(commit).await?;
    if !path.is_empty() {
        let folder = format!("{path}/");
        tree.0.retain(|name, _| name == path || name.starts_with(&folder));
        if tree.0.is_empty() {
            return Err(coded!(
                PathDoesNotExistException,
                "The path {path} does not exist in commit {commit}"
            ));
        }
    }
    Ok(tree)
}

fn difference(change: git::Change) -> Difference {
    let kind = match (&change.before, &change.after) {
        (None, _) => "A",
        (_, None) => "D",
        _ => "M",
    };
    let blob = |entry: Option<Entry>| {
        let entry = entry?;
        Some(BlobMetadata {
            blob_id: Some(entry.id),
            path: Some(change.path.clone()),
            mode: Some(entry.mode),
        })
    };
    Difference {
        before_blob: blob(change.before),
        after_blob: blob(change.after),
        change_type: Some(kind.to_owned()),
    }
}

impl CodeCommit {
    async fn get_commit(&self, cx: &Cx, name: &str, id: &str) -> Result<Commit> {
        let repo = self.repo(cx, name).await?;
        if !is_id(id) {
            return Err(coded!(
                InvalidCommitIdException,
                "The commit ID {id} is not valid: give all of its 40 digits"
            ));
        }
        let found = repo.commit(id).await?;
        found
            .map(shown)
            .ok_or_else(|| coded!(CommitIdDoesNotExistException, "The commit {id} does not exist"))
    }

    async fn batch_get_commits(&self, cx: &Cx, input: BatchGetCommits) -> Result<BatchGetCommitsOutput> {
        let limit = limits::BATCH_COMMITS;
        if input.commit_ids.is_empty() {
            return Err(coded!(CommitIdsListRequiredException, "commitIds must not be empty"));
        }
        if input.commit_ids.len() > limit {
            return Err(coded!(CommitIdsLimitExceededException, "There are more than {limit} commit IDs"));
        }
        let mut reader = self.repo(cx, &input.repository_name).await?.reader()?;
        let (mut commits, mut errors) = (Vec::new(), Vec::new());
        for id in input.commit_ids {
            let found = if is_id(&id) { reader.commit(&id).await? } else { None };
            match found {
                Some(commit) => commits.push(shown(commit)),
                None => errors.push(BatchGetCommitsError {
                    error_message: Some(format!("The commit {id} does not exist")),
                    error_code: Some("CommitIdDoesNotExistException".into()),
                    commit_id: Some(id),
                }),
            }
        }
        Ok(BatchGetCommitsOutput { commits: Some(commits), errors: Some(errors) })
    }

    async fn get_differences(&self, cx: &Cx, input: GetDifferences) -> Result<GetDifferencesOutput> {
        let repo = self.repo(cx, &input.repository_name).await?;
        let after = resolved(&repo, Some(&input.after_commit_specifier), None).await?;
        let before = match input.before_commit_specifier.as_deref().filter(|text| !text.is_empty()) {
            Some(specifier) => Some(resolved(&repo, Some(specifier), None).await?),
            None => None,
        };
        let max = input.max_results.map_or(100, |max| usize::try_from(max).unwrap_or(0));
        if !(1..=limits::PAGE).contains(&max) {
            return Err(coded!(InvalidMaxResultsException, "MaxResults must be 1 to {}", limits::PAGE));
        }
        let list = format!("GetDifferences {} {after}", before.as_deref().unwrap_or_default());
        let start = PageToken::<usize>::position(&list, input.next_token.as_deref());
        let start = start.map_err(|e| coded!(InvalidContinuationTokenException, "{e}"))?.unwrap_or(0);
        let old = match &before {
            Some(commit) => {
                below(&repo, commit, path(input.before_path.as_deref().unwrap_or_default())?).await?
            }
            None => Tree::default(),
        };
        let new = below(&repo, &after, path(input.after_path.as_deref().unwrap_or_default())?).await?;
        let all = diff(&old, &new);
        let more = all.len() > start.saturating_add(max);
        let page = all.into_iter().skip(start).take(max).map(difference).collect();
        let next_token = more.then(|| PageToken::encode(&list, start + max));
        Ok(GetDifferencesOutput { differences: Some(page), next_token })
    }
}

impl Handle<GetCommit> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &GetCommit) -> Result<Vec<Access>, Fault> {
        Ok(vec![Self::access(cx, "codecommit:GetCommit", &input.repository_name)])
    }

    async fn handle(&self, cx: &Cx, input: GetCommit) -> Result<GetCommitOutput, Fault> {
        Ok(GetCommitOutput { commit: self.get_commit(cx, &input.repository_name, &input.commit_id).await? })
    }
}

impl Handle<BatchGetCommits> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &BatchGetCommits) -> Result<Vec<Access>, Fault> {
        Ok(vec![Self::access(cx, "codecommit:BatchGetCommits", &input.repository_name)])
    }

    async fn handle(&self, cx: &Cx, input: BatchGetCommits) -> Result<BatchGetCommitsOutput, Fault> {
        Ok(self.batch_get_commits(cx, input).await?)
    }
}

impl Handle<GetDifferences> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &GetDifferences) -> Result<Vec<Access>, Fault> {
        Ok(vec![Self::access(cx, "codecommit:GetDifferences", &input.repository_name)])
    }

    async fn handle(&self, cx: &Cx, input: GetDifferences) -> Result<GetDifferencesOutput, Fault> {
        Ok(self.get_differences(cx, input).await?)
    }
}
