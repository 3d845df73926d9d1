//! A commit's files as a zip, for pipelines.
use api::internal::{UploadArchive, UploadArchiveOutput};
use kernel::{Access, Cx, Fault, Handle, Stream};
use tokio::process::Child;
use tokio::sync::mpsc;

use crate::CodeCommit;
use crate::error::{Result, coded};
use crate::git::is_id;
use crate::pipe::{self, Piece};

/// Passes on what git writes; an archive that git did not end well fails in its reader.
async fn pass_on(mut git: Child, pieces: mpsc::Sender<Piece>) {
    let Some(mut out) = git.stdout.take() else { return };
    loop {
        match pipe::next(&mut out).await {
            Ok(Some(bytes)) => {
                // Whoever reads has gone: dropping git ends it.
                if pieces.send(Ok(bytes)).await.is_err() {
                    return;
                }
            }
            Ok(None) => break,
            Err(error) => {
                let _ = pieces.send(Err(error.into())).await;
                return;
            }
        }
    }
    let failed = match git.wait().await {
        Ok(status) if status.success() => return,
        Ok(status) => format!("git archive failed ({status})"),
        Err(error) => error.to_string(),
    };
    let _ = pieces.send(Err(failed.into())).await;
}

impl CodeCommit {
    async fn archive(&self, cx: &Cx, input: UploadArchive) -> Result<Stream> {
        let UploadArchive { repository_name: name, commit_id: commit } = input;
        let repo = self.repo(cx, &name).await?;
        if !is_id(&commit) || repo.commit(&commit).await?.is_none() {
            return Err(coded!(CommitDoesNotExistException, "The commit {commit} does not exist in {name}"));
        }
        let git = repo.archive(&commit)?;
        let (sender, pieces) = mpsc::channel(pipe::PIECES);
        tokio::spawn(pass_on(git, sender));
        Ok(Stream::new(pipe::body(pieces)))
    }
}

impl Handle<UploadArchive> for CodeCommit {
    /// AWS uploads in the background and asks how far it is, so that a role needs both.
    async fn access(&self, cx: &Cx, input: &UploadArchive) -> Result<Vec<Access>, Fault> {
        let actions = ["codecommit:UploadArchive", "codecommit:GetUploadArchiveStatus"];
        Ok(actions.map(|action| Self::access(cx, action, &input.repository_name)).into())
    }

    async fn handle(&self, cx: &Cx, input: UploadArchive) -> Result<UploadArchiveOutput, Fault> {
        Ok(UploadArchiveOutput { archive: self.archive(cx, input).await? })
    }
}
