//! Source CodeStarSourceConnection: the files of a commit of a repository behind a connection as a zip, or a reference to
//! it that builds clone.
use std::collections::BTreeMap;

use api::internal::{CloneFrom, FetchSource, FetchedCommit, is_repository_id};
use kernel::{Fut, Timestamp};
use tokio::fs::File;

use super::{Action, Failed, clone_ref};
use crate::catalog::{ActionType, Carrier, Form, anything, optional, required};
use crate::engine::{Output, Progress, Revision};
use crate::job::{Job, streamed};
use crate::{limits, triggers};

/// The type.
pub static TYPE: ActionType = ActionType {
    category: "Source",
    provider: triggers::CONNECTION,
    inputs: 0..=0,
    outputs: 1..=1,
    timeout: 60,
    timeout_key: None,
    properties: &[
        required("ConnectionArn", Form::Checked(arn)),
        required("FullRepositoryId", Form::Checked(repository)),
        required("BranchName", Form::Text),
        optional(clone_ref::PROPERTY, Form::OneOf(clone_ref::FORMATS)),
        optional("DetectChanges", Form::Boolean),
    ],
    check: anything,
    carrier: Carrier::Provider(&Connection),
};

/// Both names that the service has had are one.
fn arn(value: &str) -> Result<(), String> {
    let arn = value.parse::<kernel::Arn>().ok();
    let fits = arn.is_some_and(|arn| {
        ["codeconnections", "codestar-connections"].contains(&&*arn.service)
            && arn.resource.starts_with("connection/")
    });
    match fits {
        true => Ok(()),
        false => {
            Err("must be the ARN of a connection, arn:aws:codeconnections:REGION:ACCOUNT:connection/ID"
                .into())
        }
    }
}

fn repository(value: &str) -> Result<(), String> {
    match is_repository_id(value) {
        true => Ok(()),
        false => Err("must be a path such as owner/repository, without .git".into()),
    }
}

struct Connection;

impl Action for Connection {
    fn run<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Output, Failed>> {
        Box::pin(run(job))
    }

    /// What of its changes starts the pipeline is for the pipeline's triggers, and DetectChanges, to say.
    fn watches(&self, configuration: &BTreeMap<String, String>) -> Option<String> {
        triggers::watched(configuration)
    }
}

async fn run(job: &Job) -> Result<Output, Failed> {
    let (arn, repository) = (job.need("ConnectionArn")?, job.need("FullRepositoryId")?);
    let branch = match triggers::branch(job.trigger(), job.action()) {
        Some(branch) => branch,
        None => job.need("BranchName")?.to_owned(),
    };
    let fetch = FetchSource {
        connection_arn: arn.into(),
        repository: repository.into(),
        branch: branch.clone(),
        commit: job.revision("COMMIT_ID").map(str::to_owned),
        archived: !clone_ref::wanted(job),
    };
    let fetched = job.cx.call(fetch).await.map_err(failed)?;
    let content = match fetched.archive {
        Some(archive) => streamed(File::from_std(archive)),
        None => {
            let (connection_arn, full_repository_id) = (arn.to_owned(), repository.to_owned());
            let from = CloneFrom::Connection { connection_arn, full_repository_id };
            clone_ref::content(from, &fetched.commit.id)
        }
    };
    let (name, artifact) = job.output()?;
    job.put(artifact, content).await?;
    let FetchedCommit { id, message, author_date, committed } = fetched.commit;
    let message = message.trim_end().to_owned();
    let summary = limits::cut(&message);
    let variables = [
        ("AuthorDate", author_date),
        ("BranchName", branch),
        ("CommitId", id.clone()),
        ("CommitMessage", message),
        ("ConnectionArn", arn.to_owned()),
        ("FullRepositoryName", repository.to_owned()),
    ];
    Ok(Output {
        progress: Progress {
            external_id: Some(id.clone()),
            summary: Some(summary.clone()),
            ..Progress::default()
        },
        artifacts: BTreeMap::from([(name.clone(), artifact.clone())]),
        variables: variables.map(|(name, value)| (name.to_owned(), value)).into(),
        revision: Some(Revision {
            id,
            summary: Some(summary),
            created: Timestamp::from_second(committed).ok().map(Timestamp::as_millisecond),
            ..Revision::default()
        }),
    })
}

/// What the repository lacks is another failure than what the connection does.
fn failed(fault: kernel::Fault) -> Failed {
    match fault.is("RevisionUnavailable") {
        true => Failed::new("RevisionUnavailable", fault.message),
        false => Failed::from(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration() {
        assert_eq!(repository("me/app"), Ok(()));
        assert!(repository("me/..").is_err());
        assert_eq!(arn("arn:aws:codestar-connections:us-east-1:000000000000:connection/x"), Ok(()));
        assert_eq!(arn("arn:aws:codeconnections:us-east-1:000000000000:connection/x"), Ok(()));
        assert!(arn("arn:aws:codeconnections:us-east-1:000000000000:host/x").is_err());
    }
}
