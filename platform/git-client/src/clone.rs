//! Clones for builds: a folder with the files of a commit and a `.git` of its own, out of a bare repository of ours. Nobody
//! is asked and no credential is at hand, so that none can be left in it.
use std::path::Path;

use tokio::process::Command;

use crate::{Bounds, Result, command, run};

/// A clone that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Clone<'a> {
    /// The bare repository.
    pub from: &'a Path,
    /// The folder, which is made.
    pub folder: &'a Path,
    /// The commit that is checked out, which no branch needs to reach. As in CodeBuild, no branch is.
    pub commit: &'a str,
    /// So many commits of each branch's history, without tags; none: all, with them.
    pub depth: Option<u32>,
    /// What the clone fetches from and pushes to.
    pub origin: &'a str,
    /// Bytes of a file that git may write.
    pub largest: Option<u64>,
    /// Of each of its commands.
    pub bounds: Bounds,
}

impl Clone<'_> {
    /// Makes it. What a failure leaves of the folder is the caller's to remove.
    pub async fn make(&self) -> Result<()> {
        let mut init = self.git("init");
        self.run(init.args(["--quiet", "--initial-branch=main", "--template="]).arg(self.folder)).await?;
        self.run(self.inside("remote").args(["add", "origin", self.origin])).await?;
        self.run(&mut self.fetch()).await?;
        self.run(self.inside("checkout").args(["--quiet", "--detach", self.commit])).await
    }

    fn fetch(&self) -> Command {
        let mut fetch = self.inside("fetch");
        fetch.args(["--quiet", "--no-tags", "--no-auto-maintenance", "--no-write-fetch-head"]);
        // What serves it on this side; git's own protocol gives any commit out, only older ones ask.
        fetch.args([
            "--upload-pack",
            "git -c safe.directory='*' -c uploadpack.allowAnySHA1InWant=true upload-pack",
        ]);
        fetch.args(self.depth.map(|depth| format!("--depth={depth}")));
        // By its URL: a path would share objects with the repository.
        fetch.arg(format!("file://{}", self.from.display()));
        fetch.args(["+refs/heads/*:refs/remotes/origin/*", self.commit]);
        if self.depth.is_none() {
            fetch.arg("+refs/tags/*:refs/tags/*");
        }
        fetch
    }

    fn inside(&self, name: &str) -> Command {
        let mut command = self.git(name);
        // What the logs of refs say, which would else tell where the repository is.
        command.current_dir(self.folder).env("GIT_REFLOG_ACTION", "clone");
        command
    }

    fn git(&self, name: &str) -> Command {
        let mut command = command([], self.largest);
        command.arg(name);
        command
    }

    async fn run(&self, command: &mut Command) -> Result<()> {
        run(command, self.bounds, Vec::new()).await.map(drop)
    }
}
