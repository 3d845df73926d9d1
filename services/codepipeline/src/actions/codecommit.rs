//! Source CodeCommit: the files of a branch's head as a zip, or a reference to it that builds clone.
use std::collections::BTreeMap;

use api::codecommit::{Commit, GetBranch, GetCommit, UserInfo};
use api::internal::{CloneFrom, UploadArchive};
use kernel::{Fut, Stream, Timestamp};
use store::Event;

use super::{Action, Failed, clone_ref, polls};
use crate::catalog::{ActionType, Carrier, Form, anything, optional, required};
use crate::engine::{Output, Progress, Revision};
use crate::job::Job;
use crate::limits;

/// The type.
pub static TYPE: ActionType = ActionType {
    category: "Source",
    provider: "CodeCommit",
    inputs: 0..=0,
    outputs: 1..=1,
    timeout: 60,
    timeout_key: None,
    properties: &[
        required("RepositoryName", Form::Text),
        required("BranchName", Form::Text),
        optional("PollForSourceChanges", Form::Boolean),
        optional(clone_ref::PROPERTY, Form::OneOf(clone_ref::FORMATS)),
    ],
    check: anything,
    carrier: Carrier::Provider(&CodeCommit),
};

struct CodeCommit;

impl Action for CodeCommit {
    fn run<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Output, Failed>> {
        Box::pin(run(job))
    }

    fn watches(&self, configuration: &BTreeMap<String, String>) -> Option<String> {
        let (repository, branch) = (configuration.get("RepositoryName")?, configuration.get("BranchName")?);
        polls(configuration).then(|| source(repository, branch))
    }

    fn changed(&self, event: &Event) -> Option<String> {
        let text = |name: &str| event.detail[name].as_str();
        let pushed = event.source == "aws.codecommit"
            && event.detail_type == "CodeCommit Repository State Change"
            && text("referenceType") == Some("branch")
            && matches!(text("event"), Some("referenceCreated" | "referenceUpdated"));
        pushed.then(|| Some(source(text("repositoryName")?, text("referenceName")?))).flatten()
    }
}

fn source(repository: &str, branch: &str) -> String {
    format!("codecommit:{repository}:{branch}")
}

async fn run(job: &Job) -> Result<Output, Failed> {
    let (repository, branch) = (job.need("RepositoryName")?, job.need("BranchName")?);
    let commit_id = match job.revision("COMMIT_ID") {
        Some(commit) => commit.to_owned(),
        None => head(job, repository, branch).await?,
    };
    let get = GetCommit { repository_name: repository.into(), commit_id: commit_id.clone() };
    let commit = job.cx.call(get).await?.commit;
    let (name, artifact) = job.output()?;
    job.put(artifact, content(job, repository, &commit_id).await?).await?;
    let message = limits::cut(commit.message.as_deref().unwrap_or_default().trim_end());
    Ok(Output {
        progress: Progress {
            external_id: Some(commit_id.clone()),
            summary: Some(message.clone()),
            ..Progress::default()
        },
        artifacts: BTreeMap::from([(name.clone(), artifact.clone())]),
        variables: variables(repository, branch, &commit_id, &commit),
        revision: Some(Revision {
            id: commit_id,
            summary: Some(message),
            created: commit.committer.as_ref().and_then(date).map(Timestamp::as_millisecond),
            ..Revision::default()
        }),
    })
}

/// What the artifact holds.
async fn content(job: &Job, repository: &str, commit_id: &str) -> Result<Stream, Failed> {
    if clone_ref::wanted(job) {
        return Ok(clone_ref::content(CloneFrom::CodeCommit(repository.into()), commit_id));
    }
    let archive = UploadArchive { repository_name: repository.into(), commit_id: commit_id.into() };
    Ok(job.cx.call(archive).await?.archive)
}

async fn head(job: &Job, repository: &str, branch: &str) -> Result<String, Failed> {
    let get = GetBranch { repository_name: Some(repository.into()), branch_name: Some(branch.into()) };
    let found = job.cx.call(get).await?.branch.and_then(|branch| branch.commit_id);
    found.ok_or_else(|| {
        let message = format!("The branch '{branch}' of repository '{repository}' has no commit");
        Failed::new("RevisionUnavailable", message)
    })
}

fn variables(repository: &str, branch: &str, id: &str, commit: &Commit) -> BTreeMap<String, String> {
    let time = |user: &Option<UserInfo>| user.as_ref().and_then(date).map(|time| time.to_string());
    let values = [
        ("AuthorDate", time(&commit.author)),
        ("BranchName", Some(branch.to_owned())),
        ("CommitId", Some(id.to_owned())),
        ("CommitMessage", commit.message.as_deref().map(|message| message.trim_end().to_owned())),
        ("CommitterDate", time(&commit.committer)),
        ("RepositoryName", Some(repository.to_owned())),
    ];
    values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// CodeCommit gives dates as git does, seconds and offset: `1767225600 +0000`.
fn date(user: &UserInfo) -> Option<Timestamp> {
    let seconds = user.date.as_deref()?.split_whitespace().next()?.parse().ok()?;
    Timestamp::from_second(seconds).ok()
}
